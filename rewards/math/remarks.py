"""Closing remarks: the check, example, comparison or farewell that prose adds behind its answer, taken off the end.
Linear in the text.

A remark that denies, corrects, excludes or concludes anything is none: whatever it says stays part of what is judged.
"""

from __future__ import annotations

import re

from rewards.prose.claims import plain_text

_MAX_REMARKS = 4
_LINE_CHARS = 600
_OPENING = r"[(*_\[ ]{0,4}"
_WITH = r"\b(?: (?:with|for) [^:.\n]{1,20})?"
_CHECK = (
    rf"(?:as an? )?(?:[a-z]{{3,12}}[ -]){{0,2}}check{_WITH}(?: ?[:.,—–]|[*_])|(?:检验|验证|验算)[:：,，]"
    r"|(?:quick |numerical "
    rf")?(?:verification|verifying|test|probe|kontrolle|comprobación|vérification|verifica|verificação){_WITH}"
    r"(?: ?[:—–]|\.?[*_])"
)
_INSTANCE = (
    r"(?:for instance|for example|e\.g\.|zum beispiel|por ejemplo|par exemple|per esempio|por exemplo)\b|(?:例如|比如)"
)
_COMPARED = (
    r"(?:note that |notice that )?(?:this|that)(?: value| result)? (?:is|lies) (?:indeed )?"
    r"(?:(?:less|more|fewer|smaller|larger|greater|bigger|higher|lower) than|below|above|between)\b"
    r"|note that (?:it|this|that) is not (?:the|an?) (?P<what>(?:[a-z]{3,14} ){1,4})(?=\$?\d)|(?:it|this|"
    r"that) makes sense\b"
    r"|dieser wert (?:ist|liegt) (?:kleiner|größer|unter|über|plausibel)\b"
)
_FAREWELL = (
    r"(?:let me know(?: if)?|feel free|(?:i )?hope (?:this|that|it)|happy to|enjoy|good luck|viel erfolg|"
    r"¡?buen provecho)\b"
)
_LEAD = re.compile(
    rf"(?:\A\s*|(?<=[.!?✓✔$)*] )){_OPENING}(?:{_CHECK}|{_INSTANCE}|{_COMPARED}|(?P<farewell>{_FAREWELL}))",
    re.IGNORECASE,
)
_JUDGES = re.compile(
    r"\b(?:answer|solution|result|value|correct|right|final|total|only|required|desired|asked)\b", re.IGNORECASE
)
# What a remark must not hold: a conclusion, a denial, another candidate, a condition; in the languages that remarks are
# read in.
_TURNS = re.compile(
    r"\b(?:so|thus|hence|therefore|consequently|conclu\w+|answer|solutions?|wait|actually|instead|rather|however|"
    r"but|yet|although|though"
    r"|fail\w*|wrong|incorrect|invalid|false|not|no|never|cannot|nor|neither|none|contradict\w*|violat\w*|"
    r"mistake\w*|errors?|mismatch"
    r"|differ\w*|must|should|also|too|as well|likewise|similarly|additional\w*|remaining|either|or|another|others?|"
    r"alternative\w*"
    r"|unless|if|only|except|exclu\w+|reject\w*|discard\w*|extraneous"
    r"|correct(?:ed|ion|ing|s)|twice|doubl\w+|half|halve\w*|round\w*|oops|sorry|impossible|unequal|doesn|isn"
    r"|nicht|kein\w*|falsch|sondern|aber|daher|somit|folglich|oder|jedoch|pero|sino|luego|entonces|mais|donc|pas|"
    r"ou|però|quindi|mas|logo)\b"
    r"|n't\b|[≠✗✘❌✖?？]|\\n(?:e|eq)(?![A-Za-z])|[不非错但所故]|因此",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"\d[\d.,]*")


def without_remarks(text: str) -> str:
    """`text` without the remarks that end it; as it is where nothing would be left."""
    kept = text.rstrip()
    for _ in range(_MAX_REMARKS):
        start = kept.rfind("\n") + 1
        line = kept[start:]
        lead = _LEAD.search(line) if len(line) <= _LINE_CHARS else None
        if (
            lead is None
            or not kept[: start + lead.start()].strip()
            or _says_more(line[lead.start() :], lead, kept[: start + lead.start()])
        ):
            break
        kept = kept[: start + lead.start()].rstrip()
    return kept


def _says_more(remark: str, lead: re.Match[str], before: str) -> bool:
    """Whether a remark turns, corrects or adds to what stands before it."""
    if lead["farewell"]:
        remark = remark[lead.end() - lead.start() :]
    if lead["what"]:  # "it is not the arithmetic mean 45 km/h", where 45 is not what was claimed
        denied = _NUMBER.search(lead.string, lead.end())
        claimed = before.rstrip().rpartition("\n")[2]
        if (
            denied is None
            or _JUDGES.search(lead["what"])
            or denied[0].strip(".,") in map(_bare, _NUMBER.findall(claimed))
        ):
            return True
        remark = remark[lead.end() - lead.start() :]
    return _TURNS.search(plain_text(remark)) is not None


def _bare(number: str) -> str:
    return number.strip(".,")

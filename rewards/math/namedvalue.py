"""The value that a cue names: what stands right behind "the answer is", not the last number of what is said about it.

"37 for n = 4", "37 minutes for the 4 laps" and "37 (which equals 12 + 25)" are 37. Texts in, texts out; linear in the
text. Knows no golds, and nothing of where the cue stands (`rewards.math.extract`).
"""

from __future__ import annotations

import re

from rewards.math.asides import without_asides
from rewards.math.lastnumber import NUMBER, last_match, last_number, turns_it, unit_of
from rewards.math.number import parse_number

_MOST_SIDES = 8  # of a chain such as 3 * 4 = 6 + 6 = 12
_LEAD = re.compile(r"[\s*:=(]{0,8}(?:(?:exactly|about|approximately|roughly|only|just|simply|still|≈|~) ?)?")
_FORMULA = re.compile(r"\$\$(?P<a>[^$]{1,300})\$\$|\$(?P<b>[^$\n]{1,300})\$|\\\((?P<c>.{1,300}?)\\\)")
_WORD = re.compile(r"[A-Za-z]{3}")
_PROSE = re.compile(r"[A-Za-z]{2,}")
_COMMAND = re.compile(r"\\(?:text|mathrm|operatorname)\s?\{[^{}]{0,80}\}|\\[A-Za-z]+")
_FRACTION = re.compile(r"[ -]\d{1,6}/\d{1,6}(?![\d/])")  # of 1 1/2
_MULTIPLE = re.compile(r" (?:hundred|thousand|million|billion|trillion|dozen|percent)\b", re.IGNORECASE)
_NEXT_PART = re.compile(r" ?(?:,|and|,? and)? ?(?=\d)")
# What may stand behind a whole value: the end, a mark that ends it, a word or an aside. Not what makes a longer
# expression or a list of it.
_CONTRAST = "or|but|yet|though|however|although"
_SYMBOLIC = re.compile(  # a root, a multiple of π or a fraction, with no dollars around it
    r"[-−]?(?:\d{1,6}(?:\.\d{1,6})? ?)?"
    r"(?:[√∛∜](?:\d{1,9}|\([^()\n]{1,40}\))|π|\\pi(?![A-Za-z])|\\sqrt(?:\[\d\])?\{[^{}\n]{1,40}\}"
    r"|\\[dt]?frac\{[^{}\n]{1,40}\}\{[^{}\n]{1,40}\})(?: ?/ ?\d{1,6})?(?![\w√π\\])"
)
_BOTH_SIGNS = re.compile(r"(?:±|\\pm(?![A-Za-z])) ?")
_ENDS = re.compile(
    rf"[\s*$.!?;]*\Z|\*{{0,2}}(?:[.!?;](?=\s(?!\s*=)|\Z)|,(?=\s+[A-Za-z])(?!\s+(?:and|{_CONTRAST})\b)|\s*\n|\s+[—–]|[，。；]|\s+-\s+(?=[A-Za-z]{{3}})"
    rf"|\s+(?![A-Za-z]\b)(?!(?:{_CONTRAST}|to|mod|through|remainder|over|choose)\b|and (?![a-z]{{3}})"
    r"|(?:less|more|fewer|greater|smaller|larger) than\b)[^\W\d_])"
)
_ABOUT_WHAT = re.compile(r"\s*(?:for|in|to|of|when|if|with|after|at)\b[^.!?\n]{1,60}? (?:is|was|equals)\b")
# "17 if x > 0, else 18", "it would be 17 if x were 2"
_CONDITION = re.compile(r"\b(?:else|otherwise)\b|\bif [^.!?]{1,40} were\b", re.IGNORECASE)
_MARKUP = re.compile(r"`|(?<!\w)__(?=\S)|(?<=\S)__(?!\w)|\\(?=\$)|\\(?:textbf|mathbf|text)\{([^{}]{1,60})\}")
_CONCLUDES = re.compile(r"\b(?:so|therefore|hence|thus),? (?=[-$*\d\\])", re.IGNORECASE)


def named_value(sentence: str) -> str | None:
    """The value that begins a line behind a cue, with its unit; of a chain, what the first side that is a plain value
    says. Elsewhere the only number there is; None where there are several.

    Examples: "37 for n = 4" is "37"; "n = 4." is "4"; "3 * 4 = 12" is "12"; "$\\sqrt{2}$ (≈ 1.41)" is "\\sqrt{2}".
    """
    if _CONDITION.search(sentence):
        return None
    sentence = without_asides(sentence)
    sentence = _MARKUP.sub(lambda match: match[1] or "", sentence)
    skipped = last_match(_CONCLUDES, sentence) or _ABOUT_WHAT.match(sentence)
    side = sentence = sentence[skipped.end() :] if skipped else sentence
    for _ in range(_MOST_SIDES):
        value = _leading(side)
        if value is not None:
            return value
        left, equals, right = side.partition("=")
        if not equals or left.endswith(("<", ">", "!", ":")) or len(_PROSE.findall(_COMMAND.sub("", left))) > 1:
            break
        side = right
    left, equals, right = sentence.partition("=")
    if equals and not any(map(str.isalpha, right)):  # 37 = 25 + 12
        return _leading(left)
    return last_number(sentence) if len(set(NUMBER.findall(sentence))) == 1 else None


def _leading(text: str) -> str | None:
    lead = _LEAD.match(text)
    begin = lead.end() if lead else 0
    both = _BOTH_SIGNS.match(text, begin)
    start = both.end() if both else begin
    formula = _formula_at(text, start)
    symbolic = _SYMBOLIC.match(text, start)
    if formula is not None:
        value, end = formula
    elif symbolic is not None:
        value, end = symbolic.group(), symbolic.end()
    else:
        number = NUMBER.match(text, start)
        if number is None:
            return None
        end = number.end() - (1 if number.group().endswith(",") else 0)
        value = text[start:end]
        more = _FRACTION.match(text, end) if "/" not in value else None
        if more is not None:
            value, end = text[start : more.end()], more.end()
    marks = re.match(r"[*$]{0,2}", text[end:])
    behind = end + (marks.end() if marks else 0)
    unit = _MULTIPLE.match(text, behind)
    told = unit.group() if unit else unit_of(text[behind : behind + 80])
    if told.endswith(" in") and re.match(r" [\w$]", text[behind + len(told) :]):  # 56 km in 8 hours: no inches
        told = told.removesuffix(" in")
    end = behind + len(told)
    if told:
        value, end = _with_smaller(f"{value}{told}", text, end)
    if turns_it(text[end : end + 40]) or not _ENDS.match(text, end):
        return None
    return f"\\pm {value.strip()}" if both else value.strip()


def _with_smaller(value: str, text: str, end: int) -> tuple[str, int]:
    """`2 hours` with the `and 30 minutes` behind it, where both are one quantity."""
    for _ in range(2):
        joint = _NEXT_PART.match(text, end)
        number = NUMBER.match(text, joint.end()) if joint else None
        unit = unit_of(text[number.end() : number.end() + 80]) if number else ""
        if joint is None or number is None or not unit:
            break
        whole = f"{value}{joint.group()}{number.group()}{unit}"
        parsed = parse_number(whole)
        if parsed is None or parsed.form != "mixed":
            break
        value, end = whole, number.end() + len(unit)
    return value, end


def _formula_at(text: str, start: int) -> tuple[str, int] | None:
    """The formula that begins here and its end; None where there is none, or where the dollars are those of prices."""
    match = _FORMULA.match(text, start)
    inner = (match["a"] or match["b"] or match["c"]) if match else None
    if match is None or inner is None or _WORD.search(_COMMAND.sub("", inner)) or "=" in inner:
        return None
    return inner.strip(), match.end()

"""The last number that prose states, with its unit: None where it counts a step, is bounded, denied, turned round or
one of a row.

The weakest of the places where an answer is looked for (`rewards.math.extract`); linear in the text.
"""

from __future__ import annotations

import re

from rewards.math.number import parse_number
from rewards.math.units import is_known
from rewards.prose.claims import is_denied, is_doubtful, is_refused, plain_text

_LABEL = re.compile(
    r"(?:\b(?:step|case|part|question|problem|figure|table|example|equation|section|line|page|eqn?\.?)\s+\(?|\n\s*)\Z",
    re.IGNORECASE,
)
_DENIED = re.compile(
    r"\b(?:not|never|cannot|between|at least|at most|(?:less|more|fewer|greater|larger|smaller|other) than|neither|"
    r"nor|maybe|perhaps|"
    r"possibly|wrong|incorrect)\b|n't\b",
    re.IGNORECASE,
)
_TEN = r"[ \t]?(?:[×·⋅*]|\\times|\\cdot)[ \t]?10(?:\^\{?[-−]?\d{1,3}\}?|[⁻⁺]?[⁰¹²³⁴⁵⁶⁷⁸⁹]{1,3})"
NUMBER = re.compile(
    r"(?<![\w.])[-−]?[$€£]?(?:\d{1,3}(?:[ \u00a0\u2009\u202f]\d{3}){1,5}(?![\d,])|\d[\d,]*)(?:\.\d+)?"
    rf"(?:{_TEN}|[eE][-+−]?\d{{1,3}}(?![\w.]*\w)|(?:[ \t]*/[ \t]*\d+)?(?:[ \t]*\\?%)?)"
)
_PLANNED = re.compile(
    r"\b(?:try|tries|trying|check|test|consider|compute|calculate|verify)(?: for| with| of)? \$?\Z", re.IGNORECASE
)
_BOUNDED = re.compile(
    r"(?:\b(?:above|below|over|under|exceeds?|exceeding|beyond|up to) |[<>≠≤≥] ?|\\(?:[ln]eq?|geq?|[lg]t) ?)\$?\Z",
    re.IGNORECASE,
)
_NO_BOUND = re.compile(r"(?:<\w{1,20}|[=-])> ?\$?\Z")  # a tag, an arrow
_COMPARED = re.compile(r"\$? ?(?:<(?!/)|[>≠≤≥]|\\(?:neq?|leq?|geq?|[lg]t)(?![A-Za-z]))")
_TURNED = re.compile(  # twice 8, the square root of 8, from 1 to 8: its number is not the value
    r"(?:\b(?:twice|double|triple|thrice|half|third|quarter|negative|minus|plus|times|divided by|opposite|"
    r"reciprocal|inverse|factorial"
    r"|power|root|square|cube|log|logarithm|multiples?|divisors?|factors?)(?: of)?|\d to) \(?\$?\Z|(?:[×·⋅]|"
    r"\\times|\\cdot) ?\Z",
    re.IGNORECASE,
)
_TURNS_IT = re.compile(
    r"\$? ?(?:squared|cubed|factorial|times|plus|minus|divided|to the (?!nearest))\b|(?:st|nd|rd|th)\b", re.IGNORECASE
)
_EARLIER = re.compile(r"\A.*(?:[.!?](?=\s)|[。！？\n])(?=.)", re.DOTALL)
_EXPLAINS = re.compile(r"(?P<claim>\d[^,，\n]{0,200})(?:, |，)(?=[^\W\d_])(?!\w{1,3} ?=)[^\d\n]{0,200}\d")
_INTRODUCES = re.compile(
    r"[\s*]{0,4}(?:(?:so|then|now|thus|hence|therefore|and|but),? )?"
    r"(?:if|when|after|before|with|without|for|in|at|on|by|as|since|because|given|from|of|to|out of|once|while|during|"
    r"using|let)\b",
    re.IGNORECASE,
)
_NUMERAL = re.compile(
    r" ?(?:[十百千万萬億亿兆割折成半십백천만억조]|분의|分[の之])"
)  # goes on behind its digits: 3万 is 30000
_SHARE = re.compile(r"(?:分[の之]|분의) ?\Z")  # of 3分の1 the 1 is no value
_NO_VARIABLES = "\u0900"  # from Devanagari on: letters that no one writes for unknowns
_LABELLED = re.compile(r"[\s*_#>-]{0,8}[^\W\d_]{1,20}(?: [^\W\d_]{1,20}){0,2}[*_]{0,2} ?[:：][*_]{0,2} ?")
_ROW = re.compile(r"\d ?(?:,|,? and) ?\Z")  # the last of several is not the one
_BOTH_SIGNS = re.compile(r"(?P<value>[\w)}\]$] ?)?(?:±|∓|\\[pm]{2}(?![A-Za-z])|\+ ?/ ?(?=[-−]?\Z)) ?[-−]?\Z")
_UNIT_WORD = r"(?:°|\^\\circ ?)?[A-Za-zµμ°Ω][A-Za-z]{0,12}(?:\^?\{?-?[123]\}?|[⁻−]?[¹²³])?"
_UNIT = re.compile(rf"(?:[ \t~]{{0,2}}(?:[/·⋅][ \t]?)?{_UNIT_WORD}){{1,6}}")
_BIGGER = re.compile(r"(?:\d{1,9} ?[A-Za-z]{1,12}\.?(?: |,|and){1,5}){1,3}\Z")  # the hours of 2 hours and 24 minutes
_POWERS = str.maketrans({
    "°": " deg", "¹": "1", "²": "2", "³": "3", "⁻": "-", "−": "-", "·": " ", "⋅": " ", "µ": "u", "μ": "u", "{": None,
    "}": None,
})  # fmt: skip
_RAISED = re.compile(r"(?<=[A-Za-zΩ])(?=[⁻−]?[¹²³])")


def guessed_number(text: str) -> str | None:
    """The last number, where no cue names a value; None where it may explain one before it."""
    return last_number(text) if explained(text) is None else None


def labelled_result(text: str) -> str | None:
    """The result that the last line has behind a label, in any language: "8 · 4 = 32\n\nOdpowiedź: 32 zł za 8 biletów."
    The line before ends in that result, and what else the last one counts is some, not all, of what was calculated
    with."""
    lines = [line for line in text.rstrip().rsplit("\n", 8) if line.strip()]
    label = _LABELLED.match(lines[-1]) if len(lines) > 1 else None
    sides = lines[-2].rstrip(" \t.。*$").rpartition("=") if label else ("", "", "")
    if label is None or not sides[1]:
        return None
    found = list(NUMBER.finditer(lines[-1], label.end()))
    if len(found) < 2 or found[0].start() > label.end() or found[0].group() != sides[2].strip(" \t*$"):
        return None
    others = found[1:]
    operands, said = set(NUMBER.findall(sides[0])), {other.group().rstrip(",") for other in others}
    return last_number(lines[-1][: others[0].start()].rstrip()) if said < operands else None


def explained(text: str) -> str | None:
    """The clause of the last sentence that holds a number, where the last number stands behind its comma: in any
    language that may explain the first, as in "Het is 4, want er waren er 6.". None where the clause only leads up to
    what follows ("After 3 days, 12 are left."), is denied, or where there is no such comma."""
    sentence = _EARLIER.sub("", text.rstrip())
    explains = None if _INTRODUCES.match(sentence) else _EXPLAINS.search(sentence)
    if explains is None or is_denied(plain_text(sentence[: explains.start()])):
        return None
    return sentence[: explains.end("claim")]


def last_number(text: str) -> str | None:
    """The last number that `text` states; None where it counts a step, is denied or bounded, or stands in a row of
    numbers."""
    last = last_match(NUMBER, text)
    # an exponent, an index, a part of a fraction, what stands below a root
    if last is None or text[max(0, last.start() - 1) : last.start()] in tuple("^_{√∛∜"):
        return None
    before, after = text[: last.start()], text[last.end() :]
    both = _BOTH_SIGNS.search(before[-30:])
    if both is not None:  # the value is ±4; of 5 ± 2 the 2 is no value at all
        return None if both["value"] or after[:1].isalpha() else f"\\pm {last.group(0).rstrip(',')}"
    if _PLANNED.search(before[-30:]) or _COMPARED.match(after) or _ROW.search(before[-30:]):
        return None
    if _TURNED.search(before[-30:]) or _TURNS_IT.match(after) or is_denied(plain_text(before[-200:])):
        return None
    if _BOUNDED.search(before[-30:]) and not _NO_BOUND.search(before[-30:]):
        return None
    labelled = _LABEL.search(before[-30:]) and (after[:1] in (".", ")", ":", "") or not before.endswith("\n"))
    if (
        labelled
        or _DENIED.search(before[-40:].rpartition(",")[2])
        or is_doubtful(plain_text(before[-80:]))
        or is_refused(plain_text(after[:200]))
    ):
        return None
    listed = not any(character.isalpha() for character in text) and len(NUMBER.findall(text)) > 1 and "=" not in text
    if _NUMERAL.match(after) or _SHARE.search(before):
        return None
    if (
        after[:1].isalpha()
        and after[:1] < _NO_VARIABLES
        and not unit_of(after)
        and len(text) <= 80
        and not re.match(r"[A-Za-z]{3}", after)
    ):
        return None  # 8x
    if listed:
        return None
    number = last.group(0).rstrip(",")
    unit = "" if last.group(0).endswith(",") else unit_of(after)
    return _with_bigger(before, f"{number}{unit}") if unit else number


def _with_bigger(before: str, last: str) -> str:
    """`24 minutes` with the `2 hours and` right before it, where both are one quantity."""
    match = _BIGGER.search(before[-60:])
    whole = f"{match[0]}{last}" if match else last
    number = parse_number(whole) if match else None
    return whole if number is not None and number.form == "mixed" else last


def unit_of(after: str) -> str:
    """The known unit right behind a number, as it stands there: " m/s" of " m/s downwards"; "" for other words, and for
    "12 in all"."""
    match = _UNIT.match(after)
    if match is None or re.match(r"[ \t]in [a-z]", after):
        return ""
    unit = match.group(0)
    ends = [m.end() for m in re.finditer(_UNIT_WORD, unit)]
    return next(
        (
            unit[:end]
            for end in reversed(ends)
            if is_known(_RAISED.sub("^", unit[:end]).translate(_POWERS).strip(" \t~"))
        ),
        "",
    )


def turns_it(after: str) -> bool:
    """Whether the words right behind a number make another value of it: "8 squared", "the 8th"."""
    return _TURNS_IT.match(after) is not None


def last_match(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    last = None
    for match in pattern.finditer(text):
        last = match
    return last

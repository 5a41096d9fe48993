"""What stands in brackets behind a value and only says something about it: "9 (since 4 + 5)", "12 [check: 3·12 = 36]".

Told by its form, so in any language: a blank before the bracket, and inside it an equation, an approximation, words
with a number, or sums of numbers alone that come to the value. Linear in the text.
"""

from __future__ import annotations

import re
from fractions import Fraction

from rewards.math.evaluate import exact
from rewards.math.foreign import JOINING
from rewards.math.lastnumber import NUMBER, last_match, unit_of
from rewards.math.normal import normalise
from rewards.math.tree import NotReadable, parse
from rewards.prose.claims import is_refused, plain_text, retraction_end

_BRACKETED = re.compile(
    r"(?:\s{1,3}|(?<=[\d*$%\u3040-\u9fff\uac00-\ud7af]))"
    r"(?:\((?P<round>(?:[^()\n]|\([^()\n]{0,60}\)){1,200})\)|\[(?P<square>[^\[\]\n]{1,200})\]"
    r"|（(?P<wide>[^（）\n]{1,200})）)"
)
_COMMAND = re.compile(r"\\(?:text|mathrm)\s?\{|\\[A-Za-z]+")
_WORD = re.compile(r"[^\W\d_]{2}|[\u3040-\u9fff\uac00-\ud7af]")
_RELATED = re.compile(r"=|≈|\\approx(?![A-Za-z])|\\simeq(?![A-Za-z])")
_SUM = re.compile(r"[\d\s.,^/*+()−×·⋅÷-]{3,}|(?:[\d\s.,^/*+()-]|\\times|\\cdot|\\div){3,}")
# What belongs to the value: the modulus, the base, another value joined to it.
_PART = re.compile(
    rf"\s*(?:\\?[pb]?mod\b|base\b(?! 10\b)|[,;]|(?:and|or)\b|(?:{'|'.join(JOINING)}) (?=[-−$\d√(]))", re.IGNORECASE
)
_ONE_WORD = re.compile(r"\s*[^\W\d_]+\.?\s*[-−]?\d[\d.,/]*\s*")
_SYMBOLIC_END = re.compile(r"(?:[√∛∜π]|\\(?:sqrt|frac|pi)(?![A-Za-z]))\S*\Z")  # a number behind it comes near it
_VALUE = re.compile(r"\d|[√∛∜π]|\\(?:sqrt|frac|pi)(?![A-Za-z])")


def without_asides(text: str, *, cued: bool = True) -> str:
    """`text` without the asides behind its values, units out of their brackets; as it is where that would leave no
    value. Where no cue of a known language names the value, a word with one number may be "or 6", and stays.

    Examples: "9 (that is 4 + 5)" is "9", "√3 (≈ 1.73)" is "√3", "2 (cm)" is "2 cm"; "3 (x + 1)" and "2 (mod 5)" stay.
    """
    if "(" not in text and "[" not in text and "（" not in text:
        return text
    kept = _BRACKETED.sub(lambda match: _without(match, text, cued), text)
    return kept if _VALUE.search(kept) else text


def _without(match: re.Match[str], text: str, cued: bool) -> str:
    inner = (match["round"] or match["square"] or match["wide"]).replace("$", "")
    before = text[: match.start()]
    if before[-1:].isdigit() and unit_of(f" {inner}") == f" {inner}":
        return f" {inner}"
    return "" if _is_aside(inner, before, cued) else match[0]


def _is_aside(inner: str, before: str, cued: bool) -> bool:
    plain = plain_text(inner)
    if not before.strip() or _PART.match(inner) or is_refused(plain) or retraction_end(f",{plain}") is not None:
        return False
    if _SUM.fullmatch(inner):
        number = last_match(NUMBER, before[-40:])
        if number is None or before[-40:][number.end() :].strip(" *$"):
            return any(map(str.isdigit, before))  # "4 apples (10 - 6)"
        value = _value(number.group())
        return value is not None and value == _value(inner)
    if _RELATED.search(inner):
        return any(map(str.isdigit, inner))
    again = NUMBER.match(inner.strip())
    if again is not None:  # the value again in another unit: "π (180°)", "1/4 (25%)"
        rest = inner.strip()[again.end() :].strip()
        if rest in ("°", "^\\circ") or "%" in again.group() or (rest and unit_of(f" {rest}") == f" {rest}"):
            return True
    words = _COMMAND.sub("", inner)
    if not cued and _ONE_WORD.fullmatch(words) and not _SYMBOLIC_END.search(before[-40:]):
        return False
    return any(map(str.isdigit, inner)) and _WORD.search(words) is not None


def _value(text: str) -> Fraction | None:
    """The exact value of digits and signs; None where they have none."""
    try:
        value = exact(parse((normalise(text.rstrip(" %\\")) or "").replace(",", "")), {})
        return value / 100 if "%" in text else value
    except (NotReadable, ArithmeticError, LookupError, ValueError):
        return None

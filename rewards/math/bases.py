"""Whole numbers in a base: `101_2`, `(202)_7`, `10001 in base 2`, `0xFF`, `hex FF`; and the base that a question asks
for.

Texts in, digits and bases out; nothing is evaluated beyond a whole number of at most 60 digits.
"""

from __future__ import annotations

import re

from rewards.math.number import parse_number
from rewards.math.words import opened, spelled

_DIGITS = r"(?P<digits>[0-9A-Z]{1,60}|(?=[a-z]{0,60}\d)[0-9a-z]{2,60})"
_WRITTEN = re.compile(rf"\(?{_DIGITS}\)? ?_ ?\{{? ?(?P<base>\d{{1,2}}|[a-z]{{3,8}}) ?\}}?\Z")
_NAMES = {"binary": 2, "ternary": 3, "octal": 8, "decimal": 10, "hexadecimal": 16, "hex": 16}
_WORDS = rf"(?:base[- ]?\$?(?P<base>\w{{1,8}})|(?P<name>{'|'.join(_NAMES)}))"
_BEHIND = re.compile(rf"{_DIGITS} ?\(?(?:in )?{_WORDS}\$?\)?\Z")
_BEFORE = re.compile(rf"{_WORDS}:? {_DIGITS}\Z")
_PREFIXED = re.compile(r"(?:hex(?:adecimal)? |binary |octal )?0(?P<mark>[xbo])(?P<digits>[0-9A-Fa-f]{1,60})\Z")
_MARKS = {"x": 16, "b": 2, "o": 8}
_ASKED = re.compile(rf"\b(?:to|in|into|as|as an?|its) (?:an? )?{_WORDS}\b", re.IGNORECASE)
_SIGN = re.compile(r"_|base|0[xbo]|hex|binary|octal|decimal|ternary")


def in_base(text: str) -> tuple[str, int] | None:
    """("101", 2) of `101_2`; None for a text that is no number with its base, and for digits that the base does not
    have."""
    if len(text) > 120 or _SIGN.search(text) is None:
        return None
    text = opened(text)
    if (prefixed := _PREFIXED.match(text)) is not None:
        return _checked(prefixed["digits"], _MARKS[prefixed["mark"]])
    match = _WRITTEN.match(text) or _BEHIND.match(text) or _BEFORE.match(text)
    return None if match is None else _checked(match["digits"], _base_of(match))


def asked_base(question: str) -> int | None:
    """The base of `write 255 in hexadecimal`; the last one that is named so."""
    found = list(_ASKED.finditer(question.lower()))
    return _base_of(found[-1]) if found else None


def value_in_base(text: str) -> int | None:
    """The value of digits in a base, or of a whole number."""
    based = in_base(text)
    if based is not None:
        return int(*based)
    plain = parse_number(text)
    return int(plain.value) if plain is not None and plain.form == "integer" else None


def _base_of(match: re.Match[str]) -> int | None:
    parts = match.groupdict()
    if parts.get("name"):
        return _NAMES[parts["name"]]
    written = spelled(parts["base"])
    return int(written) if written.isdigit() else None


def _checked(digits: str, base: int | None) -> tuple[str, int] | None:
    if base is None or not 2 <= base <= 36 or any(int(digit, 36) >= base for digit in digits):
        return None
    return digits.upper().lstrip("0") or "0", base

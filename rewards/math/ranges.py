"""Ranges between two numbers: `200-300 mg`, `36.1% to 43.9%`, `between a and b`, `50 \\pm 1.96`, `[48, 52]`, to their
ends.

Texts in, numbers out. Whether the ends belong to a range is not said by these forms, and not asked.
"""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction

from rewards.math.number import Num, parse_number
from rewards.math.numeric import compare_numbers
from rewards.math.result import Context, Result, no
from rewards.math.sequences import all_of, brackets, split_items
from rewards.math.words import opened

_SAID = re.compile(r"(?:between|from) (?P<low>[^ ].{0,60}?) (?:and|to) (?P<high>.{1,60})\Z", re.IGNORECASE)
_TO = re.compile(r"(?P<low>[^ ].{0,60}?)(?: to |(?<=[\w%}]) ?--? ?)(?P<high>(?:\\?\$)?[\d.].{0,60})\Z")
_ABOUT = re.compile(r"(?P<middle>[^ (].{0,60}?) ?\\pm ?(?P<margin>[\d.].{0,60})\Z")
_BELOW = r"(?:<=?|\\le(?![A-Za-z]))"
_WITHIN = re.compile(
    rf"(?P<low>[^ <].{{0,40}}?) ?{_BELOW} ?(?:[A-Za-z]{{1,12}}|\\[a-z]{{2,8}}) ?{_BELOW} ?(?P<high>.{{1,40}})\Z"
)
_UNIT_BEHIND = re.compile(r"(?P<ends>[(\[].{3,100}[)\]]) ?(?P<unit>[A-Za-z%\\].{0,30})\Z")


def ends(text: str) -> tuple[Num, Num] | None:
    """The lower and the upper end of a range; None for a text that is no range. A unit or percent sign of the upper end
    holds for both."""
    text = opened(text)
    if len(text) > 160 or not any(map(str.isdigit, text)):
        return None
    if (about := _ABOUT.match(text)) is not None:
        return _around(about["middle"], about["margin"])
    unit = _UNIT_BEHIND.match(text)
    pair = brackets(unit["ends"] if unit else text)
    items = split_items(pair[1]) if pair is not None and pair[0] in "([" else []
    if len(items) == 2:
        return _ordered(items[0], f"{items[1]} {unit['unit']}" if unit else items[1])
    found = _SAID.match(text) or _WITHIN.match(text) or _TO.match(text)
    return None if found is None else _ordered(found["low"], found["high"])


def is_range(text: str) -> bool:
    """Whether a gold is surely a range: with words for it, or a dash between numbers whose unit stands behind (3 - 5 is
    a difference)."""
    plain = opened(text)
    said = _SAID.match(plain) is not None
    found = ends(plain) if said or _TO.match(plain) is not None else None
    return found is not None and (said or bool(found[1].unit or found[1].percent))


def compare_ranges(gold: str, answer: str, context: Context) -> Result | None:
    """End by end; None where one side is no range."""
    wanted, got = ends(gold), ends(answer)
    if wanted is None:
        return None
    if got is None:
        return no("one_answer_for_several", certain=False) if parse_number(opened(answer)) is not None else None
    return all_of([compare_numbers(end, other, context) for end, other in zip(wanted, got, strict=True)])


def _ordered(low: str, high: str) -> tuple[Num, Num] | None:
    left, right = parse_number(low.strip()), parse_number(high.strip())
    if left is None or right is None:
        return None
    left = _like(left, right)
    return (left, right) if left.value < right.value else None


def _like(low: Num, high: Num) -> Num:
    """The unit and the percent sign of the other end, where a number has none."""
    low = replace(low, unit=low.unit or high.unit)
    return replace(low, value=low.value / 100, percent=True) if high.percent and not low.percent else low


def _around(middle: str, margin: str) -> tuple[Num, Num] | None:
    centre, size = parse_number(middle.strip("() ")), parse_number(margin.strip("() "))
    if centre is None or size is None or size.value <= 0:
        return None
    centre = _like(centre, size)
    digits = max(centre.digits, size.digits)
    form = "decimal" if digits else "integer"

    def end(distance: Fraction) -> Num:
        value = centre.value + distance
        return replace(centre, value=value, bare=value * 100 if centre.percent else value, digits=digits, form=form)

    return end(-size.value), end(size.value)

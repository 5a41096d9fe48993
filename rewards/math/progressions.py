"""Families of solutions that one whole number runs through, as arithmetic progressions: `(-1)^k \\frac{\\pi}{6} +
k\\pi`, `\\pm 1 + 4k`.

Two texts name one family where their progressions, cut to one common step, start alike. Values have 50 digits where
they are irrational.
"""

from __future__ import annotations

import math
from fractions import Fraction

from rewards.math.bindings import both_signs
from rewards.math.sequences import JOINED, split_items
from rewards.math.symbolic import constant
from rewards.math.tree import NotReadable, number, parse, substituted, symbols
from rewards.math.words import opened

Progression = tuple[Fraction, Fraction]  # a value, and the step to the next
_CLOSE = Fraction(1, 10**30)
_MAX_ITEMS, _MAX_RATIO, _MAX_STARTS = 8, 60, 120


def same_family(gold: str, answer: str, name: str) -> bool:
    """Whether both give the same numbers as the whole number `name` runs."""
    left, right = _progressions(gold, name), _progressions(answer, name)
    if not left or not right:
        return False
    step = _common_step([step for _, step in left + right])
    if step is None:
        return False
    starts = [_starts(side, step) for side in (left, right)]
    return len(starts[0]) == len(starts[1]) and all(abs(a - b) <= step * _CLOSE for a, b in zip(*starts, strict=True))


def _progressions(text: str, name: str) -> list[Progression]:
    """Each item's progressions: one where it is linear in its letter, two where (-1)^k turns it. Empty where one cannot
    be read."""
    found: list[Progression] = []
    items = split_items(JOINED.sub(", ", opened(text)))
    for item in items if len(items) <= _MAX_ITEMS else ():
        for value in both_signs(item.rpartition("=")[2].strip()):
            rows = _of_one(value, name)
            if not rows:
                return []
            found += rows
    return found


def _of_one(text: str, name: str) -> list[Progression]:
    try:
        tree = parse(text)
    except NotReadable:
        return []
    if symbols(tree) != {name}:
        return []
    values = [constant(substituted(tree, name, number(k))) for k in range(6)]
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return []
    first, second, third, fourth, fifth, sixth = known
    step = third - first
    near = abs(step) * _CLOSE
    if not step or any(
        abs(difference - step) > near for difference in (fourth - second, fifth - third, sixth - fourth)
    ):
        return []
    if abs(2 * (second - first) - step) <= near:
        return [(first, abs(second - first))]
    return [(first, abs(step)), (second, abs(step))]


def _common_step(steps: list[Fraction]) -> Fraction | None:
    """The least step that holds each of them a whole number of times; None where there is none of a moderate size."""
    base = min(steps)
    ratios = [(step / base).limit_denominator(_MAX_RATIO) for step in steps]
    if any(abs(ratio * base - step) > step * _CLOSE for ratio, step in zip(ratios, steps, strict=True)):
        return None
    multiple = Fraction(math.lcm(*(r.numerator for r in ratios)), math.gcd(*(r.denominator for r in ratios)))
    return multiple * base if multiple <= _MAX_STARTS else None


def _starts(rows: list[Progression], step: Fraction) -> list[Fraction]:
    """Where the progressions with the common step start, between 0 and the step, each once."""
    near = step * _CLOSE
    found: list[Fraction] = []
    for start, own in rows:
        for i in range(round(step / own)):
            value = (start + i * own) % step
            value = Fraction(0) if step - value <= near else value
            if all(abs(value - other) > near for other in found):
                found.append(value)
    return sorted(found)

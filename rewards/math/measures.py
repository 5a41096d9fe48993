"""Work between quantities, `\\frac{50 kN}{200 mm^2}` and `12 V \\cdot 2 A`, to one number with one unit. Texts in,
exact fractions out."""

from __future__ import annotations

import re
from fractions import Fraction

from rewards.math.number import parse_number
from rewards.math.units import factor_between
from rewards.math.words import opened

_PART = r"[^{}]{1,80}"
_QUOTIENT = re.compile(
    rf"\\frac ?\{{(?P<top>{_PART}(?:\{{{_PART}\}}{_PART})?)\}} ?\{{(?P<bottom>{_PART}(?:\{{{_PART}\}}{_PART})?)\}}\Z"
)
_TIMES = re.compile(r" ?(?:\\cdot|\\times)(?![A-Za-z]) ?(?=[-+\d])")
_POWER = re.compile(r"\^ ?\{ ?(-?\d) ?\}")
_BARE = re.compile(r"\\(?:mathrm|rm)(?![A-Za-z]) ?(?=[A-Za-z])")
_MAX_CHARS = 200


def measured(text: str) -> tuple[Fraction, str] | None:
    """(250, "N / mm^2") of `\\frac{50000 N}{200 mm^2}`; None where a factor is no number with or without a unit, or
    there is one factor."""
    text = _POWER.sub(r"^\1", _BARE.sub(" ", opened(text)))
    match = _QUOTIENT.match(text) if len(text) <= _MAX_CHARS else None
    top = _product(match["top"] if match else text)
    bottom = _product(match["bottom"]) if match else (Fraction(1), "")
    if top is None or bottom is None or bottom[0] == 0 or "/" in top[1] + bottom[1]:
        return None
    return (
        (top[0] / bottom[0], f"{top[1]} / {bottom[1]}" if bottom[1] else top[1])
        if match or _TIMES.search(text)
        else None
    )


def equal_measures(work: str, value: str) -> bool | None:
    """Whether `work` comes to the quantity `value`; None where one has no unit that is known, or they are of two
    kinds."""
    number = parse_number(value)
    made = measured(work) if number is not None and number.unit else None
    if number is None or made is None:
        return None
    factor = factor_between(made[1].strip(), number.unit)
    return None if factor is None else made[0] * factor == number.value


def _product(text: str) -> tuple[Fraction, str] | None:
    numbers = [parse_number(part.strip()) for part in _TIMES.split(text)]
    value, units = Fraction(1), []
    for number in numbers:
        if number is None or number.percent:
            return None
        value *= number.value
        units += [number.unit] if number.unit else []
    return value, " ".join(units)

"""Values of a tree at chosen points: exact fractions where they suffice, 50-digit floats otherwise, behind a size
screen.

Two expressions that agree at random points to 30 digits are taken as equal; one point where they differ proves that
they are not. No simplifier, so no hang: the cost is bounded by nodes times the sizes that the screen admits. mpmath is
imported on first need.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from rewards.math.tree import Node

MAX_BITS = 20_000  # of an exact number
MAX_FACTORIAL = 3_000
MAX_FLOAT_LOG = 1e6  # natural log of the largest float
DIGITS = 50
_AGREE = 30  # digits
ROUNDINGS = ("floor", "ceil")


class TooLarge(ValueError):
    """A value beyond the screen."""


class NotRational(ValueError):
    """Exact fractions do not suffice."""


class Undefined(ValueError):
    """No value here: a zero denominator, a logarithm of zero."""


def exact(node: Node, at: Mapping[str, Fraction]) -> Fraction:
    """The value as a fraction. Raises NotRational, TooLarge, Undefined."""
    kind = node.kind
    if kind == "num":
        return node.value
    if kind == "sym":
        return at[node.value]
    if kind == "const" or (kind == "call" and node.value not in ROUNDINGS):
        raise NotRational
    values = [exact(child, at) for child in node.args]
    if kind == "add":
        return _small(sum(values, Fraction(0)))
    if kind == "mul":
        return _small(math.prod(values, start=Fraction(1)))
    if kind == "neg":
        return -values[0]
    if kind == "div":
        if values[1] == 0:
            raise Undefined
        return _small(values[0] / values[1])
    if kind == "pow":
        return _power(values[0], values[1])
    if kind == "call":
        return Fraction((math.floor if node.value == "floor" else math.ceil)(values[0]))
    return _counted(kind, values)


def _small(value: Fraction) -> Fraction:
    if value.numerator.bit_length() > MAX_BITS or value.denominator.bit_length() > MAX_BITS:
        raise TooLarge
    return value


def _power(base: Fraction, exponent: Fraction) -> Fraction:
    if exponent.denominator != 1:
        root = _exact_root(base, exponent.denominator)
        return _power(root, Fraction(exponent.numerator))
    if base == 0 and exponent <= 0:
        raise Undefined
    if base in (0, 1):
        return base
    bits = max(base.numerator.bit_length(), base.denominator.bit_length())
    if abs(exponent.numerator) * bits > MAX_BITS:
        raise TooLarge
    return base**exponent.numerator


def _exact_root(base: Fraction, degree: int) -> Fraction:
    """The rational square root where there is one: sqrt(16) stays exact."""
    if degree != 2 or base < 0:
        raise NotRational
    top, bottom = math.isqrt(base.numerator), math.isqrt(base.denominator)
    if top * top != base.numerator or bottom * bottom != base.denominator:
        raise NotRational
    return Fraction(top, bottom)


def _counted(kind: str, values: list[Fraction]) -> Fraction:
    """Factorial and binomial of small whole numbers."""
    if any(value.denominator != 1 or value < 0 for value in values):
        raise NotRational
    if any(value > MAX_FACTORIAL for value in values):
        raise TooLarge
    if kind == "fact":
        return Fraction(math.factorial(values[0].numerator))
    return Fraction(math.comb(values[0].numerator, values[1].numerator))


# ---------------------------------------------------------------- floats


def approximate(node: Node, at: Mapping[str, Any], mp: Any) -> Any:
    """The value as a complex float of mp's precision. Raises TooLarge, Undefined, NotRational (a factorial of no whole
    number)."""
    kind = node.kind
    if kind == "num":
        return mp.mpf(node.value.numerator) / node.value.denominator
    if kind == "sym":
        return at[node.value]
    if kind == "const":
        return {"pi": +mp.pi, "e": +mp.e, "i": mp.mpc(0, 1)}[node.value]
    values = [approximate(child, at, mp) for child in node.args]
    if kind == "add":
        return mp.fsum(values)
    if kind == "mul":
        return mp.fprod(values)
    if kind == "neg":
        return -values[0]
    if kind == "div":
        if values[1] == 0:
            raise Undefined
        return values[0] / values[1]
    if kind == "pow":
        return _float_power(values[0], values[1], mp)
    if kind == "call":
        return _call(node.value, values[0], mp)
    whole = [_whole(value, mp) for value in values]
    counted = _counted(kind, whole)
    return mp.mpf(counted.numerator)


def _whole(value: Any, mp: Any) -> Fraction:
    nearest = mp.nint(value.real)
    if abs(value - nearest) > mp.mpf(10) ** -_AGREE or abs(nearest) > MAX_FACTORIAL:
        raise NotRational
    return Fraction(int(nearest))


def _float_power(base: Any, exponent: Any, mp: Any) -> Any:
    if base == 0:
        if mp.re(exponent) <= 0:
            raise Undefined
        return mp.mpf(0)
    if abs(exponent) * (abs(mp.log(abs(base))) + 4) > MAX_FLOAT_LOG:
        raise TooLarge
    return mp.power(base, exponent)


def _call(name: str, value: Any, mp: Any) -> Any:
    if name == "abs":
        return abs(value)
    if name in ROUNDINGS:
        return _rounding(name, value, mp)
    if abs(value) > MAX_FLOAT_LOG and name not in ("ln", "arctan"):
        raise TooLarge
    if name == "ln" and value == 0:
        raise Undefined
    if name in ("cot", "sec", "csc"):
        below = {"cot": mp.tan, "sec": mp.cos, "csc": mp.sin}[name](value)
        if below == 0:
            raise Undefined
        return 1 / below
    names = {"arcsin": "asin", "arccos": "acos", "arctan": "atan", "ln": "log"}
    try:
        return getattr(mp, names.get(name, name))(value)
    except (ValueError, ZeroDivisionError) as error:
        raise Undefined from error


def _rounding(name: str, value: Any, mp: Any) -> Any:
    """A value that is whole but for its last digits is whole. Beyond the digits kept there is none."""
    if mp.im(value) != 0 or abs(value) > mp.mpf(10) ** (mp.mp.dps - _AGREE // 2):
        raise Undefined
    value = mp.re(value)
    nearest = mp.nint(value)
    if abs(value - nearest) <= mp.mpf(10) ** -(_AGREE // 2):
        return nearest
    return mp.floor(value) if name == "floor" else mp.ceil(value)


def agree(a: Any, b: Any, mp: Any, digits: int = _AGREE) -> bool:
    """Equal to so many digits, relative to the larger of the two: tiny numbers are not all the same."""
    return bool(abs(a - b) <= max(abs(a), abs(b)) * mp.mpf(10) ** -digits)

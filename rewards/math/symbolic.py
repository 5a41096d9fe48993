"""Equivalence of expressions, equations and inequalities, by value at fixed pseudo-random points. Behind the exact
layer.

Says None where it cannot read a side; never guesses. Deterministic: the points follow from the symbols' names.
"""

from __future__ import annotations

import importlib
import random
import re
import sys
from collections.abc import Iterator
from fractions import Fraction
from itertools import permutations
from typing import Any

from rewards.contract.deadline import outside_deadline
from rewards.math.evaluate import DIGITS, ROUNDINGS, NotRational, TooLarge, Undefined, agree, approximate, exact
from rewards.math.factoring import lacks_factors
from rewards.math.result import Context, Result, no, unsure, yes
from rewards.math.tree import Node, NotReadable, holds_i, number, parse, substituted, symbols
from rewards.types import Outcome

_POINTS = 6
_TRIES = 24
_CLOSE = 240  # digits
_RELATION = re.compile(r"\\(?:le|ge|ne)(?![A-Za-z])|[<>=]")
_CONSTANT, _ANY_CONSTANT = re.compile(r"(?:[CK]|[cCk]_\d)\Z"), re.compile(r"(?:[A-DK]|[ck]|[cCkK]_\d)\Z")
_FLIPPED = {"<": ">", ">": "<", "\\le": "\\ge", "\\ge": "\\le", "=": "=", "\\ne": "\\ne"}


def equivalent(gold: str, answer: str, context: Context) -> Result | None:
    """Two normalised texts; None where one of them is not readable."""
    wanted, got = split_relation(gold), split_relation(answer)
    if wanted is None or got is None:
        return None
    try:
        if len(wanted) == 3:
            return _relations(wanted, got) if len(got) == 3 else no("no_relation", certain=False)
        if len(got) == 3:
            return None
        result = _expressions(parse(gold), parse(answer), gold, answer, context)
        if result.outcome is Outcome.WRONG and result.reason == "value_differs":
            for other in _with_constants_of(parse(gold), parse(answer)):
                if same_value(parse(gold), other).outcome is Outcome.CORRECT:
                    return yes("other_constant", certain=False)
        return result
    except NotReadable:
        return None
    except TooLarge:
        return no("too_large", certain=False)
    except (ArithmeticError, ValueError):  # a pole, or a precision that mpmath gives up at
        return unsure("no_value")


def split_relation(text: str) -> list[str] | None:
    """[lhs, op, rhs], or [text] without a relation; None for a chain."""
    found = list(_RELATION.finditer(text))
    if not found:
        return [text]
    if len(found) > 1:
        return None
    sign = found[0]
    return [text[: sign.start()].strip(), sign.group(0), text[sign.end() :].strip()]


def _expressions(wanted: Node, got: Node, gold: str, answer: str, context: Context) -> Result:
    if symbols(got) - symbols(wanted) and not symbols(wanted):
        if any(
            same_value(wanted, other) == yes("identity")
            for other in _with_constants_of(wanted, got)
            if not symbols(other)
        ):
            return yes("other_constant", certain=False)
        return no("unknowns_left", certain=False)
    if not context.allow_unevaluated and _is_plain(wanted) and _is_arithmetic(got):
        return no("not_evaluated", certain=False)
    if _compact(answer) != _compact(gold) and len(answer) > 2 and _compact(answer) in _compact(context.question):
        return no("repeats_question", certain=False)
    if context.form and not has_form(got, context.form):
        return no(f"not_{context.form}")
    if lacks_factors(wanted, got, context.question):
        return no("not_factored", certain=False)
    return same_value(wanted, got)


def _with_constants_of(wanted: Node, got: Node) -> Iterator[Node]:
    """`got` with its constants of integration named as in `wanted`: x^2 + c for x^2 + C, A and B for C_1 and C_2. I and
    j for i, too.

    A lone C counts only where it is added: that of C V^2/2 is a capacity.
    """
    names, others = sorted(symbols(wanted) - symbols(got)), sorted(symbols(got) - symbols(wanted))
    if holds_i(wanted) and others in (["I"], ["j"]):
        yield substituted(got, others[0], Node("const", "i"))
        return
    alone = any("_" not in name for name in names)
    if symbols(wanted) <= set(names) or (alone and not (set(names) <= _added(wanted) and set(others) <= _added(got))):
        return
    if (
        0 < len(names) == len(others) <= 2
        and all(map(_CONSTANT.match, names))
        and all(map(_ANY_CONSTANT.match, others))
    ):
        for order in permutations(names):
            tree = got
            for old, new in zip(others, order, strict=True):
                tree = substituted(tree, old, Node("sym", new))
            yield tree


def _added(node: Node) -> frozenset[str]:
    """Names that are terms of a sum."""
    if node.kind == "sym":
        return frozenset([node.value])
    return frozenset().union(*map(_added, node.args)) if node.kind in ("add", "neg") and node.args else frozenset()


def _compact(text: str) -> str:
    return "".join(
        text.replace("\\dfrac", "\\frac").replace("\\left", "").replace("\\right", "").replace("$", "").split()
    )


def _is_arithmetic(node: Node) -> bool:
    """Work left to do between plain numbers: 17 + 25, 3 * 14, (8 - 2)/3. A fraction, a power or a root alone is a
    closed form."""
    plain = [child for child in node.args if _is_numeral(child)]
    if node.kind in ("add", "mul") and len(plain) > 1:
        return True
    return any(_is_arithmetic(child) for child in node.args)


def _is_plain(node: Node) -> bool:
    """A number as a gold: 42, -3, 5/7. Of a closed form with roots or i, arithmetic between numbers is only another way
    to write it."""
    return _is_numeral(node) or (node.kind in ("div", "neg") and all(map(_is_plain, node.args)))


def _is_numeral(node: Node) -> bool:
    return node.kind == "num" or (node.kind == "neg" and _is_numeral(node.args[0]))


def has_form(node: Node, form: str) -> bool:
    """factored: a product or a power at the top; expanded: no product or power of a sum."""
    top = node.args[0] if node.kind == "neg" else node
    if form == "factored":
        return top.kind in ("mul", "pow") or not symbols(node)
    if form == "expanded":
        return not _multiplies_sum(node)
    return True


def _multiplies_sum(node: Node) -> bool:
    if node.kind in ("mul", "pow") and any(child.kind == "add" and symbols(child) for child in node.args):
        return True
    return any(_multiplies_sum(child) for child in node.args)


# ---------------------------------------------------------------- values


def same_value(a: Node, b: Node) -> Result:
    """Whether two trees have one value; unsure where they agree at whole numbers only and one rounds (nobody said that
    x is whole)."""
    result = _same_value(a, b, whole=_counts(a) or _counts(b))
    if (
        result == no("value_differs")
        and symbols(a) | symbols(b)
        and (_rounds(a) or _rounds(b))
        and _same_value(a, b, whole=True) == yes("identity")
    ):
        return unsure("equal_at_whole_numbers")
    return result


def _rounds(node: Node) -> bool:
    return (node.kind == "call" and node.value in ROUNDINGS) or any(_rounds(child) for child in node.args)


def _same_value(a: Node, b: Node, *, whole: bool) -> Result:
    """Agreement at every point that both sides have a value at; exact where fractions suffice. Floors may agree at
    whole numbers only.

    Equal at positive points and not at negative ones (ln x^2 and 2 ln x) depends on the domain: not for us to decide.
    """
    names = sorted(symbols(a) | symbols(b))
    wanted = _POINTS if names else 1
    positive: list[bool] = []
    negative: list[bool] = []
    last = None
    for point in _points(names, whole=whole):
        try:
            equal = _equal_at(a, b, point)
        except (Undefined, NotRational):
            continue
        last = point
        below = any(value < 0 for value in point.values())
        (negative if below else positive).append(equal)
        if (not equal and not below) or len(positive) + len(negative) == wanted:
            break
    if not all(positive):
        return no("value_differs")
    if not all(negative):
        return unsure("differs_below_zero") if positive else no("value_differs")
    if last is not None and not _equal_closely(a, b, last):
        return no("value_differs")
    enough = len(positive) + len(negative) >= (3 if names else 1)
    return yes("identity") if enough else unsure("no_common_points")


def _counts(node: Node) -> bool:
    """A factorial or binomial of an unknown: equal where the unknown is a whole number."""
    return (node.kind in ("fact", "binom") and bool(symbols(node))) or any(_counts(child) for child in node.args)


def _points(names: list[str], *, whole: bool = False) -> Iterator[dict[str, Fraction]]:
    """Positive and negative fractions away from small integers, or whole numbers from 2 to 40; one empty point for
    constants."""
    if not names:
        yield {}
        return
    source = random.Random("\0".join(names))
    if whole:
        yield from ({name: Fraction(source.randrange(2, 41)) for name in names} for _ in range(_TRIES))
        return
    for i in range(_TRIES):
        sign = (1, 1, -1)[i % 3]
        yield {name: sign * Fraction(source.randrange(1009, 9973), source.choice((2003, 3001, 4001))) for name in names}


def _mpmath() -> Any:
    if "mpmath" not in sys.modules:
        with outside_deadline():
            importlib.import_module("mpmath")
    return sys.modules["mpmath"]


def _equal_at(a: Node, b: Node, point: dict[str, Fraction]) -> bool:
    try:
        return exact(a, point) == exact(b, point)
    except NotRational:
        pass
    mpmath = _mpmath()
    real = bool(point) and not holds_i(a) and not holds_i(b)
    for digits in (DIGITS, 3 * DIGITS):
        with mpmath.workdps(digits):
            at = {name: mpmath.mpf(value.numerator) / value.denominator for name, value in point.items()}
            left, right = approximate(a, at, mpmath), approximate(b, at, mpmath)
            if agree(left, right, mpmath):
                return True
            if real and mpmath.im(left) != 0 and mpmath.im(right) != 0:
                raise Undefined  # a real unknown has no such value: sqrt(1/n) and 1/sqrt(n) for a negative n
            tiny = mpmath.mpf(10) ** (30 - digits)
            if max(abs(left), abs(right)) > tiny:
                return False
    return True  # both vanish at 150 digits


def _equal_closely(a: Node, b: Node, point: dict[str, Fraction]) -> bool:
    """Equality at one more point's precision: a decimal of fifty digits is no \\pi, and \\sqrt{2} + 10^{-40} no
    \\sqrt{2}."""
    try:
        return exact(a, point) == exact(b, point)
    except NotRational:
        pass
    mpmath = _mpmath()
    with mpmath.workdps(_CLOSE):
        at = {name: mpmath.mpf(value.numerator) / value.denominator for name, value in point.items()}
        left, right = approximate(a, at, mpmath), approximate(b, at, mpmath)
        tiny = max(abs(left), abs(right)) <= mpmath.mpf(10) ** (30 - 3 * DIGITS)  # both vanish, as _equal_at found
        return bool(tiny or agree(left, right, mpmath, _CLOSE // 2))


def constant(node: Node) -> Fraction | None:
    """The real value of a tree without unknowns: exact, or to 50 digits where it is irrational; None where there is
    none."""
    if symbols(node):
        return None
    try:
        return exact(node, {})
    except NotRational:
        pass
    except (TooLarge, Undefined):
        return None
    mpmath = _mpmath()
    with mpmath.workdps(DIGITS):
        try:
            value = mpmath.mpmathify(approximate(node, {}, mpmath))
        except (ArithmeticError, ValueError):
            return None
        if mpmath.im(value) != 0 or not mpmath.isfinite(value):
            return None
        sign, mantissa, exponent, _ = mpmath.re(value)._mpf_
        return (-1) ** sign * Fraction(int(mantissa)) * Fraction(2) ** exponent if abs(exponent) < 4000 else None


def linear(node: Node, name: str) -> tuple[Fraction, Fraction] | None:
    """(slope, offset) of a tree that is linear in its one unknown, slope not 0; None for any other."""
    at_points = [constant(substituted(node, name, number(value))) for value in (0, 1, 2, 7)]
    if any(value is None for value in at_points):
        return None
    zero, one, two, seven = (value for value in at_points if value is not None)
    slope = one - zero
    straight = slope and all(abs(zero + slope * x - y) <= abs(slope) / 10**30 for x, y in ((2, two), (7, seven)))
    return (slope, zero) if straight else None


# ---------------------------------------------------------------- equations and inequalities


def _relations(wanted: list[str], got: list[str]) -> Result | None:
    """lhs - rhs of one is a constant multiple of the other's: the same equation; a negative multiple turns an
    inequality around."""
    left = Node("add", None, (parse(wanted[0]), Node("neg", None, (parse(wanted[2]),))))
    right = Node("add", None, (parse(got[0]), Node("neg", None, (parse(got[2]),))))
    names = symbols(left)
    if names and symbols(right) != names:
        right = next(_with_constants_of(left, right), right)
    if not names or symbols(right) != names:
        return no("other_unknowns")
    ratio = _constant_ratio(left, right, sorted(names))
    if ratio is None:
        if wanted[1] == got[1] == "=" and (_solves(wanted, right) or _solves(got, left)):
            return yes("same_solution", certain=False)
        return no("other_relation", certain=False)
    op = got[1] if ratio > 0 else _FLIPPED[got[1]]
    return yes("same_relation") if op == wanted[1] else no("other_direction")


def _solves(solved: list[str], difference: Node) -> bool:
    """Whether `y = E` is the one solution of difference = 0, as for x y = 1: linear in y, nothing left of it at y = E,
    and the factor before y is 0 only where E has no value, so that (y - E)(x - 1) = 0 with its further line is none."""
    name, value = parse(solved[0]), parse(solved[2])
    if name.kind != "sym" or name.value in symbols(value):
        return False
    zero, one, two = (substituted(difference, name.value, number(point)) for point in (0, 1, 2))
    bend = Node("add", None, (zero, two, Node("mul", None, (number(-2), one))))
    slope = Node("add", None, (one, Node("neg", None, (zero,))))
    left_over = substituted(difference, name.value, value)
    if not (_vanishes(left_over) and _vanishes(bend)) or len(symbols(slope)) != 1:
        return False
    [other] = symbols(slope)
    line = linear(slope, other)
    if line is None:
        return False
    try:
        exact(substituted(value, other, number(-line[1] / line[0])), {})
    except Undefined:
        return True
    except ValueError:
        return False
    return False


def _vanishes(node: Node) -> bool:
    return _same_value(node, number(0), whole=False).outcome is Outcome.CORRECT


def _constant_ratio(a: Node, b: Node, names: list[str]) -> Fraction | Any:
    """a / b where that is one non-zero number at every point; else None."""
    ratios: list[Any] = []
    for point in _points(names):
        try:
            top, bottom = exact(a, point), exact(b, point)
        except Undefined:
            continue
        except NotRational:
            return _float_ratio(a, b, names)
        if bottom == 0 or top == 0:
            return None
        ratios.append(top / bottom)
        if len(ratios) == _POINTS:
            break
    return ratios[0] if len(ratios) == _POINTS and len(set(ratios)) == 1 else None


def _float_ratio(a: Node, b: Node, names: list[str]) -> Any:
    mpmath = _mpmath()
    ratios: list[Any] = []
    with mpmath.workdps(DIGITS):
        for point in _points(names):
            at = {name: mpmath.mpf(value.numerator) / value.denominator for name, value in point.items()}
            try:
                top, bottom = approximate(a, at, mpmath), approximate(b, at, mpmath)
            except (Undefined, NotRational):
                continue
            if agree(bottom, 0, mpmath) or agree(top, 0, mpmath):
                return None
            ratios.append(top / bottom)
            if len(ratios) == _POINTS:
                break
        same = len(ratios) == _POINTS and all(agree(ratios[0], ratio, mpmath) for ratio in ratios)
        return ratios[0].real if same and abs(mpmath.im(ratios[0])) == 0 else None

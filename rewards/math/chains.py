"""Answers that say more than the value: chains of equal things (S = 1 + 2 + ... = 55), and the name of what was asked
on the left.

Texts in, texts out; whether two sides are equal is asked of the symbolic layer, which executes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from rewards.math.bases import value_in_base
from rewards.math.bindings import NAME
from rewards.math.measures import equal_measures
from rewards.math.number import parse_number
from rewards.math.tree import NotReadable, parse, symbols
from rewards.math.units import split_unit
from rewards.types import Outcome

_MAX_SIDES = 8
_OTHER_RELATION = re.compile(r"[<>]|\\(?:le|ge|ne|approx)(?![A-Za-z])")
_UNDER = re.compile(r"_ ?\{[^{}]{0,40}\}")  # what stands under a sum may hold one
# What restates the question and is no value that could contradict: a sum with dots, an integral, a limit, a derivative.
_POSED = re.compile(
    r"\\(?:sum|prod|int|iint|oint|lim|limsup|liminf|cdots|ldots|dots|gcd|max|min|det|deg|Pr)(?![A-Za-z])|\.\.\.|"
    r"\\frac ?\{ ?d ?\}"
)
# The name of a quantity that is no unknown to be solved for: |A|, P(X > 1), m\angle A, x + y, ab. No digit, no minus,
# no power: 2x = 12 and x^2 = 5 leave work to do, and x + y = 12 is what "find x + y" asks for.
_CARDINALITY = re.compile(r"\| ?[A-Z](?: ?\\(?:cup|cap) ?[A-Z])* ?\|\Z")
_ANGLE = re.compile(r"m ?\\angle ?[A-Z]{1,3}\Z")
_CALLED = re.compile(
    r"(?:[A-Z]|\\[A-Za-z]{2,8}|\\mathbb ?\{?[EP]\}?|\\mathrm ?\{[A-Za-z]{1,6}\}|"
    r"\\text ?\{[A-Za-z ]{1,20}\}) ?[(\[][^()\[\]]{1,40}[)\]]\Z"
)
# A \\cap B, N_p : N_s, \\nabla f(1, 2), f(g(2)): what is worked out, with no value in it.
_WORKED_OUT = re.compile(
    r"[A-Z](?:'|\^c)?(?: ?\\(?:cup|cap|setminus|backslash|triangle|Delta|oplus|ominus)(?![A-Za-z]) ?[A-Z](?:'|\^c)?)+\Z"
    r"|[A-Za-z](?:_\{?\w{1,8}\}?|[a-z ]{0,18}[a-z])?(?: ?: ?[A-Za-z](?:_\{?\w{1,8}\}?|[a-z ]{0,18}[a-z])?){1,8}\Z"
    r"|\\nabla ?[A-Za-z](?: ?\([^()]{1,40}\))?\Z|(?:[fghFGH]|\([fgh] ?\\circ ?[fgh]\))'{0,3}(?:_\d)? ?\((?:[^()]|"
    r"\([^()]{1,20}\)){1,30}\)\Z"
)
_NO_SIGNS = re.compile(r"[\s$]|\\[,;: ]")
_FINDS = re.compile(
    (
        r"(?:find|compute|calculate|evaluate|determine|whatis|simplify|valueof|sumof)(?:the)?(?:exact|"
        r"numerical)?(?:valueof)?\Z"
    ),
    re.IGNORECASE,
)
_PARTS = re.compile(r" ?(?:\+|\\cdot(?![A-Za-z])| ) ?|(?<=[a-z])(?=[a-z])")


def posed(left: str) -> bool:
    """Whether the left side of `left = value` only says what was asked."""
    left = left.strip()
    if (
        _POSED.search(left)
        or _CARDINALITY.match(left)
        or _ANGLE.match(left)
        or _CALLED.match(left)
        or _WORKED_OUT.match(left)
    ):
        return True
    parts = [part for part in _PARTS.split(left) if part]
    letters = all(re.fullmatch(r"[a-z](?:_\{?\w\}?)?|[A-Z]{1,3}", part) for part in parts)
    return letters and 1 < len(parts) <= 6 and len(set(parts)) == len(parts)


def asked_for(left: str, question: str) -> bool:
    """Whether `left` is what the question says to find: \\alpha^3 + \\beta^3 of "find $\\alpha^3+\\beta^3$."."""
    if not question:
        return False
    blank, wanted = _NO_SIGNS.sub("", question), _NO_SIGNS.sub("", left)
    start = blank.rfind(wanted) if len(wanted) > 2 else -1
    return (
        start > 0
        and bool(_FINDS.search(blank[max(0, start - 40) : start]))
        and blank[start + len(wanted) :][:1] in ("", ".", "?", ",")
    )


def last_of_chain(text: str, same: Callable[[str, str], bool] | None = None) -> str | None:
    """The last side of `a = b = c` where every side is a name, says what was asked, or equals the last; None for
    anything else.

    `same` is asked of sides that are no expressions. A side between a name and the last that holds other letters is how
    the value was got.

    Example: "2^{10} - 1 = 1023" -> "1023"; "x = 3 = 4" -> None.
    """
    sides = [side.strip() for side in outer_sides(text)]
    if not 1 < len(sides) <= _MAX_SIDES or not all(sides) or _OTHER_RELATION.search(_UNDER.sub("", text)):
        return None
    *earlier, last = sides
    first = earlier[0]
    rest = earlier[1:] if NAME.match(first.replace(" ", "")) or posed(first) else earlier
    if not rest and first == earlier[0] and len(earlier) == 1 and NAME.match(first.replace(" ", "")):
        return None  # a binding: its name counts
    named = len(rest) < len(earlier)
    ends = all(
        posed(side) or _equal(side, last) or (same is not None and same(side, last)) or (named and derives(side, last))
        for side in rest
    )
    return last if ends else None


def derives(side: str, last: str) -> bool:
    """Whether `side` holds letters that the last side does not, as a formula does: E = m c^2 = 9, v = u + a t = 12; no
    x = 12 + y = 12."""
    try:
        if equal_measures(side, last) is False:
            return False
        tree = parse(side)
        own = symbols(tree) - symbols(parse(split_unit(last)[0]))
    except NotReadable:
        return False
    return len(own) > 1 or (len(own) == 1 and tree.kind != "add")


def outer_sides(text: str) -> list[str]:
    """Split at the signs that stand in no braces: that of \\sum_{k=1}^{n} is none of them."""
    sides, depth, start = [], 0, 0
    for i, character in enumerate(text):
        depth += (character == "{") - (character == "}")
        if character == "=" and depth == 0:
            sides.append(text[start:i])
            start = i + 1
    return [*sides, text[start:]]


def _equal(left: str, right: str) -> bool:
    from rewards.math.symbolic import same_value  # on first need, as elsewhere

    numbers = parse_number(left), parse_number(right)
    if numbers[0] is not None and numbers[1] is not None:
        return numbers[0].value == numbers[1].value
    if numbers[1] is not None and numbers[1].unit and equal_measures(left, right):
        return True
    based = value_in_base(left), value_in_base(right)
    if based[0] is not None and based[1] is not None:
        return based[0] == based[1]
    try:
        return same_value(parse(left), parse(right)).outcome is Outcome.CORRECT
    except (NotReadable, ArithmeticError, ValueError):
        return False

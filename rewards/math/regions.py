"""Parts of the real line: intervals, inequalities in one unknown, unions, exclusions and set-builders, read to one
canonical form.

    text -> unions of intersections of atoms -> pieces with numeric ends, sorted and merged -> compared piece by piece
Ends are fractions (of 50 digits where they are irrational) or infinities. Ends with letters in them are not read here.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import cmp_to_key
from typing import NamedTuple

from rewards.math.bindings import both_signs
from rewards.math.result import Result, no, yes
from rewards.math.sequences import brackets, split_items
from rewards.math.symbolic import constant, linear
from rewards.math.tree import Node, NotReadable, parse, symbols

_INF = float("inf")
_MAX_PARTS = 24
_OR = re.compile(r"\\cup(?![A-Za-z])|\\(?:lor|vee)(?![A-Za-z])| or |, or ")
_AND = re.compile(r"\\cap(?![A-Za-z])|\\(?:land|wedge)(?![A-Za-z])| and |, and ")
_AND_SIGN = re.compile(r"\\(?:cap|land|wedge)(?![A-Za-z])")
_FRENCH = re.compile(r"(?P<low>[\[\]])(?P<ends>[^\[\]]+)(?P<high>[\[\]])\Z")  # ]0, 1[ is (0, 1)
_SIDE = re.compile(r"\\mathbb ?\{?R\}? ?(?:_ ?\{? ?(?P<sign>\\[lg]e|[<>]) ?0 ?\}?|\^ ?\{? ?(?P<mark>[-+]) ?\}?)\Z")
_MINUS = re.compile(r"\\(?:setminus|backslash)(?![A-Za-z])|(?<=\})- ?(?=\\\{)|(?<=\)) ?- ?(?=\\\{)")
_NOT_BOTH = re.compile(r"\\ne ?\\pm ?(?P<value>[^,;\\{}]{1,40}(?:\\[a-z]{2,6} ?\{?[^{}]{1,20}\}?)?)")  # x \ne \pm 3
_OUTSIDE = re.compile(r"\\notin ?\\\{(?P<items>[^{}]{1,80})\\\}")
_SIGN = re.compile(r"\\(?:le|ge|ne|lt|gt)(?![A-Za-z])|<=|>=|!=|[<>=]")
_PLAIN = {"\\le": "<=", "\\ge": ">=", "\\ne": "!=", "\\lt": "<", "\\gt": ">"}
_TURNED = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "=": "=", "!=": "!="}
_MEMBER = re.compile(r"\$?(?P<name>[A-Za-z]|\\[A-Za-z]+) ?\\in(?![A-Za-z]) ?(?P<rest>.+)", re.DOTALL)
_BUILDER = re.compile(
    r"\\\{ ?(?:[A-Za-z]|\\[a-z]+)(?: ?\\in ?\\mathbb ?\{?R\}?)? ?(?:\||\\mid(?![A-Za-z])|:) ?(?P<body>.*?) ?\\\}\Z"
)
_ALL = ("\\mathbb{R}", "\\mathbb R", "all real numbers", "all reals", "(-\\infty, +\\infty)")
_ALL_BUT = re.compile(
    r"(?:all|any|every|the set of all)(?: (?:real|numbers?|reals|values? of))*(?: (?P<name>[a-z]))?,? (?:except|"
    r"other than|but)(?: for)? "
    r"(?:[a-z] ?= ?)?(?P<rest>.+)\Z"
)
_SIGNED = re.compile(
    r"(?:(?:the )?(?:set of )?(?:all )?(?=\w+[- ]?\w* real)|(?P<name>[a-z]) is )(?P<kind>(?:non[- ]?)?(?:positive|"
    r"negative))"
    r"(?: real(?: number)?s?)?\Z",
    re.IGNORECASE,
)
_SUCH_THAT = re.compile(
    r"\A(?:all|the set of(?: all)?)(?: real| values?| numbers?| of| [a-z]){1,4} (?:with|such that|where|for which|"
    r"satisfying) "
)
_SPOKEN = (  # longer ones first: "greater than or equal to" holds "greater than"
    (re.compile(r"\A([a-z]) is (?:at least|no less than|not less than|greater than or equal to) "), ">="),
    (re.compile(r"\A([a-z]) is (?:at most|no more than|not more than|less than or equal to) "), "<="),
    (re.compile(r"\A([a-z]) is (?:greater|more|larger) than (?!or )"), ">"),
    (re.compile(r"\A([a-z]) is (?:less|smaller) than (?!or )"), "<"),
)
_INFINITE = re.compile(r"(?P<sign>[-+]?) ?\\infty\Z")
_REGION_SIGN = re.compile(
    r"\\(?:le|ge|ne|lt|gt|in|cup|cap|infty|setminus|backslash|mathbb)(?![A-Za-z])|[<>\[\]]|all real"
)


class Piece(NamedTuple):
    """An interval; low <= high, and a single point is closed on both sides."""

    low: Fraction | float  # a float only for an infinity
    low_in: bool
    high: Fraction | float
    high_in: bool


class Region(NamedTuple):
    """Disjoint pieces in order, and the unknown's name where the text names it."""

    pieces: tuple[Piece, ...]
    name: str | None


class _NotARegion(ValueError):
    """The text is no part of the real line that this file reads."""


LINE = (Piece(-_INF, False, _INF, False),)


def looks_like_region(text: str) -> bool:
    """Whether a sign in `text` says so: a relation, a square bracket, infinity, a union."""
    return _REGION_SIGN.search(text) is not None


def is_builder(text: str) -> bool:
    """{x : ...}."""
    return _BUILDER.match(text) is not None


def compare_regions(gold: str, answer: str) -> Result | None:
    """None where one side is no region. `(1, 2)` alone may be a point: the caller asks only where one side is surely a
    region."""
    try:
        wanted, got = read_region(gold), read_region(answer)
    except _NotARegion:
        return None
    if wanted.name and got.name and wanted.name != got.name:
        return no("other_unknown", certain=False)
    same = len(wanted.pieces) == len(got.pieces) and all(
        a.low_in == b.low_in and a.high_in == b.high_in and _order(a.low, b.low) == 0 and _order(a.high, b.high) == 0
        for a, b in zip(wanted.pieces, got.pieces, strict=True)
    )
    return yes("region_equal") if same else no("region_differs")


def read_region(text: str) -> Region:
    """Raises _NotARegion (a ValueError)."""
    if "\\n" in text:
        text = _OUTSIDE.sub(r"\\ne \g<items>", _NOT_BOTH.sub(r"\\ne \g<value>, -(\g<value>)", text))
    builder = _BUILDER.match(text)
    body = builder["body"] if builder else text
    parts = [_intersection(part) for part in _OR.split(body)]
    if len(parts) > _MAX_PARTS:
        raise _NotARegion
    names = {region.name for region in parts if region.name}
    if len(names) > 1:
        raise _NotARegion
    return Region(_merged([piece for region in parts for piece in region.pieces]), names.pop() if names else None)


def _intersection(text: str) -> Region:
    """`a and b`, `a, b`; where nothing is in both, a writer of words meant either (x < -2 and x > 3); a sign means what
    it says."""
    items = [item for part in _AND.split(text) for item in split_items(part)]
    if len(items) > _MAX_PARTS or not all(items):
        raise _NotARegion
    regions: list[Region] = []
    excluded = False
    for item in items:
        if excluded and _number(item) is not None:  # x \ne 1, 2
            item = f"x \\ne {item}"
            regions.append(Region(_atom(item).pieces, regions[-1].name))
        else:
            regions.append(_atom(item))
        excluded = "\\ne" in item or _ALL_BUT.match(item) is not None
    names = {region.name for region in regions if region.name}
    if len(names) > 1:
        raise _NotARegion
    pieces = list(regions[0].pieces)
    for region in regions[1:]:
        pieces = [found for a in pieces for b in region.pieces if (found := _both(a, b)) is not None]
    if not pieces and _AND_SIGN.search(text):
        raise _NotARegion  # the empty set is no region here
    if not pieces:
        pieces = [piece for region in regions for piece in region.pieces]
    return Region(_merged(pieces), names.pop() if names else None)


def _atom(text: str) -> Region:
    text = _SUCH_THAT.sub("", text.strip(" $"))
    for words, sign in _SPOKEN:
        text = words.sub(rf"\1 {sign} ", text)
    if (worded := _SIGNED.match(text)) is not None:
        kind = worded["kind"].lower().replace("-", "").replace(" ", "")
        sign = {"positive": ">", "negative": "<", "nonnegative": ">=", "nonpositive": "<="}[kind]
        return _chain(f"{worded['name'] or 'x'} {sign} 0")._replace(name=worded["name"])
    if (but := _ALL_BUT.match(text)) is not None:
        return _atom(f"{but['name'] or 'x'} \\ne {but['rest']}")._replace(name=but["name"])
    if member := _MEMBER.match(text):
        return Region(_atom(member["rest"]).pieces, member["name"])
    if minus := _MINUS.search(text):
        whole, gone = _atom(text[: minus.start()]), _atom(text[minus.end() :])
        pieces = list(whole.pieces)
        for hole in gone.pieces:
            pieces = [found for piece in pieces for side in _outside(hole) if (found := _both(piece, side)) is not None]
        return Region(_merged(pieces), whole.name)
    if text in _ALL:
        return Region(LINE, None)
    if text.startswith("\\{") and text.endswith("\\}"):
        values = [_number(value) for item in split_items(text[2:-2]) for value in both_signs(item)]
        points = [Piece(value, True, value, True) for value in values if value is not None]
        if len(points) < len(values):
            raise _NotARegion
        return Region(_merged(points), None)
    if side := _SIDE.match(text):
        return _chain(f"x {side['sign'] or {'+': '>', '-': '<'}[side['mark']]} 0")._replace(name=None)
    french = _FRENCH.match(text)
    if french is not None and french["low"] + french["high"] != "[]":
        text = f"{'[' if french['low'] == '[' else '('}{french['ends']}{']' if french['high'] == ']' else ')'}"
    pair = brackets(text)
    if pair is not None and len(ends := split_items(pair[1])) == 2:
        low, high = _end(ends[0]), _end(ends[1])
        if low is None or high is None or _order(low, high) >= 0:
            raise _NotARegion
        return Region((Piece(low, pair[0] == "[" and low != -_INF, high, pair[2] == "]" and high != _INF),), None)
    return _chain(text)


def _chain(text: str) -> Region:
    """1 < x <= 2: every neighbouring pair of sides holds."""
    signs = [_PLAIN.get(match.group(0), match.group(0)) for match in _SIGN.finditer(text)]
    sides = [side.strip() for side in _SIGN.split(text)]
    if not signs or len(signs) > 3 or not all(sides):
        raise _NotARegion
    names: set[str] = set()
    pieces: list[Piece] = list(LINE)
    for left, sign, right in zip(sides, signs, sides[1:], strict=False):
        name, found = _relation(left, sign, right)
        names |= {name} - {""}
        pieces = [both for a in pieces for b in found if (both := _both(a, b)) is not None]
    if len(names) != 1:
        raise _NotARegion
    return Region(_merged(pieces), names.pop())


def _relation(left: str, sign: str, right: str) -> tuple[str, tuple[Piece, ...]]:
    """(name, pieces) of one relation that is linear in one unknown, or between an absolute value and a number."""
    for one, other, op in ((left, right, sign), (right, left, _TURNED[sign])):
        infinite = _INFINITE.match(other)
        if infinite:  # -\infty < x says nothing
            tree = _tree(one)
            if len(symbols(tree)) != 1 or not op.startswith(">" if infinite["sign"] == "-" else "<"):
                raise _NotARegion
            return next(iter(symbols(tree))), LINE
    a, b = _tree(left), _tree(right)
    names = symbols(a) | symbols(b)
    if len(names) != 1:
        raise _NotARegion
    name = next(iter(names))
    if a.kind == "call" and a.value == "abs" and not symbols(b):
        return name, _absolute(a.args[0], sign, constant(b), name)
    if b.kind == "call" and b.value == "abs" and not symbols(a):
        return name, _absolute(b.args[0], _TURNED[sign], constant(a), name)
    return name, _half_line(Node("add", None, (a, Node("neg", None, (b,)))), sign, name)


def _half_line(difference: Node, sign: str, name: str) -> tuple[Piece, ...]:
    """Where slope * x + offset stands in relation `sign` to 0."""
    found = linear(difference, name)
    if found is None:
        raise _NotARegion
    slope, offset = found
    return _beyond(-offset / slope, sign if slope > 0 else _TURNED[sign])


def _beyond(bound: Fraction, sign: str) -> tuple[Piece, ...]:
    if sign == "=":
        return (Piece(bound, True, bound, True),)
    below, above = Piece(-_INF, False, bound, sign == "<="), Piece(bound, sign == ">=", _INF, False)
    return (below, above) if sign == "!=" else (below,) if sign.startswith("<") else (above,)


def _absolute(inner: Node, sign: str, bound: Fraction | None, name: str) -> tuple[Piece, ...]:
    """|slope * x + offset| sign bound."""
    found = linear(inner, name)
    if found is None or bound is None or bound <= 0:
        raise _NotARegion
    slope, offset = found
    one, other = (bound - offset) / slope, (-bound - offset) / slope
    low, high = (one, other) if _order(one, other) < 0 else (other, one)
    if sign == "!=":
        return (Piece(-_INF, False, low, False), Piece(low, False, high, False), Piece(high, False, _INF, False))
    if sign.startswith("<"):
        return (Piece(low, sign == "<=", high, sign == "<="),)
    if sign.startswith(">"):
        return (*_beyond(low, sign.replace(">", "<")), *_beyond(high, sign))
    raise _NotARegion


# ---------------------------------------------------------------- numbers and pieces


def _tree(text: str) -> Node:
    try:
        return parse(text)
    except NotReadable as error:
        raise _NotARegion from error


def _number(text: str) -> Fraction | None:
    try:
        return constant(parse(text))
    except NotReadable:
        return None


def _end(text: str) -> Fraction | float | None:
    infinite = _INFINITE.match(text)
    if infinite:
        return -_INF if infinite["sign"] == "-" else _INF
    return _number(text)


def _order(a: Fraction | float, b: Fraction | float) -> int:
    """-1, 0, 1; ends that agree to 30 digits are one (an irrational end is a fraction of 50 digits)."""
    if a == b:
        return 0
    if isinstance(a, Fraction) and isinstance(b, Fraction) and abs(a - b) <= max(abs(a), abs(b)) / 10**30:
        return 0
    return 1 if a > b else -1


def _both(a: Piece, b: Piece) -> Piece | None:
    low, low_in = (a.low, a.low_in) if _order(a.low, b.low) > 0 else (b.low, b.low_in)
    if _order(a.low, b.low) == 0:
        low_in = a.low_in and b.low_in
    high, high_in = (a.high, a.high_in) if _order(a.high, b.high) < 0 else (b.high, b.high_in)
    if _order(a.high, b.high) == 0:
        high_in = a.high_in and b.high_in
    order = _order(low, high)
    return Piece(low, low_in, high, high_in) if order < 0 or (order == 0 and low_in and high_in) else None


def _outside(hole: Piece) -> tuple[Piece, ...]:
    sides = (Piece(-_INF, False, hole.low, not hole.low_in), Piece(hole.high, not hole.high_in, _INF, False))
    return tuple(side for side in sides if _order(side.low, side.high) < 0)


def _before(a: Piece, b: Piece) -> int:
    return _order(a.low, b.low) or b.low_in - a.low_in


def _merged(pieces: list[Piece]) -> tuple[Piece, ...]:
    """In order; those that touch become one."""
    ordered = sorted(pieces, key=cmp_to_key(_before))
    result: list[Piece] = []
    for piece in ordered:
        last = result[-1] if result else None
        order = _order(piece.low, last.high) if last else 1
        if last is None or order > 0 or (order == 0 and not (piece.low_in or last.high_in)):
            result.append(piece)
            continue
        further = _order(piece.high, last.high)
        high_in = (last.high_in or piece.high_in) if further == 0 else piece.high_in if further > 0 else last.high_in
        result[-1] = Piece(last.low, last.low_in, piece.high if further > 0 else last.high, high_in)
    return tuple(result)

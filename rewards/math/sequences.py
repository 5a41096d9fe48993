"""Answers of several parts: tuples and intervals in order, sets and bare lists without order, unions, inequalities,
matrices.

Splits text at brackets and commas; parts are compared by the caller's `same`. Linear in the text, quadratic in a set's
members.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from rewards.math.extract import strip_wrappers
from rewards.math.number import parse_number
from rewards.math.result import Result, no, unsure, yes
from rewards.types import Outcome

Same = Callable[[str, str], Result | None]
Table = tuple[str, list[list[str]]]  # kind of brackets, rows of cells
MAX_ITEMS = 200
JOINED = re.compile(r" (?:and|or) |, and |, or |\\text ?\{ ?(?:and|or) ?\}")
_OPEN, _CLOSE = "([{", ")]}"
_NAME = re.compile(r"(?:[A-Za-z]|\\[A-Za-z]{2,8})(?:_\{?\w{1,8}\}?)?\Z")
_SIGN = re.compile(r"\\(?:le|ge)(?![A-Za-z])|<=|>=|[<>]")
_MEMBER = re.compile(r"^\$?[A-Za-z] ?\\in(?![A-Za-z]) ?")
_BUILDER = re.compile(r"\\\{ ?[A-Za-z] ?(?:\||\\mid(?![A-Za-z])|:) ?(.*?) ?\\\}\Z")
_MATRIX = re.compile(r"\\begin\{([pbBvV]?matrix)\}(.*)\\end\{\1\}\Z", re.DOTALL)
_TRANSPOSED = re.compile(r" ?\^ ?\{? ?(?:T|\\top|\\intercal|\\mathsf ?\{T\}|\\mathrm ?\{T\}|\\prime) ?\}?\Z")
_FACTOR = (
    r"[-+]? ?(?:\d{1,9}(?:\.\d{1,9})?(?: ?/ ?\d{1,9})?)? ?"
    r"(?:\\frac ?(?:\{-?\d{1,6}\}|\d) ?(?:\{(?:\d{1,6}|\\sqrt ?\{?\d{1,6}\}?)\}|\d)|\\sqrt ?\{?\d{1,6}\}?)?"
)
_SCALED = re.compile(rf"(?P<factor>{_FACTOR}) ?(?:\\cdot|\\times|\*)? ?(?P<body>\(.+\)|\\begin\{{.+)\Z", re.DOTALL)
_DIVIDED = re.compile(
    r"(?:\\frac ?\{ ?)?(?P<body>\([^()]+\))(?: ?\}\{ ?| ?/ ?)(?P<factor>\d{1,6}|\\sqrt ?\{?\d{1,6}\}?) ?\}?\Z"
)
_UNIT_MATRIX = re.compile(
    rf"(?P<factor>{_FACTOR}) ?(?:\\cdot ?)?(?:\\math(?:bf|rm|bb) ?)?\{{?I\}}?(?: ?_ "
    r"?\{? ?(?P<size>\d)(?: ?\\times ?\d)? ?\}?)?\Z"
)
_KINDS = {"pmatrix": "matrix", "bmatrix": "matrix", "Bmatrix": "matrix", "matrix": "matrix"}


def split_items(text: str) -> list[str]:
    """Split at commas (and semicolons) outside brackets; a thousands comma does not split."""
    items, depth, start = [], 0, 0
    for i, character in enumerate(text):
        if character in _OPEN:
            depth += 1
        elif character in _CLOSE:
            depth -= 1
        elif character in ",;" and depth == 0:
            items.append(text[start:i])
            start = i + 1
    items.append(text[start:])
    return [item.strip() for item in items]


def brackets(text: str) -> tuple[str, str, str] | None:
    """(opening, inside, closing) where one pair of brackets holds all of `text`."""
    if text.startswith("\\{") and text.endswith("\\}"):
        return "{", text[2:-2], "}"
    if len(text) < 2 or text[0] not in _OPEN or text[-1] not in _CLOSE:
        return None
    depth = 0
    for i, character in enumerate(text):
        depth += (character in _OPEN) - (character in _CLOSE)
        if depth == 0 and i < len(text) - 1:
            return None
    return text[0], text[1:-1], text[-1]


def without_member(text: str) -> str:
    """`x \\in \\{1, 2\\}` as the set alone."""
    return _MEMBER.sub("", text) if "\\in" in text else text


def compare_sequences(gold: str, answer: str, same: Same) -> Result | None:
    """Tuples and intervals in order with their brackets, sets and bare lists without order; None where gold is one
    thing."""
    tables = _matrix(gold), _matrix(answer)
    if tables[0] is not None or tables[1] is not None:
        return _tables(tables[0] or _column(gold), tables[1] or _column(answer), same)
    wanted, got = _collection(gold), _collection(answer)
    if wanted is None:
        return None
    if got is None:
        return no("one_answer_for_several") if parse_number(strip_wrappers(answer)) is not None else None
    (kind, items), (other, given) = wanted, got
    if max(len(items), len(given)) > MAX_ITEMS:
        return unsure("too_many_items")
    if kind == "set":
        if other not in ("set", "(", "["):
            return no("other_brackets")
        return unordered(items, given, same) if other == "set" else None
    if other == "set" and answer[:1] not in "\\{":
        return unsure("brackets_missing") if len(items) == len(given) else no("other_length")
    if kind != other:
        return no("other_brackets")
    if len(items) != len(given):
        return no("other_length")
    return all_of([same(g, a) for g, a in zip(items, given, strict=True)])


def _collection(text: str) -> tuple[str, list[str]] | None:
    """("set", items) for {a, b}, `a, b`, `a and b`; (brackets, items) for (a, b), [a, b); None for a single thing."""
    pair = brackets(text)
    if pair is not None:
        opening, inside, closing = pair
        items = split_items(inside)
        if opening == "{" and closing == "}" and text.startswith("\\{"):
            return "set", [item for item in items if item]
        return (opening + closing, items) if len(items) > 1 else None
    items = [part for item in split_items(JOINED.sub(", ", text)) if (part := item.strip())]
    return ("set", items) if len(items) > 1 else None


def unordered(items: list[str], given: list[str], same: Same) -> Result | None:
    """Each item has a partner of its own among those given; None where that cannot be told."""
    if len(items) != len(given):
        return no("other_length")
    left = list(given)
    unknown = False
    for item in items:
        results = [same(item, other) for other in left]
        hit = next((i for i, r in enumerate(results) if r is not None and r.outcome is Outcome.CORRECT), None)
        if hit is None:
            unknown = unknown or any(r is None or not r.certain for r in results)
            if not unknown:
                return no("member_missing")
            continue
        left.pop(hit)
    return None if unknown else yes("set_equal")


def all_of(results: list[Result | None]) -> Result | None:
    """One certain difference decides; one that cannot be told leaves it open."""
    known = [r for r in results if r is not None]
    differs = next((r for r in known if r.outcome is Outcome.WRONG and r.certain), None)
    if differs is not None:
        return no("item_differs")
    if len(known) < len(results):
        return None
    worst = next((r for r in known if r.outcome is not Outcome.CORRECT), None)
    return worst or yes("items_equal", certain=all(r.certain for r in known))


# ---------------------------------------------------------------- inequalities, unions, matrices


def as_interval(text: str) -> str:
    """An inequality in one name, a membership or a union of intervals, as intervals: `1 < x \\le 2` -> `(1, 2]`; other
    text as it is.

    A union becomes a set of intervals, `x < 0 or x > 1` likewise.
    """
    builder = _BUILDER.match(text)
    body = _MEMBER.sub("", builder[1] if builder else text)
    parts = re.split(r"\\cup(?![A-Za-z])", body) if "\\cup" in body else JOINED.split(body)
    read = [_one_interval(part.strip()) for part in parts]
    if any(part is None for part in read):
        return text
    return str(read[0]) if len(read) == 1 else "\\{" + ", ".join(map(str, read)) + "\\}"


def _one_interval(text: str) -> str | None:
    pair = brackets(text)
    if pair is not None and len(split_items(pair[1])) == 2 and not text.startswith("\\{"):
        return text
    signs = [match.group(0) for match in _SIGN.finditer(text)]
    sides = [side.strip() for side in _SIGN.split(text)]
    if len(signs) == 1 and _NAME.match(sides[0]):
        return _ray(signs[0], sides[1])
    if len(signs) == 1 and _NAME.match(sides[1]):
        return _ray(_turned(signs[0]), sides[0])
    if len(signs) == 2 and _NAME.match(sides[1]) and _is_less(signs[0]) == _is_less(signs[1]):
        if not _is_less(signs[0]):
            sides, signs = sides[::-1], signs[::-1]
        low, high, first, second = sides[0], sides[2], signs[0], signs[1]
        return f"{'[' if _closed(first) else '('}{low}, {high}{']' if _closed(second) else ')'}"
    return None


def _ray(sign: str, value: str) -> str | None:
    """x sign value."""
    if not value:
        return None
    if _is_less(sign):
        return f"(-\\infty, {value}{']' if _closed(sign) else ')'}"
    return f"{'[' if _closed(sign) else '('}{value}, \\infty)"


def _is_less(sign: str) -> bool:
    return "<" in sign or sign == "\\le"


def _closed(sign: str) -> bool:
    return sign not in "<>"


def _turned(sign: str) -> str:
    return {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "\\le": "\\ge", "\\ge": "\\le"}[sign]


def _matrix(text: str) -> Table | None:
    transposed = _TRANSPOSED.search(text)
    if transposed is not None:
        table = _matrix(text[: transposed.start()].strip()) or _row(text[: transposed.start()].strip())
        if table is None or len({len(row) for row in table[1]}) != 1:
            return None
        return table[0], [list(column) for column in zip(*table[1], strict=True)]
    match = _MATRIX.match(text)
    if match is None:
        return None
    rows = [row for row in re.split(r"\\\\", match[2]) if row.strip()]
    return _KINDS.get(match[1], match[1]), [[cell.strip() for cell in row.split("&")] for row in rows]


def scaled(text: str) -> str:
    """`\\frac15(3, -4)`, `-(1, 2)`, `\\frac{(3, -4)}{5}` and `2\\begin{pmatrix}...` with the factor at each member;
    other text as it is."""
    if text[:1] == "(" and text[-1:] == ")":
        return text
    match = _SCALED.match(text) or _DIVIDED.match(text)
    if match is None:
        return text
    factor, body = match["factor"].strip(), match["body"].strip()
    if not factor:
        return text
    factor = f"{factor}1" if factor in "+-" else f"1/{factor}" if match.re is _DIVIDED else factor
    table = _MATRIX.match(body)
    if table is not None and table[1] in _KINDS:
        rows = [row.split("&") for row in re.split(r"\\\\", table[2]) if row.strip()]
        return _written([[f"({factor})({cell.strip()})" for cell in row] for row in rows])
    pair = brackets(body)
    items = split_items(pair[1]) if pair is not None and pair[0] == "(" else []
    return f"({', '.join(f'({factor})({item})' for item in items)})" if len(items) > 1 else text


def unit_matrix(text: str, like: str) -> str:
    """`-I` and `3I_2` as a matrix of the size of `like`; other text as it is."""
    match, table = _UNIT_MATRIX.match(text), _matrix(like)
    if match is None or table is None:
        return text
    size = len(table[1])
    if any(len(row) != size for row in table[1]) or int(match["size"] or size) != size:
        return text
    factor = match["factor"].strip() or "1"
    factor = f"{factor}1" if factor in "+-" else factor
    return _written([[factor if i == j else "0" for j in range(size)] for i in range(size)])


def _written(rows: list[list[str]]) -> str:
    body = " \\\\ ".join(" & ".join(row) for row in rows)
    return f"\\begin{{pmatrix}}{body}\\end{{pmatrix}}"


def _column(text: str) -> Table | None:
    """(1, 2) beside a matrix is a column vector; [[1, 2], [3, 4]] its rows."""
    row = _row(text)
    if row is None:
        return None
    inner = [_row(item) for item in row[1][0]]
    rows = [part[1][0] for part in inner if part is not None]
    return ("matrix", rows if len(rows) == len(inner) else [[item] for item in row[1][0]])


def _row(text: str) -> Table | None:
    pair = brackets(text)
    items = split_items(pair[1]) if pair is not None and pair[0] in "([" else []
    return ("matrix", [items]) if len(items) > 1 else None


def _tables(wanted: Table | None, got: Table | None, same: Same) -> Result | None:
    if wanted is None or got is None:
        return None
    if wanted[0] != got[0] or [len(row) for row in wanted[1]] != [len(row) for row in got[1]]:
        return no("other_shape")
    cells = [(g, a) for rows in zip(wanted[1], got[1], strict=True) for g, a in zip(*rows, strict=True)]
    if len(cells) > MAX_ITEMS:
        return unsure("too_many_items")
    return all_of([same(g, a) for g, a in cells])

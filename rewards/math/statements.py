"""What prose states clause by clause: lines in blocks, the sides of `P = 2 \\cdot 19.5 = 39 cm`, rows of a table,
values with their units.

Texts in, texts out; knows no names and compares nothing. Linear in the text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from rewards.math.lastnumber import NUMBER
from rewards.math.normal import normalise
from rewards.math.number import parse_number
from rewards.math.sequences import brackets, split_items
from rewards.math.units import is_known
from rewards.math.words import opened

_MAX_CELLS = 12
_MARK = re.compile(r"\A\s*(?:[-*•+]|\d{1,2}[.)]|#{1,6}|>)\s+")
_RULE = re.compile(r"[\s|:-]*\Z")
_HEADING = re.compile(r"[A-Za-z][A-Za-z -]{1,40}:?\Z")
# P^* = 20: at the equilibrium.
_STAR = re.compile(r"(?<=[A-Za-z]) ?(?:\^ ?\{? ?(?:\\ast|\\?\*) ?\}?|\\\*|\*)(?= ?[=,)])")
_EQUALS = re.compile(r"=|\\approx(?![A-Za-z])")
_CLAUSE = re.compile(r"[;.!?](?=\s|\Z)|,(?=\s)|\s(?=(?:and|und|et|y|while|giving|with|at an?)\s)")
_UNIT = re.compile(
    r" ?(?:\\?%|\^\\circ ?[CF]?(?![A-Za-z])|\\?[A-Za-z]+(?:\^ ?\{?-?\d\}?)?(?:/[A-Za-z]+(?:\^ ?\{?-?\d\}?)?)?)"
)
_GOES_ON = re.compile(r" ?[-+*/^=(\\\d]| ?[A-Za-z](?![A-Za-z])")
_HIDDEN = re.compile(
    r"<!--|\\iffalse|\\begin ?\{comment|phantom|color ?\{ ?white|\\[bx]?cancel|\\sout|~~|<(?:s|del|strike)>"
)
_BEFORE = re.compile(r"(?:[<>+*/^_=|{]|\\[A-Za-z]+|[a-z]\() ?\Z")  # a bound, an exponent, the argument of a function
_BEHIND = re.compile(r" ?(?:[+*/^=\\<>]|-(?=\d))|[A-Za-z(]")
_ALIGNED = re.compile(
    r"\\begin ?\{(?P<name>align(?:ed)?|gather(?:ed)?)\*?\}(?P<body>.*?)\\end ?\{(?P=name)\*?\}", re.DOTALL
)
_ASIDE = re.compile(r"\([^()]*\)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Clause:
    """`about`: the text without its values; `right`: what the last sign of equality leads to, "" without one.

    Example: "the power is 24 W" -> Clause(about="the power is ", values=("24 W",), right="").
    """

    about: str
    values: tuple[str, ...]
    right: str


def hides(text: str) -> bool:
    """Whether a part of a text is not shown, or struck out."""
    return _HIDDEN.search(text) is not None


def blocks(text: str) -> list[list[str]] | None:
    """Lines that no blank line parts, as plain text; None where something in them is not shown."""
    if hides(text):
        return None
    found: list[list[str]] = [[]]
    if "\\begin" in text:
        text = _ALIGNED.sub(lambda m: m["body"].replace("\\\\", "\n").replace("&", ""), text)
    for line in text.split("\n"):
        plain = normalise(line.replace("**", "").replace("__", "").replace("$$", "")) if line.strip() else ""
        if plain is None:
            return None
        if plain and not _RULE.match(plain):
            found[-1].append(_STAR.sub("", opened(_MARK.sub("", plain))))
        elif not plain and found[-1] and not _HEADING.match(found[-1][-1]):
            found.append([])
    return [_with_headings(_rows(lines)) for lines in found if lines]


def clauses(line: str) -> list[Clause]:
    """Cut at the marks and small words that stand in no brackets; a tuple of names with a tuple of values is as many
    clauses."""
    cuts, depth, position = [0], 0, 0
    for match in _CLAUSE.finditer(line):
        piece = line[position : match.start()]
        depth += sum(map(piece.count, "([{")) - sum(map(piece.count, ")]}"))
        position = match.start()
        if depth <= 0:
            cuts.append(position)
    pieces = [line[start:end].strip(" ,;.!?") for start, end in zip(cuts, [*cuts[1:], len(line)], strict=True)]
    return [clause for piece in pieces if piece for clause in _read(piece)]


def leading_value(text: str) -> str | None:
    """The number with its unit that begins a text, where words or nothing follow it: "30 cm" of "30 cm on the far
    side"."""
    match = NUMBER.match(text.lstrip("\\ ")) if text else None
    if match is None:
        return text if text and parse_number(text) is not None else None
    value, end = _with_unit(text.lstrip("\\ "), match)
    rest = text.lstrip("\\ ")[end:]
    return None if _GOES_ON.match(rest) and parse_number(text) is None else value


def _read(piece: str) -> list[Clause]:
    sides = [side.strip() for side in _EQUALS.split(piece)]
    if len(sides) > 1:
        names, values = _members(sides[0][max(sides[0].find("("), 0) :]), _members(sides[-1])
        if 1 < len(names) == len(values):
            return [Clause(about=name, values=(), right=value) for name, value in zip(names, values, strict=True)]
        return [Clause(about=sides[0], values=(), right=sides[-1])]
    label, colon, rest = piece.partition(": ")
    said = rest if colon and any(map(str.isdigit, rest)) else piece
    said = _ASIDE.sub(" ", said) if any(map(str.isdigit, _ASIDE.sub(" ", said))) else said
    values, about = _apart(said)
    return [Clause(about=f"{label} {about}" if colon and said is not piece else about, values=tuple(values), right="")]


def _members(text: str) -> list[str]:
    pair = brackets(text)
    return split_items(pair[1]) if pair is not None and pair[0] == "(" else []


def _apart(text: str) -> tuple[list[str], str]:
    """The values in a text, "?" for one that is a bound or a part of something, and what is left of it. Indices are no
    values."""
    values, rest, position = [], [], 0
    for match in NUMBER.finditer(text):
        if match.start() < position or text[: match.start()].endswith(("_", "_{")):
            continue
        value, end = _with_unit(text, match)
        values.append("?" if _BEFORE.search(text[position : match.start()]) or _BEHIND.match(text, end) else value)
        rest.append(text[position : match.start()])
        position = end
    return values, " ".join([*rest, text[position:]])


def _with_unit(text: str, match: re.Match[str]) -> tuple[str, int]:
    """(the number with a known unit right behind it, where that ends)."""
    number = match.group(0).rstrip(",")
    unit = _UNIT.match(text, match.end())
    if unit is not None and number == match.group(0):
        read = parse_number(number + unit.group(0))
        if read is not None and (read.percent or is_known(read.unit)):
            return number + unit.group(0), unit.end()
    return number, match.start() + len(number)


def _rows(lines: list[str]) -> list[str]:
    """Rows `| Flour | 300 g | 750 g |` as "Flour: 750 g"; a row of numbers below a head of names as "Ana: 80", "Ben:
    120"."""
    if not all(line.startswith("|") and line.count("|") > 2 for line in lines):
        return lines
    table = [[cell.strip() for cell in line.strip("| ").split("|")][:_MAX_CELLS] for line in lines]
    head, last = table[0], table[-1]
    if len(table) == 2 and len(head) == len(last) and last[0][:1] in "$\\-0123456789":
        return [f"{name}: {value}" for name, value in zip(head, last, strict=True)]
    return [
        f"{row[0]}: {next((cell for cell in reversed(row[1:]) if any(map(str.isdigit, cell))), '')}" for row in table
    ]


def _with_headings(lines: list[str]) -> list[str]:
    """A line that only names what the next one gives, in front of that: "Area", "A = 90 cm^2"."""
    found: list[str] = []
    heading = ""
    for line in lines:
        if _HEADING.match(line) and not heading:
            heading = line.rstrip(":")
            continue
        found.append(f"{heading} {line}" if heading else line)
        heading = ""
    return [*found, heading] if heading else found

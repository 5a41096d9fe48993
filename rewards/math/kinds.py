"""What kind of thing a text is, and whether it can be a gold at all. Golds are read once: `read` remembers.

The kind chooses how a gold is compared (`rewards.math.compare`) and names its line in an audit. Order matters: the
narrow kinds come first.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from functools import lru_cache

from rewards.math.bases import in_base
from rewards.math.calendar import read_clock, read_date
from rewards.math.changes import read_change
from rewards.math.extract import strip_wrappers
from rewards.math.layouts import cases, system
from rewards.math.logic import formula, has_logic
from rewards.math.notation import orbitals, strand
from rewards.math.nuclides import nuclear
from rewards.math.number import Num, parse_number
from rewards.math.numeric import value_of
from rewards.math.ranges import is_range
from rewards.math.ratelaws import rate_law
from rewards.math.reactions import reaction
from rewards.math.regions import looks_like_region, read_region
from rewards.math.residues import residue
from rewards.math.sequences import JOINED, brackets, split_items
from rewards.math.tree import NotReadable, holds_i, parse, symbols
from rewards.math.units import is_currency, split_unit
from rewards.math.words import bare, opened, spelled

FORMULA = re.compile(
    r"(?:\d{0,2}(?:\(?[A-Z][a-z]?(?:_?\{?\d{1,3}\}?)?\)?(?:_?\{?\d{1,2}\}?)?){1,20})(?: ?\^? ?\{?(?:\d?[+-]|"
    r"[+-]\d)\}?)?\Z"
)
_LETTER = re.compile(r"\(?(?P<letter>[A-J])(?:\)|(?=[.:] )|(?=[.:]?\Z))[.:]? ?(?P<rest>.*)\Z")
_RATIO = re.compile(r"-?[\d.]+(?: ?: ?-?[\d.]+)+\Z")
_DANGLING = re.compile(r"[-+*/^_=<,]\Z|\A[*/^_=]|\\frac\Z|\\frac ?\{[^{}]*\}\Z|\\sqrt\Z|\ufffd")


class Kind(StrEnum):
    """The types of golds."""

    INTEGER = "integer"
    RATIONAL = "rational"
    DECIMAL = "decimal"
    PERCENT = "percent"
    UNIT = "unit quantity"
    CURRENCY = "currency"
    DATE = "date"
    TIME = "time"
    RATIO = "ratio"
    BASED = "number in a base"
    LETTER = "letter"
    FORMULA = "chemical formula"
    REACTION = "chemical equation"
    NUCLEAR = "nuclear equation"
    RATE_LAW = "rate law"
    RESIDUE = "residue class"
    ORBITALS = "electron configuration"
    STRAND = "nucleotides"
    RANGE = "range"
    LOGIC = "logic"
    CHANGE = "change"
    CASES = "cases"
    TEXT = "text"
    MATRIX = "matrix"
    INTERVAL = "interval"
    INEQUALITY = "inequality"
    SET = "set"
    TUPLE = "tuple"
    EQUATION = "equation"
    COMPLEX = "complex"
    EXPRESSION = "expression"
    OTHER = "other"  # only its own text, or math-verify, can match


@dataclass(frozen=True, kw_only=True, slots=True)
class Form:
    """One accepted form of a gold, read. `number` is set for the kinds of numbers.

    Example: "12.50 dollars" -> Form(text="12.50 dollars", kind=Kind.CURRENCY, number=Num(value=Fraction(25, 2), ...))
    """

    text: str
    kind: Kind
    number: Num | None = None


@lru_cache(maxsize=20_000)
def read(text: str) -> Form:
    """A normalised text with its kind."""
    text = system(strip_wrappers(text))
    plain = opened(text)
    if read_date(plain) is not None:
        return Form(text=plain, kind=Kind.DATE)
    number = parse_number(text) or parse_number(spelled(plain))
    if number is not None:
        return Form(text=text, kind=_number_kind(number), number=number)
    kind = _worded(plain)
    return Form(text=plain if kind in (Kind.TIME, Kind.RATIO, Kind.LETTER) else text, kind=kind or _mathematical(text))


def _number_kind(number: Num) -> Kind:
    if number.percent:
        return Kind.PERCENT
    if number.unit:
        return Kind.CURRENCY if is_currency(number.unit) else Kind.UNIT
    return {"integer": Kind.INTEGER, "fraction": Kind.RATIONAL, "mixed": Kind.RATIONAL}.get(number.form, Kind.DECIMAL)


def _worded(text: str) -> Kind | None:
    """Kinds that are written in words, digits and signs, not in mathematics."""
    if read_clock(text) is not None:
        return Kind.TIME
    if _RATIO.match(text) or (":" in text and proportion(text) is not None):
        return Kind.RATIO
    if in_base(text) is not None:
        return Kind.BASED
    if letter_of(text) is not None:
        return Kind.LETTER
    if reaction(text) is not None:
        return Kind.REACTION
    if nuclear(text) is not None:
        return Kind.NUCLEAR
    if rate_law(text) is not None:
        return Kind.RATE_LAW
    if "mod" in text and residue(text) is not None:
        return Kind.RESIDUE
    if orbitals(text) is not None:
        return Kind.ORBITALS
    if strand(text) is not None:
        return Kind.STRAND
    if is_range(text):
        return Kind.RANGE
    if has_logic(text) and formula(text) is not None:
        return Kind.LOGIC
    if read_change(text) is not None:
        return Kind.CHANGE
    if FORMULA.match(text) and (text.rstrip("}")[-1] in "+-" or any(c.isdigit() for c in text) or len(text) > 3):
        return Kind.FORMULA
    words = bare(text)
    return Kind.TEXT if words is not None and any(len(word) > 1 for word in words.split()) else None


def _mathematical(text: str) -> Kind:
    if "{cases}" in text and any(condition for _, condition in cases(text) or ()):
        return Kind.CASES
    if "\\begin{" in text:
        return Kind.MATRIX
    if looks_like_region(text) and is_region(text):
        return Kind.INEQUALITY if re.search(r"[<>=]|\\(?:le|ge|ne)(?![A-Za-z])", text) else Kind.INTERVAL
    pair = brackets(text)
    if pair is not None and (pair[0] == "{" or len(split_items(pair[1])) > 1):
        return Kind.SET if pair[0] == "{" else Kind.TUPLE
    if len(split_items(text)) > 1 or JOINED.search(text) or "\\pm" in text:
        return Kind.SET
    if "=" in text:
        return Kind.EQUATION
    if re.search(r"\\(?:le|ge|ne)(?![A-Za-z])|[<>]", text):
        return Kind.INEQUALITY
    try:
        tree = parse(split_unit(text)[0])
    except NotReadable:
        return Kind.TEXT if bare(re.sub(r"[()$]", "", text)) else Kind.OTHER
    return Kind.COMPLEX if not symbols(tree) and holds_i(tree) else Kind.EXPRESSION


def proportion(text: str) -> list[Fraction] | None:
    """The terms of 2 : 3, also of 1 : \\sqrt{3} (to 50 digits); None for a text that is no ratio."""
    parts = [part.strip() for part in re.sub(r" to |\\colon(?![A-Za-z])", ":", opened(text)).split(":")]
    values = [value_of(part) for part in parts] if 1 < len(parts) <= 8 and all(parts) else [None]
    known = [value for value in values if value is not None]
    return known if len(known) == len(values) else None


def is_region(text: str) -> bool:
    """Whether `text` reads as a part of the real line."""
    try:
        read_region(opened(text))
    except ValueError:
        return False
    return True


def letter_of(text: str) -> tuple[str, str] | None:
    """("B", "12") of `(B) 12`, ("B", "") of `(B)` or `B`; None for anything else."""
    match = _LETTER.match(text)
    return (match["letter"], match["rest"].strip()) if match else None


def unreadable(text: str) -> str | None:
    """Why no answer could ever be compared with this gold, or None: braces that do not close, an operator without its
    side."""
    depth = 0
    for i, character in enumerate(text):
        if character in "{}" and text[i - 1 : i] != "\\":
            depth += 1 if character == "{" else -1
        if depth < 0:
            break
    if depth:
        return "its braces do not match"
    if _DANGLING.search(text):
        return "it is cut off or incomplete"
    return None if any(character.isalnum() for character in text) else "it holds no letter and no digit"

"""Golds of several named values, "I = 2 A, P = 24 W", "Adult $8, child $5", "750 g flour, 5 eggs", and prose that
states each by its name.

    gold -> name and value of each; blocks of the text from the last one up -> the clauses about a name -> every name,
    and no other value
A value without its name counts where its unit is of a kind that one named value alone has, and the block states all.
Does not know what a name means: "current" is no I, and a name in another language is none.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from rewards.math.lastnumber import NUMBER
from rewards.math.number import Num, parse_number
from rewards.math.statements import Clause, blocks, clauses, leading_value
from rewards.math.units import factor_between, is_currency, is_known
from rewards.math.words import folded
from rewards.prose.claims import is_refused, plain_text, retraction_end

Same = Callable[[str, str], bool]

_MAX_NAMED, _MAX_VALUES, _TAIL_CHARS, _AFTER_CHARS = 8, 12, 4000, 300
_WORDS = re.compile(r"[A-Za-z][A-Za-z'-]+(?: [A-Za-z'-]+){0,3}\Z")
_NAME_FIRST = re.compile(r"(?P<name>[A-Za-z][A-Za-z'-]+(?: [A-Za-z'-]+){0,3}):? (?P<value>[-+]?(?:\\?[$€£])?\d.*)\Z")
_WORD = re.compile(r"(?<![A-Za-z]')[A-Za-z]+")
_HEDGE = re.compile(  # in the languages that name things as the gold does
    r"\b(?:or|no|not|never|neither|nor|either|maybe|perhaps|possibly|might|could|cannot|wrong|incorrect|if|suppose|"
    r"assum\w+|unless|instead"
    r"|except|without|isn|doesn|excluded|rejected|discarded|extraneous|impossible|nicht|kein\w*|oder|weder|wenn|ou|"
    r"ne|pas|si|o|nunca|non)\b|\?|\d!",
    re.IGNORECASE,
)
_COMPARES = re.compile(  # what is said of several, or of a part, is not said of the one
    r"\b(?:than|times|twice|half|double|triple|difference|ratio|sum|together|total of|both|each|per|another|other|"
    r"two|three|four|five|six"
    r"|seven|eight|nine|ten|twelve|dozen)\b",
    re.IGNORECASE,
)
_APPLIED = re.compile(r"(?:\\[A-Za-z]+|\b(?:log|ln|lg|sin|cos|tan|exp|lim|max|min|sqrt|det|arg))\Z")
_INDEX = re.compile(r"_ ?\{ ?(\w+) ?\}")
_BOUNDS = re.compile(
    r"\b(?:over|under|above|below|more|less|fewer|at (?:least|most)|nearly|almost|up to|between)\b", re.IGNORECASE
)
_HEAD = re.compile(r": |\b(?:is|are|was|costs?|gets?|receives?|pays?)\b")
_WORKED = re.compile(r"[\d+*/^]| - ")  # 2 AB = 10 says nothing of AB
_CHECK = re.compile(r"\W*(?:check|verif|proof)", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Quantity:
    """Example: "750 g flour" -> Quantity(name="flour", value="750 g", number=Num(value=Fraction(750), unit="g",
    ...))."""

    name: str
    value: str
    number: Num | None

    @property
    def in_words(self) -> bool:
        return _WORDS.match(self.name) is not None


@lru_cache(maxsize=20_000)
def named(gold: str) -> tuple[Quantity, ...] | None:
    """The named values of a gold, two or more with different names; None for other golds."""
    if not 5 < len(gold) <= 300 or "\\pm" in gold:
        return None
    items = [
        _quantity(item) for item in _items(gold[2:-2] if gold.startswith("\\{") and gold.endswith("\\}") else gold)
    ]
    found = tuple(item for item in items if item is not None)
    names = {item.name.casefold() for item in found}
    return found if 1 < len(names) == len(items) == len(found) <= _MAX_NAMED else None


def all_stated(wanted: tuple[Quantity, ...], shown: str, same: Same, *, throughout: bool = False) -> bool:
    """Whether a text states every value by its name, and in the last block about a name, or `throughout`, no other
    value for it."""
    parts = blocks(shown[-_TAIL_CHARS:]) or []
    found: set[int] = set()
    tail: list[str] = []
    for lines in reversed(parts):
        about = _statements(wanted, lines)
        if about is None:
            return False
        stated, rest = about
        for index in set(stated) if throughout else set(stated) - found:
            values = set(stated[index])
            if len(values) > _MAX_VALUES or not all(_agrees(wanted[index], value, same) for value in values):
                return False
        if not found:
            tail[:0] = rest if stated else lines
        found |= set(stated)
        missing = set(range(len(wanted))) - found
        if throughout and lines is not parts[0]:
            continue
        if not missing or (found == set(stated) and _by_unit(wanted, missing, lines, same)):
            after = plain_text("\n".join(tail))[:_AFTER_CHARS]
            return not (retraction_end(f"\n{after}") or is_refused(f". {after}"))
    return False


def _items(gold: str) -> list[str]:
    """Cut at commas, semicolons and "and" outside brackets."""
    pieces, depth, start = [], 0, 0
    for match in re.finditer(r"[,;] (?:and )?| and |[(\[{]|[)\]}]", gold):
        mark = match.group(0)
        depth += (mark in "([{") - (mark in ")]}")
        if depth == 0 and len(mark) > 1:
            pieces.append(gold[start : match.start()])
            start = match.end()
    return [*pieces, gold[start:]]


def _quantity(item: str) -> Quantity | None:
    """`I = 2 A`, `Adult $8`, `Mean: 7` or `750 g flour`; None for a text that is no quantity with its name."""
    item = item.strip(" .")
    name, equals, value = (part.strip() for part in item.partition("="))
    if equals:
        return (
            Quantity(name=name, value=value, number=parse_number(value))
            if name and value and "=" not in value
            else None
        )
    first = _NAME_FIRST.match(item)
    number = parse_number(first["value"]) if first else None
    if first is not None and number is not None:
        return Quantity(name=first["name"], value=first["value"], number=number)
    count = leading_value(item) if NUMBER.match(item) else None
    rest = item[len(count) :].strip().removeprefix("of ") if count else ""
    return Quantity(name=rest, value=count, number=parse_number(count)) if count and _WORDS.match(rest) else None


def _statements(wanted: tuple[Quantity, ...], lines: list[str]) -> tuple[dict[int, list[str | None]], list[str]] | None:
    """The values that a block gives to each name, None for one that is not clear, and the lines behind the last; None
    where it hedges."""
    stated: dict[int, list[str | None]] = {}
    last = 0
    for i, line in enumerate(lines):
        found = (
            []
            if _CHECK.match(line)
            else [pair for clause in clauses(line) if (pair := _statement(wanted, clause)) is not None]
        )
        if found and _HEDGE.search(line):
            return None
        for index, value in found:
            stated.setdefault(index, []).append(value)
        last = i + 1 if found else last
    return stated, lines[last:]


def _statement(wanted: tuple[Quantity, ...], clause: Clause) -> tuple[int, str | None] | None:
    """(which name, its value) of a clause about one name."""
    owners = _owners(wanted, clause)
    if len(owners) != 1 or _COMPARES.search(clause.about):
        return None
    value = _value_of(wanted[owners[0]], clause)
    return None if value == "" else (owners[0], value)


def _owners(wanted: tuple[Quantity, ...], clause: Clause) -> list[int]:
    """Whose names stand in a clause: words anywhere in it, longer names first, a symbol right before its sign."""
    about = _HEAD.split(clause.about, maxsplit=1)[0] if clause.right else clause.about
    worked = clause.right and _WORKED.search(about)
    text = "" if worked else f" {folded(' '.join(match.group(0) for match in _WORD.finditer(about)))} "
    owners = []
    for index in sorted(range(len(wanted)), key=lambda i: -len(wanted[i].name)):
        quantity = wanted[index]
        if quantity.in_words and (word := f" {folded(quantity.name)} ") in text:
            owners.append(index)
            text = text.replace(word, " ")
        elif not quantity.in_words and clause.right and _ends_with(clause.about, quantity.name):
            owners.append(index)
    return owners


def _ends_with(left: str, name: str) -> bool:
    """Whether a symbol is the last thing of a left side: not the P of 4P, nor the B of A \\cup B."""
    left, name = _INDEX.sub(r"_\1", left), _INDEX.sub(r"_\1", name)
    match = re.search(r"(?:\A|(?<=[ ,:(]))" + " ?".join(map(re.escape, name.replace(" ", ""))) + r"\Z", left)
    before = left[: match.start()].rstrip() if match else ""
    return match is not None and not (before[-1:].isdigit() or before[-1:] in tuple("+-*/^") or _APPLIED.search(before))


def _value_of(quantity: Quantity, clause: Clause) -> str | None:
    """What a clause gives for a name: "" for no value or a formula, None where it gives several or a bound."""
    if clause.right:
        return clause.right if quantity.number is None else leading_value(clause.right) or ""
    values = set(clause.values)
    if values and _BOUNDS.search(clause.about):
        return None
    return values.pop() if len(values) == 1 else None if values else ""


def _agrees(quantity: Quantity, value: str | None, same: Same) -> bool:
    return value is not None and same(_as_set(quantity.value), _as_set(value))


def _as_set(value: str) -> str:
    """Braces of a set as a set's, whatever they are written with."""
    return f"\\{value[:-1]}\\}}" if value[:1] == "{" and value[-1:] == "}" else value


def _by_unit(wanted: tuple[Quantity, ...], missing: set[int], lines: list[str], same: Same) -> bool:
    """Whether the block gives each value that it does not name by a unit of its kind alone, and no other value in such
    a unit."""
    values = [
        value
        for line in lines
        for clause in clauses(line)
        for value in (*clause.values, leading_value(clause.right))
        if value
    ]
    numbers = [(value, number) for value in values if (number := parse_number(value)) is not None and number.unit]
    for index in missing:
        unit = _own_unit(wanted, index)
        given = {value for value, number in numbers if unit and factor_between(number.unit, unit) is not None}
        if not 0 < len(given) <= _MAX_VALUES or not all(_agrees(wanted[index], value, same) for value in given):
            return False
    return not any(_HEDGE.search(line) or _BOUNDS.search(line) for line in lines)


def _own_unit(wanted: tuple[Quantity, ...], index: int) -> str:
    """The unit of a named value where no other of them has one of its kind; "" else, and for money and counted
    things."""
    units = [quantity.number.unit if quantity.number is not None else "" for quantity in wanted]
    unit = units[index]
    others = [one for i, one in enumerate(units) if i != index and one]
    alone = (
        unit and is_known(unit) and not is_currency(unit) and all(factor_between(one, unit) is None for one in others)
    )
    return unit if alone else ""

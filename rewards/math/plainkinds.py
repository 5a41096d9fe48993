"""Comparers of kinds that need no other: numbers in a base, ratios, ranges, dates, times, residue classes, chemical
equations, formulas of logic, electron shells, nucleotides, nuclear equations, rate laws."""

from __future__ import annotations

import math
import re
from fractions import Fraction

from rewards.math.bases import asked_base, in_base
from rewards.math.calendar import compare_clocks, compare_dates
from rewards.math.changes import compare_changes
from rewards.math.kinds import Form, proportion
from rewards.math.logic import formula
from rewards.math.notation import orbitals, stated_orbitals, strand
from rewards.math.nuclides import compare_nuclear
from rewards.math.number import parse_number
from rewards.math.numeric import value_of
from rewards.math.ranges import compare_ranges
from rewards.math.ratelaws import rate_law
from rewards.math.reactions import compare_reactions
from rewards.math.residues import compare_residues
from rewards.math.result import Context, Result, no, unsure, yes
from rewards.math.words import DOUBT, opened
from rewards.types import Outcome

_ASKS_BASE = re.compile(r"\bbase\b|\b(?:binary|octal|hexadecimal|ternary)\b", re.IGNORECASE)
_DIGITS = re.compile(r"[0-9A-Za-z]{1,60}\Z")
_LOWEST = re.compile(r"\b(?:lowest|simplest) (?:terms|form)\b|\bsimplify the (?:ratio|fraction)\b", re.IGNORECASE)


def based(wanted: Form, answer: str, context: Context) -> Result | None:
    """Digits in one base. Without its base, or in another, a number may mean either: not for us to decide."""
    gold, got = in_base(wanted.text), in_base(answer)
    if got is None or gold is None:
        if gold is not None and answer.replace(" ", "").lstrip("0") == gold[0] and _ASKS_BASE.search(context.question):
            return yes("base_asked_for", certain=False)
        return unsure("base_missing") if parse_number(answer) is not None else None
    if gold[1] != got[1]:
        return unsure("other_base")
    return yes("digits_equal") if gold == got else no("digits_differ")


def digits_of(gold: str, answer: str, context: Context) -> Result | None:
    """A gold of digits alone beside an answer that names its base: the one that the question asks for, else ten."""
    got = in_base(answer) if _DIGITS.match(gold) else None
    if got is None:
        return None
    if got[1] != (asked_base(context.question) or 10):
        return unsure("other_base")
    return yes("base_asked_for", certain=False) if gold.upper().lstrip("0") == got[0] else no("digits_differ")


def configuration(wanted: Form, answer: str, context: Context) -> Result | None:
    """Electron shells in any order; a noble gas stands for its shells."""
    gold, got = orbitals(wanted.text), orbitals(answer)
    if got is None:
        return (
            yes("shells_in_sentence", certain=False)
            if stated_orbitals(answer) == gold and not DOUBT.search(answer)
            else None
        )
    return yes("shells_equal") if gold == got else no("shells_differ")


def change(wanted: Form, answer: str, context: Context) -> Result | None:
    return compare_changes(wanted.text, answer)


def nucleotides(wanted: Form, answer: str, context: Context) -> Result | None:
    gold, got = strand(wanted.text), strand(answer)
    return None if got is None else yes("bases_equal") if gold == got else no("bases_differ")


def logic(wanted: Form, answer: str, context: Context) -> Result | None:
    """Other equivalent formulas are not for us to accept: the gold may be what the question's formula simplifies to."""
    return yes("formula_equal") if formula(wanted.text) == formula(answer) else unsure("other_formula")


def a_range(wanted: Form, answer: str, context: Context) -> Result | None:
    return compare_ranges(wanted.text, answer, context) or unsure("no_range")


def ratio(wanted: Form, answer: str, context: Context) -> Result | None:
    """2 : 3 by proportion, also as the fraction 2/3."""
    parts = [proportion(wanted.text), proportion(answer)]
    if parts[0] is None or 0 in parts[0]:
        return None
    if parts[1] is None:
        value = value_of(answer) if len(parts[0]) == 2 else None
        if value is None:
            return None
        return (
            yes("ratio_as_fraction", certain=False)
            if abs(value * parts[0][1] - parts[0][0]) <= abs(parts[0][0]) / 10**40
            else no("ratio_differs", certain=False)
        )
    if len(parts[0]) != len(parts[1]) or 0 in parts[1]:
        return no("ratio_differs")
    if _LOWEST.search(context.question) and _common(parts[1]) > 1 == _common(parts[0]):
        return no("not_reduced")
    scale = parts[1][0] / parts[0][0]
    return (
        yes("ratio_equal")
        if all(abs(p * scale - q) <= abs(q) / 10**40 for p, q in zip(*parts, strict=True))
        else no("ratio_differs")
    )


def _common(terms: list[Fraction]) -> int:
    """The greatest common divisor of whole terms; 1 where one is not whole."""
    return math.gcd(*(term.numerator for term in terms)) if all(term.denominator == 1 for term in terms) else 1


def date(wanted: Form, answer: str, context: Context) -> Result | None:
    return compare_dates(wanted.text, opened(answer)) or unsure("not_a_date")


def time(wanted: Form, answer: str, context: Context) -> Result | None:
    """A time of day; 3:30 may be a ratio, too, and the question says which."""
    result = compare_clocks(wanted.text, opened(answer), context.question)
    if "ratio" in context.question.lower():
        return ratio(wanted, answer, context)
    if (
        result is not None
        and result.outcome is Outcome.WRONG
        and proportion(answer)
        and ratio(wanted, answer, context) == yes("ratio_equal")
    ):
        return unsure("time_or_ratio")
    return result


def reaction(wanted: Form, answer: str, context: Context) -> Result | None:
    return compare_reactions(wanted.text, answer)


def nuclear(wanted: Form, answer: str, context: Context) -> Result | None:
    return compare_nuclear(wanted.text, answer)


def law_of_rate(wanted: Form, answer: str, context: Context) -> Result | None:
    """Order by order; a law with its constant as a number is another kind of answer."""
    gold, got = rate_law(wanted.text), rate_law(answer)
    return None if got is None else yes("orders_equal") if gold == got else no("orders_differ")


def residue(wanted: Form, answer: str, context: Context) -> Result | None:
    return compare_residues(wanted.text, answer)

"""Comparers of kinds that need no other: numbers in a base, ratios, dates, times, residue classes, chemical equations."""

from __future__ import annotations

import re

from rewards.math.calendar import compare_clocks, compare_dates
from rewards.math.kinds import Form, in_base, proportion
from rewards.math.number import parse_number
from rewards.math.numeric import value_of
from rewards.math.reactions import compare_reactions
from rewards.math.residues import compare_residues
from rewards.math.result import Context, Result, no, unsure, yes
from rewards.math.words import opened
from rewards.types import Outcome

_ASKS_BASE = re.compile(r"\bbase\b|\b(?:binary|octal|hexadecimal|ternary)\b", re.IGNORECASE)


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
    scale = parts[1][0] / parts[0][0]
    return yes("ratio_equal") if all(abs(p * scale - q) <= abs(q) / 10**40 for p, q in zip(*parts, strict=True)) else no("ratio_differs")


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


def residue(wanted: Form, answer: str, context: Context) -> Result | None:
    return compare_residues(wanted.text, answer)

"""The table of shapes, and `read_problem`: a row's columns to a gold.

A shape is known by its columns, and by values where columns are shared; never by a file's name. The first shape of the
table that fits is taken, so those with more telling columns stand first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from rewards.contract.options import closest_names
from rewards.errors import GoldError
from rewards.golds.math_rows import gsm8k
from rewards.golds.problem import Problem, Row

AUTO = "auto"


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """One public shape. `columns`: what it is known by, in words. `read` gives None for a row of another shape.

    Example: Shape(columns="question, answer with ####", read=gsm8k)
    """

    columns: str
    read: Callable[[Row], Problem | None]


FORMATS: dict[str, Shape] = {
    "GSM8K": Shape(columns="question, answer with ####", read=gsm8k),
}


def read_problem(row: Mapping[str, Any], gold_format: str = AUTO) -> Problem | None:
    """The row as a problem with a gold of ours, or None where no shape fits (with `auto`).

    Raises GoldError for a row that is recognised and cannot be judged, for a row that has not the shape that
    `gold_format` names, and for an unknown `gold_format`.
    """
    if gold_format == AUTO:
        for name in FORMATS:
            problem = _read(row, name)
            if problem is not None:
                return problem
        return None
    name = _known_name(gold_format)
    problem = _read(row, name)
    if problem is None:
        has = ", ".join(Row(row).names()) or "no columns"
        raise GoldError(
            f"the row has not the shape {name} ({FORMATS[name].columns}); it has {has}",
            remedy="name its shape in gold_format, or map its columns",
        )
    return problem


def _read(row: Mapping[str, Any], name: str) -> Problem | None:
    seen = Row(row)
    problem = FORMATS[name].read(seen)
    return None if problem is None else replace(problem, format=name, columns=tuple(seen.used))


def _known_name(given: str) -> str:
    names = {name.casefold(): name for name in FORMATS}
    if given.casefold() not in names:
        raise GoldError(f"unknown gold_format {given!r}", remedy=closest_names(given, [AUTO, *FORMATS]))
    return names[given.casefold()]

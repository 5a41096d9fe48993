"""Do held-out problems stand in the training data? Scores on such problems would say nothing."""

from __future__ import annotations

from collections.abc import Iterator

from posttrain.data.overlap import held_out_overlap
from posttrain.errors import DataError
from posttrain.plan.steps import Plan
from posttrain.preflight.finding import Finding, finding_of
from posttrain.preflight.subject import Subject


def held_out_problems(subject: Subject) -> Iterator[Finding]:
    """One finding for all suites together."""
    yield finding_of("held-out problems", lambda: _no_overlap(subject.plan, subject.rows))


def _no_overlap(plan: Plan, rows: int | None) -> str:
    counts = held_out_overlap(plan.recipe, plan.recipe_dir, rows)
    if any(counts.values()):
        worst = max(counts, key=lambda suite: counts[suite])
        raise DataError(
            f"{counts[worst]} problems of suite '{worst}' stand in the training data",
            where=f"evaluate.suites.{worst}.data",
            remedy="take them out of the training data: their scores would say nothing",
        )
    read = "" if rows is None else f"; at most the first {rows:,} rows of a data set were read"
    return f"none of {len(counts)} suites stands in the training data (exact match of users' turns{read})"

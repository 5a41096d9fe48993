"""Rows that should not be trained on are taken out: duplicates, problems of suites, secrets, refusals, what is out of
bounds. The work is `posttrain data clean`'s; the rows may come from any data set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from posttrain.data.source import write_set_aside
from posttrain.data.source_rows import SourceRow
from posttrain.errors import StageError
from posttrain.factory.card import write_stage_card
from posttrain.factory.row_work import row_as_read
from posttrain.recipe.resolve import suites_against
from posttrain.recipe.schema import Clean
from posttrain.stages.data_at_hand import MADE_CARD, MADE_ROWS
from posttrain.stages.protocol import StepContext
from posttrain.stages.rows import card_sources, read_rows
from posttrain.stages.training import stage_of
from posttrain.store.jsonl import write_lines

REPORT = "report.json"


class CleanStage:
    """Publishes the rows that are kept, and a report that lists each of the others with its rule."""

    VERSION = 4

    def run(self, ctx: StepContext) -> dict[str, Any]:
        from posttrain.factory.clean import clean_file
        from posttrain.factory.examine import CleanOptions
        from rewards.prose.languages import language_code

        stage: Clean = stage_of(ctx)
        rows, faults = read_rows(ctx, stage.data)
        names = {}  # by file: what is published names no folder of this machine
        for name in suites_against(ctx.recipe, stage):
            problems, _ = read_rows(ctx, name)
            names[_written(ctx.attempt / f"{name}.jsonl", problems, answers=True)] = name
        suites, own = list(names), ctx.attempt / f"{stage.data}.jsonl"
        codes = (language_code(name) for name in stage.languages)
        found = clean_file(
            _written(own, rows, answers=False),
            suites,
            out=ctx.output / MADE_ROWS,
            report=ctx.output / REPORT,
            options=CleanOptions(
                languages=tuple(sorted(code for code in codes if code)),
                min_words=stage.min_words,
                max_words=stage.max_words,
                max_repetition=stage.max_repetition,
                near=stage.near,
                skip=frozenset(stage.skip),
                remove_numbers_changed=stage.remove_numbers_changed,
            ),
            names=names | {own: stage.data},
        )
        ctx.check_stop()
        if not found.kept:
            raise StageError(
                f"none of {found.rows:,} rows is kept: {found.removed}",
                where=f"stages.{stage.name}",
                remedy=f"look at {REPORT}, and skip a rule or widen a bound",
            )
        said = [f"- removed: {count:,} x {rule}" for rule, count in found.removed.items()]
        said += [f"- {suite}: {verdict}" for suite, verdict in found.verdicts.items()]
        write_stage_card(
            ctx.output / MADE_CARD,
            stage=stage,
            sources=card_sources(ctx, stage.data),
            metrics=None,
            more="\n".join([f"{found.rows:,} rows were read, {found.kept:,} rows are published.", *said]),
        )
        return {
            "rows": found.rows,
            "kept": found.kept,
            "faulty_rows": write_set_aside(ctx.output, {stage.data: faults}),
            "removed": dict(found.removed),
            "suspects": dict(found.suspects),
            "verdicts": dict(found.verdicts),
            "notes": list(found.notes),
        }


def _written(path: Path, rows: Any, *, answers: bool) -> Path:
    """Rows as a file of lines; of a suite with its answers, which must not stand in the rows either."""
    write_lines(path, (_line(row) if answers else row_as_read(row) for row in rows))
    return path


def _line(row: SourceRow) -> dict[str, Any]:
    gold = row.gold if isinstance(row.gold, str | int | float) else None
    return {"prompt": list(row.messages), "gold": gold, "reference": row.reference, "completion": list(row.answers)}

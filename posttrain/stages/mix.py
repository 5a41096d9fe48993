"""Rows of several data sets become the phases of a curriculum, each a file of rows that an sft phase reads."""

from __future__ import annotations

from typing import Any

from posttrain.data.source import write_set_aside
from posttrain.factory.card import write_stage_card
from posttrain.factory.mix import mix_rows
from posttrain.factory.row_work import row_as_read
from posttrain.recipe.resolve import data_of
from posttrain.recipe.schema import Mix
from posttrain.stages.data_at_hand import MADE_CARD, PHASES
from posttrain.stages.protocol import StepContext
from posttrain.stages.rows import card_sources, read_rows
from posttrain.stages.training import stage_of
from posttrain.store.jsonl import write_lines


class MixStage:
    """Publishes a file a phase, and a card that says which rows stand in it how often."""

    VERSION = 2

    def run(self, ctx: StepContext) -> dict[str, Any]:
        stage: Mix = stage_of(ctx)
        names = list(data_of(stage))
        read = {name: read_rows(ctx, name) for name in names}
        phases = mix_rows(stage, {name: rows for name, (rows, _) in read.items()}, ctx.seed)
        folder = ctx.output / PHASES
        folder.mkdir()
        for name, phase in phases.items():
            write_lines(folder / f"{name}.jsonl", (row_as_read(row) for row in phase.rows))
            ctx.check_stop()
        said = [
            f"- {name}: {pool}: {seen.said()}" for name, phase in phases.items() for pool, seen in phase.seen.items()
        ]
        write_stage_card(
            ctx.output / MADE_CARD,
            stage=stage,
            sources=[source for name in names for source in card_sources(ctx, name)],
            metrics=None,
            more="\n".join([f"{stage.rows:,} rows are published, by phase and data set:", *said]),
        )
        return {
            "rows": sum(len(rows) for rows, _ in read.values()),
            "kept": stage.rows,
            "faulty_rows": write_set_aside(ctx.output, {name: faults for name, (_, faults) in read.items()}),
            "phases": {
                name: {pool: {"drawn": seen.drawn, "again": seen.again} for pool, seen in phase.seen.items()}
                for name, phase in phases.items()
            },
        }

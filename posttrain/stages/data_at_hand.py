"""The data sets of a recipe as a step finds them: rows of a data stage are files by then."""

from __future__ import annotations

from pathlib import Path

from posttrain.data.source_rows import CANDIDATES, MADE_FROM
from posttrain.recipe.resolve import is_made_by_data_stage
from posttrain.recipe.schema import Data, FileData, StageData
from posttrain.stages.protocol import StepContext

MADE_ROWS, MADE_CARD = "rows.jsonl", "card.md"
ALL, PHASES = "chosen", "phases"  # folder of a mix stage, a file of rows each


def data_at_hand(ctx: StepContext) -> dict[str, Data]:
    """Every data set by its name; one that a data stage made is the file that the stage published."""
    return {
        name: made_rows(ctx.inputs[f"data.{name}"], spec)
        if f"data.{name}" in ctx.inputs and is_made_by_data_stage(ctx.recipe, name)
        else spec
        for name, spec in ctx.recipe.data.items()
    }


def made_rows(published: Path, made: Data) -> FileData:
    """The rows that a data stage published in a folder, or those of a phase of it, as any file of rows."""
    path = published / MADE_ROWS
    if (published / PHASES).is_dir():
        part = made.part if isinstance(made, StageData) else ALL
        path = published / PHASES if part == ALL else published / PHASES / f"{part}.jsonl"
    spec = {"source": "jsonl", "path": str(path), "card": str(published / MADE_CARD)}
    return FileData.model_validate({**spec, "metadata": [MADE_FROM, CANDIDATES]})

"""The data sets of a recipe as a step finds them: rows of a data stage are files by then."""

from __future__ import annotations

from pathlib import Path

from posttrain.data.source_rows import CANDIDATES, MADE_FROM
from posttrain.recipe.resolve import is_made_by_data_stage
from posttrain.recipe.schema import Data, FileData
from posttrain.stages.protocol import StepContext

MADE_ROWS, MADE_CARD = "rows.jsonl", "card.md"


def data_at_hand(ctx: StepContext) -> dict[str, Data]:
    """Every data set by its name; one that a data stage made is the file that the stage published."""
    return {
        name: made_rows(ctx.inputs[f"data.{name}"])
        if f"data.{name}" in ctx.inputs and is_made_by_data_stage(ctx.recipe, name)
        else spec
        for name, spec in ctx.recipe.data.items()
    }


def made_rows(published: Path) -> FileData:
    """The rows that a data stage published in a folder, as any file of rows."""
    spec = {"source": "jsonl", "path": str(published / MADE_ROWS), "card": str(published / MADE_CARD)}
    return FileData.model_validate({**spec, "metadata": [MADE_FROM, CANDIDATES]})

"""Read what a filter step published. Imports nothing heavy."""

from __future__ import annotations

from pathlib import Path

from posttrain.store.jsonl import read_lines
from posttrain.types import Prompt


def read_kept(folder: Path) -> list[Prompt]:
    """The prompts a filter step kept."""
    return [Prompt(**{**row, "messages": tuple(row["messages"])}) for row in read_lines(folder / "kept.jsonl")]

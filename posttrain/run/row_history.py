"""The history that a stage that makes rows published, row by row: RUN:STAGE, or the folder of `data verify --out`.

Knows nothing of how a row is shown.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from posttrain.errors import RecordError

HISTORY = "history.jsonl"


def find_history(target: str) -> Path | None:
    """The history file that a target names; None where it names something else."""
    folder = Path(target)
    if not folder.is_dir() and ":" in target:
        run, _, stage = target.rpartition(":")
        folder = Path(run) / "stages" / stage
    path = folder / HISTORY
    return path if path.is_file() else None


def histories(path: Path, row: int | None = None) -> Iterator[dict[str, Any]]:
    """The records of a file, or that of one row. Raises RecordError."""
    with path.open(encoding="utf-8", newline="\n") as lines:
        for number, line in enumerate(lines, start=1):
            # Most lines are not asked for, and may be long.
            if row is not None and not line.startswith(f'{{"row": {row},'):
                continue
            try:
                record = json.loads(line)
            except ValueError as error:
                raise RecordError(f"line {number} is no JSON: {error}", where=str(path)) from None
            yield record
            if row is not None:
                return

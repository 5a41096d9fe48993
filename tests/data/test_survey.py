"""A look at the first rows of a data set: what is read, what is said, and where all rows are needed after all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from posttrain.data.source import load_conversations
from posttrain.data.survey import first_rows, in_words
from posttrain.errors import DataError
from posttrain.recipe.schema import FileData, ToyData


def written(folder: Path, count: int, faulty: set[int], **options: Any) -> FileData:
    rows = [{"prompt": str(n)} | ({} if n in faulty else {"completion": "a"}) for n in range(1, count + 1)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return FileData.model_validate({"source": "jsonl", "path": "rows.jsonl", "card": "card.md"} | options)


@pytest.mark.parametrize(
    ("count", "limit", "read", "said"),
    [
        (20, None, 20, "the first 20 rows"),
        (None, None, 50, "50 rows"),
        (80, None, 50, "50 rows"),
        (20, 10, 10, "10 rows"),
        (20, 30, 20, "the first 20 rows"),
    ],
)
def test_so_many_rows_are_read_and_it_is_said(
    tmp_path: Path, count: int | None, limit: int | None, read: int, said: str
) -> None:
    spec = written(tmp_path, 50, set(), limit=limit)
    rows = first_rows(load_conversations, "rows", spec, tmp_path, count)
    assert (len(rows.items), in_words(rows, count)) == (read, said)


def test_a_fault_among_the_first_is_found_and_one_behind_them_is_not(tmp_path: Path) -> None:
    spec = written(tmp_path, 50, {30})
    assert first_rows(load_conversations, "rows", spec, tmp_path, 20).items
    with pytest.raises(DataError, match="row 30 of data 'rows'"):
        first_rows(load_conversations, "rows", spec, tmp_path, 40)


def test_a_share_of_faulty_rows_is_told_from_all_rows_where_the_first_are_the_worst(tmp_path: Path) -> None:
    spec = written(tmp_path, 50, {1, 2}, max_faulty_share=0.05)
    rows = first_rows(load_conversations, "rows", spec, tmp_path, 10)
    assert (len(rows.items), len(rows.faults)) == (48, 2)
    with pytest.raises(DataError, match="3 of 50 rows"):
        first_rows(load_conversations, "rows", written(tmp_path, 50, {1, 2, 3}, max_faulty_share=0.05), tmp_path, 10)


def test_rows_that_are_made_here_are_all_made(tmp_path: Path) -> None:
    spec = ToyData.model_validate({"source": "toy", "task": "stem", "rows": 30})
    assert len(first_rows(load_conversations, "toy", spec, tmp_path, 10).items) == 30

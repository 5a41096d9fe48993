"""A text may hold any character: what was written as lines is read as the same lines."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from posttrain.records.rollouts import json_rows
from posttrain.store.jsonl import read_lines, write_lines

LINE_ENDS = "".join(map(chr, (0x0A, 0x0B, 0x0C, 0x0D, 0x1C, 0x85, 0x2028, 0x2029)))
TEXTS = st.lists(st.text(st.sampled_from(f"ab{LINE_ENDS}") | st.characters(codec="utf-8"), max_size=20), max_size=5)


@given(TEXTS)
def test_lines_come_back_as_they_were_written(tmp_path_factory, texts: list[str]) -> None:
    path: Path = tmp_path_factory.mktemp("lines") / "rows.jsonl"
    rows = [{"text": text} for text in texts]
    write_lines(path, rows)
    assert read_lines(path) == rows == list(json_rows(path))

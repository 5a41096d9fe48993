"""The rows written from the pages alone: no wrong answer is accepted. What is refused is counted by the benchmark."""

from __future__ import annotations

import pytest

from benchmarks.verifier_verdicts import SETS, judged, rows_of


@pytest.mark.parametrize("name", SETS)
def test_no_wrong_answer_is_accepted(name: str) -> None:
    rows = [row for row in rows_of(name, []) if row["kind"] != "code"]
    assert len(rows) > 200
    found = judged(rows)
    assert [row["id"] for row, accepted in found if accepted and not row["expected"]] == []
    assert sum(accepted for row, accepted in found if row["expected"]) > 100

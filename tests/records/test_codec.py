"""Records as JSON: what was written is read back the same, and what does not fit is refused with file and key."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from posttrain.errors import RecordError
from posttrain.records.codec import as_json, from_json, read_json
from posttrain.records.results import Progress, RunResults, StageRow, Status
from posttrain.records.run_files import PlannedStep, RecordedPlan
from posttrain.records.step import ModelRole


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True, kw_only=True, slots=True)
class Leaf:
    """A record in a record."""

    size: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Whole:
    """Every type that records are made of."""

    name: str
    count: int
    share: float | None
    flag: bool
    colour: Colour
    pair: tuple[float, float]
    tokens: tuple[int, ...]
    leaves: Mapping[str, Leaf]
    anything: Any
    note: str = ""
    more: Mapping[str, int] = field(default_factory=dict)


WHOLE = Whole(
    name="a",
    count=3,
    share=None,
    flag=True,
    colour=Colour.RED,
    pair=(0.5, 1.0),
    tokens=(1, 2),
    leaves={"x": Leaf(size=2.0)},
    anything={"k": [1, None]},
)


def test_a_record_comes_back_the_same_through_a_file():
    assert from_json(Whole, json.loads(json.dumps(as_json(WHOLE))), "file") == WHOLE
    changed = replace(WHOLE, note="said", more={"b": 1}, share=0.25)
    assert from_json(Whole, json.loads(json.dumps(as_json(changed))), "file") == changed


def test_a_default_is_left_out_and_read_back():
    assert not {"note", "more"} & as_json(WHOLE).keys()
    assert list(as_json(WHOLE))[:3] == ["name", "count", "share"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"extra": 1}, "unknown key 'extra'"),
        ({"count": None}, "'count' is 'None', not int"),
        ({"count": True}, "'count' is 'True', not int"),
        ({"count": 1.5}, "'count' is '1.5', not int"),
        ({"flag": 1}, "'flag' is '1', not bool"),
        ({"share": "x"}, "'share' is 'x', not float"),
        ({"colour": "blue"}, "'colour' is 'blue', not one of red"),
        ({"pair": [1.0]}, "'pair' is '[1.0]', not a list of 2"),
        ({"tokens": [1, "2"]}, "'tokens[1]' is '2', not int"),
        ({"leaves": {"x": {}}}, "the key 'leaves.x.size' is missing"),
        ({"leaves": []}, "'leaves' is '[]', not an object"),
    ],
)
def test_what_does_not_fit_is_refused_with_file_and_key(change, words):
    with pytest.raises(RecordError) as caught:
        from_json(Whole, {**as_json(WHOLE), **change}, "runs/demo/whole.json")
    assert str(caught.value).startswith(f"runs/demo/whole.json: {words}") and caught.value.remedy


def test_no_number_is_lost_over_what_json_cannot_hold():
    odd = {"nan": [float("nan"), 1.0], "deep": [(float("inf"), "x"), {"a": np.int64(3)}], "array": np.zeros(2)}
    assert as_json(odd) == {"nan": [None, 1.0], "deep": [[None, "x"], {"a": 3}], "array": "[0. 0.]"}
    json.dumps(as_json(odd), allow_nan=False)


def test_an_absent_file_is_none_and_a_torn_one_an_error(tmp_path: Path):
    assert read_json(Progress, tmp_path / "progress.json") is None
    (tmp_path / "progress.json").write_text('{"step": ')
    with pytest.raises(RecordError, match="cannot be read"):
        read_json(Progress, tmp_path / "progress.json")


def test_results_and_plan_keep_the_fields_of_their_steps():
    row = StageRow(
        name="dpd.teacher.eval.stem",
        kind="evaluate",
        id="evaluate-1",
        status=Status.PENDING,
        seconds=None,
        metrics={},
        stage="dpd",
        checkpoint="dpd.teacher",
        suite="stem",
        role=ModelRole.TEACHER,
        inputs={"checkpoint": "dpd.teacher"},
    )
    results = RunResults(name="demo", stages=(row,), evaluations=())
    assert from_json(RunResults, json.loads(json.dumps(as_json(results))), "results.json") == results
    step = PlannedStep(name="base", kind="base", params={"a": [1]}, role=ModelRole.BASE, why="new")
    plan = RecordedPlan(steps=(step,))
    assert from_json(RecordedPlan, json.loads(json.dumps(as_json(plan))), "plan.json") == plan

"""The gate behind a stage: a drop beyond the bound stops the run or hands the start on, and what is handed on is the
model itself, with its scores and its name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from posttrain.errors import StageError
from posttrain.recipe.schema import Recipe
from posttrain.records.codec import as_json
from posttrain.records.scores import SCORES, Scores
from posttrain.records.step import Step
from posttrain.stages.gate import GateStage, kept_of
from posttrain.stages.protocol import StepContext
from posttrain.store.atomic import write_json
from posttrain.store.reference import folder_digest, model_dir, note_place, read_reference, write_reference
from tests.stages.test_training import context


def scored(folder: Path, share: float) -> Path:
    folder.mkdir()
    scores = Scores(
        k=2, n=50, avg_at_k=share, ci95=(0.0, 1.0), pass_at_k=None, format_valid=1.0, faults=0, mean_tokens=3.0,
        truncated_share=0.0, generated_tokens=300, outcomes={},
    )  # fmt: skip
    write_json(folder / SCORES, as_json(scores), point=None)
    return folder


def published(folder: Path, text: str) -> Path:
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "model.safetensors").write_text(text)
    return folder


def gated(folder: Path, before: float, after: float, *, start: Path | None = None, **gate: Any) -> StepContext:
    """A gate that allows two points, behind a stage that began with `before` and ended with `after`."""
    keys = {"suite": "stem", "max_drop": 0.02, **gate}
    stage = {"kind": "sft", "name": "warm", "data": {"rows": 1.0}, "steps": 1, "gate": keys}
    recipe = Recipe.model_validate({"schema": 1, "name": "small", "base": {"path": "toy"}, "stages": [stage]})
    inputs = {
        "checkpoint": published(folder / "warm", "trained"),
        "start": start or published(folder / "cold", "the start"),
        "eval.checkpoint": scored(folder / "after", after),
        "eval.start": scored(folder / "before", before),
    }
    names = {"checkpoint": "warm", "start": "cold", "eval.checkpoint": "warm.eval.stem", "eval.start": "cold.eval.stem"}
    step = Step(name="warm.gate", kind="gate", version=1, params={}, id="gate-1", stage="warm", inputs=names)
    return replace(context(folder, "warm"), recipe=recipe, step=step, inputs=inputs)


@pytest.mark.parametrize(("before", "after"), [(0.5, 0.6), (0.5, 0.48)], ids=["a gain", "the allowed drop"])
def test_a_checkpoint_that_keeps_the_suite_is_handed_on(tmp_path: Path, before: float, after: float) -> None:
    ctx = gated(tmp_path, before, after)
    assert GateStage().run(ctx) == {"before": before, "after": after, "kept": "warm"}
    handed = model_dir(ctx.output) / "model.safetensors"
    assert handed.read_text() == "trained"
    assert handed.stat().st_ino == (tmp_path / "warm" / "model" / "model.safetensors").stat().st_ino
    assert kept_of(ctx.output, "warm.gate") == "warm"
    assert (ctx.output / SCORES).read_bytes() == (tmp_path / "after" / SCORES).read_bytes()


def test_a_drop_beyond_the_bound_stops_the_run_each_time(tmp_path: Path) -> None:
    ctx = gated(tmp_path, 0.5, 0.47)
    for _ in range(2):
        with pytest.raises(StageError, match=r"warm has 47.0% on stem, cold had 50.0%: a drop of 3.0 points, 2.0 are"):
            GateStage().run(ctx)
    assert not list(ctx.output.iterdir())


def test_or_the_start_is_handed_on_and_the_results_say_so(tmp_path: Path) -> None:
    ctx = gated(tmp_path, 0.5, 0.47, on_fail="keep_start")
    facts = GateStage().run(ctx)
    assert facts["kept"] == "cold"
    assert facts["remarks"] == [
        "warm has 47.0% on stem, cold had 50.0%: a drop of 3.0 points, 2.0 are allowed; cold is kept"
    ]
    assert (model_dir(ctx.output) / "model.safetensors").read_text() == "the start"
    assert (ctx.output / SCORES).read_bytes() == (tmp_path / "before" / SCORES).read_bytes()


def test_a_start_made_elsewhere_is_handed_on_as_a_reference(tmp_path: Path) -> None:
    elsewhere, base = published(tmp_path / "elsewhere", "the base") / "model", tmp_path / "base-1"
    base.mkdir()
    write_reference(base, elsewhere, digest="sha256:1")
    ctx = gated(tmp_path, 0.5, 0.1, start=base, on_fail="keep_start")
    GateStage().run(ctx)
    assert model_dir(ctx.output) == elsewhere


def test_a_start_that_has_moved_is_handed_on_where_it_lies_now(tmp_path: Path) -> None:
    first, base = published(tmp_path / "first", "the base") / "model", tmp_path / "artefacts" / "base-1"
    base.mkdir(parents=True)
    write_reference(base, first, digest=folder_digest(first), files=["model.safetensors"], revision="a1")
    moved = first.rename(tmp_path / "moved")
    note_place(base, moved)
    ctx = gated(tmp_path, 0.5, 0.1, start=base, on_fail="keep_start")
    GateStage().run(ctx)
    assert model_dir(ctx.output) == moved
    assert read_reference(ctx.output) == read_reference(base) | {"path": str(moved)}


def test_through_two_gates_the_name_is_that_of_the_stage_that_trained(tmp_path: Path) -> None:
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    first = gated(tmp_path / "first", 0.5, 0.6)
    GateStage().run(first)
    second = gated(tmp_path / "second", 0.6, 0.1, start=first.output, on_fail="keep_start")
    assert GateStage().run(second)["kept"] == "warm"
    assert kept_of(second.output, "x") == "warm"

"""Where a stage has a gate, it is scored against its start, and what comes after starts from what the gate hands on."""

from __future__ import annotations

from pathlib import Path

import pytest

from posttrain.errors import RecipeError
from posttrain.recipe import load_recipe
from posttrain.recipe.positions import longest_rows
from posttrain.recipe.resolve import samples_answers
from tests.plan.test_steps import plan_of
from tests.recipe.world import write_world

GATE = "stages.cold_start.gate={suite: stem, max_drop: 0.05}"


def test_later_stages_start_from_the_gate_of_the_one_before(tmp_path: Path) -> None:
    plan = plan_of(write_world(tmp_path), GATE, "stages.distil.gate={suite: stem, max_drop: 0.05}")
    assert plan.step("cold_start.gate").inputs == {
        "checkpoint": "cold_start",
        "start": "base",
        "eval.checkpoint": "cold_start.eval.stem",
        "eval.start": "base.eval.stem",
    }
    assert plan.step("distil").inputs["checkpoint"] == "cold_start.gate"
    assert plan.step("distil.pairs").inputs["checkpoint"] == "cold_start.gate"
    # what a gate hands on has its scores, so it is not scored once more
    assert plan.step("distil.gate").inputs["eval.start"] == "cold_start.gate"
    assert plan.step("stem").inputs["checkpoint"] == "distil.gate"
    assert not [step.name for step in plan.steps if step.name.startswith("cold_start.gate.eval")]
    names = [step.name for step in plan.steps]
    assert all(names.index(needed) < names.index(step.name) for step in plan.steps for needed in step.inputs.values())


def test_both_are_scored_though_nothing_else_is(tmp_path: Path) -> None:
    plan = plan_of(write_world(tmp_path), GATE, "evaluate.after=never")
    assert [step.name for step in plan.steps if step.kind == "evaluate"] == ["cold_start.eval.stem", "base.eval.stem"]


@pytest.mark.parametrize(
    "asks", [GATE, "stages.stem.early_stop={guard: {suite: stem, every: 2}}"], ids=["gate", "guard"]
)
def test_what_it_or_a_guard_asks_must_fit_though_nothing_else_is_scored(tmp_path: Path, asks: str) -> None:
    path = write_world(tmp_path)
    never = ("evaluate.after=never", "evaluate.suites.stem.max_tokens=9999")
    plan_of(path, *never)
    with pytest.raises(RecipeError, match="9999 tokens leaves no room") as caught:
        plan_of(path, asks, *never)
    assert "evaluate.suites.stem.max_tokens" in str(caught.value)


def test_a_gate_needs_an_engine_and_the_start_s_positions(tmp_path: Path) -> None:
    path, raised = write_world(tmp_path), "stages.cold_start.max_positions=2048"
    for gate, asks in (((), False), ((GATE,), True)):
        recipe = load_recipe(path, ("evaluate.after=never", *gate)).recipe
        assert samples_answers(recipe, recipe.stages[:1]) is asks
        recipe = load_recipe(path, (raised, "evaluate.after=last", *gate)).recipe
        assert ("engine.context_tokens" in longest_rows(recipe, recipe.stages[:1])) is asks  # of the base, who answers


def test_the_last_stage_s_gate_decides_what_is_exported(tmp_path: Path) -> None:
    plan = plan_of(write_world(tmp_path), "stages.preference.gate={suite: stem, max_drop: 0.05}")
    assert plan.step("export").inputs["checkpoint"] == "preference.gate"


def test_a_gate_changes_the_id_of_no_training_but_of_what_comes_after(tmp_path: Path) -> None:
    path = write_world(tmp_path)
    before, gated, looser = plan_of(path), plan_of(path, GATE), plan_of(path, GATE.replace("0.05", "0.06"))
    assert before.step("cold_start").id == gated.step("cold_start").id == looser.step("cold_start").id
    assert len({plan.step("distil").id for plan in (before, gated, looser)}) == 3


def test_a_gate_on_a_suite_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="'sten' is no suite"):
        plan_of(write_world(tmp_path), GATE.replace("stem", "sten"))


def test_a_smoke_run_passes_every_gate(tmp_path: Path) -> None:
    plan = plan_of(write_world(tmp_path), GATE, smoke_run=True)
    assert plan.step("cold_start.gate").params["max_drop"] == 1.0

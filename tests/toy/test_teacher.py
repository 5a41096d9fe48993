"""A toy teacher goes on from a toy base of its shape: in the plan, under --from, and in what it has learnt when it
begins."""

from pathlib import Path

import pytest

from posttrain.plan import Plan, build_plan
from posttrain.recipe import load_recipe
from posttrain.recipe.schema import ToyModel
from posttrain.store.digests import Digests
from posttrain.toy.make import make_model
from tests.recipe.world import write_model

DEMO = Path(__file__).parents[2] / "recipes" / "demo_cpu.yaml"
TEACHER = "dpd.teacher"


def plan_of(tmp_path: Path, *overrides: str, starts: dict[str, Path] | None = None) -> Plan:
    return build_plan(load_recipe(DEMO, overrides), Digests(tmp_path / "digests.json"), starts=starts)


def test_the_demos_teacher_goes_on_from_the_base_and_is_another_where_the_base_is(tmp_path: Path) -> None:
    teacher = plan_of(tmp_path).step(TEACHER)
    assert dict(teacher.inputs) == {"checkpoint": "base"}
    assert plan_of(tmp_path, "base.toy.steps=7").step(TEACHER).id != teacher.id
    assert plan_of(tmp_path, "stages.cold_start.steps=7").step(TEACHER).id == teacher.id
    assert dict(plan_of(tmp_path).step("rebuilt.writer").inputs) == {"checkpoint": "base"}


@pytest.mark.parametrize(
    "override", ["base.toy.layers=2", "base.toy.skill=teacher", "stages.dpd.teacher.toy.tied=true"]
)
def test_a_teacher_of_another_shape_or_beside_no_base_begins_alone(tmp_path: Path, override: str) -> None:
    assert not plan_of(tmp_path, override).step(TEACHER).inputs


def test_from_a_checkpoint_made_elsewhere_the_base_is_made_for_the_teacher_alone(tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint"
    write_model(checkpoint)
    plan = plan_of(tmp_path, starts={"dpd": checkpoint})
    assert [step.name for step in plan.steps[:4]] == ["dpd.from", "base", TEACHER, "fitness"]
    assert dict(plan.step(TEACHER).inputs) == {"checkpoint": "base"}
    assert dict(plan.step("dpd").inputs)["checkpoint"] == "dpd.from"
    assert not any(step.name.startswith("base.") for step in plan.steps), (
        "the base is not scored: no stage starts from it"
    )


def test_a_teacher_begins_with_what_the_base_has_learnt(tmp_path: Path) -> None:
    first: dict[str, float] = {}
    make_model(ToyModel(hidden_size=32, layers=1, steps=30), tmp_path / "base", 0)
    for name, start in (("alone", None), ("after", tmp_path / "base")):
        losses: list[float] = []
        spec = ToyModel(hidden_size=32, layers=1, steps=1, skill="teacher")
        make_model(spec, tmp_path / name, 0, lambda step, loss, losses=losses: losses.append(loss), start)
        first[name] = losses[0]
    assert first["after"] < first["alone"] - 1.0

"""What training stages share: which record a step belongs to, what is published of an attempt, where a resume
starts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from posttrain.errors import StageError, Stopped
from posttrain.recipe.schema import Recipe
from posttrain.records.step import Step
from posttrain.stages.dpd import TeacherLogprobs
from posttrain.stages.protocol import StepContext
from posttrain.stages.training import job_of, stage_of, train
from posttrain.store.checkpoints import seal
from posttrain.store.reference import model_dir
from posttrain.train import entry

RECIPE = Recipe.model_validate(
    {
        "schema": 1,
        "name": "small",
        "base": {"path": "toy"},
        "stages": [
            {"kind": "sft", "name": "warm", "data": {"rows": 1.0}, "steps": 1},
            {"kind": "grpo", "name": "stem", "prompts": "questions", "verifier": "math"},
        ],
    }
)


class Machine:
    """Runs nothing: says what a trainer would have, after writing what it would have written."""

    def __init__(self, result: dict[str, Any], writes: dict[str, str]) -> None:
        self.result, self.writes = result, writes

    def run(self, function: Any, job: Any) -> dict[str, Any]:
        for name, text in self.writes.items():
            path = job.attempt / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return self.result


def context(
    folder: Path,
    name: str,
    machine: Any = None,
    *,
    stage: str | None = None,
    previous: tuple[Path, ...] = (),
    stop: bool = False,
) -> StepContext:
    for part in ("output", "attempt", "base"):
        (folder / part).mkdir(exist_ok=True)

    def check_stop() -> None:
        if stop:
            raise Stopped("asked to")

    return StepContext(
        step=Step(name=name, kind="sft", version=1, params={}, id="sft-1", stage=stage or name),
        recipe=RECIPE,
        recipe_dir=folder,
        inputs={"checkpoint": folder / "base"},
        input_steps={},
        output=folder / "output",
        attempt=folder / "attempt",
        previous=previous,
        seed=1,
        machine=machine,
        smoke=False,
        progress=lambda what, done, total: None,
        check_stop=check_stop,
        stop_file=folder / "stop",
    )


def trained(ctx: StepContext) -> dict[str, Any]:
    """Through `train`, with a machine that runs nothing."""
    return train(ctx, entry.sft, job_of(ctx))


def test_a_step_and_its_filter_belong_to_the_same_record(tmp_path: Path) -> None:
    assert (
        stage_of(context(tmp_path, "stem"))
        == stage_of(context(tmp_path, "stem.filter", stage="stem"))
        == RECIPE.stages[1]
    )


def test_metrics_and_rollouts_of_the_attempt_are_published(tmp_path: Path) -> None:
    machine = Machine(
        {"loss": 1.0},
        {"metrics.jsonl": "{}\n", "rollouts/step-00001.jsonl": "[]\n", "checkpoints/checkpoint-1/x": "no"},
    )
    assert trained(context(tmp_path, "warm", machine)) == {"loss": 1.0}
    found = sorted(
        str(path.relative_to(tmp_path / "output")) for path in (tmp_path / "output").rglob("*") if path.is_file()
    )
    assert found == ["metrics.jsonl", "rollouts/step-00001.jsonl"]


def test_the_rollouts_of_several_workers_are_one_file_a_step_in_order_of_rank(tmp_path: Path) -> None:
    writes = {f"rollouts/step-0000{step}-{rank}.jsonl": f"{step} {rank}\n" for step in (1, 2) for rank in (10, 0, 2)}
    trained(context(tmp_path, "warm", Machine({}, {"metrics.jsonl": "", **writes})))
    published = {path.name: path.read_text() for path in (tmp_path / "output" / "rollouts").iterdir()}
    assert published == {f"step-0000{step}.jsonl": f"{step} 0\n{step} 2\n{step} 10\n" for step in (1, 2)}


def test_a_stop_that_was_asked_for_is_a_stop_and_another_is_a_failure(tmp_path: Path) -> None:
    machine = Machine({"stopped": True}, {"metrics.jsonl": "{}\n"})
    with pytest.raises(Stopped):
        trained(context(tmp_path, "warm", machine, stop=True))
    with pytest.raises(StageError, match="no stop was asked for"):
        trained(context(tmp_path, "warm", machine))
    assert not list((tmp_path / "output").iterdir())


def test_a_job_resumes_from_the_newest_whole_checkpoint_of_its_own_step(tmp_path: Path) -> None:
    for attempt, step, owner in (("one", 2, "sft-1"), ("two", 4, "sft-1"), ("two", 9, "sft-2")):
        folder = tmp_path / attempt / "checkpoints" / f"checkpoint-{step}"
        folder.mkdir(parents=True)
        (folder / "state").write_text(str(step))
        seal(folder, step=step, owner=owner)
    previous = (tmp_path / "two", tmp_path / "one")
    found = job_of(context(tmp_path, "warm", previous=previous)).resume
    assert found is not None and found.step == 4
    (tmp_path / "two" / "checkpoints" / "checkpoint-4" / "state").write_text("torn")
    found = job_of(context(tmp_path, "warm", previous=previous)).resume
    assert found is not None and found.step == 2


def test_a_caching_step_hands_over_teacher_and_earlier_attempts_and_publishes_no_metrics_file(tmp_path: Path) -> None:
    asked: dict[str, Any] = {}

    class Reader:
        def run(self, function: Any, job: Any, **given: Any) -> dict[str, Any]:
            asked.update(given, function=function, output=job.output)
            return {"pairs": 3}

    previous = (tmp_path / "two", tmp_path / "one")
    ctx = context(tmp_path, "warm", Reader(), previous=previous)
    (tmp_path / "teacher").mkdir()
    ctx = replace(ctx, inputs={**ctx.inputs, "teacher": tmp_path / "teacher", "pairs": tmp_path})
    assert TeacherLogprobs().run(ctx) == {"pairs": 3}
    assert asked == {
        "function": entry.teacher_logprobs,
        "output": tmp_path / "output",
        "teacher": model_dir(tmp_path / "teacher"),
        "earlier": previous,
    }

"""A worker that runs out of memory ends the attempt; the next ones go on from the last checkpoint with half the rows a
forward pass, and train what a stage with such passes trains. Where a pass has one row, the stage stops and says what
to change."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from posttrain.errors import OutOfMemory, Restart, StageError
from posttrain.machine.machine import Machine, TrainerWorker
from posttrain.machine.out_of_memory import is_out_of_memory
from posttrain.recipe.batches import rows_a_pass
from posttrain.recipe.schema import Recipe, Sft
from posttrain.records.step import Step
from posttrain.stages.protocol import StepContext
from posttrain.stages.smaller import after_out_of_memory, facts_of
from posttrain.stages.training import job_of, train
from posttrain.store.checkpoints import newest_good
from posttrain.train import dpd, reward_model, sft
from tests.train.conftest import Jobs, files
from tests.train.test_sharding import OF_UPDATE, apart, configured
from tests.train.test_two_workers import train_on_halves

ROWS_THAT_FIT = 2
STEP = 2  # the one that does not fit; a checkpoint is there of the one before


def short_of_memory(job: Any, kind: str, teacher: Path | None = None, fits: int = ROWS_THAT_FIT) -> dict[str, Any]:
    """Train; on the last worker passes of more than `fits` rows run out of memory in the second step. Runs in a
    worker."""
    from posttrain.machine.ranks import rank, world_size
    from posttrain.train import trainer

    hits = 0

    def out_of_memory(name: str) -> None:
        nonlocal hits
        hits += name == "train.optimizer_step.before"
        step = hits + (job.resume.step if job.resume else 0)
        if step >= STEP and rank() == world_size() - 1 and job.stage.micro_batch_size > fits:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")

    sound = trainer.failpoint
    trainer.failpoint = out_of_memory
    try:
        return trained(job, kind, teacher)
    finally:
        trainer.failpoint = sound


def trained(job: Any, kind: str, teacher: Path | None = None) -> dict[str, Any]:
    """The stage's own training. Runs in a worker."""
    if kind == "dpd":
        return dpd.train(job, teacher)
    return {"sft": sft.train, "reward_model": reward_model.train, "grpo": train_on_halves}[kind](job)


class Alone:
    """A machine of one worker in this process."""

    def run(self, function: Any, *args: Any) -> Any:
        deterministic, threads = torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()
        try:
            return TrainerWorker(rank=0, world=1, threads=1).run(function, args, {})
        finally:
            torch.use_deterministic_algorithms(deterministic)
            torch.set_num_threads(threads)


class Attempts:
    """What the driver does with a step: attempts, each with the folders of those before."""

    def __init__(self, jobs: Jobs, kind: str, workers: int = 1, **changes: Any) -> None:
        # the same steps, whatever the kind: the second does not fit, and one comes after it
        changes = {"micro_batch_size": 4, "save_every": 1, "steps": 3, "epochs": None, **changes}
        if kind == "grpo":
            changes.pop("epochs")
        stage, given = configured(kind, jobs, **changes)
        self.jobs, self.name, self.made = jobs, stage.name, jobs.make(stage, **given)
        self.inputs = {"checkpoint": jobs.model.parent, **self.made.inputs}
        parts = {
            "schema": 1,
            "name": "short",
            "base": {"path": "toy"},
            "chat": self.made.chat.model_dump(),
            "data": {name: data.model_dump() for name, data in self.made.data.items()},
            "stages": [stage.model_dump(by_alias=True)],
            "cluster": {"trainers": workers},
        }
        self.recipe = Recipe.model_validate(parts)
        self.folders: list[Path] = []

    def context(self, machine: Any) -> StepContext:
        number = len(self.folders) + 1
        attempt, output = self.jobs.folder / f"try-{number}", self.jobs.folder / f"tried-{number}"
        attempt.mkdir()
        output.mkdir()
        previous, self.folders = tuple(self.folders), [attempt, *self.folders]
        step = Step(name=self.name, kind="sft", version=1, params={}, id="owner", stage=self.name)
        return StepContext(
            step=step, recipe=self.recipe, recipe_dir=self.jobs.folder, inputs=self.inputs, input_steps={},
            output=output, attempt=attempt, previous=previous, seed=5, machine=machine, smoke=False,
            progress=lambda *_: None, check_stop=lambda: None, stop_file=self.jobs.folder / "stop",
        )  # fmt: skip

    def run(self, machine: Any, kind: str, *given: Any) -> tuple[dict[str, Any], list[Restart]]:
        """The last attempt's facts, and what ended those before."""
        said: list[Restart] = []
        while True:
            ctx = self.context(machine)
            try:
                return train(ctx, short_of_memory, job_of(ctx), kind, *given), said
            except Restart as error:
                said.append(error)

    def as_configured(self, rows: int, name: str) -> Any:
        """A job of passes of `rows` rows from the first step's checkpoint on."""
        first = newest_good([self.folders[-1] / "checkpoints"], owner="owner")
        assert first is not None and first.step == STEP - 1
        stage = self.made.stage.model_copy(update={"micro_batch_size": rows})
        attempt, output = self.jobs.folder / name, self.jobs.folder / f"{name}-output"
        return dataclasses.replace(self.made, stage=stage, resume=first, attempt=attempt, output=output)


@pytest.mark.parametrize("kind", ["sft", "dpd", "reward_model", "grpo"])
def test_every_training_stage_goes_on_with_half_the_passes(jobs: Jobs, tiny: Callable[..., Path], kind: str) -> None:
    teacher = tiny(seed=1) if kind == "dpd" else None
    attempts = Attempts(jobs, kind)
    facts, said = attempts.run(Alone(), kind, teacher)
    assert len(said) == 1 and "with 2 in place of 4 rows a forward pass" in said[0].what
    assert facts["micro_batch_size"] == 2
    assert facts["remarks"] == ["out of memory with 4 rows a forward pass: went on with 2"]
    expected = attempts.as_configured(2, "expected")
    rows = (attempts.folders[0] / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(row)["step"] for row in rows] == [1, 2, 3]
    trained(expected, kind, teacher)
    assert files(jobs.folder / "tried-2" / "model") == files(expected.output / "model")


def test_passes_are_halved_until_they_fit_and_a_pass_of_one_row_is_an_error(jobs: Jobs) -> None:
    facts, said = Attempts(jobs, "reward_model", micro_batch_size=8).run(Alone(), "reward_model")
    assert len(said) == 2 and facts["remarks"] == ["out of memory with 8 and 4 rows a forward pass: went on with 2"]


def test_a_pass_has_the_most_rows_into_which_the_step_divides(tmp_path: Path) -> None:
    keys = {"kind": "sft", "name": "warm", "data": {"rows": 1.0}, "steps": 1, "batch_size": 18, "micro_batch_size": 16}
    stage = Sft.model_validate(keys)
    assert [rows_a_pass(stage, workers) for workers in (1, 2, 3, 18)] == [9, 9, 6, 1]
    error = after_out_of_memory(OutOfMemory("no memory"), stage, 2, tmp_path)
    assert isinstance(error, Restart) and "with 3 in place of 9 rows" in error.what
    assert facts_of(tmp_path)["micro_batch_size"] == 3  # what the next attempt takes, of the 4 that it may


def test_at_one_row_a_pass_the_stage_stops_and_names_what_to_change(jobs: Jobs) -> None:
    attempts = Attempts(jobs, "reward_model", micro_batch_size=2)
    with pytest.raises(StageError, match=r"trainer 0 of 1 ran out of memory .* with one row a forward pass") as caught:
        attempts.run(Alone(), "reward_model", None, 0)
    assert not isinstance(caught.value, Restart) and len(attempts.folders) == 2
    assert caught.value.where == "stages.judge.micro_batch_size"
    assert "lower stages.judge.max_tokens, or set stages.judge.gradient_checkpointing" in str(caught.value.remedy)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    stage = {"kind": "sft", "name": "warm", "data": {"rows": 1.0}, "steps": 1}
    parts: dict[str, Any] = {"schema": 1, "name": "two", "base": {"path": "toy"}, "stages": [stage]}
    recipe = Recipe.model_validate({**parts, "cluster": {"trainers": 2}})
    with Machine(recipe, tmp_path_factory.mktemp("two") / "logs") as machine:
        yield machine


@pytest.mark.long
@pytest.mark.ray
def test_one_of_two_workers_ends_the_attempt_for_both_and_both_go_on_smaller(two: Any, jobs: Jobs) -> None:
    attempts = Attempts(jobs, "sft", workers=2)
    facts, said = attempts.run(two, "sft")
    assert [error.what.split(" (")[0] for error in said] == ["trainer 1 of 2 ran out of memory"]
    assert facts["micro_batch_size"] == 2
    expected, undisturbed = attempts.as_configured(2, "expected"), attempts.as_configured(4, "undisturbed")
    two.run(trained, expected, "sft")
    two.run(trained, undisturbed, "sft")
    found = jobs.folder / "tried-2" / "model"
    assert files(found) == files(expected.output / "model")
    assert apart(undisturbed.output / "model", found, jobs.model) < OF_UPDATE


def test_what_counts_as_out_of_memory() -> None:
    wrapped = ValueError("no")
    wrapped.__cause__ = torch.OutOfMemoryError("CUDA out of memory.")
    host = RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory: tried 4 TB")
    assert all(is_out_of_memory(error) for error in (wrapped, host, MemoryError()))
    # an engine's, told to a trainer: smaller passes would not help it
    told = StageError("engine-policy failed: OutOfMemoryError: CUDA out of memory.")
    assert not any(is_out_of_memory(error) for error in (told, RuntimeError("boom"), OutOfMemory("of a worker")))

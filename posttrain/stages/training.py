"""What training stages share: find their record, start a job on the workers, move what it left into the output."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Concatenate, ParamSpec

from posttrain.errors import OutOfMemory, StageError
from posttrain.stages.data_at_hand import data_at_hand
from posttrain.stages.protocol import StepContext
from posttrain.stages.smaller import after_out_of_memory, facts_of, with_smaller
from posttrain.store.checkpoints import newest_good
from posttrain.store.failpoints import failpoint
from posttrain.store.reference import model_dir
from posttrain.train.job import Job

P = ParamSpec("P")


def stage_of(ctx: StepContext) -> Any:
    """The recipe's record of the stage that this step belongs to: a filter step and its GRPO step have the same."""
    return next(stage for stage in ctx.recipe.stages if stage.name == ctx.step.stage)


def job_of(ctx: StepContext, *, model: str = "checkpoint") -> Job:
    """The part of a step's context that travels to the workers. model: the input that it starts from."""
    return Job(
        stage=with_smaller(stage_of(ctx), ctx.previous, ctx.attempt),
        step_name=ctx.step.name,
        owner=ctx.step.id,
        model=model_dir(ctx.inputs[model]),
        chat=ctx.recipe.chat,
        data=data_at_hand(ctx),
        recipe_dir=ctx.recipe_dir,
        attempt=ctx.attempt,
        output=ctx.output,
        seed=ctx.seed,
        stop_file=ctx.stop_file,
        sharding=ctx.recipe.cluster.sharding,
        resume=newest_good([folder / "checkpoints" for folder in ctx.previous], owner=ctx.step.id),
        inputs=dict(ctx.inputs),
        report_to=tuple(ctx.recipe.report_to),
    )


def train(
    ctx: StepContext,
    function: Callable[Concatenate[Job, P], dict[str, Any]],
    job: Job,
    *args: P.args,
    **kwargs: P.kwargs,
) -> dict[str, Any]:
    """Run a training function on the workers, then publish its metrics, rollouts and the card's facts beside the model
    it wrote. Raises Restart where a worker ran out of memory and half the rows a pass may fit."""
    try:
        result = finished(ctx, ctx.machine.run(function, job, *args, **kwargs))
    except OutOfMemory as error:
        raise after_out_of_memory(error, job.stage, ctx.recipe.cluster.trainers, ctx.attempt) from error
    keep(ctx, "metrics.jsonl")
    if (ctx.attempt / "rollouts").is_dir():
        failpoint("stage.rollouts.before")
        _publish_rollouts(ctx.attempt / "rollouts", ctx.output / "rollouts")
        failpoint("stage.rollouts.after")
    return result | facts_of(ctx.attempt)


def finished(ctx: StepContext, result: dict[str, Any]) -> dict[str, Any]:
    """What the workers returned. Raises Stopped where they were asked to stop."""
    if result.get("stopped"):
        ctx.check_stop()
        raise StageError(
            "the trainers stopped before the last step, though no stop was asked for",
            where=ctx.step.name,
            remedy="run the same command again",
        )
    return result


def _publish_rollouts(source: Path, target: Path) -> None:
    """One file a step: of several workers each wrote its own, step-00001-<rank>.jsonl."""
    target.mkdir()
    for beside in (*source.glob("guard-*.jsonl"), *source.glob("canaries-*.jsonl")):
        shutil.copyfile(beside, target / beside.name)
    for file in sorted(source.glob("step-*.jsonl"), key=lambda file: [int(part) for part in file.stem.split("-")[1:]]):
        with file.open("rb") as rows, (target / f"step-{file.stem.split('-')[1]}.jsonl").open("ab") as whole:
            shutil.copyfileobj(rows, whole)


def keep(ctx: StepContext, name: str) -> None:
    """Copy a file that grew in the attempt's folder into the output."""
    failpoint("stage.keep.before")
    shutil.copyfile(ctx.attempt / name, ctx.output / name)
    failpoint("stage.keep.after")

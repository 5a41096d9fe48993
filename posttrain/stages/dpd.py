"""Dual-Level Preference Distillation: sample and verify pairs; where the recipe asks for it write down the teacher's
distributions over them; then train."""

from __future__ import annotations

from typing import Any

from posttrain.errors import StageError
from posttrain.recipe.distillation import samples_fresh
from posttrain.recipe.resolve import takes_kl, teachers_chat
from posttrain.recipe.schema import Dpd
from posttrain.sampling.job import FollowingEngine, SamplingJob, TeacherAnswers
from posttrain.stages.protocol import StepContext
from posttrain.stages.sampling import batches_of, prompts_of, scorer_for, served_model
from posttrain.stages.training import finished, job_of, stage_of, train
from posttrain.store.reference import model_dir
from posttrain.train import entry
from posttrain.types import SamplingParams


class Pairs:
    """y+ from the teacher (must pass), y- from the student this stage starts from (must fail)."""

    VERSION = 6

    def run(self, ctx: StepContext) -> dict[str, Any]:
        from posttrain.sampling.pairs import make_pairs

        stage: Dpd = stage_of(ctx)
        student, its = served_model(ctx, "checkpoint", "policy"), served_model(ctx, "teacher", "teacher")
        scorer = scorer_for(ctx)  # the last: where roles take turns its judge must know all the others
        job = SamplingJob(
            model=student,
            chat=ctx.recipe.chat,
            prompts=prompts_of(ctx, stage.prompts, stage.verifier),
            scorer=scorer,
            sampling=SamplingParams(temperature=stage.temperature, max_tokens=stage.max_tokens),
            samples=stage.student_samples,
            output=ctx.output,
            batches=batches_of(ctx),
            smoke=ctx.smoke,
        )
        teacher = TeacherAnswers(
            model=its,
            samples=stage.teacher_samples,
            chat=None if takes_kl(stage) else teachers_chat(ctx.recipe, stage.name),
        )
        result = ctx.machine.run_aside(make_pairs, job, teacher, stage.pairs_per_prompt)
        ctx.machine.release("teacher")
        return result


class TeacherLogprobs:
    """The teacher's token distributions on both answers of every pair, to disk."""

    VERSION = 1

    def run(self, ctx: StepContext) -> dict[str, Any]:
        result = ctx.machine.run(
            entry.teacher_logprobs, job_of(ctx), teacher=model_dir(ctx.inputs["teacher"]), earlier=ctx.previous
        )
        return finished(ctx, result)


class DpdStage:
    """Without the input "teacher" its distributions are on disk, or it gives text alone."""

    VERSION = 4

    def run(self, ctx: StepContext) -> dict[str, Any]:
        _refuse_other_negatives(ctx)
        teacher = model_dir(ctx.inputs["teacher"]) if "teacher" in ctx.inputs else None
        following = _following(ctx) if samples_fresh(stage_of(ctx)) else None
        return train(ctx, entry.dpd, job_of(ctx), teacher=teacher, following=following)


def _following(ctx: StepContext) -> FollowingEngine:
    """The policy's engine, which begins with the weights that the stage starts from."""
    return FollowingEngine(
        engine=served_model(ctx, "checkpoint", "policy").engine,
        tolerance=ctx.recipe.engine.parity_tolerance,
        takes_turns=ctx.recipe.cluster.share == "time",
    )


def _refuse_other_negatives(ctx: StepContext) -> None:
    """Bad answers of an older student are off-policy: they are of the checkpoint that the stage starts from, or of the
    one that the recipe names."""
    from posttrain.data.source import read_pairs

    writer = ctx.inputs.get("negatives", ctx.inputs["checkpoint"]).name
    path = ctx.inputs["pairs"] / "pairs.jsonl"
    for number, pair in enumerate(read_pairs(path, ctx.step.name), start=1):
        said = pair.provenance.get("rejected", "nobody")
        if said != f"student:{writer}":
            raise StageError(
                f"the bad answer of pair {number} (prompt {pair.id} of data '{pair.source}') is of {said}, not of the "
                f"checkpoint {writer} that '{ctx.step.stage}' {_why(ctx)}",
                where=f"{path}:{number}",
                remedy=f"make the pairs anew, or name the stage that wrote them in stages.{ctx.step.stage}."
                "negatives_from",
            )


def _why(ctx: StepContext) -> str:
    return "names in negatives_from" if "negatives" in ctx.inputs else "starts from"

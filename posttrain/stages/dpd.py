"""Dual-Level Preference Distillation in two steps: sample and verify pairs, then train on them."""

from __future__ import annotations

from typing import Any

from posttrain.recipe.schema import Dpd
from posttrain.sampling.job import SamplingJob
from posttrain.stages.protocol import StepContext
from posttrain.stages.sampling import batches_of, prompts_of, scorer_for, served_model
from posttrain.stages.training import job_of, stage_of, train
from posttrain.store.reference import model_dir
from posttrain.train import entry
from posttrain.types import SamplingParams


class Pairs:
    """y+ from the teacher (must pass), y- from the student this stage starts from (must fail)."""

    VERSION = 6

    def run(self, ctx: StepContext) -> dict[str, Any]:
        from posttrain.sampling.pairs import make_pairs

        stage: Dpd = stage_of(ctx)
        job = SamplingJob(
            model=served_model(ctx, "checkpoint", "policy"),
            chat=ctx.recipe.chat,
            prompts=prompts_of(ctx, stage.prompts, stage.verifier),
            scorer=scorer_for(ctx),
            sampling=SamplingParams(temperature=stage.temperature, max_tokens=stage.max_tokens),
            samples=stage.student_samples,
            output=ctx.output,
            batches=batches_of(ctx),
            smoke=ctx.smoke,
        )
        result = ctx.machine.run(make_pairs, job, served_model(ctx, "teacher", "teacher"), stage.teacher_samples)
        ctx.machine.release("teacher")
        return result


class DpdStage:
    VERSION = 2

    def run(self, ctx: StepContext) -> dict[str, Any]:
        return train(ctx, entry.dpd, job_of(ctx), teacher=model_dir(ctx.inputs["teacher"]))

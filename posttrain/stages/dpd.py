"""Dual-Level Preference Distillation in two steps: sample and verify pairs, then train on them."""

from __future__ import annotations

from typing import Any

from posttrain.recipe.schema import Dpd
from posttrain.records.codec import as_json
from posttrain.records.metrics import PairsSummary
from posttrain.stages.protocol import StepContext
from posttrain.stages.sampling import portions_of, scorer_for
from posttrain.stages.training import mixture, record, train
from posttrain.store.reference import model_dir


class Pairs:
    """y+ from the teacher (must pass), y- from the student this stage starts from (must fail)."""

    VERSION = 4

    def run(self, ctx: StepContext) -> dict[str, Any]:
        stage: Dpd = record(ctx)
        teacher, student = model_dir(ctx.inputs["teacher"]), model_dir(ctx.inputs["checkpoint"])
        summary: PairsSummary = ctx.machine.train(
            "posttrain.sampling.jobs:make_pairs",
            stage=stage,
            weights=mixture(stage.prompts),
            data=dict(ctx.recipe.data),
            chat=ctx.recipe.chat,
            recipe_dir=ctx.recipe_dir,
            teacher=teacher,
            student=student,
            teacher_engine=ctx.machine.engine("teacher", teacher, ctx.inputs["teacher"].name),
            student_engine=ctx.machine.engine("policy", student, ctx.inputs["checkpoint"].name),
            teacher_id=ctx.inputs["teacher"].name,
            student_id=ctx.inputs["checkpoint"].name,
            scorer=scorer_for(ctx),
            seed=ctx.seed,
            output=ctx.output,
            portions=portions_of(ctx),
            context_tokens=ctx.recipe.engine.context_tokens,
            smoke=ctx.smoke,
        )
        ctx.machine.release("teacher")
        metrics: dict[str, Any] = as_json(summary)
        return metrics


class DpdStage:
    VERSION = 1

    def run(self, ctx: StepContext) -> dict[str, Any]:
        return train(ctx, "posttrain.train.dpd:train", extra_inputs={"teacher_model": model_dir(ctx.inputs["teacher"])})

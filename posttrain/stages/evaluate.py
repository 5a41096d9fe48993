"""Score one checkpoint on one suite. A step of its own: a new suite scores old checkpoints without training."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from posttrain.recipe.resolve import teachers_chat
from posttrain.records.step import ModelRole
from posttrain.sampling.job import SamplingJob
from posttrain.stages.protocol import StepContext
from posttrain.stages.sampling import batches_of, prompts_of, scorer_for, served_model
from posttrain.types import SamplingParams


class Evaluation:
    VERSION = 6

    def run(self, ctx: StepContext) -> dict[str, Any]:
        from posttrain.sampling.evaluate import ScoredSuite, evaluate

        rules, step = ctx.recipe.evaluate, ctx.step
        suite = rules.suites[str(step.suite)]
        job = SamplingJob(
            model=served_model(ctx, "checkpoint", "teacher" if step.role is ModelRole.TEACHER else "policy"),
            chat=teachers_chat(ctx.recipe, step.stage) if step.role is ModelRole.TEACHER else ctx.recipe.chat,
            # The same problems and seeds for every checkpoint: differences are paired.
            prompts=replace(prompts_of(ctx, suite.data, suite.verifier), seed=ctx.recipe.seed),
            scorer=scorer_for(ctx),
            sampling=SamplingParams(
                temperature=rules.temperature, top_p=rules.top_p, max_tokens=suite.max_tokens or rules.max_tokens
            ),
            samples=rules.k,
            output=ctx.output,
            batches=batches_of(ctx),
        )
        scored = ScoredSuite(
            name=str(step.suite),
            few_shot=rules.few_shot if step.few_shot else 0,
            examples=ctx.recipe.data[suite.examples] if step.few_shot and suite.examples else None,
        )
        return ctx.machine.run_aside(evaluate, job, scored)

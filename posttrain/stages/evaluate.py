"""Score one checkpoint on one suite. A step of its own: a new suite scores old checkpoints without training."""

from __future__ import annotations

from typing import Any

from posttrain.errors import StageError
from posttrain.records.codec import as_json
from posttrain.records.scores import Scores
from posttrain.records.step import ModelRole
from posttrain.stages.protocol import StepContext
from posttrain.stages.sampling import portions_of, scorer_for
from posttrain.store.reference import model_dir
from posttrain.types import SamplingParams


class Evaluation:
    VERSION = 5

    def run(self, ctx: StepContext) -> dict[str, Any]:
        rules, few_shot = ctx.recipe.evaluate, ctx.step.few_shot
        suite = rules.suites[str(ctx.step.suite)]
        folder = model_dir(ctx.inputs["checkpoint"])
        role = "teacher" if ctx.step.role is ModelRole.TEACHER else "policy"
        scores: Scores = ctx.machine.train(
            "posttrain.sampling.jobs:evaluate",
            model=folder,
            chat=ctx.recipe.chat,
            recipe_dir=ctx.recipe_dir,
            data=ctx.recipe.data[suite.data],
            name=suite.data,
            suite=str(ctx.step.suite),
            verifier=suite.verifier,
            engine=ctx.machine.engine(role, folder, ctx.inputs["checkpoint"].name),
            scorer=scorer_for(ctx),
            k=rules.k,
            sampling=SamplingParams(
                temperature=rules.temperature, top_p=rules.top_p, max_tokens=suite.max_tokens or rules.max_tokens
            ),
            seed=ctx.recipe.seed,  # the same problems and seeds for every checkpoint: differences are paired
            output=ctx.output,
            portions=portions_of(ctx),
            context_tokens=ctx.recipe.engine.context_tokens,
            examples=ctx.recipe.data[suite.examples] if few_shot and suite.examples else None,
            few_shot=rules.few_shot if few_shot else 0,
        )
        if scores.n == 0:
            raise StageError(
                "no problem has a verdict",
                where=ctx.step.name,
                remedy="mend the verifier or its sandbox and run the same command again",
            )
        metrics: dict[str, Any] = as_json(scores)
        return metrics

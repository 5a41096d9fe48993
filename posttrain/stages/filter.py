"""avg@k difficulty filter of one RL stage, by the checkpoint it starts from."""

from __future__ import annotations

from typing import Any

from posttrain.recipe.schema import Grpo
from posttrain.records.codec import as_json
from posttrain.records.metrics import FilterSummary
from posttrain.stages.protocol import StepContext
from posttrain.stages.sampling import portions_of, scorer_for
from posttrain.stages.training import mixture, record
from posttrain.store.reference import model_dir
from posttrain.types import SamplingParams


class FilterStage:
    VERSION = 4

    def run(self, ctx: StepContext) -> dict[str, Any]:
        stage: Grpo = record(ctx)
        model = model_dir(ctx.inputs["checkpoint"])
        summary: FilterSummary = ctx.machine.train(
            "posttrain.sampling.jobs:filter_prompts",
            model=model,
            chat=ctx.recipe.chat,
            recipe_dir=ctx.recipe_dir,
            data=dict(ctx.recipe.data),
            weights=mixture(stage.prompts),
            verifier=stage.verifier,
            engine=ctx.machine.engine("policy", model, ctx.inputs["checkpoint"].name),
            scorer=scorer_for(ctx),
            band=stage.filter,
            sampling=SamplingParams(temperature=stage.temperature, top_p=stage.top_p, max_tokens=stage.max_tokens),
            seed=ctx.seed,
            output=ctx.output,
            portions=portions_of(ctx),
            context_tokens=ctx.recipe.engine.context_tokens,
            smoke=ctx.smoke,
        )
        metrics: dict[str, Any] = as_json(summary)
        return metrics

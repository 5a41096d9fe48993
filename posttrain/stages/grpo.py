"""One domain of RL: GRPO on the prompts that its filter kept (or on all of them)."""

from __future__ import annotations

from typing import Any

from posttrain.recipe.schema import Grpo
from posttrain.sampling.filtered import read_kept
from posttrain.stages.protocol import StepContext
from posttrain.stages.sampling import scorer_for
from posttrain.stages.training import mixture, record, train
from posttrain.store.reference import model_dir


class GrpoStage:
    VERSION = 3

    def run(self, ctx: StepContext) -> dict[str, Any]:
        stage: Grpo = record(ctx)
        prompts = read_kept(ctx.inputs["filter"]) if "filter" in ctx.inputs else None
        model = model_dir(ctx.inputs["checkpoint"])
        return train(
            ctx,
            "posttrain.train.policy:train",
            prompts=prompts,
            weights=mixture(stage.prompts),
            engine=ctx.machine.engine("policy", model, ctx.inputs["checkpoint"].name),
            scorer=scorer_for(ctx),
            tolerance=ctx.recipe.engine.parity_tolerance,
            context_tokens=ctx.recipe.engine.context_tokens,
        )

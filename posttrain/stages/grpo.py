"""One domain of RL: GRPO on the prompts that its filter kept (or on all of them)."""

from __future__ import annotations

from typing import Any

from posttrain.recipe.schema import Grpo
from posttrain.sampling.job import RolloutSource
from posttrain.stages.protocol import StepContext
from posttrain.stages.sampling import prompts_of, scorer_for, served_model
from posttrain.stages.training import job_of, stage_of, train
from posttrain.train import entry


class GrpoStage:
    VERSION = 6

    def run(self, ctx: StepContext) -> dict[str, Any]:
        from posttrain.sampling.filter import read_kept

        stage: Grpo = stage_of(ctx)
        rollouts = RolloutSource(
            engine=served_model(ctx, "checkpoint", "policy").engine,
            scorer=scorer_for(ctx),
            prompts=prompts_of(ctx, stage.prompts, stage.verifier),
            kept=tuple(read_kept(ctx.inputs["filter"])) if "filter" in ctx.inputs else None,
            tolerance=ctx.recipe.engine.parity_tolerance,
        )
        return train(ctx, entry.policy, job_of(ctx), rollouts)

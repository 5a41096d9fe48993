"""The rows of an sft stage as tokens: templated, masked, drawn and packed once, for trainers to map into memory."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from posttrain.errors import StageError
from posttrain.records.step import derive_seed
from posttrain.stages.protocol import StepContext
from posttrain.stages.training import job_of
from posttrain.train import entry


class TokensStage:
    VERSION = 2

    def run(self, ctx: StepContext) -> dict[str, Any]:
        job = replace(job_of(ctx, model="tokenizer"), seed=derive_seed(ctx.recipe.seed, str(ctx.step.stage)))
        result = ctx.machine.run_aside(entry.tokens, job, ctx.previous)
        if result.get("stopped"):
            ctx.check_stop()
            raise StageError(
                "it stopped before the last row, though no stop was asked for",
                where=ctx.step.name,
                remedy="run the same command again",
            )
        return result

"""One domain of RL: GRPO on the prompts that its filter kept (or on all of them)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from posttrain.recipe.schema import Grpo
from posttrain.records.step import derive_seed
from posttrain.sampling.job import FilterAnswers, GuardSuite, RolloutSource
from posttrain.stages.protocol import StepContext
from posttrain.stages.sampling import prompts_of, scorer_for, served_model
from posttrain.stages.training import job_of, stage_of, train
from posttrain.train import entry
from posttrain.types import SamplingParams


class GrpoStage:
    VERSION = 8

    def run(self, ctx: StepContext) -> dict[str, Any]:
        from posttrain.sampling.filter import read_kept

        stage: Grpo = stage_of(ctx)
        rollouts = RolloutSource(
            engine=served_model(ctx, "checkpoint", "policy").engine,
            scorer=scorer_for(ctx),
            prompts=prompts_of(ctx, stage.prompts, stage.verifier),
            kept=tuple(read_kept(ctx.inputs["filter"])) if "filter" in ctx.inputs else None,
            tolerance=ctx.recipe.engine.parity_tolerance,
            filtered=_filtered(ctx, stage),
            guard=_guard(ctx, stage),
            canaries=prompts_of(ctx, own.data, own.verifier) if (own := stage.alarms.canaries) else None,
            takes_turns=ctx.recipe.cluster.share == "time",
        )
        return train(ctx, entry.policy, job_of(ctx), rollouts)


def _guard(ctx: StepContext, stage: Grpo) -> GuardSuite | None:
    """The suite as the evaluation asks it, with the recipe's own seed: its scores of all steps are paired."""
    if stage.early_stop.guard is None:
        return None
    rules, suite = ctx.recipe.evaluate, ctx.recipe.evaluate.suites[stage.early_stop.guard.suite]
    return GuardSuite(
        prompts=replace(prompts_of(ctx, suite.data, suite.verifier), seed=ctx.recipe.seed),
        sampling=SamplingParams(
            temperature=rules.temperature, top_p=rules.top_p, max_tokens=suite.max_tokens or rules.max_tokens
        ),
        samples=stage.early_stop.guard.samples,
    )


def _filtered(ctx: StepContext, stage: Grpo) -> FilterAnswers | None:
    """Filter and stage have the same temperature, top_p and max_tokens: they are keys of the stage."""
    from posttrain.sampling.filter import KEPT_ROLLOUTS

    if stage.filter is None or not stage.filter.reuse:
        return None
    return FilterAnswers(
        path=ctx.inputs["filter"] / KEPT_ROLLOUTS,
        version=ctx.inputs["checkpoint"].name,
        seed=derive_seed(ctx.recipe.seed, ctx.input_steps["filter"].name),
    )

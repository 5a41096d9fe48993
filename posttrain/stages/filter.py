"""avg@k difficulty filter of one RL stage, by the checkpoint it starts from."""

from __future__ import annotations

from typing import Any

from posttrain.recipe.resolve import verifiers_of
from posttrain.recipe.schema import Filter, Grpo
from posttrain.sampling.job import SamplingJob
from posttrain.stages.protocol import StepContext
from posttrain.stages.sampling import batches_of, prompts_of, scorer_for, served_model
from posttrain.stages.training import stage_of
from posttrain.types import SamplingParams
from rewards.load import may_compare_answers


class FilterStage:
    VERSION = 7

    def run(self, ctx: StepContext) -> dict[str, Any]:
        from posttrain.sampling.filter import filter_prompts

        stage: Grpo = stage_of(ctx)
        assert isinstance(stage.filter, Filter), "the plan makes a filter step only where the recipe asks for one"
        job = SamplingJob(
            model=served_model(ctx, "checkpoint", "policy"),
            chat=ctx.recipe.chat,
            prompts=prompts_of(ctx, stage.prompts, stage.verifier),
            scorer=scorer_for(ctx),
            sampling=SamplingParams(temperature=stage.temperature, top_p=stage.top_p, max_tokens=stage.max_tokens),
            samples=stage.filter.k,
            output=ctx.output,
            batches=batches_of(ctx),
            smoke=ctx.smoke,
        )
        return ctx.machine.run_aside(filter_prompts, job, _band(ctx, stage, stage.filter))


def _band(ctx: StepContext, stage: Grpo, band: Filter) -> Filter:
    """Answers that are judged against each other are asked all at once: a part of them would be judged otherwise."""
    verifiers = (ctx.recipe.verifiers[name] for name in verifiers_of(stage).values())
    compared = any(may_compare_answers(verifier.model_dump()) for verifier in verifiers)
    return band.model_copy(update={"wave": 0}) if compared else band

"""What sampling stages share: the models that answer, the scorer with the models that its verifiers need, and the
prompts to ask."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from posttrain.recipe.engines import engines_of
from posttrain.sampling.job import SAMPLES_PER_ENGINE, AnswerBatches, PromptMixture, ServedModel
from posttrain.stages.data_at_hand import data_at_hand
from posttrain.stages.protocol import StepContext
from posttrain.store.reference import model_dir


def batches_of(ctx: StepContext) -> AnswerBatches:
    """Where this step keeps sampled batches, and where earlier attempts kept theirs."""
    return AnswerBatches(
        folder=ctx.attempt / "batches",
        earlier=tuple(folder / "batches" for folder in ctx.previous),
        stop_file=ctx.stop_file,
        samples=SAMPLES_PER_ENGINE * engines_of(ctx.recipe, "policy").engines,
    )


def served_model(ctx: StepContext, input_role: str, engine_role: str) -> ServedModel:
    """The model of an input in the engine of a role."""
    published = ctx.inputs[input_role]
    folder = model_dir(published)
    engine = ctx.machine.engine(engine_role, folder, published.name)
    return ServedModel(engine=engine, folder=folder, id=published.name)


def prompts_of(
    ctx: StepContext, prompts: str | Mapping[str, float], verifier: str | Mapping[str, str]
) -> PromptMixture:
    """The prompts that a stage names, with what it takes to read, judge and ask them."""
    return PromptMixture(
        weights={prompts: 1.0} if isinstance(prompts, str) else dict(prompts),
        data=data_at_hand(ctx),
        recipe_dir=ctx.recipe_dir,
        verifier=verifier,
        seed=ctx.seed,
        context_tokens=ctx.recipe.engine.context_tokens,
    )


def scorer_for(ctx: StepContext) -> Any:
    """The pipeline's scorer. A step whose verifier asks a stage's model has that stage as its input "judge"."""
    models: dict[str, Any] = {}
    if "judge" in ctx.inputs:
        judge = served_model(ctx, "judge", "judge")
        models = {ctx.step.inputs["judge"]: (judge.engine, judge.folder)}
    return ctx.machine.scorer(models)

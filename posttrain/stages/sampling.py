"""What sampling stages share: the scorer with the models that its verifiers need, and where sampled portions are
kept."""

from __future__ import annotations

from typing import Any

from posttrain.sampling.resumable import SAMPLES_PER_ENGINE, Portions
from posttrain.stages.protocol import StepContext
from posttrain.store.reference import model_dir


def portions_of(ctx: StepContext) -> Portions:
    """Where this step keeps sampled portions, and where earlier attempts kept theirs."""
    return Portions(
        folder=ctx.attempt / "portions",
        earlier=tuple(folder / "portions" for folder in ctx.previous),
        stop_file=ctx.stop_file,
        samples=SAMPLES_PER_ENGINE * ctx.recipe.cluster.engines,
    )


def scorer_for(ctx: StepContext) -> Any:
    """The pipeline's scorer. A step whose verifier asks a stage's model has that stage as its input "judge"."""
    models: dict[str, Any] = {}
    if "judge" in ctx.inputs:
        folder = model_dir(ctx.inputs["judge"])
        engine = ctx.machine.engine("judge", folder, ctx.inputs["judge"].name)
        models = {ctx.step.inputs["judge"]: (engine, folder)}
    return ctx.machine.scorer(models)

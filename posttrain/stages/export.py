"""Hand over: the final checkpoint with its card, as a folder that transformers and vLLM load."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from posttrain.data.overlap import held_out_overlap
from posttrain.errors import DataError
from posttrain.recipe.cards import data_facts, read_card
from posttrain.recipe.paths import full_path
from posttrain.recipe.schema import AskingStage, Dpd, ModelRef, Recipe
from posttrain.records.results import Evaluation, evaluation_of
from posttrain.records.step import ModelRole
from posttrain.stages.gate import kept_of
from posttrain.stages.protocol import StepContext
from posttrain.store.failpoints import failpoint
from posttrain.store.reference import model_dir

if TYPE_CHECKING:
    from posttrain.report.card import CardFacts

# Of a stage of the user's own, or of a base that is handed over as it is: loading them can run code.
PICKLED = frozenset({".bin", ".ckpt", ".pickle", ".pkl", ".pt", ".pth"})


class Export:
    VERSION = 6

    def run(self, ctx: StepContext) -> dict[str, Any]:
        from posttrain.report.card import write_card  # brings the hub library, which planning does not need

        source = model_dir(ctx.inputs["checkpoint"])
        target = ctx.output / "model"
        target.mkdir()
        failpoint("export.copy.before")
        for file in sorted(source.iterdir()):
            if file.is_file() and file.name != "README.md" and file.suffix not in PICKLED:
                shutil.copyfile(file, target / file.name)
        failpoint("export.copy.after")
        scored = [role for role, step in ctx.input_steps.items() if step.kind == "evaluate"]
        scored.sort(key=lambda role: _place(ctx, role))
        evaluations = [evaluation_of(ctx.input_steps[role], ctx.inputs[role]) for role in scored]
        overlap = held_out_overlap(ctx.recipe, ctx.recipe_dir)
        write_card(target, card_facts(ctx, evaluations, overlap))
        return {
            "held_out_overlap": overlap,
            "files": len(list(target.iterdir())),
            "bytes": sum(file.stat().st_size for file in target.iterdir()),
        }


def card_facts(ctx: StepContext, evaluations: Sequence[Evaluation], overlap: Mapping[str, int]) -> CardFacts:
    """What the card tells, from the recipe, the cards of its models and data, and the scores."""
    from posttrain.report.card import CardFacts, ModelFacts

    recipe = ctx.recipe
    teachers = {
        (stage.teacher.path, stage.teacher.revision or ""): stage.teacher
        for stage in recipe.stages
        if isinstance(stage, Dpd)
    }
    base, *taught = (
        ModelFacts(path=model.path, revision=model.revision, license=model_license(model, ctx.recipe_dir))
        for model in (recipe.base, *(teachers[key] for key in sorted(teachers)))
    )
    return CardFacts(
        name=recipe.name,
        seed=recipe.seed,
        base=base,
        teachers=tuple(taught),
        stages=tuple((stage.name, stage.kind) for stage in recipe.stages),
        data=tuple(
            data_facts(name, spec, ctx.recipe_dir)
            for name, spec in sorted(recipe.data.items())
            if spec.source != "stage"
        ),
        exported=kept_of(ctx.inputs["checkpoint"], ctx.step.inputs["checkpoint"]),
        checkpoint=ctx.inputs["checkpoint"].name,
        evaluations=tuple(evaluations),
        temperature=recipe.evaluate.temperature,
        top_p=recipe.evaluate.top_p,
        think=(recipe.chat.think[0], recipe.chat.think[1]),
        stop=tuple(recipe.chat.stop),
        held_out_overlap=overlap,
        asked=_asked(recipe, ctx.recipe_dir),
    )


def _asked(recipe: Recipe, recipe_dir: Path) -> tuple[tuple[str, str | None], ...]:
    """Models from elsewhere that data stages asked, with the terms that the recipe states, else the licence of a
    folder's own card."""
    found: dict[str, str | None] = {}
    for stage in recipe.stages:
        for model in stage.models.values() if isinstance(stage, AskingStage) else ():
            if model.stage is not None:
                continue
            if model.path is None:
                found[f"{model.model} ({model.version or 'a server'})"] = model.terms
            elif model.path != "toy":
                reference = ModelRef(path=model.path, revision=model.revision, toy=None, shape=None)
                found[Path(model.path).name] = model.terms or model_license(reference, recipe_dir)
    return tuple(sorted(found.items()))


def model_license(model: ModelRef, recipe_dir: Path) -> str | None:
    """The licence that a model's own card states in its front matter: beside a local folder's weights, or fetched with
    a hub snapshot."""
    from huggingface_hub import try_to_load_from_cache

    card: Any = full_path(model.path, recipe_dir) / "README.md"
    if model.revision is not None:
        card = try_to_load_from_cache(model.path, "README.md", revision=model.revision)
    try:
        return str(read_card(Path(card))["license"]) if isinstance(card, str | Path) else None
    except DataError:  # no card, or one that states no licence
        return None


def _place(ctx: StepContext, input_role: str) -> tuple[bool, int, str]:
    """Where an evaluation stands in the card: base, then stages in run order, then rows of reference (teachers,
    few-shot); suites by name."""
    evaluation = ctx.input_steps[input_role]
    names = [None, *(stage.name for stage in ctx.recipe.stages)]
    reference = evaluation.few_shot or (evaluation.role is not ModelRole.POLICY and evaluation.stage is not None)
    return (reference, names.index(evaluation.stage), str(evaluation.suite))

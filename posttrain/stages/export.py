"""Hand over: the final checkpoint with its card, as a folder that transformers and vLLM load."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from posttrain.data.overlap import held_out_overlap
from posttrain.errors import DataError
from posttrain.recipe.cards import card_facts, read_card
from posttrain.recipe.paths import full_path
from posttrain.recipe.schema import Dpd, ModelRef
from posttrain.records.step import ModelRole
from posttrain.stages.protocol import StepContext
from posttrain.store.failpoints import failpoint
from posttrain.store.reference import model_dir

# Of a stage of the user's own, or of a base that is handed over as it is: loading them can run code.
PICKLED = frozenset({".bin", ".ckpt", ".pickle", ".pkl", ".pt", ".pth"})


class Export:
    VERSION = 3

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
        evaluations = [_scores(ctx.inputs[role]) for role in sorted(scored, key=lambda role: _place(ctx, role))]
        overlap = held_out_overlap(ctx.recipe, ctx.recipe_dir)
        write_card(target, self._facts(ctx, evaluations) | {"held_out_overlap": overlap})
        return {
            "held_out_overlap": overlap,
            "files": len(list(target.iterdir())),
            "bytes": sum(file.stat().st_size for file in target.iterdir()),
        }

    def _facts(self, ctx: StepContext, evaluations: list[dict[str, Any]]) -> dict[str, Any]:
        recipe = ctx.recipe
        teachers = {stage.teacher.path: stage.teacher for stage in recipe.stages if isinstance(stage, Dpd)}
        return {
            "name": recipe.name,
            "base": recipe.base.path,
            "base_revision": recipe.base.revision,
            "base_license": model_license(recipe.base, ctx.recipe_dir),
            "teachers": sorted(teachers),
            "teacher_licenses": {
                path: model_license(teacher, ctx.recipe_dir) for path, teacher in sorted(teachers.items())
            },
            "seed": recipe.seed,
            "checkpoint": ctx.inputs["checkpoint"].name,
            "exported": ctx.step.inputs["checkpoint"],
            "stages": [{"name": stage.name, "kind": stage.kind} for stage in recipe.stages],
            "evaluations": evaluations,
            "sampling": {
                "k": recipe.evaluate.k,
                "temperature": recipe.evaluate.temperature,
                "top_p": recipe.evaluate.top_p,
            },
            "data": [
                card_facts(name, spec, ctx.recipe_dir)
                for name, spec in sorted(recipe.data.items())
                if spec.source != "stage"
            ],
            "chat": {"think": list(recipe.chat.think), "stop": list(recipe.chat.stop)},
        }


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


def _scores(folder: Path) -> dict[str, Any]:
    scores: dict[str, Any] = json.loads((folder / "scores.json").read_text(encoding="utf-8"))
    return scores

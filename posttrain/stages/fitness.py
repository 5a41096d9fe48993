"""Do base, teachers and recipe fit together? Looked at once all models are here, before the first stage spends time."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from posttrain.errors import StageError
from posttrain.recipe.resolve import longest_rows, own_data
from posttrain.recipe.schema import Sft, Training
from posttrain.recipe.sizes import check_positions, num_parameters, training_disk_bytes
from posttrain.reference import model_dir
from posttrain.stages.protocol import StepContext


class Fitness:
    """Inputs: "student", and "<stage>.teacher" of each dpd stage."""

    VERSION = 1

    def run(self, ctx: StepContext) -> dict[str, Any]:
        models = {role: model_dir(folder) for role, folder in ctx.inputs.items()}
        configs = {role: json.loads((folder / "config.json").read_text(encoding="utf-8")) for role, folder in models.items()}
        for role, config in configs.items():
            answers = {"engine.context_tokens": ctx.recipe.engine.context_tokens}
            check_positions(config, longest_rows(ctx.recipe) if role == "student" else answers, ctx.step.inputs[role])
        student = models.pop("student")
        ctx.machine.train("posttrain.train.fitness:check_tokenizers", student=student, teachers=models)
        for stage in ctx.recipe.stages:
            if isinstance(stage, Sft):
                common = {"model": student, "chat": ctx.recipe.chat, "recipe_dir": ctx.recipe_dir}
                ctx.machine.train("posttrain.train.fitness:check_rows", **common, data=own_data(ctx.recipe, stage), stage=stage)
        return {"models": len(configs), "disk_bytes": self._room(ctx, num_parameters(configs["student"]))}

    def _room(self, ctx: StepContext, parameters: int | None) -> int | None:
        """What the largest stage will write. Raises StageError where the disk has not that much."""
        stages = [stage for stage in ctx.recipe.stages if isinstance(stage, Training)]
        if parameters is None or not stages:
            return None
        needed = max(training_disk_bytes(stage, parameters) for stage in stages)
        free = shutil.disk_usage(ctx.output).free
        if needed > free:
            raise StageError(
                f"a stage will write {needed / 1e9:.2f} GB (its model and two resume checkpoints), {free / 1e9:.2f} GB are free",
                where=str(Path(ctx.output).parents[2]),
                remedy="free space (posttrain store gc), or give another --store",
            )
        return needed

"""Do base, teachers, data and recipe fit together? Looked at once all models are here, before the first stage spends
time; the base is trained a tiny step, saved and read back."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from posttrain.errors import StageError
from posttrain.recipe.positions import longest_rows
from posttrain.recipe.resolve import asked_data, on_vllm_cpu, own_data, samples_answers, takes_kl, teachers_chat
from posttrain.recipe.schema import AnyStage, Dpd, Lora, Sft, Training
from posttrain.recipe.sizes import check_heads, check_positions, num_parameters, training_disk_bytes
from posttrain.records.step import ModelRole
from posttrain.stages.protocol import StepContext
from posttrain.store.reference import model_dir


class Fitness:
    """Inputs: the base, or the checkpoints of --from; and every teacher. params["stages"]: the stages that this plan
    holds."""

    VERSION = 3

    def run(self, ctx: StepContext) -> dict[str, Any]:
        from posttrain.data.survey import read_first
        from posttrain.train.base_trial import refuse_unsampled, try_base
        from posttrain.train.compatibility import check_base, check_prompts, check_rows, check_tokenizers

        stages = [stage for stage in ctx.recipe.stages if stage.name in ctx.step.params["stages"]]
        chat, recipe_dir = ctx.recipe.chat, ctx.recipe_dir
        models = {role: model_dir(folder) for role, folder in ctx.inputs.items()}
        teachers = {role: folder for role, folder in models.items() if ctx.input_steps[role].role is ModelRole.TEACHER}
        student = next(role for role in models if role not in teachers)
        remarks: list[str] = []
        for role, folder in models.items():
            its = teachers_chat(ctx.recipe, ctx.input_steps[role].stage) if role in teachers else chat
            ctx.machine.run(check_base, model=folder, chat=its, recipe_dir=recipe_dir)
            said = ctx.machine.run(
                try_base,
                folder,
                ctx.output / "trial",
                chat=its,
                recipe_dir=recipe_dir,
                adapters=[] if role in teachers else _adapters(stages),
                seed=ctx.seed,
            )
            remarks += [f"{role}: {remark}" for remark in said]
            if samples_answers(ctx.recipe, stages):
                ctx.machine.run(refuse_unsampled, folder, ctx.recipe.engine.backend)
        configs = {
            role: json.loads((folder / "config.json").read_text(encoding="utf-8")) for role, folder in models.items()
        }
        for role, config in configs.items():
            check_positions(config, longest_rows(ctx.recipe, [] if role in teachers else stages), role)
            if on_vllm_cpu(ctx.recipe, stages):
                check_heads(config, role)
        by_text = {stage.name for stage in stages if isinstance(stage, Dpd) and not takes_kl(stage)}
        same = {role: teachers[role] for role in teachers if ctx.input_steps[role].stage not in by_text}
        ctx.machine.run(check_tokenizers, student=models[student], teachers=same)
        rows = ctx.machine.run(
            read_first,
            recipe=ctx.recipe,
            recipe_dir=ctx.recipe_dir,
            stages=[stage.name for stage in stages],
        )
        for stage in stages:
            if isinstance(stage, Sft):
                data = own_data(ctx.recipe, stage)
                ctx.machine.run(
                    check_rows, model=models[student], chat=chat, recipe_dir=recipe_dir, data=data, stage=stage
                )
        asked, room = asked_data(ctx.recipe, stages), ctx.recipe.engine.context_tokens
        ctx.machine.run(
            check_prompts,
            model=models[student],
            chat=chat,
            recipe_dir=recipe_dir,
            data=asked,
            context_tokens=room,
        )
        needed = _room(ctx.output, stages, num_parameters(configs[student]))
        found = {"models": len(models), "rows": sum(rows.values()), "disk_bytes": needed}
        return found | ({"remarks": remarks} if remarks else {})


def _adapters(stages: Sequence[AnyStage]) -> list[Lora | str]:
    """The ways in which stages train, each once, in their order."""
    ways = [stage.adapter for stage in stages if isinstance(stage, Training)]
    return [way for number, way in enumerate(ways) if way not in ways[:number]]


def _room(output: Path, stages: Sequence[AnyStage], parameters: int | None) -> int | None:
    """What the largest stage will write. Raises StageError where the disk has not that much."""
    training = [stage for stage in stages if isinstance(stage, Training)]
    if parameters is None or not training:
        return None
    needed = max(training_disk_bytes(stage, parameters) for stage in training)
    free = shutil.disk_usage(output).free
    if needed > free:
        raise StageError(
            (
                f"a stage will write {needed / 1e9:.2f} GB (its model and two resume checkpoints), {free / 1e9:.2f} GB "
                "are free"
            ),
            where=str(output.parents[2]),
            remedy="free space (posttrain store gc), or give another --store",
        )
    return needed

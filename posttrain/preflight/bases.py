"""Do the files of each model hold what its architecture needs, can its stages train it, and can the engine run it?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from posttrain.preflight.finding import Finding, finding_of, later
from posttrain.preflight.subject import Subject, model_folder
from posttrain.recipe.resolve import samples_answers
from posttrain.recipe.schema import AnyStage, Lora, Sft, Training
from posttrain.records.step import ModelRole


def models(subject: Subject) -> Iterator[Finding]:
    """One finding a model, and one for the engine where answers are sampled."""
    from posttrain.train.base_trial import examine_base, refuse_unsampled

    recipe, stages = subject.plan.recipe, subject.stages()
    adapters = [stage.adapter for stage in stages if isinstance(stage, Training) and isinstance(stage.adapter, Lora)]
    for step in subject.models():
        folder, title = model_folder(step), f"weights of {step.name}"
        if folder is None:
            yield later(title, "the model")
            continue
        trained = [] if step.role == ModelRole.TEACHER else adapters
        examine = partial(examine_base, folder, recipe.chat, subject.plan.recipe_dir, trained)
        yield finding_of(title, partial(_in_words, examine), "every tensor of the architecture is there")
        if step.role != ModelRole.TEACHER:
            yield from _routers(step.name, folder, stages)
        if samples_answers(recipe, stages):
            yield finding_of(f"architecture of {step.name}", partial(refuse_unsampled, folder, recipe.engine.backend))


def _routers(name: str, folder: Path, stages: Sequence[AnyStage]) -> Iterator[Finding]:
    """One finding for each stage that asks for the router's loss."""
    from transformers import AutoConfig

    for stage in stages:
        if isinstance(stage, Sft) and stage.router_loss:
            config = AutoConfig.from_pretrained(str(folder), local_files_only=True).get_text_config()
            yield finding_of(f"experts of {name}", partial(_balanced, config, stage))


def _balanced(config: Any, stage: Sft) -> str:
    from posttrain.train.sft import router_settings

    router_settings(config, stage)
    return f"{stage.name} balances them by router_loss {stage.router_loss}"


def _in_words(examine: Callable[[], list[str]]) -> str | None:
    return "; ".join(examine()) or None

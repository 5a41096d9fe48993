"""Do the files of each model hold what its architecture needs, can its stages train it, and can the engine run it?"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from posttrain.preflight.finding import Finding, finding_of, later
from posttrain.preflight.subject import Subject, model_folder
from posttrain.recipe.resolve import samples_answers
from posttrain.recipe.schema import AnyStage, Lora, Sft, Training
from posttrain.records.step import ModelRole
from posttrain.rollout.vllm_arguments import refuse_unknown_options


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
        examine = partial(examine_base, folder, subject.chat_of(step), subject.plan.recipe_dir, trained)
        yield finding_of(title, partial(_in_words, examine), "every tensor of the architecture is there")
        if step.role != ModelRole.TEACHER:
            yield from _routers(step.name, folder, stages)
        if samples_answers(recipe, stages):
            yield finding_of(f"architecture of {step.name}", partial(refuse_unsampled, folder, recipe.engine.backend))
    yield from _engine_options(subject)


def _engine_options(subject: Subject) -> Iterator[Finding]:
    """One finding where the recipe names options of vLLM's."""
    spec = subject.plan.recipe.engine
    named = {"engine.options": spec.options}
    named |= {f"engine.roles.{role}.options": own.options for role, own in spec.roles.items()}
    for where, options in named.items():
        if options and importlib.util.find_spec("vllm") is None:
            yield later(where, "vLLM", "before an engine starts")
        elif options:
            look = partial(refuse_unknown_options, options, where)
            yield finding_of(where, look, f"vLLM knows {', '.join(sorted(options))}", remedy="`posttrain setup`")


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

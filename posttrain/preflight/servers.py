"""Do the models answer that verifiers (`model: {endpoint: URL, ...}`) and data stages ask, behind endpoints or from
folders?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from posttrain.preflight.finding import Finding, finding_of, later
from posttrain.preflight.subject import Subject, model_folder
from posttrain.recipe.schema import AskingStage, Chat


def model_servers(subject: Subject) -> Iterator[Finding]:
    """One finding for each endpoint of each verifier that is used."""
    from rewards.models.endpoint import probe

    verifiers = subject.plan.recipe.verifiers
    for name in sorted({verifier for verifier, _ in subject.judged_data()}):
        for model in endpoints(verifiers[name].options):
            yield finding_of(f"model of verifier {name}", partial(probe, model))


def asked_models(subject: Subject) -> Iterator[Finding]:
    """One finding for the prompts of a data stage, one for each of its servers, which is asked for a word, and one for
    each of its models from a folder."""
    from posttrain.factory.servers import probe_server

    recipe = subject.plan.recipe
    for stage in subject.stages():
        if isinstance(stage, AskingStage):
            look = partial(_prompts_in_words, stage, subject.plan.recipe_dir)
            yield finding_of(f"prompts of {stage.name}", look)
        for role, model in stage.models.items() if isinstance(stage, AskingStage) else ():
            if model.endpoint is not None:
                where = f"stages.{stage.name}.models.{role}"
                yield finding_of(f"model {role} of {stage.name}", partial(probe_server, model, where))
    for step in subject.asked_models():
        title, folder = f"model {step.name}", model_folder(step)
        if folder is None:
            yield later(title, "the model", "before it is asked")
        else:
            look = partial(_can_be_asked, folder, recipe.chat, subject.plan.recipe_dir, recipe.engine.backend)
            yield finding_of(title, look)


def _prompts_in_words(stage: AskingStage, recipe_dir: Path) -> str:
    from posttrain.factory.templates import Prompts
    from posttrain.recipe.files import prompt_files

    files = prompt_files(stage, recipe_dir)
    Prompts(stage.kind, files)
    own = f", {len(stage.prompts)} of the recipe's own" if stage.prompts else ""
    return f"{len(files)} can be written{own}"


def _can_be_asked(folder: Path, chat: Chat, recipe_dir: Path, backend: str) -> str:
    from posttrain.data.template import ChatTemplate
    from posttrain.sampling.engine_model import own_chat
    from posttrain.train.base_trial import refuse_unsampled

    template = ChatTemplate.load(folder, own_chat(folder, chat), recipe_dir)
    template.prompt_ids([{"role": "user", "content": "17+25?"}])
    refuse_unsampled(folder, backend)
    return "its template renders a question, and the engine runs its architecture"


def endpoints(spec: Any) -> list[Mapping[str, Any]]:
    """Models behind endpoints that a verifier's arguments name, at any depth."""
    if isinstance(spec, Mapping):
        model = spec.get("model")
        own = [model] if isinstance(model, Mapping) and "endpoint" in model else []
        return own + [found for value in spec.values() for found in endpoints(value)]
    return [found for item in spec for found in endpoints(item)] if isinstance(spec, list | tuple) else []

"""Can every row be read as its stage would read it, has each data set a card, and do rows and prompts fit?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from posttrain.data.survey import readers
from posttrain.preflight.finding import Finding, finding_of, later
from posttrain.preflight.subject import Subject, model_folder
from posttrain.recipe.cards import card_path, is_blank_card, read_card
from posttrain.recipe.resolve import asked_data, own_data
from posttrain.recipe.schema import Data, FileData, Sft, StageData


def data_sets(subject: Subject) -> Iterator[Finding]:
    """Every row of every data set that a stage or a suite of this plan reads, as the stage would read it."""
    plan = subject.plan
    for name, reader in readers(plan.recipe, plan.stages).items():
        spec = plan.recipe.data[name]
        if isinstance(spec, StageData):
            yield Finding(name=f"data {name}", status="later", detail=f"stage {spec.stage} will write it")
        else:
            yield finding_of(f"data {name}", partial(_rows_and_card, reader, name, spec, plan.recipe_dir))


def rows_to_imitate(subject: Subject) -> Iterator[Finding]:
    """How the rows of each sft stage fit its max_tokens, and pack."""
    from posttrain.train.compatibility import check_rows

    plan, folder = subject.plan, model_folder(subject.student())
    for stage in subject.stages():
        if not isinstance(stage, Sft) or not own_data(plan.recipe, stage):
            continue
        title = f"rows of {stage.name}"
        if folder is None:
            yield later(title, "the tokenizer")
        else:
            data = own_data(plan.recipe, stage)
            yield finding_of(title, partial(check_rows, folder, plan.recipe.chat, plan.recipe_dir, data, stage))


def prompts(subject: Subject) -> Iterator[Finding]:
    """Whether the template takes each data set's prompts, and whether they leave room for an answer."""
    from posttrain.train.compatibility import check_prompts

    plan, folder = subject.plan, model_folder(subject.student())
    room = plan.recipe.engine.context_tokens
    for name, spec in asked_data(plan.recipe, subject.stages()).items():
        title = f"prompts of {name}"
        if folder is None:
            yield later(title, "the tokenizer", "first of all")
        else:
            look = partial(check_prompts, folder, plan.recipe.chat, plan.recipe_dir, {name: spec}, room)
            yield finding_of(title, look)


def _rows_and_card(reader: Callable[..., Any], name: str, spec: Data, recipe_dir: Path) -> str:
    rows = reader(name, spec, recipe_dir)
    faults = f", {len(rows.faults)} set aside" if rows.faults else ""
    card = card_path(spec, recipe_dir)
    about_card = "card present" if card is None else _card_in_words(read_card(card), spec)
    return f"{len(rows.items):,} rows{faults}; {about_card}"


def _card_in_words(facts: Mapping[str, Any], spec: Data) -> str:
    """A stated digest has been compared by the plan; one that is not stated binds no bytes."""
    if is_blank_card(facts):
        return "its card is still the template: fill it in"
    if not isinstance(spec, FileData):
        return "card present"
    name = Path(spec.path).name
    stated = name in (facts.get("digests") or {})
    return "card present, digest as stated" if stated else f"card present, states no digest of {name}"

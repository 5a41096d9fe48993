"""Can rows be read as their stage would read them, has each data set a card, and do rows and prompts fit?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from posttrain.data.survey import first_rows, in_words, readers
from posttrain.preflight.finding import Finding, finding_of, later
from posttrain.preflight.subject import Subject, model_folder
from posttrain.recipe.cards import card_path, is_blank_card, read_card
from posttrain.recipe.paths import data_files
from posttrain.recipe.resolve import asked_data, own_data
from posttrain.recipe.schema import Data, FileData, Sft, StageData

# A fault of a row comes as an error of ours; what else a library raises over rows is not the files' fault.
_REMEDY = "take the row out of the data, and report this: the library's words should have been a fault of the row"


def data_sets(subject: Subject) -> Iterator[Finding]:
    """The rows of every data set that a stage or a suite of this plan reads, as the stage would read them."""
    plan = subject.plan
    for name, reader in readers(plan.recipe, plan.stages).items():
        spec = plan.recipe.data[name]
        if isinstance(spec, StageData):
            yield Finding(name=f"data {name}", status="later", detail=f"stage {spec.stage} will write it")
        else:
            look = partial(_rows_and_card, reader, name, spec, plan.recipe_dir, subject.rows)
            yield finding_of(f"data {name}", look, remedy=_REMEDY)


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
            look = partial(check_rows, folder, plan.recipe.chat, plan.recipe_dir, data, stage, most=subject.rows)
            yield finding_of(title, look, remedy=_REMEDY)


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
            look = partial(
                check_prompts, folder, plan.recipe.chat, plan.recipe_dir, {name: spec}, room, most=subject.rows
            )
            yield finding_of(title, look, remedy=_REMEDY)


def _rows_and_card(reader: Callable[..., Any], name: str, spec: Data, recipe_dir: Path, count: int | None) -> str:
    rows = first_rows(reader, name, spec, recipe_dir, count)
    faults = f", {len(rows.faults)} set aside" if rows.faults else ""
    card = card_path(spec, recipe_dir)
    about_card = "card present" if card is None else _card_in_words(read_card(card), spec, recipe_dir)
    return "; ".join([f"{in_words(rows, count)}{faults}", *rows.about, about_card])


def _card_in_words(facts: Mapping[str, Any], spec: Data, recipe_dir: Path) -> str:
    """A stated digest has been compared by the plan; one that is not stated binds no bytes."""
    if is_blank_card(facts):
        return "its card is still the template: fill it in"
    if not isinstance(spec, FileData):
        return "card present"
    digests = facts.get("digests") or {}
    unstated = [file.name for file in data_files(spec.path, recipe_dir) if file.name not in digests]
    if not unstated or Path(spec.path).name in digests:
        return "card present, digest as stated"
    more = f" and {len(unstated) - 1} more" if len(unstated) > 1 else ""
    return f"card present, states no digest of {unstated[0]}{more}"

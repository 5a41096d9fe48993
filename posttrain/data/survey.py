"""The first rows of every data set that stages and suites read, by the loader of its reader: what is faulty comes out
before any work. All rows where that is asked for; those of an sft are all read by its tokens step, before any training.

Knows which stage reads what; nothing of tokens, golds or models.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from typing import Any

from posttrain.data.source import Rows, load_conversations, load_pairs, load_problems, load_prompts
from posttrain.data.source_rows import load_asked_rows, load_source_rows
from posttrain.errors import DataError
from posttrain.recipe.resolve import data_of, watched_data
from posttrain.recipe.schema import AskingStage, Data, DataStage, FileData, HubData, Recipe, RewardModel, Sft, StageData

SAMPLE_ROWS = 10_000


def readers(recipe: Recipe, stages: Collection[str]) -> dict[str, Callable[..., Any]]:
    """Data set -> the loader that reads it, for the stages named and every suite."""
    found: dict[str, Callable[..., Any]] = {}
    for stage in recipe.stages:
        if stage.name in stages:
            reader = (
                load_conversations
                if isinstance(stage, Sft)
                else partial(load_pairs, think=recipe.chat.think)
                if isinstance(stage, RewardModel)
                else load_asked_rows
                if isinstance(stage, AskingStage)
                else load_source_rows
                if isinstance(stage, DataStage)
                else load_prompts
            )
            found |= dict.fromkeys(data_of(stage), reader)
            found |= dict.fromkeys(watched_data(recipe, stage), load_prompts)
    rules = recipe.evaluate
    found |= {suite.data: load_problems for suite in rules.suites.values()}
    shown = rules.few_shot > 0 and rules.after == "every_stage"
    return found | {
        suite.examples: load_conversations for suite in rules.suites.values() if shown and suite.examples is not None
    }


def first_rows(reader: Callable[..., Any], name: str, spec: Data, recipe_dir: Path, count: int | None) -> Any:
    """The first rows of a data set by its loader; all of them where `count` is None, where they are made here, and
    where so many of the first are faulty that only all can tell their share. Raises DataError as the loader does."""
    if count is None or not isinstance(spec, FileData | HubData) or (spec.limit or count + 1) <= count:
        return reader(name, spec, recipe_dir)
    try:
        return reader(name, spec.model_copy(update={"limit": count}), recipe_dir)
    except DataError:
        if not spec.max_faulty_share:
            raise
        return reader(name, spec, recipe_dir)


def in_words(rows: Rows[Any], count: int | None) -> str:
    """How many rows were read. Example: "the first 10,000 rows" """
    total = len(rows.items) + len(rows.faults)
    return f"the first {total:,} rows" if count is not None and total == count else f"{len(rows.items):,} rows"


def read_first(
    recipe: Recipe, recipe_dir: Path, stages: Collection[str], count: int | None = SAMPLE_ROWS
) -> dict[str, int]:
    """Rows of each data set that no stage has to write first, the first `count` of each. Raises DataError at the first
    faulty row, or above the stated share."""
    own = {
        name: reader for name, reader in readers(recipe, stages).items() if not isinstance(recipe.data[name], StageData)
    }
    return {
        name: len(first_rows(reader, name, recipe.data[name], recipe_dir, count).items) for name, reader in own.items()
    }

"""Every data set that stages and suites read, read to its last row by the loader of its reader: what is faulty comes
out before any work.

Knows which stage reads what; nothing of tokens, golds or models.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from typing import Any

from posttrain.data.source import load_conversations, load_pairs, load_problems, load_prompts
from posttrain.data.source_rows import load_source_rows
from posttrain.recipe.resolve import data_of
from posttrain.recipe.schema import DataStage, Recipe, RewardModel, Sft, StageData


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
                else load_source_rows
                if isinstance(stage, DataStage)
                else load_prompts
            )
            found |= dict.fromkeys(data_of(stage), reader)
    rules = recipe.evaluate
    found |= {suite.data: load_problems for suite in rules.suites.values()}
    shown = rules.few_shot > 0 and rules.after == "every_stage"
    return found | {
        suite.examples: load_conversations for suite in rules.suites.values() if shown and suite.examples is not None
    }


def read_all(recipe: Recipe, recipe_dir: Path, stages: Collection[str]) -> dict[str, int]:
    """Rows of each data set that no stage has to write first. Raises DataError at the first faulty row, or above the
    stated share."""
    own = {
        name: reader for name, reader in readers(recipe, stages).items() if not isinstance(recipe.data[name], StageData)
    }
    return {name: len(reader(name, recipe.data[name], recipe_dir).items) for name, reader in own.items()}

"""Do held-out problems stand in the training data? Exact match of users' turns, blanks and case apart; counted a suite.

Every turn of a user is looked at, in the training data and in the suites. Of a problem those of 40 characters or more
count ("Are you sure?" stands in any data), and where none is so long, the first. Near-duplicates and n-grams are not
looked for. Knows recipes' data sets, nothing of models.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

from posttrain.data.source import load_conversations, load_pairs, load_prompts
from posttrain.data.source_rows import load_source_rows
from posttrain.data.survey import first_rows
from posttrain.recipe.phases import mixture
from posttrain.recipe.resolve import data_of, suites_against
from posttrain.recipe.schema import Clean, DataStage, Dpd, Grpo, Recipe, RewardModel, Sft, StageData
from posttrain.types import Message

LEAST_CHARS = 40  # of a turn that is told from what anybody might say


def held_out_overlap(recipe: Recipe, recipe_dir: Path, rows: int | None = None) -> dict[str, int]:
    """Suite -> number of its problems that a training stage, or one that makes rows, reads as a prompt, in the first
    `rows` of each data set (None: in all). Data that stages wrote answer those prompts and add none, and a `clean`
    stage takes a suite's problems out."""
    read = partial(first_rows, recipe_dir=recipe_dir, count=rows)
    trained: set[str] = set()
    cleaned: dict[str, set[str]] = {suite.data: set() for suite in recipe.evaluate.suites.values()}
    for stage in recipe.stages:
        if isinstance(stage, Sft):
            trained |= _questions(
                row.messages
                for name in _own(recipe, mixture(stage))
                for row in read(load_conversations, name, recipe.data[name]).items
            )
        elif isinstance(stage, RewardModel):
            trained |= _questions(
                row.messages
                for name in _own(recipe, stage.data)
                for row in read(partial(load_pairs, think=recipe.chat.think), name, recipe.data[name]).items
            )
        elif isinstance(stage, Dpd | Grpo):
            trained |= _questions(
                row.messages
                for name in _own(recipe, data_of(stage))
                for row in read(load_prompts, name, recipe.data[name]).items
            )
        elif isinstance(stage, DataStage):
            found = _questions(
                row.messages
                for name in _own(recipe, data_of(stage))
                for row in read(load_source_rows, name, recipe.data[name]).items
            )
            taken_out: list[str] = []
            if isinstance(stage, Clean) and "contamination" not in stage.skip:
                taken_out = suites_against(recipe, stage)
            for suite in set(cleaned) - set(taken_out):
                cleaned[suite] |= found
    return {
        name: sum(
            not (trained | cleaned[suite.data]).isdisjoint(telling_turns(row.messages))
            for row in load_prompts(suite.data, recipe.data[suite.data], recipe_dir).items
        )
        for name, suite in recipe.evaluate.suites.items()
    }


def _own(recipe: Recipe, data: Mapping[str, float]) -> list[str]:
    return [name for name in data if not isinstance(recipe.data[name], StageData)]


def telling_turns(messages: Sequence[Message]) -> list[str]:
    """The turns of the user by which a problem is known again, blanks and case apart.

    Example: of the turns "What is 17 + 25?" and "Are you sure?" the first alone: neither has 40 characters.
    """
    asked = _users_turns(messages)
    return [text for text in asked if len(text) >= LEAST_CHARS] or asked[:1]


def _questions(rows: Iterable[Sequence[Message]]) -> set[str]:
    return {text for messages in rows for text in _users_turns(messages)}


def _users_turns(messages: Sequence[Message]) -> list[str]:
    """Of each turn that a user wrote its text; one without text is none."""
    texts = (" ".join(str(turn["content"]).lower().split()) for turn in messages if turn["role"] == "user")
    return [text for text in texts if text]

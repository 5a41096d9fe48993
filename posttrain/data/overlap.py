"""Do held-out problems stand in the training data? Exact match of the last user turn, blanks and case apart; counted a
suite.

Near-duplicates and n-grams are not looked for. Knows recipes' data sets, nothing of models.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from posttrain.data.source import load_conversations, load_pairs, load_prompts
from posttrain.recipe.schema import Dpd, Grpo, Recipe, RewardModel, Sft, StageData
from posttrain.types import Message
from rewards.types import last_user_turn


def held_out_overlap(recipe: Recipe, recipe_dir: Path) -> dict[str, int]:
    """Suite -> number of its problems that a training stage reads as a prompt. Data that stages wrote answer those
    prompts and add none."""
    trained: set[str] = set()
    for stage in recipe.stages:
        if isinstance(stage, Sft):
            trained |= _questions(
                row.messages[:-1]
                for name in _own(recipe, stage.data)
                for row in load_conversations(name, recipe.data[name], recipe_dir).items
            )
        elif isinstance(stage, RewardModel):
            trained |= _questions(
                row.messages
                for name in _own(recipe, stage.data)
                for row in load_pairs(name, recipe.data[name], recipe_dir).items
            )
        elif isinstance(stage, Dpd | Grpo):
            names = [stage.prompts] if isinstance(stage.prompts, str) else list(stage.prompts)
            trained |= _questions(
                row.messages for name in names for row in load_prompts(name, recipe.data[name], recipe_dir).items
            )
    return {
        name: sum(
            _question(row.messages) in trained
            for row in load_prompts(suite.data, recipe.data[suite.data], recipe_dir).items
        )
        for name, suite in recipe.evaluate.suites.items()
    }


def _own(recipe: Recipe, data: Mapping[str, float]) -> list[str]:
    return [name for name in data if not isinstance(recipe.data[name], StageData)]


def _questions(rows: Iterable[tuple[Message, ...]]) -> set[str]:
    return {_question(messages) for messages in rows}


def _question(messages: tuple[Message, ...]) -> str:
    return " ".join((last_user_turn(messages) or "").lower().split())

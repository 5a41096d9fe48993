"""How many positions the checkpoints of a recipe know where an sft stage raises them (`max_positions`), and what rows
and answers ask of those that have the base's.

The base's own number is in its config.json: sizes.py compares. Knows no files.
"""

from __future__ import annotations

from collections.abc import Iterable

from posttrain.recipe.location import Source
from posttrain.recipe.phases import longest_row
from posttrain.recipe.resolve import BASE, final_policy, gate_of, is_policy, start_of
from posttrain.recipe.schema import AnyStage, Dpd, Grpo, Recipe, RewardModel, Sft
from posttrain.recipe.yaml_core import Key


def raised_positions(recipe: Recipe, name: str) -> int | None:
    """Positions of a stage's checkpoint, or of the base, where a stage up to it has raised them."""
    stages = {stage.name: stage for stage in recipe.stages}
    while name in stages:
        stage = stages[name]
        if isinstance(stage, Sft) and stage.max_positions is not None:
            return stage.max_positions
        name = start_of(recipe, name)
    return None


def longest_rows(recipe: Recipe, stages: Iterable[AnyStage]) -> dict[str, int]:
    """Tokens that a model must have positions for before any stage raises them, by the key that asks for them: those of
    answers, and of the stages' rows. Without stages it is a teacher, who answers."""
    stages = list(stages)
    rows = {
        f"stages.{stage.name}.max_tokens": longest_row(stage) if isinstance(stage, Sft) else stage.max_tokens
        for stage in stages
        if isinstance(stage, Sft | RewardModel) and raised_positions(recipe, stage.name) is None
    }
    asked = _sampled(recipe, stages)
    if not stages or not asked or any(raised_positions(recipe, name) is None for name in asked):
        rows = {"engine.context_tokens": recipe.engine.context_tokens, **rows}
    return rows


def _sampled(recipe: Recipe, stages: Iterable[AnyStage]) -> set[str]:
    """Stages whose checkpoints answer questions, and the base where it does."""
    found: set[str] = set()
    for stage in stages:
        if isinstance(stage, Grpo):
            found |= {stage.name, start_of(recipe, stage.name)}
        elif isinstance(stage, Dpd):
            found.add(start_of(recipe, stage.name))
        if gate_of(stage) is not None:
            found |= {stage.name, start_of(recipe, stage.name)}
        if recipe.evaluate.suites and recipe.evaluate.after == "every_stage" and is_policy(stage):
            found |= {stage.name, BASE}
    return found | ({final_policy(recipe)} if recipe.evaluate.suites and recipe.evaluate.after == "last" else set())


def check_raised(recipe: Recipe, source: Source) -> None:
    """Raises RecipeError where rows or answers are longer than the positions that a stage gives its checkpoint."""
    asked = _sampled(recipe, recipe.stages)
    for index, stage in enumerate(recipe.stages):
        key: Key = ("stages", index)
        limit = raised_positions(recipe, stage.name)
        if limit is None:
            continue
        tokens = longest_row(stage) if isinstance(stage, Sft) else getattr(stage, "max_tokens", 0)
        if tokens > limit:
            source.fail(
                (*key, "max_tokens"),
                f"{tokens} tokens are more than the {limit} positions that max_positions gives the model",
                "lower it, or raise max_positions",
            )
        if stage.name in asked and recipe.engine.context_tokens > limit:
            source.fail(
                ("engine", "context_tokens"),
                f"{recipe.engine.context_tokens} tokens are more than the {limit} positions that '{stage.name}' has by "
                "max_positions",
                "lower it, or raise max_positions",
            )

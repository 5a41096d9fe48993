"""The phases of an sft stage: what of mixture, steps, length and learning rate each has.

A stage without `phases` has one. Knows nothing of data, models or how a phase is trained.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from posttrain.recipe.location import Source
from posttrain.recipe.schema import Phase, Recipe, Sft, Training
from posttrain.recipe.yaml_core import Key


@dataclass(frozen=True, kw_only=True, slots=True)
class ResolvedPhase:
    """One phase with nothing left open. steps: None in the one phase of a stage that counts epochs.

    Example: ResolvedPhase(data={"general": 1.0}, max_tokens=32768, learning_rate=1e-5, steps=400)
    """

    data: Mapping[str, float]
    max_tokens: int
    learning_rate: float
    steps: int | None


def phases_of(stage: Sft) -> tuple[ResolvedPhase, ...]:
    """In order. Steps are shared out so that each phase ends where its share of all steps does, to the nearest."""
    if not stage.phases:
        return (
            ResolvedPhase(
                data=stage.data, max_tokens=stage.max_tokens, learning_rate=stage.learning_rate, steps=stage.steps
            ),
        )
    found, share, begun = [], 0.0, 0
    for phase in stage.phases:
        share += phase.share
        end = round(share / sum(one.share for one in stage.phases) * (stage.steps or 0))
        found.append(
            ResolvedPhase(
                data=phase.data or stage.data,
                max_tokens=phase.max_tokens or stage.max_tokens,
                learning_rate=phase.learning_rate or stage.learning_rate,
                steps=end - begun,
            )
        )
        begun = end
    return tuple(found)


def mixture(stage: Sft) -> dict[str, float]:
    """Every data set of a stage, with its weights of all phases added up."""
    found: dict[str, float] = {}
    for phase in phases_of(stage):
        for name, weight in phase.data.items():
            found[name] = found.get(name, 0.0) + weight
    return found


def longest_row(stage: Sft, name: str | None = None) -> int:
    """Tokens of the longest row that any phase takes, or any that reads a data set."""
    return max(phase.max_tokens for phase in phases_of(stage) if name is None or name in phase.data)


def check_phases(recipe: Recipe, source: Source) -> None:
    """Raises RecipeError where shares, data or schedule of a stage's phases say nothing or too much."""
    for index, stage in enumerate(recipe.stages):
        key: Key = ("stages", index)
        if isinstance(stage, Training) and "decay_share" in stage.model_fields_set and stage.schedule != "wsd":
            source.fail(
                (*key, "decay_share"),
                f"schedule {stage.schedule} reads no decay_share",
                "set schedule: wsd, or leave it",
            )
        if isinstance(stage, Sft):
            _check_stage(stage, key, source)


def _check_stage(stage: Sft, key: Key, source: Source) -> None:
    if not stage.data and not all(phase.data for phase in stage.phases or [Phase(share=1.0)]):
        remedy = "give at least 1 data set with its weight, such as data: {general: 1.0}"
        source.fail((*key, "data"), "key 'data' is missing or empty", remedy)
    if not stage.phases:
        if stage.restart_optimizer:
            source.fail(
                (*key, "restart_optimizer"), "there are no phases to restart at", "give phases, or leave it out"
            )
        return
    if stage.data and all(phase.data for phase in stage.phases):
        source.fail((*key, "data"), "every phase has data of its own, so nothing reads it", "leave it out")
    if stage.steps is None:
        source.fail((*key, "phases"), "phases share out steps, and the stage counts epochs", "give steps")
    total = sum(phase.share for phase in stage.phases)
    if abs(total - 1.0) > 1e-6:
        source.fail((*key, "phases"), f"the shares of the phases add up to {total:g}", "make them add up to 1")
    for number, phase in enumerate(phases_of(stage)):
        if not phase.steps:
            what = f"a share of {stage.phases[number].share:g} of {stage.steps} steps is none"
            source.fail((*key, "phases", number, "share"), what, "raise steps, or leave the phase out")

"""Which roles work on GPUs in a step, and how many GPUs they hold. The machine gives them out by the same rules
(machine/seats.py)."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable

from posttrain.machine.seats import TRAINERS
from posttrain.recipe.distillation import follows_weights
from posttrain.recipe.engines import engines_of
from posttrain.recipe.schema import Recipe
from posttrain.records.step import ModelRole, Step

_TRAINED = ("fitness", "sft", "dpd", "grpo", "reward_model", "teacher_logprobs")
_ASKED = ("pairs", "filter", "grpo")


def roles_of(recipe: Recipe, step: Step) -> frozenset[str]:
    """The trainers, and the roles whose engines the step asks: of a data stage one for each model that is no server."""
    stage = next((one for one in recipe.stages if one.name == step.stage), None)
    roles = {f"data-{name}" for role, name in step.inputs.items() if role.startswith("model.")}
    if step.kind in _TRAINED or (step.kind == "base" and step.params.get("model", {}).get("path") == "toy"):
        roles.add(TRAINERS)
    if step.kind == "evaluate":
        roles.add("teacher" if step.role is ModelRole.TEACHER else "policy")
    if step.kind in _ASKED or (step.kind == "dpd" and stage is not None and follows_weights(stage)):
        roles.add("policy")
    if step.kind == "pairs" and "teacher" in step.inputs:
        roles.add("teacher")
    if step.kind in (*_ASKED, "evaluate") and "judge" in step.inputs:
        roles.add("judge")
    return frozenset(roles)


def workers_of(recipe: Recipe, role: str) -> tuple[int, float]:
    """(workers, GPUs of each)."""
    if role == TRAINERS:
        return recipe.cluster.trainers, recipe.cluster.gpus_per_trainer
    engines = engines_of(recipe, role)
    return engines.engines, engines.gpus


def gpus_of(recipe: Recipe, roles: Collection[str]) -> float:
    """What these roles hold at once: all of theirs, or where they take turns those of the largest."""
    each = [workers * gpus for workers, gpus in (workers_of(recipe, role) for role in roles)]
    return max(each, default=0.0) if recipe.cluster.share == "time" else sum(each)


def seats_for(recipe: Recipe, steps: Iterable[Step]) -> int:
    """GPUs to hold for all of these steps."""
    return math.ceil(max((gpus_of(recipe, roles_of(recipe, step)) for step in steps), default=0.0))

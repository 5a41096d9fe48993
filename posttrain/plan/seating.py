"""Which roles work on GPUs in a step, and how many GPUs they hold. The machine gives them out by the same rules
(machine/seats.py)."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence

from posttrain.errors import BackendError
from posttrain.machine.seats import TRAINERS, Seat, Seats
from posttrain.recipe.distillation import follows_weights
from posttrain.recipe.engines import engines_of
from posttrain.recipe.schema import Recipe
from posttrain.records.step import ModelRole, Step

_TRAINED = ("fitness", "sft", "dpd", "grpo", "reward_model", "teacher_logprobs")
_ASKED = ("pairs", "filter", "grpo")
_OF_DATA_STAGE = "data-"  # before the name of a model that a data stage asks


def roles_of(recipe: Recipe, step: Step) -> frozenset[str]:
    """The trainers, and the roles whose engines the step asks: of a data stage one for each model that is no server."""
    stage = next((one for one in recipe.stages if one.name == step.stage), None)
    roles = {f"{_OF_DATA_STAGE}{name}" for role, name in step.inputs.items() if role.startswith("model.")}
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


def engines_up(recipe: Recipe, steps: Sequence[Step]) -> Iterator[tuple[Step, frozenset[str]]]:
    """Each step with the roles whose engines are up while it runs, in a run from nothing: those that it asks, and those
    of earlier steps but for the ones that end with theirs, a dpd's teacher and the models of a data stage."""
    up: frozenset[str] = frozenset()
    for step in steps:
        up |= roles_of(recipe, step) - {TRAINERS}
        yield step, up
        ends = {"teacher"} if step.kind == "pairs" else set()
        up -= {role for role in up if role in ends or role.startswith(_OF_DATA_STAGE)}


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


def seats_for(recipe: Recipe, steps: Sequence[Step]) -> int | None:
    """GPUs to hold for all of these steps: the fewest on which each finds its seats; all of the hardware where an
    engine needs several of one node and there are several nodes; None where a stage of the user's own may ask for
    any."""
    if any(":" in step.kind for step in steps):
        return None
    hardware = recipe.hardware
    wide = any(workers_of(recipe, role)[1] > 1 for step in steps for role in roles_of(recipe, step))
    if wide and hardware is not None and hardware.nodes > 1:
        return hardware.nodes * hardware.gpus
    least = math.ceil(max((gpus_of(recipe, roles_of(recipe, step)) for step in steps), default=0.0))
    # Shares of a GPU leave gaps: at most one to a worker.
    most = sum(workers_of(recipe, role)[0] for role in {role for step in steps for role in roles_of(recipe, step)})
    for count in range(least, least + most):
        if unplaced(recipe, steps, [count]) is None:
            return count
    return least + most


def unplaced(recipe: Recipe, steps: Sequence[Step], nodes: Sequence[int]) -> tuple[Step, BackendError] | None:
    """The first step that finds no seats on nodes of so many GPUs, in a run from nothing."""
    here = tuple(Seat(node=str(node), gpu=str(gpu)) for node, gpus in enumerate(nodes) for gpu in range(gpus))
    seats = Seats(here, turns=recipe.cluster.share == "time")
    for step in steps:
        seats.begin_step()
        for role in sorted(roles_of(recipe, step)):
            workers, gpus = workers_of(recipe, role)
            try:
                if gpus and not seats.has(role):
                    seats.take(role, workers, gpus)
                elif gpus:
                    seats.use(role)
            except BackendError as error:
                return step, error
    return None

"""run.json, recipe.json and plan.json of a run folder: what runs there, written anew at each start.

Knows nothing of who owns the folder, or of how a plan is made.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from posttrain.records.codec import as_json, read_json
from posttrain.records.step import Step
from posttrain.store.atomic import write_json
from posttrain.telemetry import redact_json

RUN, RECIPE, PLAN = "run.json", "recipe.json", "plan.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class RunFacts:
    """Whose folder it is, and the command that was given last.

    Example: RunFacts(schema=1, name="demo-cpu", store="/home/me/runs/.store", recipe_dir="/home/me/recipes",
    smoke=False, command=("posttrain", "run"), host="box", versions={"posttrain": "0.1.0"})
    """

    schema: int
    name: str  # of the recipe
    store: str
    recipe_dir: str
    smoke: bool
    command: tuple[str, ...]
    host: str
    versions: Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedStep(Step):
    """A step as plan.json has it: with why it was to run."""

    why: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordedPlan:
    """The content of plan.json."""

    steps: tuple[PlannedStep, ...]


def write_run_files(
    folder: Path, *, facts: RunFacts, recipe_json: str, steps: Sequence[Step], why: Mapping[str, str]
) -> None:
    """run.json first, because it claims the folder; then the recipe and the plan. `why`: name of a step -> why it
    runs."""
    write_json(folder / RUN, redact_json(as_json(facts)), point="run_json")
    write_json(folder / RECIPE, json.loads(recipe_json), point="recipe_json")
    planned = (
        PlannedStep(**{item.name: getattr(step, item.name) for item in fields(Step)}, why=why.get(step.name, ""))
        for step in steps
    )
    write_json(folder / PLAN, redact_json(as_json(RecordedPlan(steps=tuple(planned)))), point="plan_json")


def read_facts(folder: Path) -> RunFacts | None:
    """run.json; None where no run was ever started. Raises RecordError when it cannot be read."""
    return read_json(RunFacts, folder / RUN)

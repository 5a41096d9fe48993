"""What a training function gets when it starts inside a worker, and the rows it reads. Picklable; imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from posttrain.recipe.schema import Chat, Data
from posttrain.store.checkpoints import Checkpoint


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One stage's training. `model` is the folder to start from; `attempt` takes checkpoints, metrics and rollouts;
    `resume` is a sealed checkpoint of an earlier attempt, or None; `owner` is the step's id, which seals carry."""

    stage: Any  # the recipe's record of the stage: Sft, Dpd, Grpo, RewardModel
    step_name: str
    owner: str
    model: Path
    chat: Chat
    data: Mapping[str, Data]
    recipe_dir: Path
    attempt: Path
    output: Path
    seed: int
    stop_file: Path
    sharding: str = "auto"  # cluster.sharding
    resume: Checkpoint | None = None
    inputs: Mapping[str, Path] = field(default_factory=dict)
    report_to: tuple[str, ...] = ()  # trackers


def data_folders(inputs: Mapping[str, Path]) -> dict[str, Path]:
    """Data sets that earlier steps published: role "data.<name>" -> folder."""
    return {role.removeprefix("data."): folder for role, folder in inputs.items() if role.startswith("data.")}

"""What a stage is to the pipeline, and what the pipeline hands to it. Imports no torch, ray or vllm.

A stage file imports nothing heavy at module level: `plan` reads its VERSION. The heavy work runs inside actors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from posttrain.recipe.schema import Recipe
from posttrain.records.step import Step

if TYPE_CHECKING:
    from posttrain.machine.machine import Machine


@dataclass(frozen=True, kw_only=True, slots=True)
class StepContext:
    """All a stage gets. It writes into `output` (published whole when `run` returns) and may keep resume state in
    `attempt`.

    `previous` are the folders of earlier attempts of this step, newest first: read sealed checkpoints from them, never
    write there.
    """

    step: Step
    recipe: Recipe
    recipe_dir: Path
    inputs: Mapping[str, Path]  # role -> published folder, digests verified
    input_steps: Mapping[str, Step]  # role -> the step that published it
    output: Path
    attempt: Path
    previous: tuple[Path, ...]
    seed: int
    machine: Machine  # engines, trainers, verifiers; started on first use
    smoke: bool
    progress: Callable[[str, int, int | None], None]  # (what, done, total)
    check_stop: Callable[[], None]  # raises Stopped when a stop was requested; call at safe points
    stop_file: Path  # exists once a stop was requested; for code in other processes


class StageKind(Protocol):
    """One kind of stage. VERSION is part of the id: raise it when the same inputs would give other bytes."""

    VERSION: int

    def run(self, ctx: StepContext) -> dict[str, Any]:
        """Do the work, fill ctx.output, return headline metrics (JSON). The same bytes each time: no clock in what is
        published."""
        ...

"""What a stage is to the pipeline, and what the pipeline hands to it. Imports no torch, ray or vllm.

A stage file imports nothing heavy at module level: `plan` reads its VERSION. The heavy work runs inside actors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from posttrain.recipe.schema import Recipe

if TYPE_CHECKING:
    from posttrain.machine.machine import Machine


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One box of the plan. `id` is the hash of kind, version, params, input ids and data digests; `files` are paths and
    not hashed.

    Example: Step(name="stem.filter", kind="filter", version=1, params={...}, inputs={"checkpoint": "distil"},
                  digests={"stem_prompts": "sha256:.."}, files={}, id="filter-3f9a...")
    """

    name: str
    kind: str
    version: int
    params: Mapping[str, Any]
    inputs: Mapping[str, str] = field(default_factory=dict)  # role -> name of an earlier step
    digests: Mapping[str, str] = field(default_factory=dict)  # what -> digest of a file or folder made elsewhere
    files: Mapping[str, str] = field(default_factory=dict)  # what -> absolute path of it
    id: str = ""


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

"""One step of a plan, as the plan makes it, stages get it, plan.json records it and results name it.

A step's name is for people: it is printed and never taken apart. What code asks of a step stands in a field. Knows
nothing of recipes, of stages' classes or of how a step runs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class ModelRole(StrEnum):
    """What the model of a step is to the recipe."""

    BASE = "base"  # what the recipe starts from
    START = "start"  # a checkpoint made elsewhere, given by --from
    TEACHER = "teacher"  # of a dpd stage
    POLICY = "policy"  # what a stage trained
    ASKED = "asked"  # of a data stage, made elsewhere


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One box of the plan. `id` is the hash of kind, version, params, input ids and data digests; `files` are paths and
    not hashed. The fields from `stage` to `few_shot` follow from the recipe and are not hashed either.

    Example: Step(name="stem.eval.code", kind="evaluate", version=4, params={...}, inputs={"checkpoint": "stem"},
    digests={"data.code_held_out": "sha256:.."}, id="evaluate-3f9a...", stage="stem", checkpoint="stem", suite="code",
    role=ModelRole.POLICY)
    """

    name: str
    kind: str
    version: int = 0  # of the stage's code; 0 until the plan has looked it up
    params: Mapping[str, Any]
    inputs: Mapping[str, str] = field(default_factory=dict)  # role -> name of an earlier step
    digests: Mapping[str, str] = field(default_factory=dict)  # what -> digest of a file or folder made elsewhere
    files: Mapping[str, str] = field(default_factory=dict)  # what -> absolute path of it
    id: str = ""
    stage: str | None = None  # the recipe's stage that the step belongs to; None for the base, fitness and export
    checkpoint: str | None = None  # evaluations: the name of the step whose model is scored
    suite: str | None = None  # evaluations: the suite
    role: ModelRole | None = None  # models and evaluations: what the model is to the recipe
    few_shot: bool = False  # evaluations: the model is shown worked examples instead of a chat

    @property
    def row(self) -> str:
        """The row of the run's table that an evaluation fills. Example: "stem", "base.few_shot"."""
        return f"{self.checkpoint}.few_shot" if self.few_shot else str(self.checkpoint)


def derive_seed(seed: int, step_name: str) -> int:
    """A step's own 31-bit seed, from the recipe's seed and the step's name."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{step_name}".encode()).digest()[:4], "big") & 0x7FFFFFFF

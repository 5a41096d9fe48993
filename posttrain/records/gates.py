"""What the gate behind a stage publishes, beside the model that it hands on. Knows nothing of how it decides."""

from __future__ import annotations

from dataclasses import dataclass

GATE = "gate.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Passed:
    """gate.json: the step whose model is handed on. Example: Passed(kept="general")"""

    kept: str


@dataclass(frozen=True, kw_only=True, slots=True)
class GateMetrics:
    """avg@k on the guard suite of the checkpoint that the stage started from and of its own, and which is kept.

    Example: GateMetrics(before=0.61, after=0.52, kept="general", remarks=("cold has 52.0 % on stem, ...",))
    """

    before: float
    after: float
    kept: str
    remarks: tuple[str, ...] = ()

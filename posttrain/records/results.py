"""`results.json` and the progress file of a run folder: what each step came to, and every evaluation, always whole on
the disk.

    {"name": ..., "stages": [StageRow, ...], "evaluations": [Evaluation, ...]}

Written and read through these records alone. Knows nothing of how a step runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from posttrain.errors import RecordError, StageError
from posttrain.records.codec import as_json, read_json
from posttrain.records.scores import SCORES, Scores
from posttrain.records.step import ModelRole, Step
from posttrain.store.atomic import write_json
from posttrain.telemetry import redact_json

RESULTS = "results.json"
PROGRESS = "progress.json"


class Status(StrEnum):
    """How a step stands in a run."""

    PENDING = "pending"
    RAN = "ran"
    RESUMED = "resumed"
    CACHED = "cached"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True, slots=True)
class StageRow:
    """One step of a run. The fields from `stage` on are the step's own: what it is to the recipe.

    Example: StageRow(name="stem", kind="grpo", id="grpo-3f9a", status=Status.RAN, seconds=61.5,
    metrics={"reward_last": 0.61}, stage="stem", role=ModelRole.POLICY, inputs={"checkpoint": "dpd"})
    """

    name: str
    kind: str
    id: str
    status: Status
    seconds: float | None  # of the attempt that published, also for a cached step; None until there is one
    metrics: Mapping[str, Any]  # see metrics.py; {} until there are some
    error: str = ""  # why a failed step failed
    stage: str | None = None
    checkpoint: str | None = None  # evaluations: as in Evaluation
    suite: str | None = None
    role: ModelRole | None = None
    few_shot: bool = False
    inputs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation(Scores):
    """Scores of one checkpoint on one suite, with whose they are in this run.

    Example: Evaluation(checkpoint="general", suite="stem", step="general.eval.stem", stage="general",
    role=ModelRole.POLICY, k=8, n=100, avg_at_k=0.41, ci95=(0.34, 0.49), ...)
    """

    checkpoint: str  # what is scored, a row of the table: a step with a model, or that step with worked examples
    suite: str
    step: str  # the step that scored, a row of `stages`
    stage: str | None = None  # the recipe's stage that the model belongs to; None for the base
    role: ModelRole | None = None
    few_shot: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class RunResults:
    """The content of results.json. `stages` in run order, `evaluations` in that of their steps."""

    name: str
    stages: tuple[StageRow, ...]
    evaluations: tuple[Evaluation, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """How far the step that runs is. Example: Progress(step="stem", what="training", done=3, total=20,
    updated="2026-01-31T10:00:00+00:00")"""

    step: str
    what: str
    done: int
    total: int | None
    updated: str


class ResultsFile:
    """The growing results of one run. `save` writes the whole file; `guard` is called before each write and may refuse
    it."""

    def __init__(self, run_dir: Path, *, name: str, steps: Sequence[Step], guard: Callable[[], None]) -> None:
        self._path = run_dir / RESULTS
        self._name = name
        self._guard = guard
        self._stages = {step.name: _pending(step) for step in steps}
        self._evaluations: dict[str, Evaluation] = {}

    def record(self, step: Step, *, status: Status, seconds: float, metrics: Mapping[str, Any]) -> None:
        """Set the row of a step that has published."""
        self._stages[step.name] = replace(
            self._stages[step.name],
            status=status,
            seconds=round(seconds, 3),
            metrics=redact_json(as_json(metrics)),
            error="",
        )

    def record_failure(self, step: Step, *, seconds: float, error: str) -> None:
        """Set the row of a step that failed."""
        self._stages[step.name] = replace(
            self._stages[step.name],
            status=Status.FAILED,
            seconds=round(seconds, 3),
            metrics={},
            error=redact_json(error),
        )

    def add_evaluation(self, step: Step, folder: Path) -> None:
        """Take the scores of a published evaluation. Raises StageError where the folder holds none."""
        self._evaluations[step.name] = evaluation_of(step, folder)

    @property
    def content(self) -> RunResults:
        evaluations = (self._evaluations[name] for name in self._stages if name in self._evaluations)
        return RunResults(name=self._name, stages=tuple(self._stages.values()), evaluations=tuple(evaluations))

    def save(self) -> None:
        """Write results.json whole."""
        self._guard()
        write_json(self._path, as_json(self.content), point="results")


def evaluation_of(step: Step, published: Path) -> Evaluation:
    """The scores that an evaluation step published, with whose they are. Raises StageError where its folder holds
    none."""
    try:
        scores = read_json(Scores, published / SCORES)
    except RecordError as error:
        raise StageError(error.what, where=error.where, remedy=error.remedy) from error
    if scores is None or step.suite is None:
        raise StageError(f"no {SCORES} of a checkpoint on a suite", where=str(published))
    return Evaluation(
        checkpoint=step.row,
        suite=step.suite,
        step=step.name,
        stage=step.stage,
        role=step.role,
        few_shot=step.few_shot,
        **{item.name: getattr(scores, item.name) for item in fields(Scores)},
    )


def _pending(step: Step) -> StageRow:
    return StageRow(
        name=step.name,
        kind=step.kind,
        id=step.id,
        status=Status.PENDING,
        seconds=None,
        metrics={},
        stage=step.stage,
        checkpoint=step.row if step.checkpoint is not None else None,
        suite=step.suite,
        role=step.role,
        few_shot=step.few_shot,
        inputs=step.inputs,
    )


def read_results(run_dir: Path) -> RunResults | None:
    """The results of a run folder, or None while there are none. Raises RecordError for a file that is none."""
    return read_json(RunResults, run_dir / RESULTS)


def read_progress(run_dir: Path) -> Progress | None:
    """How far the step that runs is; None where nothing says so, or nothing readable."""
    try:
        return read_json(Progress, run_dir / PROGRESS)
    except RecordError:  # a hint, which is written without care for a kill
        return None

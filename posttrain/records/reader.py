"""What a run left, read from its folder: results.json, run.json, manifests and published files.

Read only, and tolerant of a run that broke off: a file that is not there yet is absent, never an error; a file that is
there and cannot be read is named in `notes`. Knows nothing of how results are shown (evaluate/table.py, report/), nor
of how they were made.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from posttrain.errors import RecordError, RunFolderError
from posttrain.records.codec import from_json
from posttrain.records.manifest import Manifest, read_manifest
from posttrain.records.metrics import FilterSummary, Tokens, tokens_of
from posttrain.records.results import RESULTS, Evaluation, StageRow, read_results
from posttrain.records.rollouts import prompt_rows, rollout_files
from posttrain.records.run_files import RunFacts, read_facts
from posttrain.records.step import ModelRole
from sandbox.types import Level

MAX_ROLLOUT_BYTES = 256 * 1024 * 1024  # read at most this much of a stage's rollouts to count verdicts, else a part


@dataclass(frozen=True, kw_only=True, slots=True)
class StageRecord:
    """One step as results.json has it, with its published folder and that folder's manifest (None until there is one).

    Example: StageRecord(row=StageRow(name="stem", kind="grpo", ...), folder=Path(...), manifest=Manifest(...))
    """

    row: StageRow
    folder: Path | None
    manifest: Manifest | None

    @property
    def name(self) -> str:
        return self.row.name

    @property
    def tokens(self) -> Tokens:
        return tokens_of(self.row.metrics)


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """A run folder as read. `stages` in run order; `notes` name files that were there and could not be read."""

    folder: Path
    name: str
    facts: RunFacts | None
    stages: tuple[StageRecord, ...]
    evaluations: tuple[Evaluation, ...]
    filters: Mapping[str, FilterSummary]  # by name of the filter's step, in run order
    notes: tuple[str, ...] = ()

    def stage(self, name: str) -> StageRecord | None:
        return next((stage for stage in self.stages if stage.name == name), None)


@dataclass(frozen=True, kw_only=True, slots=True)
class VerdictCounts:
    """Verdicts of one step by outcome. `counted_share` below 1: its rollouts are so large that only that share of the
    files was read. Example: VerdictCounts(step="stem", outcomes={"correct": 4138, "wrong": 982})"""

    step: str
    outcomes: Mapping[str, int]
    counted_share: float = 1.0


def read_run(folder: Path) -> Run:
    """Read a run folder. RunFolderError when it is none, or when results.json cannot be read; nothing is written."""
    results = read_results(folder)
    if results is None:
        raise RunFolderError(
            f"{folder} holds no {RESULTS}",
            where=str(folder),
            remedy="name the folder given to `posttrain run --out`, such as runs/demo",
        )
    notes: list[str] = []
    facts: RunFacts | None = None
    try:
        facts = read_facts(folder)
    except RecordError as error:
        notes.append(_note(folder, error))
    return Run(
        folder=folder,
        name=results.name,
        facts=facts,
        stages=tuple(_stage(folder, row, notes) for row in results.stages),
        evaluations=results.evaluations,
        filters=_filters(folder, results.stages, notes),
        notes=tuple(notes),
    )


def _note(folder: Path, error: RecordError) -> str:
    place = Path(str(error.where))
    return f"{place.relative_to(folder) if place.is_relative_to(folder) else place}: {error.what}"


def _stage(folder: Path, row: StageRow, notes: list[str]) -> StageRecord:
    published = folder / "stages" / row.name
    manifest: Manifest | None = None
    try:
        manifest = read_manifest(published)
    except RecordError as error:
        notes.append(_note(folder, error))
    return StageRecord(row=row, folder=published if published.is_dir() else None, manifest=manifest)


def _filters(folder: Path, rows: tuple[StageRow, ...], notes: list[str]) -> dict[str, FilterSummary]:
    found: dict[str, FilterSummary] = {}
    for row in rows:
        if row.kind == "filter" and row.metrics:
            try:
                found[row.name] = from_json(FilterSummary, row.metrics, str(folder / RESULTS))
            except RecordError as error:
                notes.append(f"{_note(folder, error)} ({row.name})")
    return found


# ---------------------------------------------------------------- which checkpoint follows which


def controls(run: Run) -> frozenset[str]:
    """Evaluated policies of the recipe's stages that the last one does not descend from: they stand for comparison."""
    rows = {stage.name: stage.row for stage in run.stages}
    policies = [
        evaluation.checkpoint
        for evaluation in run.evaluations
        if evaluation.role is ModelRole.POLICY and evaluation.checkpoint in rows
    ]
    exported = next((row.inputs.get("checkpoint") for row in rows.values() if row.kind == "export"), None)
    last = exported or (policies[-1] if policies else None)
    line: set[str] = set()
    while last in rows and last not in line:
        line.add(last)
        last = rows[last].inputs.get("checkpoint")
    return frozenset(policies) - line


# ---------------------------------------------------------------- verdicts, the judge


def verdicts_of(run: Run) -> list[VerdictCounts]:
    """Verdicts by outcome of every filter and every stage that published judged rollouts, in run order."""
    found = []
    for stage in run.stages:
        if stage.name in run.filters:
            found.append(VerdictCounts(step=stage.name, outcomes=run.filters[stage.name].outcomes))
        files = rollout_files(stage.folder)
        if files and set((counted := _count_verdicts(stage.name, files)).outcomes) != {"none"}:
            found.append(counted)
    return found


def _count_verdicts(step: str, files: list[Path]) -> VerdictCounts:
    total_bytes = sum(path.stat().st_size for path in files)
    stride = max(1, math.ceil(total_bytes / MAX_ROLLOUT_BYTES))
    chosen = files[::stride]
    outcomes = Counter(
        answer.verdict.outcome if answer.verdict is not None else "none"
        for path in chosen
        for row in prompt_rows(path)
        if row is not None
        for answer in row.completions
    )
    return VerdictCounts(step=step, outcomes=dict(outcomes), counted_share=len(chosen) / len(files))


def judge_level(run: Run) -> Level | None:
    """Isolation under which generated code ran: the weakest level in any step's manifest; None where none ran."""
    levels = (stage.manifest.judge_level for stage in run.stages if stage.manifest is not None)
    return min((level for level in levels if level is not None), default=None)

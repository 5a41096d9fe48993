"""What a run left, read from its folder: results.json, run.json, recipe.json, manifests and published files.

Standard library only, read only, and tolerant of a run that broke off: a file that is not there yet is absent, never an
error; a file that is there and cannot be read is named. Knows nothing of how results are shown (table.py, report/), nor
of how they were made.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from posttrain.errors import RunFolderError
from sandbox.types import Level

MAX_ROLLOUT_BYTES = (
    256 * 1024 * 1024
)  # read at most this much of a stage's rollouts to count verdicts; a larger stage is counted in part
NO_POLICY = frozenset({"base", "reward_model"})  # kinds whose checkpoint no stage goes on from by default


@dataclass(frozen=True, kw_only=True, slots=True)
class StageRecord:
    """One row of results.json's `stages`, with its published folder (None until there is one) and that folder's
    manifest ({} likewise).

    Example: StageRecord(name="stem", kind="grpo", id="grpo-3f9a", status="ran", seconds=61.5, metrics={"reward": 0.61},
                         folder=Path(...), manifest={...})
    """

    name: str
    kind: str
    id: str
    status: str
    seconds: float | None
    metrics: Mapping[str, Any]
    folder: Path | None
    manifest: Mapping[str, Any]
    error: str = ""  # why a failed stage failed, where results.json says so


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationRecord:
    """One checkpoint on one suite; fractions 0 to 1. What results.json does not hold comes from scores.json, else it is
    None.

    Example: EvaluationRecord(checkpoint="general", suite="stem", k=8, n=100, avg_at_k=0.41, ci95=(0.34, 0.49),
    pass_at_k=0.7,
                              format_valid=0.98, faults=0, mean_tokens=31.0, truncated_share=0.0, seconds=12.5)
    """

    checkpoint: str
    suite: str
    k: int
    n: int
    avg_at_k: float
    ci95: tuple[float, float]
    pass_at_k: float | None
    format_valid: float | None
    faults: int | None
    mean_tokens: float | None
    truncated_share: float | None
    seconds: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """A run folder as read. `stages` in run order; `notes` name files that were there and could not be read."""

    folder: Path
    recipe: Mapping[str, Any]
    facts: Mapping[str, Any]  # run.json
    stages: tuple[StageRecord, ...]
    evaluations: tuple[EvaluationRecord, ...]
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return str(self.recipe.get("name") or self.facts.get("name") or self.folder.name)

    def stage(self, name: str) -> StageRecord | None:
        return next((stage for stage in self.stages if stage.name == name), None)


@dataclass(frozen=True, kw_only=True, slots=True)
class FilterRecord:
    """An avg@k filter's summary. `histogram[c]` prompts with c right of k: k + 1 entries.

    Example: FilterRecord(stage="stem.filter", prompts=400, kept=212, kept_share=0.53, histogram=(90, 10, ...))
    """

    stage: str
    prompts: int
    kept: int
    kept_share: float
    histogram: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class VerdictCounts:
    """Verdicts of one stage by outcome; `num_tokens` of the answers they judge.

    `counted_share` below 1: the stage's rollouts are so large that only that share of the files was read.
    """

    stage: str
    outcomes: Mapping[str, int]
    num_tokens: int
    counted_share: float = 1.0


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads JSON files and remembers which it could not read."""

    folder: Path
    notes: list[str] = field(default_factory=list)

    def mapping(self, path: Path) -> dict[str, Any]:
        """The JSON object at `path`; {} when the file is absent, or unreadable (then noted)."""
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            self.notes.append(f"{path.relative_to(self.folder)} cannot be read: {error}")
            return {}
        if not isinstance(content, dict):
            self.notes.append(f"{path.relative_to(self.folder)} does not hold a JSON object")
            return {}
        return content


def read_run(folder: Path) -> Run:
    """Read a run folder. RunFolderError when it is none, or when results.json cannot be read; nothing is written."""
    results_file = folder / "results.json"
    try:
        results = json.loads(results_file.read_text(encoding="utf-8"))
        stage_rows, evaluation_rows = list(results["stages"]), list(results["evaluations"])
    except (FileNotFoundError, NotADirectoryError):
        raise RunFolderError(
            f"{folder} holds no results.json",
            where=str(folder),
            remedy="name the folder given to `posttrain run --out`, such as runs/demo",
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunFolderError(
            f"results.json cannot be read as results of a run ({error})",
            where=str(results_file),
            remedy=(
                "run the same `posttrain run` command again: it writes results.json anew and repeats no finished stage"
            ),
        ) from error
    reader = _Reader(folder)
    stages = tuple(_stage(folder, row, reader) for row in stage_rows)
    by_name = {stage.name: stage for stage in stages}
    return Run(
        folder=folder,
        recipe=reader.mapping(folder / "recipe.json"),
        facts=reader.mapping(folder / "run.json"),
        stages=stages,
        evaluations=tuple(_evaluation(row, by_name, reader) for row in evaluation_rows),
        notes=tuple(reader.notes),
    )


def _stage(folder: Path, row: Mapping[str, Any], reader: _Reader) -> StageRecord:
    published = folder / "stages" / row["name"]
    manifest = reader.mapping(published / "manifest.json")
    seconds = number(row.get("seconds"))
    if not seconds:  # a cached stage took no time now; its manifest knows what it took when it ran
        seconds = number(manifest.get("seconds")) or None
    return StageRecord(
        name=str(row["name"]),
        kind=str(row.get("kind", "")),
        id=str(row.get("id", "")),
        status=str(row.get("status", "pending")),
        seconds=seconds,
        metrics=row.get("metrics") or {},
        folder=published if published.is_dir() else None,
        manifest=manifest,
        error=str(row.get("error") or (row.get("metrics") or {}).get("error") or ""),
    )


def _evaluation(row: Mapping[str, Any], stages: Mapping[str, StageRecord], reader: _Reader) -> EvaluationRecord:
    step = stages.get(f"{row['checkpoint']}.eval.{row['suite']}")
    published = reader.mapping(step.folder / "scores.json") if step and step.folder else {}
    known = {**published, **row}
    low, high = known["ci95"]
    faults = known.get("faults")
    return EvaluationRecord(
        checkpoint=str(row["checkpoint"]),
        suite=str(row["suite"]),
        k=int(known["k"]),
        n=int(known["n"]),
        avg_at_k=float(known["avg_at_k"]),
        ci95=(float(low), float(high)),
        pass_at_k=number(known.get("pass_at_k")),
        format_valid=number(known.get("format_valid")),
        faults=int(faults) if faults is not None else None,
        mean_tokens=number(known.get("mean_tokens")),
        truncated_share=number(known.get("truncated_share")),
        seconds=number(known.get("seconds")) or (step.seconds if step else None),
    )


def number(value: Any) -> float | None:
    """A finite number as a float; anything else is None."""
    return (
        float(value)
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        else None
    )


def json_rows(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a .jsonl file, one at a time; a missing file has none. A torn last line ends it: it was never
    published."""
    try:
        with path.open(encoding="utf-8", newline="\n") as lines:
            for line in lines:
                try:
                    row = json.loads(line)
                except ValueError:
                    return
                if isinstance(row, dict):
                    yield row
    except FileNotFoundError:
        return


# ---------------------------------------------------------------- which checkpoint follows which


def reference_checkpoints(run: Run) -> dict[str, str]:
    """Evaluated checkpoints that stand beside the line from base to final model -> why: a teacher, few-shot prompts, a
    control.

    A control is a policy stage of the recipe that the last one does not descend from.
    """
    line = _line_to_final(run.recipe)
    kinds = {stage.name: stage.kind for stage in run.stages}
    beside: dict[str, str] = {}
    for name in dict.fromkeys(evaluation.checkpoint for evaluation in run.evaluations):
        if name.endswith(".teacher"):  # with the dot: a stage may be named teacher
            beside[name] = "teacher"
        elif name.endswith(".few_shot"):
            beside[name] = "few-shot"
        elif line and name in kinds and kinds[name] not in NO_POLICY and name not in line:
            beside[name] = "control"
    return beside


def _line_to_final(recipe: Mapping[str, Any]) -> set[str]:
    parents: dict[str, str] = {}
    previous = "base"
    for stage in recipe.get("stages") or ():
        if stage.get("kind") not in NO_POLICY:
            parents[stage["name"]] = stage.get("from") or stage.get("from_") or previous
            previous = stage["name"]
    line: set[str] = set()
    while previous in parents and previous not in line:
        line.add(previous)
        previous = parents[previous]
    return line


# ---------------------------------------------------------------- filters, verdicts, the judge


def filters_of(run: Run) -> list[FilterRecord]:
    """Summaries of the filters that have published, in run order."""
    reader = _Reader(run.folder)
    found = []
    for stage in run.stages:
        summary = reader.mapping(stage.folder / "summary.json") if stage.kind == "filter" and stage.folder else {}
        if "kept_share" in summary:
            found.append(
                FilterRecord(
                    stage=stage.name,
                    prompts=int(summary["prompts"]),
                    kept=int(summary["kept"]),
                    kept_share=float(summary["kept_share"]),
                    histogram=tuple(int(count) for count in summary.get("histogram") or ()),
                )
            )
    return found


def rollout_files(stage: StageRecord) -> list[Path]:
    """A stage's published rollout files, one a step, in order of steps."""
    return sorted((stage.folder / "rollouts").glob("step-*.jsonl")) if stage.folder else []


def completions_of(group: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The answers of a published row, each with a verdict ({} where none); a stage of the user's own may write rows of
    another shape."""
    found = group.get("completions")
    rows = [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []
    return [row if isinstance(row.get("verdict"), dict) else {**row, "verdict": {}} for row in rows]


def verdicts_of(run: Run) -> list[VerdictCounts]:
    """Verdicts by outcome of every filter and every stage that published rollouts, in run order."""
    found = []
    for stage in run.stages:
        counted = stage.metrics.get("outcomes")
        if stage.kind == "filter" and isinstance(counted, Mapping):
            outcomes = {str(outcome): int(count) for outcome, count in counted.items()}
            found.append(
                VerdictCounts(
                    stage=stage.name, outcomes=outcomes, num_tokens=int(number(stage.metrics.get("tokens")) or 0)
                )
            )
        files = rollout_files(stage)
        if files:
            found.append(_count_verdicts(stage.name, files))
    return found


def _count_verdicts(stage: str, files: list[Path]) -> VerdictCounts:
    total_bytes = sum(path.stat().st_size for path in files)
    stride = max(1, math.ceil(total_bytes / MAX_ROLLOUT_BYTES))
    chosen = files[::stride]
    outcomes: Counter[str] = Counter()
    num_tokens = 0
    for path in chosen:
        for group in json_rows(path):
            for completion in completions_of(group):
                outcomes[str(completion["verdict"].get("outcome", "none"))] += 1
                num_tokens += int(number(completion.get("num_tokens")) or 0)
    return VerdictCounts(
        stage=stage, outcomes=dict(outcomes), num_tokens=num_tokens, counted_share=len(chosen) / len(files)
    )


def judge_level(run: Run) -> str | None:
    """Isolation under which generated code ran: the weakest level that any stage recorded, else what run.json says,
    else None."""
    levels = [stage.metrics.get("judge_level") or stage.manifest.get("judge_level") for stage in run.stages]
    levels += [
        (stage.manifest.get("judge") or {}).get("level")
        for stage in run.stages
        if isinstance(stage.manifest.get("judge"), dict)
    ]
    known = [level for level in levels if level in tuple(Level)]
    if known:
        return str(min(known, key=tuple(Level).index))
    judge = run.facts.get("judge")
    level = judge.get("level") if isinstance(judge, dict) else judge or run.facts.get("judge_level")
    return str(level) if level else None

"""Looking at a run, and stopping it, from another shell: reads results, lock and progress; sends one signal or leaves
one file.

Knows nothing of how a run works inside.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from posttrain.errors import RunFolderError
from posttrain.records.results import Evaluation, Progress, StageRow, Status, read_progress, read_results
from posttrain.run.folder import LOCK, STOP, existing_run
from posttrain.store import lock
from posttrain.telemetry import headline


@dataclass(frozen=True, kw_only=True, slots=True)
class Holder:
    """The process that holds a run folder."""

    pid: int
    host: str


@dataclass(frozen=True, kw_only=True, slots=True)
class StageStatus(StageRow):
    """A row of results.json with a note for a person: how far it is, why it failed, or what it came to."""

    note: str


@dataclass(frozen=True, kw_only=True, slots=True)
class RunStatus:
    """A run as seen from outside. `state` is running, done, failed, or stopped (nobody works on it and steps are
    missing); `shown` is the same for a person, with who holds the folder.

    Example: RunStatus(run="runs/demo", state="running", shown="running (process 812 on box)", holder=Holder(...),
    stages=(...), evaluations=(), progress=Progress(...))
    """

    run: str
    state: str
    shown: str
    holder: Holder | None
    stages: tuple[StageStatus, ...]
    evaluations: tuple[Evaluation, ...]
    progress: Progress | None


def read_status(run_dir: Path) -> RunStatus:
    """Look at a run folder. Raises RunFolderError."""
    existing_run(run_dir)
    results = read_results(run_dir)
    rows = results.stages if results is not None else ()
    holder = lock.read_holder(run_dir / LOCK)
    if holder is not None and (holder.released or lock.liveness(holder) == "dead"):
        holder = None
    progress = read_progress(run_dir) if holder is not None else None
    state = _state(rows, is_held=holder is not None)
    return RunStatus(
        run=str(run_dir),
        state=state,
        shown=f"{state} ({holder.label})" if holder is not None else state,
        holder=Holder(pid=holder.pid, host=holder.host) if holder is not None else None,
        stages=tuple(
            StageStatus(**{item.name: getattr(row, item.name) for item in fields(StageRow)}, note=_note(row, progress))
            for row in rows
        ),
        evaluations=results.evaluations if results is not None else (),
        progress=progress,
    )


def request_stop(run_dir: Path) -> str:
    """Ask the holder to stop; returns a sentence about what was done. Raises RunFolderError when nobody holds the
    folder."""
    existing_run(run_dir)
    holder = lock.read_holder(run_dir / LOCK)
    if holder is None or holder.released or lock.liveness(holder) == "dead":
        raise RunFolderError("no process runs in this folder", where=str(run_dir), remedy="nothing is to be stopped")
    if lock.liveness(holder) == "alive":
        os.kill(holder.pid, signal.SIGTERM)
        return f"{holder.label} was asked to stop; it ends at its next safe point"
    os.close(os.open(run_dir / STOP, os.O_WRONLY | os.O_CREAT, 0o644))
    return f"{holder.label} is not on this machine; it will see the file {run_dir / STOP} at its next safe point"


def _state(rows: Sequence[StageRow], *, is_held: bool) -> str:
    statuses = {row.status for row in rows}
    if is_held:
        return "running"
    if Status.FAILED in statuses:
        return "failed"
    return "done" if rows and Status.PENDING not in statuses else "stopped"


def _note(row: StageRow, progress: Progress | None) -> str:
    if progress is not None and progress.step == row.name and row.status is Status.PENDING:
        total = f"/{progress.total}" if progress.total else ""
        return f"{progress.what} {progress.done}{total}"
    return row.error or headline(row.metrics)

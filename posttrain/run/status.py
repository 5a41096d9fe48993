"""Looking at a run, and stopping it, from another shell: reads results, lock and progress; sends one signal or leaves
one file.

Knows nothing of how a run works inside.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from posttrain.errors import RunFolderError
from posttrain.records.results import read_progress, read_results
from posttrain.run.folder import LOCK, STOP, existing_run
from posttrain.store import lock
from posttrain.telemetry import headline


def read_status(run_dir: Path) -> dict[str, Any]:
    """{"run", "state", "holder", "stages", "evaluations", "progress"}; a stage row gets a "note" for a person.

    state is running, done, failed, or stopped (nobody works on it and steps are missing). Raises RunFolderError.
    """
    existing_run(run_dir)
    results = read_results(run_dir) or {"stages": [], "evaluations": []}
    holder = lock.read_holder(run_dir / LOCK)
    held = holder is not None and not holder.released and lock.liveness(holder) != "dead"
    progress = read_progress(run_dir) if held else None
    stages = [dict(row, note=_note(row, progress)) for row in results["stages"]]
    state = _state(stages, held)
    shown = f"{state} ({holder.label})" if held and holder is not None else state
    return {
        "run": str(run_dir),
        "state": state,
        "shown": shown,
        "holder": {"pid": holder.pid, "host": holder.host} if held and holder is not None else None,
        "stages": stages,
        "evaluations": results["evaluations"],
        "progress": progress,
    }


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


def _state(stages: list[dict[str, Any]], held: bool) -> str:
    statuses = {row["status"] for row in stages}
    if held:
        return "running"
    if "failed" in statuses:
        return "failed"
    return "done" if stages and "pending" not in statuses else "stopped"


def _note(row: dict[str, Any], progress: dict[str, Any] | None) -> str:
    if progress is not None and progress["step"] == row["name"] and row["status"] == "pending":
        total = f"/{progress['total']}" if progress["total"] else ""
        return f"{progress['what']} {progress['done']}{total}"
    return str(row["metrics"].get("error") or headline(row["metrics"]))

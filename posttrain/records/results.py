"""`results.json` and the progress file of a run folder: what each step came to, and every evaluation, always whole on
the disk.

    {"name": ..., "stages": [{"name", "kind", "id", "status", "seconds", "metrics"}],
     "evaluations": [{"checkpoint", "suite", "k", "n", "avg_at_k", "ci95", "pass_at_k"}]}

status is ran, resumed, cached, failed or pending. Fractions are 0 to 1; n problems of k samples. Knows nothing of how a
step runs.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from posttrain.errors import RunFolderError, StageError
from posttrain.records.step import Step
from posttrain.store.atomic import write_json
from posttrain.telemetry import redact_json

RESULTS = "results.json"
PROGRESS = "progress.json"
STATUSES = ("ran", "resumed", "cached", "failed", "pending")
EVALUATION_KEYS = ("checkpoint", "suite", "k", "n", "avg_at_k", "ci95", "pass_at_k")


class Results:
    """The growing results of one run. `save` writes the whole file; `guard` is called before each write and may refuse
    it."""

    def __init__(self, run_dir: Path, *, name: str, steps: Sequence[Step], guard: Callable[[], None]) -> None:
        self._path = run_dir / RESULTS
        self._name = name
        self._guard = guard
        self._stages = {
            step.name: {
                "name": step.name,
                "kind": step.kind,
                "id": step.id,
                "status": "pending",
                "seconds": 0.0,
                "metrics": {},
            }
            for step in steps
        }
        self._evaluations: dict[str, dict[str, Any]] = {}

    def record(self, step: Step, *, status: str, seconds: float, metrics: Mapping[str, Any]) -> None:
        """Set a step's row. metrics: JSON values; a number that is not finite becomes null, because JSON has none."""
        self._stages[step.name] |= {
            "status": status,
            "seconds": round(seconds, 3),
            "metrics": redact_json(finite(metrics)),
        }

    def add_evaluation(self, step: Step, folder: Path) -> None:
        """Take the scores of a published evaluation. Its checkpoint and suite are those of this plan, whatever run made
        the artefact."""
        scores = json.loads((folder / "scores.json").read_bytes())
        entry = {**scores, "checkpoint": step.row, "suite": step.suite}
        missing = [key for key in EVALUATION_KEYS if key not in entry]
        if missing:
            raise StageError(f"scores.json lacks {', '.join(missing)}", where=str(folder))
        self._evaluations[step.name] = finite(entry)

    def as_json(self) -> dict[str, Any]:
        order = [name for name in self._stages if name in self._evaluations]
        return {
            "name": self._name,
            "stages": list(self._stages.values()),
            "evaluations": [self._evaluations[name] for name in order],
        }

    def save(self) -> None:
        """Write results.json whole."""
        self._guard()
        write_json(self._path, self.as_json(), point="results")


def finite(value: Any) -> Any:
    """The value with every NaN and infinity replaced by None, tuples as lists, keys as text, and what is no JSON value
    as text: a stage of the user's own is not to lose hours of work over one metric. A scalar of numpy or torch is its
    number.
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if value is None or isinstance(value, str | int):
        return value
    return finite(value.item()) if getattr(value, "shape", None) == () else str(value)


def read_results(run_dir: Path) -> dict[str, Any] | None:
    """The results of a run folder, or None while there are none. Raises RunFolderError for a file that is none."""
    path = run_dir / RESULTS
    try:
        results: dict[str, Any] = json.loads(path.read_bytes())
        return {**results, "stages": list(results["stages"]), "evaluations": list(results["evaluations"])}
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        remedy = "run the same `posttrain run` command again: it writes results.json anew and repeats no finished stage"
        raise RunFolderError(f"results.json cannot be read ({error!r})", where=str(path), remedy=remedy) from error


def read_progress(run_dir: Path) -> dict[str, Any] | None:
    """{"step", "what", "done", "total", "updated"} of the step that runs, or None."""
    try:
        progress: dict[str, Any] = json.loads((run_dir / PROGRESS).read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return progress

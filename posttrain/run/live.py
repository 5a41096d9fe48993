"""A run at this moment, for `posttrain watch`: its status, the newest numbers of the step that trains, its pace, and an
answer sampled last.

Reads files that others write; knows nothing of how it is shown.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from posttrain.errors import InputError
from posttrain.plan.prepare import previous_steps
from posttrain.records.metrics import METRICS_FILE, MetricsRow, metrics_rows
from posttrain.records.run_files import read_facts
from posttrain.run.answers import Answer, answers, find_answers
from posttrain.run.status import RunStatus, read_status
from posttrain.telemetry import TimeLeft

ROWS = 60
_TOKENS = ("generated_tokens", "trained_tokens", "num_tokens")


@dataclass(frozen=True, kw_only=True, slots=True)
class Moment:
    """What a look finds. rows: the newest of the step that trains, oldest first, () where none does; tokens_per_second:
    None until two rows were seen; answer: the newest one on disk of that step.

    Example: Moment(status=RunStatus(...), step="stem", rows=(MetricsRow(...),), tokens_per_second=812.0,
    seconds_left=440.0, answer=Answer(...))
    """

    status: RunStatus
    step: str | None
    rows: tuple[MetricsRow, ...]
    tokens_per_second: float | None
    seconds_left: float | None
    answer: Answer | None


class Observer:
    """Looks at a run folder again and again: pace and time left come from what earlier looks saw."""

    def __init__(self, run_dir: Path) -> None:
        self._run = run_dir
        self._left = TimeLeft()
        self._seen: tuple[str, int, float] | None = None  # step, row, when it was first seen
        self._pace: float | None = None

    def look(self, now: float | None = None) -> Moment:
        """now: seconds of a clock that never goes back. Raises RunFolderError."""
        now = time.monotonic() if now is None else now
        status = read_status(self._run)
        progress = status.progress
        step = progress.step if progress is not None else None
        rows = self._rows(step) if step is not None else ()
        left = self._left.seconds(progress.what, progress.done, progress.total, now) if progress is not None else None
        return Moment(
            status=status,
            step=step,
            rows=rows,
            tokens_per_second=self._tokens_per_second(step or "", rows, now),
            seconds_left=left,
            answer=self._newest(step) if step is not None else None,
        )

    def _rows(self, step: str) -> tuple[MetricsRow, ...]:
        """Those of the newest attempt at this step."""
        facts = read_facts(self._run)
        assert facts is not None, "read_status has looked"
        ids = [one.id for one in previous_steps(self._run) if one.name == step]
        found = [path for name in ids for path in (Path(facts.store) / "work" / name).glob(f"attempt-*/{METRICS_FILE}")]
        return tuple(deque(metrics_rows(max(found)), ROWS)) if found else ()

    def _tokens_per_second(self, step: str, rows: tuple[MetricsRow, ...], now: float) -> float | None:
        """Over the rows that came since the last look that found new ones."""
        if not rows:
            self._seen, self._pace = None, None
            return None
        newest = rows[-1].step
        if self._seen is None or self._seen[0] != step or newest < self._seen[1]:
            self._seen, self._pace = (step, newest, now), None
        elif newest > self._seen[1]:
            new = [row for row in rows if row.step > self._seen[1]]
            self._pace = sum(tokens_of_row(row.values) for row in new) / max(now - self._seen[2], 1e-9)
            self._seen = (step, newest, now)
        return self._pace

    def _newest(self, step: str) -> Answer | None:
        try:
            (found,) = find_answers(f"{self._run}:{step}")
        except InputError:  # it samples nothing, or has not yet
            return None
        last = deque(answers(found.step, found.files[-1:]), 1)
        return last[0] if last else None


def tokens_of_row(values: Mapping[str, float]) -> float:
    """Tokens that the step of a row generated, or else trained on; 0 where it does not tell."""
    return next((values[name] for name in _TOKENS if name in values), 0.0)

"""How far a step is, written by whoever works at it, in whichever process, to a file beside the stop file that the
driver reads once a second.

    tell(job.stop_file, "training", 12, 500)                 in a worker, as often as it likes
    with Watch(run_dir, lambda what, done, total: ...):      in the driver, around a step

A hint only: nothing waits for it, nothing is resumed from it, and a full disk that does not take it fails no step.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from posttrain.store.atomic import write_json

STEP_PROGRESS = "working.json"
_WRITE_SECONDS, _READ_SECONDS = 0.5, 1.0
_last_written = 0.0


def tell(stop_file: Path, what: str, done: int, total: int | None) -> None:
    """Note that `done` of `total` units are done of the step that runs in the stop file's folder; twice a second at
    most. A total of None is one that is not known."""
    global _last_written
    now = time.monotonic()
    if now - _last_written < _WRITE_SECONDS and done != total:
        return
    _last_written = now
    with contextlib.suppress(OSError):
        record = {"what": what, "done": done, "total": total}
        write_json(stop_file.with_name(STEP_PROGRESS), record, point=None, durable=False)


class Watch:
    """Context manager: while it is open, calls `progress` with each new record, from a thread of its own."""

    def __init__(self, folder: Path, progress: Callable[[str, int, int | None], None]) -> None:
        self._path = folder / STEP_PROGRESS
        self._progress = progress
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, name="watch", daemon=True)

    def _look(self) -> None:
        last: dict[str, Any] = {}
        while not self._ended.wait(_READ_SECONDS):
            with contextlib.suppress(OSError, ValueError, KeyError):
                record = json.loads(self._path.read_bytes())
                if record != last:
                    self._progress(str(record["what"]), int(record["done"]), record["total"])
                    last = record

    def __enter__(self) -> Watch:
        self._path.unlink(missing_ok=True)  # of the step before
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        self._path.unlink(missing_ok=True)

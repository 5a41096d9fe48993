"""How far a step is, told by whoever works at it, in whichever process: a file beside the stop file that the driver
reads once a second.

    tell(job.stop_file, "training", 12, 500)                 in a worker, as often as it likes
    with Watch(run_dir, lambda what, done, total: ...):      in the driver, around a step

A hint only: nothing waits for it, nothing is resumed from it, and a disk that takes none costs no step.
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

WORKING = "working.json"
_TOLD_SECONDS, _READ_SECONDS = 0.5, 1.0
_last_told = 0.0


def tell(stop_file: Path, what: str, done: int, total: int | None) -> None:
    """`done` of `total` units of the step that runs in the stop file's folder. Written twice a second at most."""
    global _last_told
    now = time.monotonic()
    if now - _last_told < _TOLD_SECONDS and done != total:
        return
    _last_told = now
    with contextlib.suppress(OSError):
        told = {"what": what, "done": done, "total": total}
        write_json(stop_file.with_name(WORKING), told, point=None, durable=False)


class Watch:
    """Context manager: hands on what is told while it is open, each news once. `progress` is called from a thread of
    its own."""

    def __init__(self, folder: Path, progress: Callable[[str, int, int | None], None]) -> None:
        self._path = folder / WORKING
        self._progress = progress
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, name="watch", daemon=True)

    def _look(self) -> None:
        last: dict[str, Any] = {}
        while not self._ended.wait(_READ_SECONDS):
            with contextlib.suppress(OSError, ValueError, KeyError):
                told = json.loads(self._path.read_bytes())
                if told != last:
                    self._progress(str(told["what"]), int(told["done"]), told["total"])
                    last = told

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

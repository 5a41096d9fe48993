"""Stopping on request: SIGTERM, Ctrl-C or `posttrain stop` ask once, and the work ends at its next safe point; a second
signal ends it now.

    with StopRequest(run_dir / "stop") as stop:
        ... stop.check() ...            raises Stopped at a safe point

The request is also a file, so that processes which get no signal (Ray actors, another host) see it. Knows nothing of
what is saved.

    with giving_up_waits(stop_file):
        ... a call into another process, which asks `check_wait()` about once a second ...
        with giving_up_waits(None):
            ... one that ends in order by itself when the stop file appears ...
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from posttrain.errors import Stopped

EXIT_STOPPED = Stopped.exit_code


_gives_up_for: ContextVar[Path | None] = ContextVar("gives_up_for", default=None)


def _stop_error() -> Stopped:
    return Stopped(
        "stopped on request; finished steps and the last checkpoint are kept", remedy="the same command continues"
    )


@contextmanager
def giving_up_waits(stop_file: Path | None) -> Iterator[None]:
    """Within the block a wait for another process ends with Stopped once a stop was asked for; with None it is waited
    for. What it does there is abandoned, so this is for work that can be done again and for a process that ends with
    the run."""
    token = _gives_up_for.set(stop_file)
    try:
        yield
    finally:
        _gives_up_for.reset(token)


def check_wait() -> None:
    """For whoever waits: raise Stopped if the wait is one to give up and a stop was asked for."""
    stop_file = _gives_up_for.get()
    if stop_file is not None and stop_file.exists():
        raise _stop_error()


class StopRequest:
    """Installs the handlers while the block lasts (main thread only) and removes a stop file left by an earlier run."""

    def __init__(self, stop_file: Path) -> None:
        self.stop_file = stop_file
        self._signals = 0
        self._owner = os.getpid()
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> StopRequest:
        self.stop_file.unlink(missing_ok=True)
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self.stop_file.unlink(missing_ok=True)

    @property
    def requested(self) -> bool:
        return self._signals > 0 or self.stop_file.exists()

    def check(self) -> None:
        """Raise Stopped if a stop was asked for. To be called where everything needed to go on is saved."""
        if self.requested:
            raise _stop_error()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._owner:
            # A forked child inherits the handler; there the signal must keep its ordinary meaning.
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        self._signals += 1
        if self._signals > 1:
            os._exit(EXIT_STOPPED)
        os.close(os.open(self.stop_file, os.O_WRONLY | os.O_CREAT, 0o644))

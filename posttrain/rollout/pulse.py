"""An engine's pulse: for how long it has been at its present step, and its slowest step so far, told on a port by a
thread of its own. A process that was stopped tells nothing; one whose step does not end tells so.

    engine ── beat() after each step ──> Pulse ── thread, port ──> read_pulse(address, port)

Knows nothing of engines and of Ray.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

ADDRESS = "POSTTRAIN_NODE_ADDRESS"
"""In the environment: where other nodes reach this one; loopback where it is not set."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Beat:
    """Seconds. at_step: 0 of one without work; slowest: 0 before its first step has ended; reads: whether the present
    step may read prompts, which takes as long as they are.

    Example: Beat(at_step=0.4, slowest=2.1, reads=False)
    """

    at_step: float
    slowest: float
    reads: bool


class Pulse:
    """Starts its thread, which ends with the process."""

    def __init__(self) -> None:
        self._lock, self._depth = threading.Lock(), 0
        self._since, self._slowest, self._reads = 0.0, 0.0, True
        self._server = socket.create_server((os.environ.get(ADDRESS, "127.0.0.1"), 0))
        self.port: int = self._server.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True, name="pulse").start()

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """While open, time counts."""
        with self._lock:
            self._since, self._reads = time.monotonic(), True
            self._depth += 1
        try:
            yield
        finally:
            with self._lock:
                self._depth -= 1

    def beat(self, reads_next: bool = False) -> None:
        """A step has ended. reads_next: whether the next one reads prompts."""
        with self._lock:
            now = time.monotonic()
            self._slowest, self._since, self._reads = max(self._slowest, now - self._since), now, reads_next

    def forget(self) -> None:
        """What a check of new weights took says nothing of the work to come."""
        with self._lock:
            self._slowest = 0.0

    def _serve(self) -> None:
        while True:
            asker, _ = self._server.accept()
            with asker, contextlib.suppress(OSError):
                with self._lock:
                    at_step = time.monotonic() - self._since if self._depth else 0.0
                    told = f"{at_step} {self._slowest} {int(self._reads)}"
                asker.sendall(told.encode())


def read_pulse(address: str, port: int, seconds: float) -> Beat | None:
    """None where nothing is told in that time."""
    try:
        with socket.create_connection((address, port), timeout=seconds) as line:
            told = b""
            while part := line.recv(100):
                told += part
        at_step, slowest, reads = map(float, told.split())
    except (OSError, ValueError):
        return None
    return Beat(at_step=at_step, slowest=slowest, reads=bool(reads))

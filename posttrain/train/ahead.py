"""Groups sampled ahead: while a step trains, the next steps' groups are sampled and judged in a thread.

    ahead = Ahead(staleness=1, steps=100, make=judged)         make(step, version) asks the engine as it is
    groups = ahead.take(0) or ...                              waits; None where nothing was asked ahead
    if ahead.is_idle: ...                                      the step's weights go to the engine
    ahead.ask(step=0, version=0)                               what these weights may answer

The bound: groups trained in step n come from weights of step n - staleness or newer. One batch at a time, in order, so
that no prompt is lost, doubled or skipped. A killed training has nothing ahead: the step at which it goes on is sampled
by its own weights. Knows nothing of engines.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Generic, TypeVar

from posttrain.signals.stopping import check_wait, giving_up_waits

Made = TypeVar("Made")


class Ahead(Generic[Made]):
    """One thread that makes batches in the order of the steps. make(step, version): the batch of a step, by weights of
    the step `version`; stop_file: ends what is under way."""

    def __init__(self, *, staleness: int, steps: int, stop_file: Path, make: Callable[[int, int], Made]) -> None:
        self._staleness, self._steps, self._stop_file, self._make = staleness, steps, stop_file, make
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ahead")
        self._asked: dict[int, Future[Made]] = {}

    def take(self, step: int) -> Made | None:
        """The batch of a step that was asked ahead, once it is there; None where it was not. Raises what `make` raised,
        Stopped."""
        if step not in self._asked:
            return None
        batch = self._asked.pop(step)
        while not wait([batch], timeout=1.0).done:
            check_wait()
        return batch.result()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way, so that the engine may take other weights."""
        return all(batch.done() for batch in self._asked.values())

    def settle(self) -> None:
        """Wait until nothing is under way; errors are for `take`. Raises Stopped."""
        while wait(self._asked.values(), timeout=1.0).not_done:
            check_wait()

    def ask(self, step: int, version: int) -> None:
        """Make what these weights may answer of the steps behind `step`."""
        first = max([step, *self._asked]) + 1
        for later in range(first, min(version + self._staleness, self._steps - 1) + 1):
            self._asked[later] = self._thread.submit(self._made, later, version)

    def _made(self, step: int, version: int) -> Made:
        with giving_up_waits(self._stop_file):
            return self._make(step, version)

    def close(self) -> None:
        """Forget what was asked. What is under way ends by the stop file, or with the process."""
        self._thread.shutdown(wait=False, cancel_futures=True)

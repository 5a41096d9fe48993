"""A test past a time limit has another chance: it is run again while no other slot of the judge is busy.

    slots --side_by_side()--> together       a program's tests; whether no other slot ran meanwhile is known at the end
          --alone()---------> one at a time  waits until the others have finished their program; newcomers wait for it

Other slots take caches and cycles, and a test near its limit then falls on one side or the other by chance. Such noise
only ever adds time: of several runs the shortest is nearest the truth, so a pass stands, and one that missed its CPU
limit by little, which noise from outside the judge can do, is run again up to MOST_RERUNS times. What other programs
on the machine take is not ours to stop: processor time, not the clock, is what most limits count. From 16 cores on one
test for every 8 cores may be repeated at once: one at a time, a few endless loops would hold up all slots of such a
machine. Knows nothing of boxes.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sandbox.inside.contract import cpu_end
from sandbox.types import Limits, Outcome, TestResult

MOST_RERUNS = 3
_CORES_A_RERUN = 8


def is_past_time_limit(result: TestResult) -> bool:
    """Whether a time limit was passed."""
    return result.outcome in (Outcome.CPU_LIMIT, Outcome.WALL_LIMIT)


def is_barely_past(result: TestResult, limits: Limits) -> bool:
    """Whether it was the CPU limit, by so little that the test could end by itself (contract.cpu_end)."""
    return result.outcome is Outcome.CPU_LIMIT and result.cpu_seconds <= cpu_end(limits.cpu_seconds)


@dataclass(kw_only=True, slots=True)
class SharedRun:
    """A slot's run beside others. `undisturbed`, known at its end: no other slot ran meanwhile."""

    undisturbed: bool = False


class SlotSchedule:
    """Which slots of one judge run together. `most_alone`: how many tests may be run again at once."""

    def __init__(self, most_alone: int = 1) -> None:
        self._changed = threading.Condition()
        self._most_alone = most_alone
        self._together = 0  # running side by side now
        self._started = 0  # runs side by side so far
        self._wanting = 0  # to run alone: waiting, or doing so
        self._alone = 0  # running alone now

    @classmethod
    def of_this_machine(cls) -> SlotSchedule:
        """With as many reruns at once as its cores allow."""
        return cls(max(1, (os.cpu_count() or 1) // _CORES_A_RERUN))

    @contextmanager
    def side_by_side(self) -> Iterator[SharedRun]:
        """Together with other slots; waits while one runs alone, or wants to."""
        run = SharedRun()
        with self._changed:
            self._changed.wait_for(lambda: self._wanting == 0)
            self._together += 1
            self._started += 1
            number, first = self._started, self._together == 1
        try:
            yield run
        finally:
            with self._changed:
                run.undisturbed = first and self._started == number
                self._together -= 1
                self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """With no slot running side by side, but for the other reruns that are allowed at once. Not from within
        side_by_side()."""
        with self._changed:
            self._wanting += 1
            self._changed.wait_for(lambda: self._together == 0 and self._alone < self._most_alone)
            self._alone += 1
        try:
            yield
        finally:
            with self._changed:
                self._alone -= 1
                self._wanting -= 1
                self._changed.notify_all()

"""Outcomes near a limit are decided on a quiet floor: the test is run again while no other slot of the judge is busy.

    slots --shared()--> side by side        a program's tests; whether it had the floor to itself all the while is known at the end
          --alone()---> one at a time       waits until the others have finished their program; newcomers wait for it

Other slots take caches and cycles, and a test near its limit then falls on one side or the other by chance. What other programs on the
machine take is not ours to stop: processor time, not the clock, is what most limits count. Knows nothing of boxes.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sandbox.types import Limits, Outcome, TestResult

NEARLY = 0.9  # of a limit


def near_limit(result: TestResult, limits: Limits) -> bool:
    """Whether a little more or less noise could have changed this outcome: a time limit passed, or a pass that used nearly all of it."""
    if result.outcome in (Outcome.CPU_LIMIT, Outcome.WALL_LIMIT):
        return True
    spent = result.cpu_seconds >= NEARLY * limits.cpu_seconds or result.wall_seconds >= NEARLY * limits.wall_seconds
    return result.outcome is Outcome.PASS and spent


@dataclass(kw_only=True, slots=True)
class Turn:
    """One stay on the floor. `undisturbed`, known at its end: nobody else was there meanwhile."""

    undisturbed: bool = False


class Floor:
    """Shared by the slots of one judge."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._there = 0
        self._entered = 0  # ever
        self._wanting = 0  # to be alone, waiting or there

    @contextmanager
    def shared(self) -> Iterator[Turn]:
        """Side by side with others; waits while somebody is, or wants to be, alone."""
        turn = Turn()
        with self._changed:
            self._changed.wait_for(lambda: self._wanting == 0)
            self._there += 1
            self._entered += 1
            number, first = self._entered, self._there == 1
        try:
            yield turn
        finally:
            with self._changed:
                turn.undisturbed = first and self._entered == number
                self._there -= 1
                self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """With nobody else there. Not from within shared()."""
        with self._changed:
            self._wanting += 1
            self._changed.wait_for(lambda: self._there == 0)
            self._there = 1
        try:
            yield
        finally:
            with self._changed:
                self._there = 0
                self._wanting -= 1
                self._changed.notify_all()

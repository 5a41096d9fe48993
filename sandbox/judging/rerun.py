"""A test past a time limit has another chance on a quiet floor: it is run again while no other slot of the judge is
busy.

    slots --shared()--> side by side        a program's tests; whether it had the floor to itself all the while is known
                                            at the end
          --quiet()---> one at a time       waits until the others have finished their program; newcomers wait for it

Other slots take caches and cycles, and a test near its limit then falls on one side or the other by chance. Such noise
only ever adds time: of several runs the shortest is nearest the truth, so a pass stands, and one that missed its CPU
limit by little, which noise from outside the judge can do, is run again up to JUST_OVER_RUNS times. What other programs
on the machine take is not ours to stop: processor time, not the clock, is what most limits count. From 16 cores on one
test for every 8 cores is quiet enough: one at a time, a few endless loops would hold up all slots of such a machine.
Knows nothing of boxes.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sandbox.inside.contract import cpu_end
from sandbox.types import Limits, Outcome, TestResult

JUST_OVER_RUNS = 3
_CORES_A_PLACE = 8


def over_time(result: TestResult) -> bool:
    """Whether a time limit was passed."""
    return result.outcome in (Outcome.CPU_LIMIT, Outcome.WALL_LIMIT)


def just_over(result: TestResult, limits: Limits) -> bool:
    """Whether it was the CPU limit, by so little that the test could end by itself (contract.cpu_end)."""
    return result.outcome is Outcome.CPU_LIMIT and result.cpu_seconds <= cpu_end(limits.cpu_seconds)


@dataclass(kw_only=True, slots=True)
class Turn:
    """One stay on the floor. `undisturbed`, known at its end: nobody else was there meanwhile."""

    undisturbed: bool = False


class Floor:
    """Shared by the slots of one judge. `places`: how many may be on the quiet floor at once."""

    def __init__(self, places: int = 1) -> None:
        self._changed = threading.Condition()
        self._places = places
        self._there = 0  # side by side
        self._entered = 0  # ever
        self._wanting = 0  # the quiet floor, waiting or there
        self._quiet = 0

    @classmethod
    def of_this_machine(cls) -> Floor:
        """With as many places as its cores allow."""
        return cls(max(1, (os.cpu_count() or 1) // _CORES_A_PLACE))

    @contextmanager
    def shared(self) -> Iterator[Turn]:
        """Side by side with others; waits while somebody is on the quiet floor, or wants to be."""
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
    def quiet(self) -> Iterator[None]:
        """With nobody else there, but for the other places of the quiet floor. Not from within shared()."""
        with self._changed:
            self._wanting += 1
            self._changed.wait_for(lambda: self._there == 0 and self._quiet < self._places)
            self._quiet += 1
        try:
            yield
        finally:
            with self._changed:
                self._quiet -= 1
                self._wanting -= 1
                self._changed.notify_all()

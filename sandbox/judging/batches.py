"""How many tests go to a box in one frame, and how large that box must be: both depend on the input of the tests.

Knows sizes, and nothing of running or judging.
"""

from __future__ import annotations

from dataclasses import replace

from sandbox.backends.box import Size
from sandbox.judging.runnable_tests import RunnableTest
from sandbox.types import CheckerTest, OutputTest, Program, StdinTest, Test

_FRAME_BYTES = 8 * 1024 * 1024  # of standard input: a box holds a frame several times while it reads it
_MOST_UNSEEN_MB = 8  # of input, for which every box has room


def _input_bytes(test: Test | RunnableTest) -> int:
    return len(test.stdin) if isinstance(test, StdinTest | OutputTest | CheckerTest) else 0


def batches(tests: list[RunnableTest]) -> list[list[RunnableTest]]:
    """The tests in order, in as few frames as the size of their input allows."""
    found: list[list[RunnableTest]] = []
    room = 0
    for test in tests:
        if not found or room < _input_bytes(test):
            found.append([])
            room = _FRAME_BYTES
        found[-1].append(test)
        room -= _input_bytes(test)
    return found


def box_size(program: Program) -> Size:
    """A box whose folders hold the largest input beside what the program may write there."""
    largest = max(map(_input_bytes, program.tests)) // (1024 * 1024)
    if largest <= _MOST_UNSEEN_MB:
        return Size.of(program.limits)
    return Size.of(replace(program.limits, disk_mb=max(program.limits.disk_mb, largest + _MOST_UNSEEN_MB)))

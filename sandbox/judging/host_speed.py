"""How fast this host runs Python, against a stated reference: CPU limits are meant for the reference and scale with it.

The reference is one core of a 2-core Xeon virtual machine with CPython 3.11, on which `_seconds_of_work` takes
REFERENCE_SECONDS of processor time. Taken once when a judge starts, on the host; the best of several runs, as other
work on the machine only ever adds. Rounded to steps of 19 % (four to a doubling), so that the noise of a measurement
changes no limit on most hosts. Knows nothing of programs.
"""

from __future__ import annotations

import math
import time

REFERENCE_SECONDS = 0.0031
_ROUNDS = 15
_STEPS = 4  # to a doubling
_LEAST, _MOST = 0.25, 8.0


def cpu_scale() -> float:
    """What to multiply CPU seconds meant for the reference by. Example: 1.0 on the reference, 2.0 on a host half as
    fast."""
    return nearest_step(min(_seconds_of_work() for _ in range(_ROUNDS)) / REFERENCE_SECONDS)


def nearest_step(ratio: float) -> float:
    """The nearest step, within bounds. Example: nearest_step(1.07) == 1.0"""
    return min(_MOST, max(_LEAST, round(2.0 ** (round(_STEPS * math.log2(ratio)) / _STEPS), 3)))


def _seconds_of_work() -> float:
    """Seconds of this thread's processor time for a fixed mixture of what programs do: arithmetic, lists, dicts, text,
    calls."""
    started = time.thread_time()
    counts: dict[int, int] = {}
    text = []
    total = 0
    for number in range(25_000):
        total = (total * 31 + number) % 1_000_003
        counts[total & 1023] = counts.get(total & 1023, 0) + 1
        if number % 16 == 0:
            text.append(str(total))
    ordered = sorted(text, key=len)
    if len(counts) > 1024 or len(" ".join(ordered)) < len(text):
        raise RuntimeError("the calibration came to a result that it cannot come to")
    return time.thread_time() - started

"""How much sooner steps end when the next one is sampled meanwhile: the real Ahead over the same trace of durations.

    python benchmarks/sampling_ahead.py

Sampling takes a log-normal time a step (sigma 0.5), training a part of its mean; both sleep, so that what is measured
is who waits for whom and not this machine. Prints wall time and the trainer's idle share, synchronous and with
`staleness: 1` and 2, as ratios.
"""

from __future__ import annotations

import random
import tempfile
import time
from pathlib import Path

from posttrain.train.ahead import Ahead

STEPS, UNIT = 60, 0.03  # seconds that a step's sampling takes in the mean


def walk(staleness: int, training: float, sampling: list[float]) -> tuple[float, float]:
    """(wall seconds, seconds in which the trainer waited) of all steps."""

    def make(step: int, version: int) -> int:
        time.sleep(sampling[step])
        return version

    with tempfile.TemporaryDirectory() as place:
        ahead: Ahead[int] = Ahead(staleness=staleness, steps=STEPS, stop_file=Path(place) / "stop", make=make)
        began, waited, version = time.perf_counter(), 0.0, 0
        for step in range(STEPS):
            asked = time.perf_counter()
            taken = ahead.take(step)
            if ahead.is_idle:
                version = step
            if taken is None:
                make(step, version)
            waited += time.perf_counter() - asked
            ahead.ask(step, version)
            time.sleep(training)
        ahead.close()
        return time.perf_counter() - began, waited


def main() -> None:
    """The table."""
    rng = random.Random(0)
    trace = [UNIT * rng.lognormvariate(-0.125, 0.5) for _ in range(STEPS)]
    print(
        "| training of sampling's mean | staleness | wall, synchronous over this | trainer idle | idle, synchronous |"
    )
    print("|---|---|---|---|---|")
    for share in (0.5, 1.0, 2.0):
        whole, idle = walk(0, share * UNIT, trace)
        for staleness in (1, 2):
            wall, waited = walk(staleness, share * UNIT, trace)
            print(f"| {share} | {staleness} | {whole / wall:.2f} | {waited / wall:.0%} | {idle / whole:.0%} |")


if __name__ == "__main__":
    main()

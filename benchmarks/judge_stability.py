"""Same outcomes on an idle and on a busy machine: programs around their CPU limit judged twice, with a core's worth of
work beside or not.

    python benchmarks/judge_stability.py [--programs 2000] [--near 400] [--busy 2] [--backend auto] [--min-level
    namespaces]

`--near` of the programs use 0.5 to 1.5 of their CPU limit, the rest next to nothing. First all of them alone, then all
of them beside `--busy` endless loops of normal priority. Prints how many came to the same outcome, and the others with
the share of the limit they aimed at. On a machine that is busy already the first half is no idle one: the script prints
the load it found.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from sandbox.judge import Judge
from sandbox.types import UNSAFE_SENTENCE, Limits, Program, StdinTest

LIMIT_SECONDS = 0.4
_WORK = "import time\nend = time.process_time() + {seconds:.4f}\nwhile time.process_time() < end: pass\nprint(input())"


def corpus(programs: int, near: int) -> list[tuple[float, Program]]:
    """(share of the CPU limit aimed at, program); the near ones are spread among the rest."""
    limits = Limits(cpu_seconds=LIMIT_SECONDS, wall_seconds=10 * LIMIT_SECONDS)
    every = max(1, programs // max(1, near))
    made = []
    for number in range(programs):
        place = number // every
        share = 0.5 + place / max(1, near - 1) if number % every == 0 and place < near else 0.0
        text = _WORK.format(seconds=share * LIMIT_SECONDS)
        tests = (StdinTest(stdin=b"%d" % number, stdout=b"%d" % number),)
        made.append((share, Program(id=str(number), program=text, tests=tests, limits=limits)))
    return made


def spin() -> None:
    """A core kept busy."""
    while True:
        pass


def outcomes(judge: Judge, programs: list[Program]) -> tuple[list[str], float]:
    """Each program's outcome, and the seconds that all took."""
    started = time.monotonic()
    return [one.outcome.value for one in judge.run(programs)], time.monotonic() - started


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", type=int, default=2000)
    parser.add_argument("--near", type=int, default=400)
    parser.add_argument("--busy", type=int, default=2)
    parser.add_argument("--slots", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--min-level", default="namespaces")
    parser.add_argument("--allow-unsafe", action="store_true", help="for --backend local: programs run as you")
    options = parser.parse_args()
    made = corpus(options.programs, options.near)
    programs = [program for _, program in made]
    weakest = "none" if options.backend == "local" else options.min_level
    print(f"load before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    with Judge(options.backend, weakest, UNSAFE_SENTENCE if options.allow_unsafe else None, options.slots) as judge:
        alone, quiet_seconds = outcomes(judge, programs)
        loops = [multiprocessing.Process(target=spin, daemon=True) for _ in range(options.busy)]
        for loop in loops:
            loop.start()
        try:
            beside, busy_seconds = outcomes(judge, programs)
        finally:
            for loop in loops:
                loop.kill()
        print(
            f"level {judge.level}, {options.slots} slots, limit {LIMIT_SECONDS} s; idle {quiet_seconds:.0f} s, busy "
            f"{busy_seconds:.0f} s"
        )
    different = [(share, a, b) for (share, _), a, b in zip(made, alone, beside, strict=True) if a != b]
    print(f"programs {len(made)}, near the limit {sum(share > 0 for share, _ in made)}")
    print(f"same outcome {100 * (1 - len(different) / len(made)):.2f} %")
    for share, a, b in different:
        print(f"  aimed at {share:.3f} of the limit: {a} idle, {b} busy")
    return 0 if len(different) <= 0.001 * len(made) else 1


if __name__ == "__main__":
    sys.exit(main())

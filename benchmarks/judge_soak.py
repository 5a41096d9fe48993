"""Whether the judge leaks: many tests in one judge, with memory, descriptors, processes and containers read as they go.

    python benchmarks/judge_soak.py [--tests 100000] [--backend auto] [--min-level namespaces] [--slots 2]

One test in a hundred is an attack or an accident of those that cost something: a flood, a daemon, a crash, a full
folder, a time-out. Prints a row every tenth of the way; exit 1 when the last reading is above every one of the first
three by more than a tenth and 8 MB, or by any descriptor, process or container.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from sandbox.attacks.siege import containers_of
from sandbox.judge import Judge
from sandbox.types import UNSAFE_SENTENCE, Limits, Outcome, Program, StdinTest

_A_PROGRAM = 20  # tests
ROUGH = (
    "while True: print('x' * 1000)",
    "import os, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(60)\nprint(1)",
    "import ctypes\nctypes.string_at(0)",
    "for n in range(200): open(str(n), 'w').write('x' * 9999)",
    "while True: pass",
    "raise SystemExit(3)",
)


def programs(number: int) -> list[Program]:
    """About a hundred tests: one rough program, then trivial ones of 20 tests each."""
    rough = Program(
        id=f"rough/{number}",
        program=ROUGH[number % len(ROUGH)],
        tests=(StdinTest(stdin=b"", stdout=b"never"),),
        limits=Limits(cpu_seconds=0.2, wall_seconds=1.0, output_bytes=100_000),
    )
    tests = tuple(StdinTest(stdin=b"%d" % index, stdout=b"%d" % (index + 1)) for index in range(_A_PROGRAM))
    return [rough] + [
        Program(id=f"{number}/{index}", program="print(int(input()) + 1)", tests=tests) for index in range(5)
    ]


def reading(judge: Judge) -> dict[str, float]:
    """What this process holds now, and what runs below it."""
    with open("/proc/self/statm", encoding="ascii") as file:
        memory = int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    below = len(_below(os.getpid()))
    return {
        "memory_mb": memory,
        "descriptors": len(os.listdir("/proc/self/fd")),
        "processes": below,
        "containers": len(containers_of(judge)),
    }


def _below(pid: int) -> list[int]:
    found: list[int] = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as file:
                for word in file.read().split():
                    found += [int(word), *_below(int(word))]
    except OSError:  # it ended while we looked
        return found
    return found


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tests", type=int, default=100_000)
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--min-level", default="namespaces")
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--allow-unsafe", action="store_true", help="for --backend local: programs run as you")
    options = parser.parse_args()
    weakest = "none" if options.backend == "local" else options.min_level
    done = wrong = part = 0
    readings: list[dict[str, float]] = []
    with Judge(options.backend, weakest, UNSAFE_SENTENCE if options.allow_unsafe else None, options.slots) as judge:
        print(f"level {judge.level}, {options.slots} slots")
        started = time.monotonic()
        while done < options.tests:
            judged = judge.run(programs(part))
            part += 1
            done += sum(one.total for one in judged)
            wrong += sum((one.outcome is Outcome.PASS) == one.id.startswith("rough") for one in judged)
            if done >= (len(readings) + 1) * options.tests / 10:
                readings.append(reading(judge))
                text = ", ".join(f"{name} {value:.0f}" for name, value in readings[-1].items())
                print(
                    f"{done:>8} tests, {done / (time.monotonic() - started):6.0f}/s: {text}, wrong outcomes {wrong}",
                    flush=True,
                )
    first, last = {name: max(one[name] for one in readings[:3]) for name in readings[0]}, readings[-1]
    grown = [name for name in ("descriptors", "processes", "containers") if last[name] > first[name]]
    grown += ["memory_mb"] if last["memory_mb"] > first["memory_mb"] + max(8, 0.1 * first["memory_mb"]) else []
    print(f"grown: {', '.join(grown) or 'nothing'}; wrong outcomes {wrong}")
    return 1 if grown or wrong else 0


if __name__ == "__main__":
    sys.exit(main())

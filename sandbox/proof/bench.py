"""How fast the judge is here: tests a second on one slot and on all cores, latency a program, memory a slot, beside
what it replaces.

Figures are for comparison: what the judge replaces (a plain subprocess for each test, `docker run` for each test) is
measured in the same minutes. Each rate is given twice: by the clock, the best of several rounds, as other work on the
machine takes its share; and by the processor time spent (by the host's side, the boxes with their tests, and the daemon
that carries their messages), which other work hardly touches.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from sandbox.judge import Judge
from sandbox.types import Limits, Outcome, Program, StdinTest

TRIVIAL = "print(int(input()) + 1)"
_ROUNDS = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """One line. Example: Figure(name="tests a second, one slot", value=812.0, unit="1/s")"""

    name: str
    value: float
    unit: str


_BURN = "import os, time\ndef burn():\n    while time.process_time() < 3: pass\n"
# name: (program that passes the limit, its limits, the one that it passes)
OVERSHOOTS: dict[str, tuple[str, Limits, str]] = {
    "past a CPU limit, one process": (f"{_BURN}burn()", Limits(cpu_seconds=0.5, wall_seconds=8.0), "cpu_seconds"),
    "past a CPU limit, sum of four processes": (
        f"{_BURN}os.fork()\nos.fork()\nburn()",
        Limits(cpu_seconds=0.5, wall_seconds=8.0),
        "cpu_seconds",
    ),
    "past a wall limit": ("import time\ntime.sleep(3)", Limits(cpu_seconds=2.0, wall_seconds=0.5), "wall_seconds"),
}
_OVER_ROUNDS = 5


def measure(open_judge: Callable[[int], Judge], tests: int = 400) -> list[Figure]:
    """Figures at the level that `open_judge(slots)` reaches; `tests` a round. Raises RuntimeError when a trivial test
    does not pass."""
    cores = len(os.sched_getaffinity(0))
    found = []
    with open_judge(1) as judge:
        rounds = [_rates(judge, tests) for _ in range(_ROUNDS)]
        one = max(rate for rate, _ in rounds)
        delays = sorted(_seconds_of_one_program(judge) for _ in range(tests))
        found += [
            Figure(name="tests a second, one slot", value=one, unit="1/s"),
            Figure(
                name="tests a second of processor time, one slot", value=max(rate for _, rate in rounds), unit="1/s"
            ),
            Figure(name="a program of one test, median", value=1000 * statistics.median(delays), unit="ms"),
            Figure(
                name="a program of one test, 99th percentile", value=1000 * delays[int(0.99 * len(delays))], unit="ms"
            ),
        ]
        memory = _memory_mb(judge)
        if memory is not None:
            found.append(Figure(name="memory of a slot's box", value=memory, unit="MB"))
        docker = _seconds_of_docker_run(judge)
        found += [Figure(name=name, value=_overshoot_ms(judge, *case), unit="ms") for name, case in OVERSHOOTS.items()]
    with open_judge(cores) as judge:
        rounds = [_rates(judge, tests * cores) for _ in range(_ROUNDS)]
        every = max(rate for rate, _ in rounds)
        found.append(
            Figure(name=f"tests a second a core, {cores} slots on {cores} cores", value=every / cores, unit="1/s")
        )
        paid = max(rate for _, rate in rounds)
        found.append(
            Figure(name=f"tests a second of processor time, {cores} slots on {cores} cores", value=paid, unit="1/s")
        )
    plain = min(_seconds_of_a_subprocess([sys.executable, "-c", TRIVIAL]) for _ in range(10))
    found.append(Figure(name="a plain subprocess a test, best", value=1000 * plain, unit="ms"))
    found.append(Figure(name="tests a second, over a plain subprocess", value=one * plain, unit="x"))
    if docker is not None:
        found.append(Figure(name="docker run a test, best", value=1000 * docker, unit="ms"))
        found.append(Figure(name="tests a second, over docker run", value=one * docker, unit="x"))
    return found


def _program(number: int, tests: int) -> Program:
    made = tuple(StdinTest(stdin=b"%d" % index, stdout=b"%d" % (index + 1)) for index in range(tests))
    return Program(id=str(number), program=TRIVIAL, tests=made)


def _rates(judge: Judge, tests: int) -> tuple[float, float]:
    """Programs of 20 trivial tests each, end to end with the comparison: tests a second of the clock, and of processor
    time."""
    programs = [_program(number, 20) for number in range(max(1, tests // 20))]
    judge.run(programs[: len(programs) // 4 + 1])  # warm
    spent, started = _processor_seconds(judge), time.monotonic()
    judged = judge.run(programs)
    elapsed, paid = time.monotonic() - started, _processor_seconds(judge) - spent
    if any(one.outcome is not Outcome.PASS for one in judged):
        raise RuntimeError(
            f"a trivial program came to {next(one for one in judged if one.outcome is not Outcome.PASS)}"
        )
    return len(programs) * 20 / elapsed, len(programs) * 20 / paid


def _processor_seconds(judge: Judge) -> float:
    """Processor seconds so far of everything that judging takes: this process, the boxes with the tests they ended,
    their daemon."""
    roots = _first_processes(judge)
    # A container's first process is the child of what carries its streams.
    carriers = {_parent(root) for root in roots} - {os.getpid()}
    if judge.backend.name == "docker":
        carriers |= {
            pid for pid in map(int, filter(str.isdecimal, os.listdir("/proc"))) if _process_name(pid) == "dockerd"
        }
    ticks = sum(sum(map(int, _stat_fields(pid)[11:15])) for pid in _box_processes(judge)) + sum(
        sum(map(int, _stat_fields(pid)[11:13])) for pid in carriers
    )
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")


def _stat_fields(pid: int) -> list[str]:
    """Of /proc/<pid>/stat, from the state on."""
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
        return file.read().rpartition(")")[2].split()


def _parent(pid: int) -> int:
    return int(_stat_fields(pid)[1])


def _process_name(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:  # it ended while we looked
        return ""


def _seconds_of_one_program(judge: Judge) -> float:
    program = _program(0, 1)
    started = time.monotonic()
    judge.run([program])
    return time.monotonic() - started


def _overshoot_ms(judge: Judge, program: str, limits: Limits, kind: str) -> float:
    """Milliseconds that the test's processes used together beyond the limit before they were ended: the worst of some
    rounds."""
    tests = (StdinTest(stdin=b"", stdout=b"42"),)
    over = []
    for number in range(_OVER_ROUNDS):
        judged = judge.run([Program(id=str(number), program=program, tests=tests, limits=limits)])[0]
        over.append(getattr(judged.tests[0], kind) - getattr(judged.limits, kind))
    if min(over) <= 0:
        raise RuntimeError(f"a program that passes its limit came to {judged}")
    return 1000 * max(over)


def _seconds_of_a_subprocess(command: list[str]) -> float:
    started = time.monotonic()
    done = subprocess.run(command, input=b"41", capture_output=True, check=False)
    if done.stdout.strip() != b"42":
        raise RuntimeError(f"{command[0]}: {done.stderr.decode('utf-8', 'replace')[-300:]}")
    return time.monotonic() - started


def _seconds_of_docker_run(judge: Judge) -> float | None:
    """Seconds of the same test by `docker run` with the same image; None where the backend is another."""
    if judge.backend.name != "docker":
        return None
    from sandbox.backends.docker_backend import PIDS
    from sandbox.images.root_tree import PLAIN
    from sandbox.inside.contract import PYTHON

    locked = [
        "--network",
        "none",
        "--read-only",
        "--cap-drop",
        "ALL",
        "--security-opt",
        "no-new-privileges",
        "--pids-limit",
        str(PIDS),
    ]
    command = ["docker", "run", "--rm", "-i", *locked, judge.backend.images[PLAIN], PYTHON, "-S", "-c", TRIVIAL]
    return min(_seconds_of_a_subprocess(command) for _ in range(5))


def _memory_mb(judge: Judge) -> float | None:
    """Proportional memory of the processes of this judge's boxes, after a trivial program; None where they cannot be
    read."""
    total = 0
    try:
        for pid in _box_processes(judge):
            with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as lines:
                total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    except (OSError, StopIteration):
        return None
    return total / 1024 if total else None


def _first_processes(judge: Judge) -> list[int]:
    """The first process of each box."""
    if judge.backend.name == "docker":
        backend = judge.backend
        listed = backend.client.api.containers(filters={"label": f"posttrain.run={backend.run_id}"})  # type: ignore[attr-defined]
        return [backend.client.api.inspect_container(item["Id"])["State"]["Pid"] for item in listed]  # type: ignore[attr-defined]
    return _children(os.getpid())


def _box_processes(judge: Judge) -> list[int]:
    roots = _first_processes(judge)
    found, queue = list(roots), list(roots)
    while queue:
        below = _children(queue.pop())
        found += below
        queue += below
    return found


def _children(pid: int) -> list[int]:
    found = []
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as file:
            found += [int(word) for word in file.read().split()]
    return found

"""Tests past a time limit: run again while nobody else is busy, those past it by little more than once. Limits that
scale with the host."""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sandbox.backends.local_backend import LocalBackend
from sandbox.judge import Judge
from sandbox.judging import host_speed
from sandbox.judging.rerun import MOST_RERUNS, SharedRun, SlotSchedule, is_barely_past, is_past_time_limit
from sandbox.judging.slot import MOST_CONFIRMED, Slot
from sandbox.program_json import parse_program
from sandbox.types import Limits, Outcome, TestResult
from tests.sandbox.worlds import SENTENCE, script

LIMITS = {"cpu_seconds": 0.3, "wall_seconds": 6.0}
WORK = "import time\nend = time.process_time() + {}\nwhile time.process_time() < end: pass\nprint(42)"


def using(cpu_seconds: float, **more: Any) -> dict[str, Any]:
    return {**script(WORK.format(cpu_seconds), "", "42"), "limits": LIMITS, **more}


def spin() -> None:
    while True:
        pass


@pytest.fixture
def busy_cores() -> Iterator[None]:
    """Two cores kept busy by processes of normal priority."""
    loops = [multiprocessing.get_context("spawn").Process(target=spin, daemon=True) for _ in range(2)]
    for loop in loops:
        loop.start()
    yield
    for loop in loops:
        loop.kill()
        loop.join()


def test_over_is_a_time_limit_passed_and_just_over_a_cpu_limit_missed_by_little() -> None:
    limits = Limits(cpu_seconds=1.0, wall_seconds=4.0)

    def said(outcome: Outcome, cpu: float) -> tuple[bool, bool]:
        result = TestResult(outcome=outcome, cpu_seconds=cpu, wall_seconds=4.1)
        return is_past_time_limit(result), is_barely_past(result, limits)

    assert said(Outcome.CPU_LIMIT, 1.02) == (True, True)
    assert said(Outcome.CPU_LIMIT, 1.03) == (True, False)
    assert said(Outcome.WALL_LIMIT, 0.1) == (True, False)
    assert said(Outcome.PASS, 0.999) == said(Outcome.WRONG, 0.999) == (False, False)


@pytest.mark.parametrize("most_alone", [1, 2])
def test_no_more_run_alone_than_are_allowed_at_once_and_nobody_beside_them(most_alone: int) -> None:
    schedule, lock = SlotSchedule(most_alone), threading.Lock()
    there: set[int] = set()
    running_alone: set[int] = set()
    worst: list[set[int]] = []
    most = 0
    disturbed = []

    def live(number: int) -> None:
        nonlocal most
        for round_number in range(60):
            alone = (round_number + number) % 4 == 0
            waiting = schedule.alone() if alone else schedule.side_by_side()
            with waiting as run:
                with lock:
                    there.add(number)
                    if alone:
                        running_alone.add(number)
                        most = max(most, len(running_alone))
                time.sleep(0.0005)
                with lock:
                    if alone and there != running_alone:
                        worst.append(set(there))
                    others = there - {number}
                    there.discard(number)
                    running_alone.discard(number)
            if run is not None and others and run.undisturbed:
                disturbed.append(number)

    threads = [threading.Thread(target=live, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (worst, disturbed, most) == ([], [], most_alone)


def test_a_run_beside_which_no_other_was_is_undisturbed() -> None:
    schedule = SlotSchedule()
    with schedule.side_by_side() as first, schedule.side_by_side() as second:
        pass
    with schedule.side_by_side() as third:
        pass
    assert (first.undisturbed, second.undisturbed, third.undisturbed) == (False, False, True)


def test_what_is_over_is_run_again_and_what_passed_is_not(busy_cores: None) -> None:
    rows = [using(0.0), using(0.1), using(0.285), using(0.6), {**using(0.0), "limits": {"wall_seconds": 0.3}}]
    rows[4]["program"] = "import time\ntime.sleep(9)"
    rows = [{**row, "id": index} for index, row in enumerate(rows)] * 2
    with Judge("local", "none", SENTENCE, slots=2, cpu_scale=1.0) as judge:
        found = judge.run([parse_program(row) for row in rows])
    outcomes = [str(one.outcome) for one in found]
    assert outcomes == ["pass", "pass", outcomes[2], "cpu_limit", "wall_limit"] * 2
    assert [one.reruns for one in found][:2] == [0, 0]
    assert sum(one.reruns for one in found) >= 3, "what ran beside others and was past its limit was not run again"


def test_what_ran_with_nobody_beside_it_is_not_run_again() -> None:
    slot = Slot(LocalBackend(), 0)
    found = slot.judge(parse_program(using(0.6)), False)
    slot.drop()
    assert (found.outcome, found.reruns) == (Outcome.CPU_LIMIT, 0)


class Neighbour(SlotSchedule):
    """A schedule on which somebody else always turns up."""

    @contextmanager
    def side_by_side(self) -> Iterator[SharedRun]:
        with super().side_by_side() as run:
            with super().side_by_side():
                pass
            yield run


def test_one_that_misses_its_limit_by_little_is_run_again_even_alone(tmp_path: Path) -> None:
    """Each run leaves a file, and from the third on the program uses less."""
    work = (
        f"import os, time\nrun = len(os.listdir({str(tmp_path)!r}))\nopen({str(tmp_path)!r} + f'/{{run}}', "
        "'w').close()\n"
        "while time.process_time() < (0.1 if run > 1 else 0.803): pass\nprint(42)"
    )
    slot = Slot(LocalBackend(), 0)
    found = slot.judge(parse_program({**script(work, "", "42"), "limits": {"cpu_seconds": 0.8}}), False)
    slot.drop()
    assert (found.outcome, found.reruns) == (Outcome.PASS, 2)


class Scripted(Slot):
    """A slot whose tests come to the processor seconds it is given, one a run; the limit is one second."""

    def __init__(self, *seconds: float) -> None:
        super().__init__(LocalBackend(), 0)
        self.seconds = list(seconds)

    def run_tests(self, *_: Any, **__: Any) -> list[TestResult]:
        used = self.seconds.pop(0)
        return [TestResult(outcome=Outcome.CPU_LIMIT if used > 1.0 else Outcome.PASS, cpu_seconds=used)]


@pytest.mark.parametrize(
    ("seconds", "outcome", "reruns"),
    [
        ((0.999,), Outcome.PASS, 0),  # a pass stands: noise only ever adds
        ((1.01, 1.02, 1.01, 1.01), Outcome.CPU_LIMIT, MOST_RERUNS),
        ((1.01, 1.01, 0.999), Outcome.PASS, 2),
        ((1.01, 1.04), Outcome.CPU_LIMIT, 1),  # had to be ended: by more than noise
        ((1.04,), Outcome.CPU_LIMIT, 0),
    ],
)
def test_how_often_one_is_run_again(seconds: tuple[float, ...], outcome: Outcome, reruns: int) -> None:
    slot = Scripted(*seconds)
    found = slot.judge(parse_program({**script("", "", "42"), "limits": {"cpu_seconds": 1.0}}), False)
    assert (found.outcome, found.reruns, slot.seconds) == (outcome, reruns, [])


@pytest.mark.parametrize("fail_fast", [False, True])
def test_the_run_alone_decides_and_fail_fast_goes_on_after_it(tmp_path: Path, fail_fast: bool) -> None:
    """The second test is over its limit the first time only, as if by another's doing; at this level a file can carry
    that."""
    once = (
        f"import os, time\nslow = input() == 'slow' and not os.path.exists({str(tmp_path / 'seen')!r})\n"
        f"if slow:\n    open({str(tmp_path / 'seen')!r}, 'w').close()\n"
        "while slow: pass\nprint(42)"
    )
    row = {
        "id": 1,
        "program": once,
        "limits": LIMITS,
        "tests": [{"stdin": word, "stdout": "42"} for word in ("a", "slow", "b")],
    }
    slot = Slot(LocalBackend(), 0, Neighbour())
    found = slot.judge(parse_program(row), fail_fast)
    slot.drop()
    assert (found.outcome, found.passed, found.reruns, found.score) == (Outcome.PASS, 3, 1, 1.0)


def test_a_program_that_loops_for_ever_in_every_test_is_not_run_again_for_each(tmp_path: Path) -> None:
    row = {"id": 1, "program": "input()\nwhile True: pass", "score": "fraction", "limits": {"cpu_seconds": 0.1}}
    row |= {"tests": [{"stdin": str(number), "stdout": "42"} for number in range(6)]}
    slot = Slot(LocalBackend(), 0, Neighbour())
    found = slot.judge(parse_program(row), False)
    slot.drop()
    assert [test.outcome for test in found.tests] == [Outcome.CPU_LIMIT] * 6
    assert found.reruns == MOST_CONFIRMED


@pytest.mark.long
def test_a_program_that_sleeps_in_pieces_does_not_fall_into_step_with_the_poll() -> None:
    """Looks that came evenly found such a program awake each time, once in four programs: charged for no sleep, it
    passed."""
    asleep = "import time\ndef f(x):\n    for _ in range(150): time.sleep(0.01)\n    return 42\n"
    row = {"program": asleep, "entry_point": "f", "limits": {"wall_seconds": 0.4}}
    row["tests"] = [{"check": "def check(candidate):\n    assert candidate(1) == 42\n"}]
    with Judge("local", "none", SENTENCE, slots=2) as judge:
        found = judge.run([parse_program({**row, "id": number}) for number in range(16)])
    assert {judgement.outcome for judgement in found} == {Outcome.WALL_LIMIT}


def test_limits_scale_in_steps_and_are_recorded() -> None:
    assert [host_speed.nearest_step(ratio) for ratio in (0.93, 1.0, 1.08, 2.1, 0.01, 99.0)] == [
        1.0,
        1.0,
        1.0,
        2.0,
        0.25,
        8.0,
    ]
    assert 0.25 <= host_speed.cpu_scale() <= 8.0
    slot = Slot(LocalBackend(), 0, scale=4.0)
    found = slot.judge(parse_program(using(0.6)), False)
    slot.drop()
    assert (found.outcome, found.cpu_scale, found.limits.cpu_seconds, found.limits.wall_seconds) == (
        Outcome.PASS,
        4.0,
        1.2,
        24.0,
    )
    slow = Slot(LocalBackend(), 0, scale=0.5)
    found = slow.judge(parse_program(using(0.25)), False)
    slow.drop()
    assert (found.outcome, found.limits.wall_seconds) == (Outcome.CPU_LIMIT, 6.0)

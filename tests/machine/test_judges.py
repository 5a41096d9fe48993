"""Judges as actors, on real Ray: programs are judged once and in order, also when a judge dies; no queue grows; the
scorer owns them."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from posttrain.errors import BackendError, StageError
from posttrain.machine.judges import JudgeServer
from sandbox.errors import Fault
from sandbox.interpreter import LimitReached, SessionLimits
from sandbox.program_json import parse_program
from sandbox.types import UNSAFE_SENTENCE, Level, Limits, Outcome, Program
from tests.machine.hanging import Hanging

pytestmark = pytest.mark.ray
PLAIN = {"backend": "local", "min_level": "none", "allow_unsafe": UNSAFE_SENTENCE, "slots": 2}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from posttrain.machine.cluster import Cluster

    made = Cluster(address="local", placement_timeout_seconds=60, logs=tmp_path_factory.mktemp("logs"))
    yield made
    made.close()


def pool_of(cluster: Any, judges: int, sandbox: dict[str, Any] = PLAIN, target: Any = JudgeServer) -> Any:
    """Judges on this machine's one node, named as those of several nodes are."""
    from posttrain.machine.cluster import ActorSpec
    from posttrain.machine.judges import JudgePool

    def start_on(number: int) -> Any:
        spec = ActorSpec(
            name=f"judge-{number}", target=target, kwargs={"sandbox": sandbox}, cpus=0.01, node=cluster.nodes()[0]
        )
        return lambda: cluster.start(spec)

    return JudgePool([start_on(number) for number in range(judges)], sandbox["slots"])


def programs(count: int, seconds: float = 0.0) -> list[Program]:
    text = f"import os, time\ntime.sleep({seconds})\nprint(input())"
    rows = [
        {"id": number, "program": text, "tests": [{"stdin": str(number), "stdout": str(number)}]}
        for number in range(count)
    ]
    return [parse_program(row) for row in rows]


def test_programs_are_judged_once_in_order_by_all_judges(cluster: Any) -> None:
    pool = pool_of(cluster, 2)
    assert pool.level is Level.NONE
    assert pool.run([]) == []
    wrong = parse_program({"id": "w", "program": "print(1)", "tests": [{"stdin": "", "stdout": "2"}]})
    for count in (1, 40):
        found = pool.run([*programs(count), wrong])
        assert [one.id for one in found] == [*map(str, range(count)), "w"]
        assert [one.score for one in found] == [1.0] * count + [0.0]
    two = parse_program({"id": "t", "program": "print(1)", "tests": [{"stdin": "", "stdout": "2"}] * 2})
    for fast in (False, True):
        assert (pool.run([two], fail_fast=fast)[0].tests[1].outcome is Outcome.NOT_RUN) is fast
    pool.close()


def test_what_a_dead_judge_had_is_judged_by_its_successor_and_none_is_a_fault(cluster: Any) -> None:
    pool = pool_of(cluster, 2)
    dying = pool._seats[0].remote
    pid = dying.place().pid
    timer = threading.Timer(1.0, lambda: os.kill(pid, signal.SIGKILL))
    timer.start()
    found = pool.run(programs(40, seconds=0.2))
    timer.join()
    assert [one.id for one in found] == [str(number) for number in range(40)]
    assert {one.outcome for one in found} == {Outcome.PASS}
    assert pool._seats[0].remote is not dying, "the judge that died was not replaced"
    assert pool.run(programs(4))[3].outcome is Outcome.PASS
    pool.close()


def test_the_pool_lends_interpreters_fresh_for_each_conversation_and_survives_a_dead_judge(cluster: Any) -> None:
    pool = pool_of(cluster, 2, {**PLAIN, "slots": 1})
    with pool.session(SessionLimits(cells=2)) as one, pool.session() as two:
        assert one.run("x = 6\nx * 7").output == "42\n"
        assert two.run("x").error.startswith("NameError")
        assert sorted(seat.sessions for seat in pool._seats) == [1, 1]
        assert pool.run(programs(3))[2].outcome is Outcome.PASS, "programs are judged beside sessions"
        assert one.run("x + 1").output == "7\n"
        with pytest.raises(LimitReached, match="2 cells"):
            one.run("x")
        opened: list[Any] = []
        waiting = threading.Thread(target=lambda: opened.append(pool.session()))
        waiting.start()
        waiting.join(1.0)
        assert not opened, "a third session was lent where each judge has room for one"
        one.close()
        waiting.join(60.0)
    dying = opened[0]
    os.kill(dying._remote.place().pid, signal.SIGKILL)
    with pytest.raises(Fault, match="gone"):
        dying.run("1")
    with pool.session() as again, pool.session() as other:
        assert (again.run("1").output, other.run("2").output) == ("1\n", "2\n")
    for seat in pool._seats:
        os.kill(seat.remote.place().pid, signal.SIGKILL)
    with pytest.raises(Fault, match="gone"):
        pool.session()
    pool.close()


def test_a_judge_that_cannot_be_had_stops_with_its_reason(cluster: Any) -> None:
    with pytest.raises(BackendError, match="isolates nothing"):
        pool_of(cluster, 1, {**PLAIN, "allow_unsafe": None})


def test_an_error_of_ours_comes_home_and_is_not_tried_again(cluster: Any) -> None:
    pool = pool_of(cluster, 1)
    with pytest.raises(StageError, match=r"TypeError|AttributeError"):
        pool.run([SimpleNamespace(tests=(), limits=Limits())])
    pool.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("posttrain.machine.judges.READY_SECONDS", 4.0)
    monkeypatch.setattr("posttrain.machine.judges.MARGIN", 0.004)


@pytest.mark.usefixtures("impatient")
def test_a_judge_that_hangs_while_it_is_alive_is_ended_and_its_programs_are_judged_by_the_next(cluster: Any) -> None:
    pool = pool_of(cluster, 1)
    hanging = pool._seats[0].remote
    pid = hanging.place().pid
    os.kill(pid, signal.SIGSTOP)
    found = pool.run(programs(3))
    assert [(one.id, one.outcome) for one in found] == [(str(number), Outcome.PASS) for number in range(3)]
    assert pool._seats[0].remote is not hanging
    with pool.session() as session:
        os.kill(pool._seats[0].remote.place().pid, signal.SIGSTOP)
        with pytest.raises(Fault, match="not answered"):
            session.run("1")
    with pool.session() as session:
        assert session.run("1").output == "1\n"
    pid = pool._seats[0].remote.place().pid
    os.kill(pid, signal.SIGSTOP)
    pool.close()
    deadline = time.monotonic() + 20
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not Path(f"/proc/{pid}").exists()


@pytest.mark.usefixtures("impatient")
def test_a_program_over_which_every_judge_hangs_is_a_fault_and_no_other_is(cluster: Any) -> None:
    pool = pool_of(cluster, 1, target=Hanging)
    hang = parse_program({"id": "hang", "program": "1", "tests": [{"stdin": "", "stdout": ""}] * 2})
    found = pool.run([*programs(3), hang, *programs(2)])
    assert [one.id for one in found] == ["0", "1", "2", "hang", "0", "1"]
    assert [one.outcome for one in found] == [Outcome.PASS] * 3 + [Outcome.FAULT] + [Outcome.PASS] * 2
    assert (found[3].score, found[3].total, found[3].level) == (None, 2, "none")
    assert "not answered" in str(found[3].error)
    pool.close()


def test_a_judge_at_work_has_time_for_its_slowest_tests() -> None:
    from posttrain.machine.judges import READY_SECONDS, patience

    one, many = programs(1), programs(40)
    assert patience([], 2) == READY_SECONDS
    assert patience(one, 8) > READY_SECONDS + 4 * one[0].limits.wall_seconds
    assert patience(many, 2) > patience(many, 8) > patience(one, 8)


class Counting:
    """A judge in this process that counts who calls it at once."""

    def __init__(self) -> None:
        from posttrain.machine.judges import JudgeServer

        self.server = JudgeServer(PLAIN)
        self.lock = threading.Lock()
        self.now = self.most = self.leases = self.largest = 0
        self.patience = 0.0

    def call_within(self, seconds: float, method: str, *args: Any) -> Any:
        assert seconds > 0
        self.patience = max(self.patience, seconds)
        if method == "run":
            with self.lock:
                self.now, self.leases = self.now + 1, self.leases + 1
                self.most, self.largest = max(self.most, self.now), max(self.largest, len(args[0]))
        try:
            return getattr(self.server, method)(*args)
        finally:
            if method == "run":
                with self.lock:
                    self.now -= 1


def test_a_judge_has_two_leases_at_most_however_many_programs_wait() -> None:
    from posttrain.machine.judges import LEASES_AT_A_JUDGE, JudgePool, patience

    judge = Counting()
    pool = JudgePool([lambda: judge], 2)  # type: ignore[list-item, return-value]
    found = pool.run(programs(150))
    pool.close()
    assert judge.patience <= LEASES_AT_A_JUDGE * patience(programs(32), 2), (
        "what was answered long ago is still waited for"
    )
    assert [one.id for one in found] == [str(number) for number in range(150)]
    assert judge.most == LEASES_AT_A_JUDGE
    assert judge.leases >= 5 and judge.largest <= 32


def test_the_scorers_judges_are_actors_and_end_with_it(tmp_path: Path) -> None:
    from tests.machine.test_cluster import alive
    from tests.machine.test_machine import group, machine_for

    gold = {"tests": [{"args": [2], "expected": 4}], "entry_point": "f"}
    machine = machine_for(tmp_path, verifiers={"code": {"kind": "code"}}, sandbox=PLAIN)
    with machine:
        scorer = machine.scorer()
        scored = scorer.score("code", [group("code", [f"def f(x): return x * {by}" for by in (2, 3)], gold=gold)])
        assert [verdict.score for verdict in scored[0].verdicts] == [1.0, 0.0]
        assert scorer.judge() == {"level": "none", "images": {}}
        # Of this test: another run beside it has judges of its own.
        judges = [
            pid
            for pid in map(int, filter(str.isdecimal, os.listdir("/proc")))
            if re.search(f"{tmp_path}.*judge-0", logs_of(pid))
        ]
        assert judges, "no actor writes a judge's log"
    deadline = time.monotonic() + 20
    while any(map(alive, judges)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not list(filter(alive, judges))


def logs_of(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/fd/1")
    except OSError:
        return ""

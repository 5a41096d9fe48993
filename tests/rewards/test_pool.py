"""Nothing an answer or a plug-in does holds up the rest: deadlines, kills, replacement, and use from everywhere."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rewards.contract.verifier import BatchVerifier
from rewards.load import build_verifier
from rewards.services import Services
from rewards.types import Outcome, Request, Verdict
from rewards.workers.client import MAX_RESPONSE_CHARS
from rewards.workers.pool import Limits, Pool

TOLD = "tests.rewards.user_verifiers:behaves_as_told"


def told(deadline: float = 0.3) -> BatchVerifier:
    return build_verifier({"kind": TOLD, "deadline_seconds": deadline}, Services())


def judge(verifier: BatchVerifier, answers: list[str]) -> list[Verdict]:
    return [group[0] for group in verifier.verify_many([[Request(response=answer)] for answer in answers])]


@pytest.mark.parametrize("hang", ["loop", "c code", "sleep"])
def test_a_hang_is_cut_and_its_neighbours_keep_their_verdicts(hang: str) -> None:
    verdicts = judge(told(), ["fine", hang, "fine", "fine"])
    assert [v.outcome for v in verdicts] == [Outcome.CORRECT, Outcome.TIMEOUT, Outcome.CORRECT, Outcome.CORRECT]
    assert verdicts[1].score == 0.0 and verdicts[1].reason == "deadline"


def test_a_caller_that_ignores_the_deadlines_signal_hands_that_down_to_no_worker() -> None:
    before = signal.signal(signal.SIGPROF, signal.SIG_IGN)
    try:
        verdict = judge(build_verifier({"kind": TOLD, "deadline_seconds": 0.3}, Services(workers=3)), ["loop"])[0]
    finally:
        signal.signal(signal.SIGPROF, before)
    # Without its timer a busy worker counts as short of CPU, and at last as lost.
    assert verdict.outcome is Outcome.TIMEOUT


def test_a_lost_worker_is_our_error_and_never_a_score() -> None:
    verdicts = judge(told(), ["fine", "die", "fine"])
    assert [v.outcome for v in verdicts] == [Outcome.CORRECT, Outcome.ERROR, Outcome.CORRECT]
    assert verdicts[1].score is None and verdicts[1].reason == "worker_lost"


@pytest.mark.parametrize("answer", ["raise", "nan", "huge", "minus", "text"])
def test_a_faulty_plug_in_gives_an_error_without_a_score(answer: str) -> None:
    verdict = judge(told(), [answer])[0]
    assert (verdict.outcome, verdict.score) == (Outcome.ERROR, None)


def test_a_plug_in_that_prints_disturbs_nothing() -> None:
    assert [v.score for v in judge(told(), ["print", "fine"])] == [1.0, 0.5]


def test_every_answer_hostile_and_every_worker_comes_back() -> None:
    verifier = told(0.1)
    assert {v.outcome for v in judge(verifier, ["loop"] * 8)} == {Outcome.TIMEOUT}
    assert [v.outcome for v in judge(verifier, ["fine"] * 50)] == [Outcome.CORRECT] * 50


def test_many_threads_share_the_workers() -> None:
    verifier = build_verifier({"kind": "math"}, Services())
    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(lambda i: judge(verifier, [f"\\boxed{{{n}}}" for n in range(i, i + 20)]), range(16)))
    assert all(v.outcome is Outcome.UNSUPPORTED for group in results for v in group)  # no gold: each judged, none lost


def test_a_very_long_answer_is_wrong_unread_and_its_neighbours_are_judged() -> None:
    exact = build_verifier({"kind": "exact"}, Services())
    answers = ["x", "x" * (MAX_RESPONSE_CHARS + 1), "x"]
    verdicts = exact.verify_group([Request(response=answer, gold="x") for answer in answers])
    assert [(v.outcome, v.reason) for v in verdicts] == [
        (Outcome.CORRECT, "equal"),
        (Outcome.WRONG, "response_too_long"),
        (Outcome.CORRECT, "equal"),
    ]


def test_a_batch_of_long_answers_is_handed_over_in_parts() -> None:
    pool = Pool(1, Limits(memory_mb=512))
    rule = {"kind": "exact", "options": {"ignore_case": False}, "think": ["a", "b"]}
    items = [[{"response": "x" * 3_000_000, "gold": "x"}]] * 40  # in one frame they would not fit into the worker
    assert {reply.status for reply in pool.run(rule, "judge", items, deadline_seconds=5)} == {"ok"}
    pool.close()


@pytest.mark.parametrize(("answers", "starts"), [(["loop"], 1), (["loop", "fine"], 2)])
def test_an_answer_that_was_alone_when_it_used_up_its_time_is_not_asked_again(answers: list[str], starts: int) -> None:
    pool = Pool(1, Limits(memory_mb=0))
    rule = {"kind": TOLD, "options": {"kwargs": {}, "pass_at": 0.5}, "think": ["a", "b"]}
    spawned = []
    spawn = pool.spawn
    pool.spawn = lambda: spawned.append(1) or spawn()  # type: ignore[method-assign,func-returns-value]
    items = [[{"response": answer}] for answer in [*answers, *["fine"] * (len(answers) - 1)]]
    assert pool.run(rule, "judge", items, deadline_seconds=0.2)[0].status == "timeout"
    assert len(spawned) == 1 + starts  # the first worker, and one after each kill
    pool.close()


def test_a_worker_that_does_not_read_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("pool", "worker_process"):  # long enough to start a worker, short enough for a test
        monkeypatch.setattr(f"rewards.workers.{module}.START_SECONDS", 4.0)
    pool = Pool(1, Limits())
    rule = {"kind": "exact", "options": {"ignore_case": False}, "think": ["a", "b"]}
    pool.run(rule, "judge", [[{"response": "x", "gold": "x"}]], deadline_seconds=5)
    stopped = pool._free[0].process
    os.kill(stopped.pid, signal.SIGSTOP)
    replies = pool.run(rule, "judge", [[{"response": "x" * 1_000_000, "gold": "x"}]], deadline_seconds=5)
    assert replies[0].status == "ok" and stopped.poll() is not None
    pool.close()


IFEVAL = [{"id": "punctuation:no_comma"}]
ASKED: list[tuple[dict[str, object], str, object]] = [  # every rule kind, a right and a wrong answer, a hang
    ({"kind": "math"}, "\\boxed{x+1}", "1+x"),
    ({"kind": "math"}, "\\boxed{5}", "4"),
    ({"kind": "choice"}, "The answer is (B).", "B"),
    ({"kind": "exact"}, "5", "4"),
    ({"kind": "format"}, "<think>so</think>4", None),
    ({"kind": "length", "max_tokens": 9}, "4", None),
    ({"kind": "repetition"}, "no " * 200, None),
    ({"kind": "language", "language": "en"}, "It is the one that was there.", None),
    ({"kind": "instructions"}, "one, two", IFEVAL),
    ({"kind": "tool_call"}, '{"name": "f", "arguments": {}}', [{"name": "f"}]),
    ({"kind": TOLD, "deadline_seconds": 0.2}, "loop", None),
]


def every_kind() -> list[tuple[str, str, float | None]]:
    """What each of ASKED is told, wherever this runs."""
    verdicts = [
        build_verifier(spec, Services(workers=1)).verify(Request(response=text, gold=gold))
        for spec, text, gold in ASKED
    ]
    return [(verdict.outcome.value, verdict.reason, verdict.score) for verdict in verdicts]


def test_works_under_asyncio_beside_other_tasks_with_the_same_verdicts() -> None:
    async def both() -> list[tuple[str, str, float | None]]:
        done, _ = await asyncio.gather(asyncio.to_thread(every_kind), asyncio.sleep(0.01))
        return done

    expected = every_kind()
    assert {outcome for outcome, *_ in expected} == {"correct", "wrong", "abstain", "timeout"}
    assert asyncio.run(both()) == expected


def test_two_threads_get_the_verdicts_of_the_main_thread() -> None:
    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(lambda _: every_kind(), range(2))) == [every_kind()] * 2


def _in_child(queue: multiprocessing.Queue[list[tuple[str, str, float | None]]]) -> None:
    queue.put(every_kind())


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.parametrize("daemon", [True, False])
def test_works_in_child_processes_of_every_kind_with_the_same_verdicts(method: str, daemon: bool) -> None:
    expected = every_kind()  # the parent's pool is warm when the child is made
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    child = context.Process(target=_in_child, args=(queue,), daemon=daemon)
    child.start()
    assert queue.get(timeout=120) == expected
    child.join(timeout=30)
    assert child.exitcode == 0
    assert every_kind() == expected


def test_workers_end_when_their_owner_is_killed() -> None:
    script = textwrap.dedent(
        """
        import json, sys, threading, time
        from rewards.load import build_verifier
        from rewards.services import Services
        from rewards.types import Request
        from rewards.workers.pool import _pools
        verifier = build_verifier(
            {"kind": "tests.rewards.user_verifiers:behaves_as_told", "deadline_seconds": 600}, Services(workers=1)
        )
        verifier.verify(Request(response="fine"))
        pids = [worker.process.pid for pool in _pools.values() for worker in pool._free]
        threading.Thread(target=verifier.verify, args=(Request(response="sleep"),), daemon=True).start()
        time.sleep(0.3)
        print(json.dumps(pids), flush=True)
        time.sleep(600)
        """
    )
    owner = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    pids = json.loads(owner.stdout.readline())
    owner.kill()
    owner.wait()
    owner.stdout.close()
    assert pids and all(_gone_soon(pid) for pid in pids)


def _gone_soon(pid: int) -> bool:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii") as handle:
                if handle.read().rpartition(")")[2].split()[0] == "Z":
                    return True
        except FileNotFoundError:
            return True
        time.sleep(0.05)
    return False


def test_a_worker_that_cannot_start_is_an_error_and_does_not_loop() -> None:
    pool = Pool(2, Limits(memory_mb=8))  # too little for an interpreter
    replies = pool.run(
        {"kind": "exact", "options": {"ignore_case": False}, "think": ["a", "b"]}, "judge", [[]] * 5, deadline_seconds=1
    )
    assert {reply.status for reply in replies} == {"lost"}
    pool.close()


def test_workers_killed_before_they_ever_served_are_replaced_without_a_loss() -> None:
    pool = Pool(4, Limits())
    rule = {"kind": "exact", "options": {"ignore_case": False}, "think": ["a", "b"]}
    pool._free = [pool.spawn() for _ in range(4)]  # left over by a call that ended before they were up
    for worker in pool._free:
        worker.process.kill()
    items = [[{"response": "x", "gold": "x"}]] * 400
    assert {reply.status for reply in pool.run(rule, "judge", items, deadline_seconds=5)} == {"ok"}
    pool.close()


def test_idle_workers_killed_from_outside_are_replaced_without_a_loss() -> None:
    pool = Pool(4, Limits())
    rule = {"kind": "exact", "options": {"ignore_case": False}, "think": ["a", "b"]}
    items = [[{"response": "x", "gold": "x"}]] * 400
    pool.run(rule, "judge", items, deadline_seconds=5)
    for worker in pool._free:
        os.kill(worker.process.pid, signal.SIGKILL)
    assert {reply.status for reply in pool.run(rule, "judge", items, deadline_seconds=5)} == {"ok"}
    pool.close()


@pytest.mark.ray
def test_works_in_a_ray_actor(tmp_path: Path) -> None:
    import ray

    from posttrain.machine.cluster import Cluster

    cluster = Cluster(address="local", placement_timeout_seconds=60, logs=tmp_path)
    try:

        @ray.remote(num_cpus=0)
        class Actor:
            def outcomes(self, path: list[str]) -> tuple[list[str], list[tuple[str, str, float | None]]]:
                sys.path[:] = path
                return [v.outcome.value for v in judge(told(), ["fine", "loop", "die"])], every_kind()

        told_there, kinds_there = ray.get(Actor.remote().outcomes.remote(sys.path), timeout=120)
        assert told_there == ["correct", "timeout", "error"]
        assert [tuple(entry) for entry in kinds_there] == every_kind()
    finally:
        cluster.close()


def test_memory_taken_by_an_answer_is_the_answers_failure() -> None:
    pool = Pool(1, Limits(memory_mb=256, file_mb=-1))
    rule = {
        "kind": "tests.rewards.user_verifiers:behaves_as_told",
        "options": {"kwargs": {}, "pass_at": 0.5},
        "think": ["a", "b"],
    }
    eats = {
        "kind": "tests.rewards.user_verifiers:eats_memory",
        "options": {"kwargs": {}, "pass_at": 0.5},
        "think": ["a", "b"],
    }
    assert pool.run(eats, "judge", [[{"response": "x"}]], deadline_seconds=5)[0].status == "memory"
    assert pool.run(rule, "judge", [[{"response": "fine"}]], deadline_seconds=5)[0].status == "ok"
    pool.close()


def test_a_pool_leaves_no_descriptors_or_threads_behind() -> None:
    verifier = told(0.1)
    judge(verifier, ["fine", "loop"])
    before = len(os.listdir("/proc/self/fd")), threading.active_count()
    for _ in range(5):
        judge(verifier, ["fine", "loop", "die"])
    assert (len(os.listdir("/proc/self/fd")), threading.active_count()) == before

"""One owner at a time; the dead make room; the old number opens nothing."""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import os
import pickle
import platform
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from posttrain.store import lock


def rewrite(path: Path, **fields: Any) -> None:
    holder = lock.read_holder(path)
    assert holder is not None
    path.write_text(json.dumps({**dataclasses.asdict(holder), **fields}))


def dead_holder(path: Path) -> None:
    code = f"from pathlib import Path; from posttrain.store import lock; lock.acquire(Path({str(path)!r}), what='x')"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_second_taker_is_refused_with_pid_and_host_of_the_holder(tmp_path: Path) -> None:
    held = lock.acquire(tmp_path / "lock", what="run folder demo")
    with pytest.raises(
        lock.LockHeldError, match=rf"run folder demo is in use by pid {os.getpid()} on {platform.node()}"
    ) as caught:
        lock.acquire(tmp_path / "lock", what="run folder demo")
    assert f"posttrain stop {shlex.quote(str(tmp_path))}" in str(caught.value.remedy), (
        "a command to copy, not a pattern"
    )
    held.release()
    assert lock.acquire(tmp_path / "lock", what="x").fence == 2


def test_a_lock_that_went_with_its_folder_is_released_without_a_word(tmp_path: Path) -> None:
    held = lock.acquire(tmp_path / "run" / "lock", what="x")
    (tmp_path / "run").rename(tmp_path / "moved")
    held.release()
    assert not (tmp_path / "run").exists()


def test_take_over_does_not_overrule_a_live_holder_on_this_machine(tmp_path: Path) -> None:
    lock.acquire(tmp_path / "lock", what="x")
    with pytest.raises(lock.LockHeldError):
        lock.acquire(tmp_path / "lock", what="x", take_over=True)


def test_the_lock_of_a_dead_process_is_reclaimed_with_a_higher_number(tmp_path: Path) -> None:
    dead_holder(tmp_path / "lock")
    assert lock.acquire(tmp_path / "lock", what="x").fence == 2


def test_a_zombie_holds_nothing(tmp_path: Path) -> None:
    child = multiprocessing.get_context("fork").Process(target=lambda: os._exit(0))
    child.start()
    while Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
        time.sleep(0.01)
    assert child.pid is not None and lock.start_time(child.pid) is None
    child.join()


def test_a_pid_that_came_to_another_process_or_boot_holds_nothing(tmp_path: Path) -> None:
    for fields in ({"start_time": "1"}, {"boot_id": "another"}):
        lock.acquire(tmp_path / "lock", what="x")
        rewrite(tmp_path / "lock", **fields)
        lock.acquire(tmp_path / "lock", what="x").release()


def test_a_holder_elsewhere_is_reclaimed_only_with_take_over(tmp_path: Path) -> None:
    for fields in ({"host": "node7"}, {"machine": "another"}, {"namespace": "1"}):
        lock.acquire(tmp_path / "lock", what="x")
        rewrite(tmp_path / "lock", **fields)
        with pytest.raises(lock.LockHeldError, match="--take-over"):
            lock.acquire(tmp_path / "lock", what="x")
        lock.acquire(tmp_path / "lock", what="x", take_over=True).release()


def test_who_lost_the_lock_cannot_pass_the_fence_nor_release_it(tmp_path: Path) -> None:
    old = lock.acquire(tmp_path / "lock", what="x")
    rewrite(tmp_path / "lock", host="node7")
    new = lock.acquire(tmp_path / "lock", what="x", take_over=True)
    with pytest.raises(lock.FencedError, match="fencing number 1"), old.fenced():
        raise AssertionError("the block must not run")
    old.release()
    with new.fenced():
        pass
    new.release()
    with pytest.raises(lock.FencedError):
        new.check_fence()


def test_a_lock_and_its_errors_cross_a_process_boundary(tmp_path: Path) -> None:
    held = pickle.loads(pickle.dumps(lock.acquire(tmp_path / "lock", what="x")))
    held.check_fence()
    assert isinstance(pickle.loads(pickle.dumps(lock.FencedError("w", remedy="r"))), lock.FencedError)


def _take(path: Path, start: Any, tried: Any, results: Any) -> None:
    start.wait()
    try:
        results.put(lock.acquire(path, what="x").fence)
    except lock.LockHeldError:
        results.put(None)
    tried.wait()  # the winner stays alive until all have tried: a dead one may rightly be followed by another


def test_of_processes_that_race_for_a_dead_holders_lock_exactly_one_wins(tmp_path: Path) -> None:
    fork = multiprocessing.get_context("fork")
    for round_number in range(30):
        path = tmp_path / str(round_number) / "lock"
        path.parent.mkdir()
        if round_number % 2:
            lock.acquire(path, what="x")
            rewrite(path, start_time="1")
        start, tried, results = fork.Event(), fork.Barrier(4), fork.Queue()
        takers = [fork.Process(target=_take, args=(path, start, tried, results)) for _ in range(4)]
        for taker in takers:
            taker.start()
        start.set()
        fences = [results.get(timeout=30) for _ in takers]
        for taker in takers:
            taker.join()
        assert sorted(fence for fence in fences if fence is not None) == [1 + round_number % 2]

"""Asked to stop, a run saves and ends with 75; the same command goes on; status and stop look from another shell."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from posttrain.errors import RunFolderError
from posttrain.records.step import Step
from posttrain.run.status import read_status, request_stop
from posttrain.store.artefacts import Store
from posttrain.store.housekeeping import gc_guard
from tests.run.driving import ROOT, published, run_steps, step

CHILD = "import json, sys; from tests.run.driving import run_main; sys.exit(run_main(**json.loads(sys.argv[1])))"


@contextmanager
def running(
    steps: list[Step], run_dir: Path, store: Path, name: str = "toy", sign: str = "checkpoint-*/seal.json"
) -> Iterator[subprocess.Popen[str]]:
    """A run in a process of its own, from its first checkpoint (or another sign in its attempt's folder) on."""
    fields = [{key: getattr(item, key) for key in item.__dataclass_fields__} for item in steps]
    arguments = json.dumps({"run_dir": str(run_dir), "store": str(store), "steps": fields, "name": name})
    child = subprocess.Popen([sys.executable, "-c", CHILD, arguments], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 60
        while not list(store.glob(f"work/*/attempt-*/{sign}")):
            assert child.poll() is None, child.communicate()[1]
            assert time.monotonic() < deadline, f"no {sign} in a minute"
            time.sleep(0.02)
        yield child
    finally:
        child.kill()
        child.wait()


def slow(steps: int = 2000) -> Step:
    return step("first", steps=steps, save_every=1, sleep=0.01)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_run_at_the_next_safe_point_with_75_and_a_word(
    tmp_path: Path, number: signal.Signals
) -> None:
    with running([slow()], tmp_path / "run", tmp_path / "store") as child:
        child.send_signal(number)
        _, errors = child.communicate(timeout=30)
    assert child.returncode == 75
    assert "stopped on request" in errors and "the same command continues" in errors and "Traceback" not in errors
    assert json.loads((tmp_path / "run" / "results.json").read_bytes())["stages"][0]["status"] == "pending"
    assert read_status(tmp_path / "run").state == "stopped"
    assert not (tmp_path / "run" / "stop").exists()


def test_a_stopped_run_continues_to_the_bytes_of_an_undisturbed_one(tmp_path: Path) -> None:
    steps = [slow(60)]
    with running(steps, tmp_path / "run", tmp_path / "store") as child:
        child.send_signal(signal.SIGTERM)
        child.communicate(timeout=30)
    assert child.returncode == 75
    results = run_steps(steps, tmp_path / "run", tmp_path / "store")
    assert results["stages"][0]["status"] == "resumed"
    run_steps(steps, tmp_path / "run2", tmp_path / "store2")
    assert published(tmp_path / "store") == published(tmp_path / "store2")


def test_a_signal_ends_a_wait_for_another_process(tmp_path: Path) -> None:
    with running([step("first", "Waiter")], tmp_path / "run", tmp_path / "store", sign="asleep") as child:
        child.send_signal(signal.SIGTERM)
        _, errors = child.communicate(timeout=30)
    assert child.returncode == 75, errors
    assert read_status(tmp_path / "run").state == "stopped"


def test_a_run_waits_for_a_gc_and_says_so_and_stops_when_asked_to(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    fields = [{key: getattr(item, key) for key in item.__dataclass_fields__} for item in [slow(2)]]
    arguments = json.dumps({"run_dir": str(tmp_path / "run"), "store": str(store.root), "steps": fields})
    with gc_guard(store, exclusive=True):
        child = subprocess.Popen([sys.executable, "-c", CHILD, arguments], cwd=ROOT, stderr=subprocess.PIPE, text=True)
        try:
            assert child.stderr is not None
            said = child.stderr.readline()
            child.send_signal(signal.SIGTERM)
            _, errors = child.communicate(timeout=30)
        finally:
            child.kill()
            child.wait()
    assert "store gc" in said and child.returncode == 75, said + errors


def test_a_second_signal_ends_the_run_at_once(tmp_path: Path) -> None:
    endless = step("first", steps=3, save_every=1, sleep=1000.0, first_sleep=0.0)
    # Asked earlier, between a checkpoint and its check for a stop, it would end in order and at once.
    with running([endless], tmp_path / "run", tmp_path / "store", sign="asleep") as child:
        child.send_signal(signal.SIGTERM)
        while not (tmp_path / "run" / "stop").exists():
            assert child.poll() is None, child.communicate()[1]
            time.sleep(0.01)
        child.send_signal(signal.SIGTERM)
        child.communicate(timeout=30)
    assert child.returncode == 75


def test_status_and_stop_from_another_process(tmp_path: Path) -> None:
    with running([slow()], tmp_path / "run", tmp_path / "store") as child:
        status = read_status(tmp_path / "run")
        assert (status.state, status.holder and status.holder.pid) == ("running", child.pid)
        assert str(child.pid) in request_stop(tmp_path / "run")
        child.communicate(timeout=30)
    assert child.returncode == 75
    with pytest.raises(RunFolderError, match="no process runs"):
        request_stop(tmp_path / "run")


def test_a_stop_file_alone_is_enough(tmp_path: Path) -> None:
    with running([slow()], tmp_path / "run", tmp_path / "store") as child:
        (tmp_path / "run" / "stop").touch()
        child.communicate(timeout=30)
    assert child.returncode == 75


def test_status_of_a_folder_without_a_run_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="no run was started"):
        read_status(tmp_path)


@pytest.mark.parametrize("content", ["{", "[]", "{}"])
def test_status_of_a_damaged_results_file_is_an_input_error(tmp_path: Path, content: str) -> None:
    run_steps([slow(1)], tmp_path / "run", tmp_path / "store")
    (tmp_path / "run" / "results.json").write_text(content)
    with pytest.raises(RunFolderError, match=r"results\.json: (cannot be read|the whole is|the key 'name' is missing)"):
        read_status(tmp_path / "run")
    assert run_steps([slow(1)], tmp_path / "run", tmp_path / "store")["stages"][0]["status"] == "cached"
    assert read_status(tmp_path / "run").state == "done"


def test_a_second_run_in_the_folder_is_refused_with_pid_and_host(tmp_path: Path) -> None:
    with running([slow()], tmp_path / "run", tmp_path / "store") as child:
        with pytest.raises(RunFolderError, match=rf"in use by pid {child.pid} on {os.uname().nodename}"):
            run_steps([slow()], tmp_path / "run", tmp_path / "store")
        assert child.poll() is None


def test_a_killed_runs_lock_is_reclaimed(tmp_path: Path) -> None:
    with running([slow(40)], tmp_path / "run", tmp_path / "store") as child:
        child.kill()
        child.communicate(timeout=30)
        assert run_steps([slow(40)], tmp_path / "run", tmp_path / "store")["stages"][0]["status"] == "resumed"


def test_two_runs_that_share_a_store_build_an_id_once(tmp_path: Path) -> None:
    steps = [slow(100)]
    with running(steps, tmp_path / "one", tmp_path / "store") as child:
        results = run_steps(steps, tmp_path / "two", tmp_path / "store", name="other")
        assert results["stages"][0]["status"] == "cached"
        assert child.wait(timeout=30) == 0
    assert len(list((tmp_path / "store" / "artefacts").iterdir())) == 1

"""A full disk, an orphan that outlives its driver, and a torn checkpoint: nothing half-published, and the same command
heals."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import resource
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from posttrain.records.step import Step
from posttrain.store import lock
from posttrain.store.artefacts import Store
from tests.run.driving import Zygote, published, run_main, run_steps, step, two_stages


def fields(steps: list[Step]) -> list[dict[str, Any]]:
    return [{key: getattr(item, key) for key in item.__dataclass_fields__} for item in steps]


def run_limited(run_dir: str, store: str, steps: list[dict[str, Any]], limit: int) -> int:
    """run_main under a file size limit: a write beyond it fails as on a full disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    return run_main(run_dir, store, steps)


def test_a_file_that_does_not_fit_fails_the_stage_with_1_and_the_next_run_completes(tmp_path: Path) -> None:
    big = [step("first", size=1 << 20)]
    context = multiprocessing.get_context("spawn")
    arguments = {
        "run_dir": str(tmp_path / "run"),
        "store": str(tmp_path / "store"),
        "steps": fields(big),
        "limit": 100_000,
    }
    with context.Pool(1) as pool:
        assert pool.apply(run_limited, kwds=arguments) == 1
    row = json.loads((tmp_path / "run" / "results.json").read_bytes())["stages"][0]
    assert row["status"] == "failed" and "the disk is full" in row["error"]
    assert not list((tmp_path / "store" / "work").glob("*/tmp.*"))
    assert run_steps(big, tmp_path / "run", tmp_path / "store")["stages"][0]["status"] == "resumed"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A tmpfs of its own, resized by `mount -o remount`."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a tmpfs cannot be mounted here; remedy: run the tests as root")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_disk_that_fills_up_anywhere_leaves_a_run_that_completes_once_there_is_room(
    tmp_path: Path, small_disk: Path
) -> None:
    steps = two_stages(size=4096)
    run_steps(steps, tmp_path / "good" / "run", tmp_path / "good" / "store")
    expected = published(tmp_path / "good" / "store")
    codes = []
    with Zygote(tmp_path) as zygote:
        for blocks in range(2, 60, 3):
            subprocess.run(["mount", "-o", f"remount,size={4 * blocks}k", str(small_disk)], check=True)
            rc, output = zygote.run(steps, small_disk / "run", small_disk / "store")
            codes.append(rc)
            assert rc in (0, 1), f"{blocks}: {output}"
            assert rc == 0 or ("disk is full" in output and "Traceback" not in output), f"{blocks}: {output}"
            assert Store(small_disk / "store").verify() == []
            subprocess.run(["mount", "-o", "remount,size=4m", str(small_disk)], check=True)
            rc, output = zygote.run(steps, small_disk / "run", small_disk / "store")
            assert rc == 0, f"{blocks}: {output}"
            assert published(small_disk / "store") == expected
            subprocess.run(["rm", "-rf", str(small_disk / "run"), str(small_disk / "store")], check=True)
    assert codes.count(1) >= 5, f"the disk never filled up midway: {codes}"


def _orphan(store: Store, attempt: Any, held: lock.Lock, outcome: Path) -> None:
    """Writes on after its driver was killed, into all the dead driver's places, and tries to publish once another has
    done so."""
    end = time.monotonic() + 60
    while time.monotonic() < end and not outcome.with_name("done").exists():
        for place in (attempt.output, attempt.state):
            with contextlib.suppress(
                FileNotFoundError, FileExistsError
            ):  # a driver cleared the place between two lines: once more
                place.mkdir(parents=True, exist_ok=True)
                (place / "state.bin").write_bytes(os.urandom(32))
        time.sleep(0.002)
    try:
        store.publish(attempt, {"kind": "toy"}, held)
        outcome.write_text("published")
    except lock.FencedError as error:
        outcome.write_text(f"refused: {error.what}")


def _driver(root: Path, id: str, outcome: Path) -> None:
    store = Store(root)
    held = store.lock(id)
    attempt = store.begin(id)
    if os.fork() == 0:
        _orphan(store, attempt, held, outcome)
        os._exit(0)
    os.kill(os.getpid(), signal.SIGKILL)


def test_an_orphan_of_a_killed_driver_neither_publishes_nor_harms_what_is_published(tmp_path: Path) -> None:
    steps = [step("first")]
    outcome = tmp_path / "outcome"
    driver = multiprocessing.get_context("fork").Process(
        target=_driver, args=(tmp_path / "store", steps[0].id, outcome)
    )
    driver.start()
    driver.join()
    assert driver.exitcode == -9
    run_steps(steps, tmp_path / "run", tmp_path / "store")
    run_steps(steps, tmp_path / "good" / "run", tmp_path / "good" / "store")
    (tmp_path / "done").touch()
    deadline = time.monotonic() + 30
    while not outcome.exists() or not outcome.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert outcome.read_text().startswith("refused: this process lost its lock")
    assert published(tmp_path / "store") == published(tmp_path / "good" / "store")
    assert Store(tmp_path / "store").verify() == []
    run_steps(steps, tmp_path / "run", tmp_path / "store")
    assert not (tmp_path / "store" / "work" / steps[0].id).exists()


@pytest.mark.parametrize("harm", ["flip", "cut", "unsealed"])
def test_a_torn_newest_checkpoint_is_passed_over_and_the_bytes_stay_the_same(tmp_path: Path, harm: str) -> None:
    steps = [step("first", steps=6, save_every=2)]
    with Zygote(tmp_path) as zygote:
        rc, _ = zygote.run(
            steps, tmp_path / "run", tmp_path / "store", env={"POSTTRAIN_FAILPOINT": "counter.before_step:6"}
        )
    assert rc == -9
    newest = max((tmp_path / "store" / "work").glob("*/attempt-1/checkpoint-*"))
    assert newest.name == "checkpoint-00000004"
    if harm == "flip":
        (newest / "state.bin").write_bytes(b"x" * 32)
    elif harm == "cut":
        (newest / "more.bin").write_bytes(b"")
    else:
        (newest / "seal.json").unlink()
    assert run_steps(steps, tmp_path / "run", tmp_path / "store")["stages"][0]["status"] == "resumed"
    run_steps(steps, tmp_path / "good" / "run", tmp_path / "good" / "store")
    assert published(tmp_path / "store") == published(tmp_path / "good" / "store")

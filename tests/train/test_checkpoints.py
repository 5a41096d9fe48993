"""A checkpoint is of its step, however far training has gone while it was written; one that a kill cut short is passed
over; and the clock asks for one too."""

from __future__ import annotations

import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from posttrain.store.checkpoints import newest_good, read_seal
from posttrain.train import checkpoints
from posttrain.train.reward_model import train
from tests.run.driving import ROOT
from tests.train.conftest import Jobs, files, metrics, write_rows
from tests.train.test_reward_model import PAIRS, stage

SECONDS = 60.0


@pytest.fixture
def data(jobs: Jobs) -> dict[str, Any]:
    return {"pairs": write_rows(jobs.folder / "pairs.jsonl", PAIRS)}


def test_training_goes_on_while_a_checkpoint_is_written_and_it_is_of_its_step(
    jobs: Jobs, data: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = jobs.make(stage(save_every=2), data)
    rows_meanwhile = []

    def write_late(*given: Any, **named: Any) -> Any:
        until = time.monotonic() + SECONDS
        while len(rows_meanwhile) == 0 and len(metrics(slow)) < 3 and time.monotonic() < until:
            time.sleep(0.01)
        rows_meanwhile.append(len(metrics(slow)))
        return sound(*given, **named)

    sound = checkpoints.save
    monkeypatch.setattr(checkpoints, "save", write_late)
    train(slow)
    assert rows_meanwhile[0] >= 3  # the third step ended before a byte of the second's checkpoint was written
    shutil.rmtree(slow.attempt / "checkpoints" / "checkpoint-4")
    resumed = jobs.make(stage(save_every=2), data, resume=True)
    assert resumed.resume is not None and resumed.resume.step == 2
    train(resumed)
    assert files(resumed.output / "model") == files(slow.output / "model") and metrics(resumed) == metrics(slow)


def test_a_kill_while_a_checkpoint_is_written_costs_that_one_alone(jobs: Jobs, data: dict[str, Any]) -> None:
    straight, killed = (jobs.make(stage(save_every=1), data) for _ in range(2))
    code = "import pickle, sys; from posttrain.train.reward_model import train; train(pickle.load(sys.stdin.buffer))"
    env = os.environ | {"POSTTRAIN_FAILPOINT": "train.checkpoint.written:2", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code], input=pickle.dumps(killed), env=env, cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    resumed = jobs.make(stage(save_every=1), data, resume=True)
    assert resumed.resume is not None and resumed.resume.step == 1
    train(straight)
    train(resumed)
    assert files(resumed.output / "model") == files(straight.output / "model")
    assert metrics(resumed) == metrics(straight)


@pytest.mark.parametrize(("minutes", "steps"), [(1e-9, [3, 4]), (None, [4])], ids=["by the clock", "by steps"])
def test_a_checkpoint_is_due_by_the_clock_too(
    jobs: Jobs, data: dict[str, Any], minutes: float | None, steps: list[int]
) -> None:
    job = jobs.make(stage(save_every=50, checkpoint_minutes=minutes), data)
    train(job)
    sealed = [read_seal(path) for path in (job.attempt / "checkpoints").glob("checkpoint-*")]
    assert sorted(seal["step"] for seal in sealed if seal is not None) == steps


def test_a_checkpoint_that_cannot_be_written_ends_the_training(
    jobs: Jobs, data: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints, "save", full)
    job = jobs.make(stage(save_every=2), data)
    with pytest.raises(OSError, match="No space left"):
        train(job)
    assert newest_good([job.attempt / "checkpoints"], owner="owner") is None


def test_each_worker_hashes_what_it_wrote() -> None:
    written = {"shares/__0_0.distcp": 0, "shares/__11_0.distcp": 11, "rng_state_3.pth": 3, "rng_state.pth": 0}
    written |= {"shares/.metadata": 0, "trainer_state.json": 0, "scheduler.pt": 0}
    assert {name: checkpoints.writer_of(name) for name in written} == written


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_checkpoint_holds_what_is_trained_and_nothing_twice(jobs: Jobs, data: dict[str, Any]) -> None:
    adapted = stage(steps=1, adapter={"rank": 2, "alpha": 4.0, "targets": ["q_proj"]})
    whole, small = jobs.make(stage(steps=1), data), jobs.make(adapted, data)
    for job in (whole, small):
        train(job)
    folder = whole.attempt / "checkpoints" / "checkpoint-1"
    assert names(folder) == [
        "rng_state.pth", "scheduler.pt", "seal.json", "shares/.metadata", "shares/__0_0.distcp", "trainer_state.json",
    ]  # fmt: skip
    model = (whole.output / "model" / "model.safetensors").stat().st_size
    size = (folder / "shares" / "__0_0.distcp").stat().st_size
    assert 3 * model < size < 3.5 * model  # weights and two moments
    assert (small.attempt / "checkpoints" / "checkpoint-1" / "shares" / "__0_0.distcp").stat().st_size < 0.3 * model

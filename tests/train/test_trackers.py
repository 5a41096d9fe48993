"""Trackers: what TensorBoard is given, what it is never given, a run a stage, and a missing library."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from posttrain.errors import BackendError
from posttrain.recipe.trackers import refuse_missing
from posttrain.train.policy import train
from posttrain.train.trackers import _begin_wandb
from tests.train import test_policy
from tests.train.conftest import Jobs, metrics
from tests.train.test_policy import Parity, rollouts, stage

engine = test_policy.engine
SECRET = "s3cret-value-of-a-key"


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = EventAccumulator(str(folder))
    read.Reload()
    return {tag: [(event.step, event.value) for event in read.Scalars(tag)] for tag in read.Tags()["scalars"]}


def test_tensorboard_gets_the_rows_of_the_metrics_and_no_secret(
    jobs: Jobs, engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUDGE_API_KEY", SECRET)
    run_folder = jobs.folder / "run"
    told = jobs.make(stage(), report_to=("tensorboard",), stop_file=run_folder / "stop")
    before = dict(os.environ)
    train(told, rollouts(told, engine, Parity()))
    assert dict(os.environ) == before
    folder = run_folder / "trackers" / "rl"
    found = scalars(folder)
    for key in ("loss", "reward", "sync_gap", "completion_tokens", "same_answer_share", "learning_rate"):
        rows = [(row["step"], row[key]) for row in metrics(told)]
        assert [step for step, _ in found[f"train/{key}"]] == [step for step, _ in rows] == [1, 2, 3]
        assert [value for _, value in found[f"train/{key}"]] == pytest.approx([value for _, value in rows], rel=1e-6)
    sent = b"".join(path.read_bytes() for path in folder.iterdir())
    assert SECRET.encode() not in sent and b"after 3?" not in sent


def test_wandb_is_begun_in_the_mode_that_the_user_has_set(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """W&B is none of the tests' packages: this says only what it is asked for."""
    asked: list[dict[str, Any]] = []
    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=lambda **options: asked.append(options)))
    monkeypatch.setenv("WANDB_PROJECT", "run")
    for mode in ("disabled", "offline", None):
        monkeypatch.setenv("WANDB_MODE", mode) if mode else monkeypatch.delenv("WANDB_MODE")
        _begin_wandb(jobs.make(stage(steps=1)))
        assert asked.pop()["mode"] == mode
    monkeypatch.setenv("WANDB_DISABLED", "true")
    _begin_wandb(jobs.make(stage(steps=1)))
    assert asked.pop()["mode"] == "disabled"


def test_nothing_is_sent_unless_it_is_asked_for(jobs: Jobs, engine: Any) -> None:
    job = jobs.make(stage(steps=1), stop_file=jobs.folder / "run" / "stop")
    train(job, rollouts(job, engine, Parity()))
    assert not (jobs.folder / "run").exists()


def test_a_missing_library_is_one_error_with_its_pip_line() -> None:
    refuse_missing([])
    with pytest.raises(BackendError, match="no_such_tracker, nor_this is not installed") as caught:
        refuse_missing(["no_such_tracker", "nor_this"])
    assert caught.value.where == "report_to"
    assert caught.value.remedy == "pip install no_such_tracker nor_this, or leave it out of report_to"

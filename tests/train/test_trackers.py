"""Trackers: what TensorBoard is given, what it is never given, a run a stage, and a missing library."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from posttrain.errors import BackendError, StageError
from posttrain.recipe.trackers import refuse_missing
from posttrain.train import sft
from posttrain.train.policy import train
from posttrain.train.trackers import _begin_wandb, _end_runs
from tests.train import test_policy, test_sft
from tests.train.conftest import Jobs, metrics, write_rows
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


@pytest.mark.parametrize(("under_way", "ended"), [(True, ["mlflow FAILED", "trackio"]), (False, [])])
def test_a_run_is_ended_once_and_only_where_its_callback_has_not(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch, under_way: bool, ended: list[str]
) -> None:
    """Trackio's second `finish` raises, and MLflow's next stage would write into a run that was left open."""
    told: list[str] = []
    run = SimpleNamespace(get=lambda: object() if under_way else None)
    mlflow = SimpleNamespace(active_run=run.get, end_run=lambda status: told.append(f"mlflow {status}"))
    monkeypatch.setitem(sys.modules, "mlflow", mlflow)
    context = SimpleNamespace(current_run=run)
    trackio = SimpleNamespace(context_vars=context, finish=lambda: told.append("trackio"))
    monkeypatch.setitem(sys.modules, "trackio", trackio)
    _end_runs(jobs.make(stage(steps=1), report_to=("mlflow", "trackio")), ended="FAILED")
    assert told == ended


# ---------------------------------------------------------------- libraries that are no dependency of anything here


def needs(library: str) -> Any:
    found = importlib.util.find_spec(library) is not None
    return pytest.mark.skipif(not found, reason=f"{library} is not installed; remedy: pip install {library}")


def a_failed_and_a_trained_stage(jobs: Jobs, monkeypatch: pytest.MonkeyPatch, tracker: str) -> Any:
    """Both in this process, as a worker trains them; returns the job of the second."""
    monkeypatch.setenv("JUDGE_API_KEY", SECRET)
    rows = {"rows": write_rows(jobs.folder / "rows.jsonl", test_sft.ROWS)}
    told = {"report_to": (tracker,), "stop_file": jobs.folder / "run" / "stop"}
    (jobs.folder / "run").mkdir()
    failed = jobs.make(test_sft.stage(steps=40, learning_rate=1e30), rows, step_name="failed", **told)
    with pytest.raises(StageError, match="not finite"):
        sft.train(failed)
    before = dict(os.environ)
    done = jobs.make(test_sft.stage(), rows, **told)
    sft.train(done)
    assert dict(os.environ) == before
    return done


def sent(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


@needs("mlflow")
def test_mlflow_has_a_run_a_stage_with_the_rows_of_the_metrics_and_no_secret(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = jobs.folder / "mlflow"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/runs.db")
    job = a_failed_and_a_trained_stage(jobs, monkeypatch, "mlflow")
    client = importlib.import_module("mlflow.tracking").MlflowClient(f"sqlite:///{folder}/runs.db")
    (experiment,) = [one for one in client.search_experiments() if one.name == "run"]
    found = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    assert {name: run.info.status for name, run in found.items()} == {"failed": "FAILED", "warm": "FINISHED"}
    for key in ("loss", "learning_rate"):
        history = client.get_metric_history(found["warm"].info.run_id, key)
        assert {one.step: one.value for one in history} == {row["step"]: row[key] for row in metrics(job)}
    assert SECRET.encode() not in sent(folder) and b"after 3?" not in sent(folder)


@needs("trackio")
def test_trackio_has_a_run_a_stage_with_the_rows_of_the_metrics_and_no_secret(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = jobs.folder / "trackio"
    monkeypatch.setenv("TRACKIO_DIR", str(folder))  # read when it is first imported
    job = a_failed_and_a_trained_stage(jobs, monkeypatch, "trackio")
    kept = importlib.import_module("trackio.sqlite_storage").SQLiteStorage
    assert set(kept.get_runs("run")) == {"failed", "warm"}
    logs = [row for row in kept.get_logs("run", "warm") if "train/loss" in row]
    for key in ("loss", "learning_rate"):
        found = {row["train/global_step"]: row[f"train/{key}"] for row in logs}
        assert found == {row["step"]: row[key] for row in metrics(job)}
    assert SECRET.encode() not in sent(folder) and b"after 3?" not in sent(folder)

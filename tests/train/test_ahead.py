"""Sampling ahead: the bound on staleness, no prompt skipped or doubled, errors and stops, a stage that trains so."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from posttrain.errors import StageError, Stopped
from posttrain.signals.stopping import check_wait, giving_up_waits
from posttrain.train.ahead import Ahead
from tests.train import test_policy
from tests.train.conftest import Jobs, files, metrics
from tests.train.test_policy import StopAfter, run

engine = test_policy.engine


def trained(staleness: int, steps: int, tmp_path: Path) -> list[tuple[int, int]]:
    """(step, weights) of each step, as a feed goes through them."""
    ahead: Ahead[tuple[int, int]] = Ahead(
        staleness=staleness, steps=steps, stop_file=tmp_path / "stop", make=lambda step, version: (step, version)
    )
    found, version = [], 0
    for step in range(steps):
        taken = ahead.take(step)
        if ahead.is_idle:
            version = step
        found.append(taken or (step, version))
        ahead.ask(step, version)
    ahead.close()
    return found


@pytest.mark.parametrize("staleness", [0, 1, 2, 5])
def test_every_step_has_its_batch_once_by_weights_within_the_bound(staleness: int, tmp_path: Path) -> None:
    found = trained(staleness, 12, tmp_path)
    assert [step for step, _ in found] == list(range(12))
    assert all(0 <= step - used <= staleness for step, used in found)
    assert found[-1] == (11, 11 - staleness) or staleness > 1


def test_what_is_asked_ahead_is_made_while_the_caller_works(tmp_path: Path) -> None:
    started, release = threading.Event(), threading.Event()

    def make(step: int, version: int) -> int:
        started.set()
        assert release.wait(10)
        return step

    ahead: Ahead[int] = Ahead(staleness=1, steps=5, stop_file=tmp_path / "stop", make=make)
    ahead.ask(0, 0)
    assert started.wait(10) and not ahead.is_idle
    release.set()
    assert ahead.take(1) == 1 and ahead.is_idle and ahead.take(2) is None


def test_an_error_is_raised_where_the_batch_is_taken_and_a_stop_ends_the_wait(tmp_path: Path) -> None:
    def fail(step: int, version: int) -> int:
        raise StageError("too many faults")

    failing: Ahead[int] = Ahead(staleness=1, steps=5, stop_file=tmp_path / "stop", make=fail)
    failing.ask(0, 0)
    with pytest.raises(StageError, match="too many faults"):
        failing.take(1)

    def wait_for_ever(step: int, version: int) -> int:
        while True:
            check_wait()
            threading.Event().wait(0.05)

    stuck: Ahead[int] = Ahead(staleness=1, steps=5, stop_file=tmp_path / "stop", make=wait_for_ever)
    stuck.ask(0, 0)
    (tmp_path / "stop").touch()
    with giving_up_waits(tmp_path / "stop"), pytest.raises(Stopped):
        stuck.take(1)


def versions(job: Any) -> list[str]:
    return [
        json.loads(text.splitlines()[0])["policy_version"]
        for _, text in sorted(files(job.attempt / "rollouts").items())
    ]


def asked(job: Any) -> list[list[str]]:
    return [
        [json.loads(line)["prompt_id"] for line in text.splitlines()]
        for _, text in sorted(files(job.attempt / "rollouts").items())
    ]


def test_a_stage_trains_on_answers_of_the_step_before_and_loses_no_prompt(jobs: Jobs, engine: Any) -> None:
    options = {"steps": 4, "importance_sampling": "sequence_mask", "save_every": 2}
    together, ahead = jobs.make(test_policy.stage(**options)), jobs.make(test_policy.stage(**options, staleness=1))
    run(together, engine)
    facts = run(ahead, engine)
    assert facts["steps"] == 4
    assert versions(together) == ["rl@0", "rl@1", "rl@2", "rl@3"]
    assert versions(ahead) == ["rl@0", "rl@0", "rl@1", "rl@2"]
    assert asked(ahead) == asked(together)
    rows = metrics(ahead)
    assert [row["staleness"] for row in rows] == [0, 1, 1, 1]
    assert all(0 < row["effective_share"] <= 1 + 1e-6 for row in rows if row["trained_answers"])
    assert rows[0]["mismatch"] < 1e-4 < max(row["mismatch"] for row in rows[1:])


def test_a_stopped_stage_goes_on_with_fresh_answers(jobs: Jobs, engine: Any) -> None:
    options = {"steps": 5, "importance_sampling": "token_truncate", "save_every": 2, "staleness": 1}
    whole = jobs.make(test_policy.stage(**options))
    run(whole, engine)
    stopped = jobs.make(test_policy.stage(**options), stop_file=StopAfter(2))
    assert run(stopped, engine) == {"stopped": True}
    resumed = jobs.make(test_policy.stage(**options), resume=True)
    assert resumed.resume is not None and resumed.resume.step == 3
    assert run(resumed, engine)["steps"] == 5
    assert asked(resumed) == asked(whole)
    assert versions(resumed) == ["rl@0", "rl@0", "rl@1", "rl@3", "rl@3"]
    assert [row["step"] for row in metrics(resumed)] == [1, 2, 3, 4, 5]

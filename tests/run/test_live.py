"""What `posttrain watch` sees of a run: the newest rows of the step at work, its pace, the time left, an answer."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from posttrain.cli import main
from posttrain.cli.watch import BARS, bars
from posttrain.plan.prepare import previous_steps
from posttrain.records.codec import as_json
from posttrain.records.metrics import METRICS_FILE
from posttrain.records.results import PROGRESS, Progress
from posttrain.records.rollouts import ROLLOUTS
from posttrain.records.run_files import read_facts
from posttrain.run.folder import LOCK
from posttrain.run.live import Observer
from posttrain.store.atomic import write_json
from posttrain.store.jsonl import write_lines
from posttrain.store.lock import acquire
from tests.report.synthetic_run import build_run


@pytest.fixture
def at_work(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """(run, attempt) of a run whose stage `code` trains now, held by this process: its attempt has what `stem` left."""
    run = build_run(tmp_path / "run", steps=6, stop_after="code.filter")
    facts = read_facts(run)
    assert facts is not None
    (step,) = (step for step in previous_steps(run) if step.name == "code")
    attempt = Path(facts.store) / "work" / step.id / "attempt-001"
    attempt.mkdir(parents=True)
    shutil.copytree(run / "stages" / "stem" / ROLLOUTS, attempt / ROLLOUTS)
    tell(run, 0)
    held = acquire(run / LOCK, what="a test")
    yield run, attempt
    held.release()
    shutil.rmtree(attempt)  # it lies in a store that other tests share


def tell(run: Path, done: int) -> None:
    progress = Progress(step="code", what="training", done=done, total=100, updated="2026-01-31T10:00:00+00:00")
    write_json(run / PROGRESS, as_json(progress), point=None)


def test_a_run_at_work_shows_its_newest_numbers_pace_and_answer(at_work: tuple[Path, Path]) -> None:
    run, attempt = at_work
    observer = Observer(run)
    assert (observer.look(now=0.0).step, observer.look(now=0.0).rows) == ("code", ())
    rows = [{"step": step, "reward": step / 100, "generated_tokens": 500.0} for step in range(1, 21)]
    for now, upto in ((10.0, 10), (20.0, 14), (30.0, 20)):
        write_lines(attempt / METRICS_FILE, rows[:upto])
        tell(run, upto)
        moment = observer.look(now=now)
        assert moment.rows[-1].values["reward"] == upto / 100
    assert moment.status.state == "running"
    assert moment.tokens_per_second == pytest.approx(6 * 500 / 10)
    assert moment.seconds_left == pytest.approx(80 * 20 / 10)
    assert moment.answer is not None and (moment.answer.step, moment.answer.number) == ("code", 6)


def test_the_view_is_drawn(at_work: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    run, attempt = at_work
    write_lines(attempt / METRICS_FILE, [{"step": 1, "reward": 0.25}, {"step": 2, "reward": 0.5, "entropy": 1.25}])
    tell(run, 2)
    assert main(["watch", str(run), "--once"]) == 0
    printed = capsys.readouterr().out
    for part in (
        "code: training 2/100",
        "reward",
        "0.5",
        BARS[0] + BARS[-1],
        "entropy",
        "1.25",
        "stem/6-3",
        f"{len(list((run / 'stages').iterdir()))} of {len(previous_steps(run))} steps done",
    ):
        assert part in printed


def test_a_run_at_rest_has_its_status_and_nothing_else(tmp_path: Path) -> None:
    moment = Observer(build_run(tmp_path / "run", steps=6)).look(now=0.0)
    assert moment.status.state != "running"
    assert (moment.step, moment.rows, moment.tokens_per_second, moment.answer) == (None, (), None, None)


def test_once_prints_the_status(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = build_run(tmp_path / "run", steps=6)
    assert main(["watch", str(run), "--once"]) == 0
    assert "steps done" in capsys.readouterr().out
    assert main(["watch", str(tmp_path), "--once"]) == 2


def test_bars_lie_between_the_least_and_the_greatest() -> None:
    assert bars([0.0, 0.5, 1.0]) == BARS[0] + BARS[4] + BARS[-1]
    assert bars([2.0, 2.0]) == BARS[0] * 2
    assert bars([float("nan"), 1.0, 3.0]) == BARS[0] + BARS[-1]
    assert bars([]) == ""

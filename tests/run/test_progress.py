"""How far a step is, as a person sees it: told by a worker, seen on every display, in `status`, and gone when the step
has ended."""

from __future__ import annotations

import io
import time
from pathlib import Path

import pytest

from posttrain import telemetry
from posttrain.signals import progress
from posttrain.signals.progress import STEP_PROGRESS, Watch, tell
from posttrain.telemetry import LineDisplay


def seen_while(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *told: tuple[str, int, int | None]
) -> list[tuple[str, int, int | None]]:
    monkeypatch.setattr(progress, "_READ_SECONDS", 0.01)
    monkeypatch.setattr(progress, "_WRITE_SECONDS", 0.0)
    seen: list[tuple[str, int, int | None]] = []
    with Watch(folder, lambda *one: seen.append(one)):
        for one in told:
            tell(folder / "stop", *one)
            until = time.monotonic() + 5
            while seen[-1:] != [one] and time.monotonic() < until:
                time.sleep(0.005)
    return seen


def test_what_a_worker_tells_is_seen_once_each_and_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = [("training", 1, 3), ("training", 3, 3), ("sampling for policy", 0, None)]
    assert seen_while(tmp_path, monkeypatch, *told) == told
    assert not (tmp_path / STEP_PROGRESS).exists()


def test_news_of_the_step_before_and_half_a_file_are_no_news(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / STEP_PROGRESS).write_text('{"what": "trai')
    assert seen_while(tmp_path, monkeypatch) == []


def test_a_folder_that_takes_no_file_costs_nothing(tmp_path: Path) -> None:
    tell(tmp_path / "gone" / "stop", "training", 1, 1)


def test_a_long_step_says_how_far_it_is_and_a_short_one_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    display = LineDisplay(out)
    display.step_started("base", 1, 9, "")
    display.progress("training", 1, 500)
    assert out.getvalue() == ""
    monkeypatch.setattr(telemetry, "LINE_SECONDS", 0.0)
    display.progress("training", 120, 500)
    display.step_ended("base", "ran", 1.0, {})
    assert out.getvalue().splitlines() == ["[1/9] base: training 120/500", "[1/9] base ran 1.0s"]

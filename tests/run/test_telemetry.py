"""What is shown to whom, and what to nobody."""

from __future__ import annotations

import io
import json
import os

import pytest

from posttrain import telemetry
from posttrain.telemetry import (
    BarDisplay,
    JsonDisplay,
    LineDisplay,
    TimeLeft,
    headline,
    open_display,
    redact,
    redact_json,
    time_left_words,
)


def walk_through(display: telemetry.Display) -> None:
    display.step_started("general", 2, 9, "learning_rate 1 -> 2")
    display.progress("train", 1, 40)
    display.progress("train", 40, 40)
    display.message("a word")
    display.step_ended("general", "ran", 12.34, {"loss": 1.25, "note": "x", "rows": 512, "good": True})
    display.finished({"run": "runs/demo"})
    display.close()


def test_piped_output_is_one_line_a_step() -> None:
    stream = io.StringIO()
    walk_through(open_display("auto", stream=stream))
    assert stream.getvalue().splitlines() == ["a word", "[2/9] general ran 12.3s loss=1.25 rows=512"]


def test_quiet_shows_nothing() -> None:
    stream = io.StringIO()
    walk_through(open_display("quiet", stream=stream))
    assert stream.getvalue() == ""


def test_json_is_one_object_a_line() -> None:
    stream = io.StringIO()
    walk_through(open_display("json", stream=stream))
    events = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [event["event"] for event in events] == [
        "step_started",
        "progress",
        "progress",
        "message",
        "step_ended",
        "finished",
    ]
    assert events[2] == {"event": "progress", "what": "train", "done": 40, "total": 40}


def test_a_terminal_gets_a_bar_and_the_line_that_stays() -> None:
    stream = Terminal()
    display = open_display("auto", stream=stream)
    assert isinstance(display, BarDisplay)
    walk_through(display)
    assert "40/40" in stream.getvalue() and "[2/9] general ran 12.3s loss=1.25" in stream.getvalue()


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_the_time_left_follows_from_the_pace_since_the_first_unit() -> None:
    left = TimeLeft()
    assert left.seconds("training", 0, 500, 0.0) is None, "nothing is done, so there is no pace"
    assert left.seconds("training", 10, 500, 100.0) is None, "a minute and more went into starting, or into nothing"
    assert left.seconds("training", 60, 500, 150.0) == pytest.approx(440.0)
    assert left.seconds("training", 500, 500, 590.0) == 0.0


def test_a_time_left_that_cannot_be_known_is_not_said() -> None:
    left = TimeLeft()
    assert [left.seconds("sampling", done, None, 60.0 * done) for done in range(1, 9)] == [None] * 8, "no total"
    left = TimeLeft()
    assert left.seconds("sampling", 1, 100, 0.0) is None
    assert left.seconds("sampling", 2, 100, 60.0) is None, "one unit is no pace"
    assert left.seconds("sampling", 3, 100, 120.0) == pytest.approx(97 * 60.0)
    assert TimeLeft().seconds("sampling", 90, 100, 1.0) is None, "a step that goes on where it was has no pace yet"


def test_other_work_in_the_same_step_has_a_pace_of_its_own() -> None:
    left = TimeLeft()
    left.seconds("sampling", 1, 10, 0.0)
    assert left.seconds("sampling", 9, 10, 80.0) == pytest.approx(10.0)
    assert left.seconds("training", 1, 100, 81.0) is None
    assert left.seconds("training", 11, 100, 91.0) == pytest.approx(89.0)
    assert left.seconds("training", 1, 100, 92.0) is None, "the same work once more starts anew"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, ""),
        (0.0, "a few seconds left"),
        (9.9, "a few seconds left"),
        (44.0, "about 40 s left"),
        (89.0, "about 90 s left"),
        (120.0, "about 2 min left"),
        (3550.0, "about 59 min left"),
        (3590.0, "about 1 h left"),
        (5000.0, "about 1 h 23 min left"),
        (200_000.0, "about 56 h left"),
    ],
)
def test_a_time_left_in_words(seconds: float | None, words: str) -> None:
    assert time_left_words(seconds) == words


def test_a_line_of_progress_says_how_long_is_left() -> None:
    stream, times = io.StringIO(), iter([0.0, 1.0, 41.0, 71.0, 80.0])
    display = LineDisplay(stream, clock=lambda: next(times))
    display.step_started("general", 2, 9, "")
    for what, done, total in (("started", 0, None), ("training", 1, 100), ("training", 31, 100), ("training", 40, 100)):
        display.progress(what, done, total)
    first, second = "[2/9] general: training 1/100", "[2/9] general: training 31/100, about 70 s left"
    assert stream.getvalue().splitlines() == [first, second]


def test_a_bar_says_how_long_is_left() -> None:
    stream, times = Terminal(), iter([0.0, 1.0, 241.0])
    display = BarDisplay(stream, clock=lambda: next(times))
    display.step_started("general", 2, 9, "")
    display.progress("training", 1, 100)
    display.progress("training", 81, 100)
    display.close()
    assert "about 60 s left" in stream.getvalue()


@pytest.mark.parametrize("display_class", [LineDisplay, JsonDisplay])
def test_a_reader_that_goes_away_does_not_stop_the_run(display_class: type[LineDisplay] | type[JsonDisplay]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stream:
        display = display_class(stream)
        for _ in range(3):
            display.message("x" * 100_000)


def test_values_of_secret_variables_and_tokens_are_taken_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "value-of-the-key")
    monkeypatch.setenv("HARMLESS", "value-of-no-matter")
    monkeypatch.setenv("SHORT_TOKEN", "true")
    text = "value-of-the-key value-of-no-matter true hf_abcdefghijklmnopqrstuvwxyz01234567"
    assert redact(text) == "[redacted] value-of-no-matter true [redacted]"
    assert redact_json({"a": ["value-of-the-key", 3, None]}) == {"a": ["[redacted]", 3, None]}


def test_a_headline_shows_at_most_four_numbers() -> None:
    assert headline({"a": 1, "b": 0.123456, "c": "x", "d": True, "e": 2, "f": 3, "g": 4}) == "a=1 b=0.1235 e=2 f=3"


def test_a_step_s_line_names_faults_first_and_then_what_tells_most() -> None:
    grpo = {
        "entropy_last": 1.5,
        "fault_share": 0.0,
        "generated_tokens": 477,
        "reward_first": 0.1,
        "reward_last": 0.2,
        "truncated_share": 0.9,
    }
    assert headline(grpo) == "reward_first=0.1 reward_last=0.2 truncated_share=0.9 entropy_last=1.5"
    assert headline({"loss": 2.0, "faulty_rows": 3, "rows": 8}) == "faulty_rows=3 loss=2 rows=8"

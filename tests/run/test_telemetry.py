"""What is shown to whom, and what to nobody."""

from __future__ import annotations

import io
import json
import os

import pytest

from posttrain import telemetry
from posttrain.telemetry import BarDisplay, JsonDisplay, LineDisplay, headline, open_display, redact, redact_json


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
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    display = open_display("auto", stream=stream)
    assert isinstance(display, BarDisplay)
    walk_through(display)
    assert "40/40" in stream.getvalue() and "[2/9] general ran 12.3s loss=1.25" in stream.getvalue()


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

"""What is seen of a run: bars on a terminal, one line a step when piped, JSON events, or nothing. And what nobody may
see.

    show = open_display(mode="auto")                              auto | quiet | json
    show.step_started("general", 2, 9, "recipe changed")
    show.progress("training", 3, 40)                              [2/9] general: training 3/40, about 2 min left
    show.step_ended("general", "ran", 12.3, {"loss": 1.25})       [2/9] general ran 12.3s loss=1.25

Bars and lines go to stderr, JSON events to stdout. `redact` takes the values of secret environment variables and hub
tokens out of text; `silence_libraries` stops the libraries from calling home and must run before any of them is
imported. Knows nothing of stages or files.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import re
import sys
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

QUIET_ENVIRONMENT = {
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_DO_NOT_TRACK": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DISABLE_IMPORT_WARNING": "1",
    "TRL_EXPERIMENTAL_SILENCE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    # Plug-ins of pydantic are found by reading every installed package at start-up; those known report elsewhere.
    "PYDANTIC_DISABLE_PLUGINS": "__all__",
}
SECRET_NAME = re.compile(r"TOKEN|KEY|SECRET|PASSWORD|CREDENTIAL", re.IGNORECASE)
SECRET_TEXT = re.compile(r"\b(hf_[A-Za-z0-9]{20,}|sk-[A-Za-z0-9_-]{20,}|gh[pousr]_[A-Za-z0-9]{30,})")
SHORTEST_SECRET = 8  # a shorter value ("1", "true") would blank out ordinary text
NOT_SECRET = frozenset({"TOKENIZERS_PARALLELISM"})
HIDDEN = "[redacted]"
# Numbers of a step that are shown first, and only above zero.
ALARMS = ("faulty_rows", "too_long_rows", "set_aside_for_faults", "faults", "fault_share")
# Of a step's many numbers, those that a person looks at next.
TELLING = (
    *("avg_at_k", "format_valid", "reward_first", "reward_last", "held_out_accuracy", "swap_consistency", "loss"),
    *("covered_mass", "bytes_per_token"),
    *("kept", "pairs", "prompts", "teacher_pass", "student_pass", "truncated_share", "trained_tokens", "rows"),
)
LINE_SECONDS = 30.0  # between two lines of one step
# What a guess of the time left needs to rest on: that many units and seconds since the first unit was done.
MIN_UNITS, MIN_SECONDS = 2, 5.0


def silence_libraries() -> None:
    """Set the variables with which libraries are told not to report home. A value the user has set stays."""
    for name, value in QUIET_ENVIRONMENT.items():
        os.environ.setdefault(name, value)


def quiet_environment() -> dict[str, str]:
    """The same variables for a process that is started with an environment of its own."""
    return {name: os.environ.get(name, value) for name, value in QUIET_ENVIRONMENT.items()}


def redact(text: str) -> str:
    """`text` without the value of any environment variable named like a secret, and without anything shaped like a
    known token."""
    return _redact(text, _secrets())


def redact_json(value: Any) -> Any:
    """`redact` of every string inside a JSON value, keys included."""
    return _redact_json(value, _secrets())


def _secrets() -> list[str]:
    return [
        value
        for name, value in os.environ.items()
        if len(value) >= SHORTEST_SECRET and name not in NOT_SECRET and SECRET_NAME.search(name)
    ]


def _redact(text: str, secrets: list[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, HIDDEN)
    return SECRET_TEXT.sub(HIDDEN, text)


def _redact_json(value: Any, secrets: list[str]) -> Any:
    if isinstance(value, str):
        return _redact(value, secrets)
    if isinstance(value, Mapping):
        return {_redact(str(key), secrets): _redact_json(item, secrets) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_redact_json(item, secrets) for item in value]
    return value


class RedactingFormatter(logging.Formatter):
    """A log line with its traceback, secrets taken out."""

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


class TimeLeft:
    """How long the work at hand still takes, at the pace that it has had so far. Knows no clock: it is told the time.

    Example: TimeLeft() told of ("training", 10 of 500) at 100.0 s and of ("training", 60 of 500) at 150.0 s says 440.0.
    """

    def __init__(self) -> None:
        self._what = ""
        self._first: tuple[float, int] | None = None

    def seconds(self, what: str, done: int, total: int | None, now: float) -> float | None:
        """Seconds left; None while that cannot be known: no total, or too little done to have a pace.

        The pace is taken from the first report with a unit done: what comes before it is mostly waiting (an engine that
        starts, a compiler), and what a resumed step had done already took no time now.
        """
        if what != self._what or (self._first is not None and done < self._first[1]):
            self._what, self._first = what, None  # other work, or the same work once more
        if self._first is None:
            self._first = (now, done) if done > 0 else None
            return None
        elapsed, units = now - self._first[0], done - self._first[1]
        if total is None or units < MIN_UNITS or elapsed < MIN_SECONDS:
            return None
        return max(0, total - done) * elapsed / units


def time_left_words(seconds: float | None) -> str:
    """Example: 440.0 -> "about 7 min left", 5000.0 -> "about 1 h 23 min left"; None, for a time not known, -> ""."""
    if seconds is None:
        return ""
    if seconds < 10:
        return "a few seconds left"
    if seconds < 90:
        return f"about {round(seconds, -1):.0f} s left"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"about {minutes} min left"
    hours, minutes = divmod(minutes, 60)
    return f"about {hours} h {minutes} min left" if minutes and hours < 10 else f"about {round(seconds / 3600)} h left"


class Display(Protocol):
    """Where a run reports to. Every method may be called at any rate; a display limits itself."""

    def step_started(self, name: str, number: int, total: int, why: str) -> None:
        """Step `number` (from 1) of `total` begins."""

    def progress(self, what: str, done: int, total: int | None) -> None:
        """`done` of `total` units of the current step."""

    def step_ended(self, name: str, status: str, seconds: float, metrics: Mapping[str, Any]) -> None:
        """The step is ran, resumed, cached or failed."""

    def message(self, text: str) -> None:
        """One line for the person who waits."""

    def finished(self, summary: Mapping[str, Any]) -> None:
        """The run is over: {"run": folder, "seconds": s, ...}."""

    def close(self) -> None:
        """Leave the terminal as it was."""


def open_display(mode: str = "auto", *, stream: TextIO | None = None) -> Display:
    """auto: bars on a terminal, lines otherwise. quiet: nothing but errors. json: one event a line on stdout."""
    if mode == "quiet":
        return QuietDisplay()
    if mode == "json":
        return JsonDisplay(stream or sys.stdout)
    stream = stream or sys.stderr
    return BarDisplay(stream) if stream.isatty() else LineDisplay(stream)


def _say(line: str, stream: TextIO) -> TextIO:
    """Print a line; returns where the next one goes. Whoever reads a pipe may go away: the run goes on, and says
    nothing at exit."""
    try:
        print(line, file=stream, flush=True)
    except BrokenPipeError:
        # What could not be written is tried again when the interpreter ends.
        with contextlib.suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
        return io.StringIO()
    return stream


class QuietDisplay:
    """Says nothing: the exit code and results.json speak."""

    def step_started(self, name: str, number: int, total: int, why: str) -> None: ...

    def progress(self, what: str, done: int, total: int | None) -> None: ...

    def step_ended(self, name: str, status: str, seconds: float, metrics: Mapping[str, Any]) -> None: ...

    def message(self, text: str) -> None: ...

    def finished(self, summary: Mapping[str, Any]) -> None: ...

    def close(self) -> None: ...


class JsonDisplay(QuietDisplay):
    """One JSON object a line: {"event": "step_started", ...}. Progress at most five times a second."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._last = 0.0

    def step_started(self, name: str, number: int, total: int, why: str) -> None:
        self._emit("step_started", step=name, number=number, total=total, why=why)

    def progress(self, what: str, done: int, total: int | None) -> None:
        now = time.monotonic()
        if done == total or now - self._last >= 0.2:
            self._last = now
            self._emit("progress", what=what, done=done, total=total)

    def step_ended(self, name: str, status: str, seconds: float, metrics: Mapping[str, Any]) -> None:
        self._emit("step_ended", step=name, status=status, seconds=round(seconds, 3), metrics=dict(metrics))

    def message(self, text: str) -> None:
        self._emit("message", text=text)

    def finished(self, summary: Mapping[str, Any]) -> None:
        self._emit("finished", **summary)

    def _emit(self, event: str, **fields: Any) -> None:
        self._stream = _say(redact(json.dumps({"event": event, **fields}, default=str)), self._stream)


class LineDisplay(QuietDisplay):
    """One line a step, for logs and pipes; of a long step also how far it is and how long it still takes, twice a
    minute. `clock` gives seconds that only grow."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._place = ""
        self._name = ""
        self._last = 0.0
        self._time_left = TimeLeft()

    def step_started(self, name: str, number: int, total: int, why: str) -> None:
        self._place = f"[{number}/{total}]"
        self._name, self._last = name, self._clock()
        self._time_left = TimeLeft()

    def progress(self, what: str, done: int, total: int | None) -> None:
        now = self._clock()
        left = time_left_words(self._time_left.seconds(what, done, total, now))
        if now - self._last >= LINE_SECONDS:
            self._last = now
            count = f"{done}" if total is None else f"{done}/{total}"
            self._print(f"{self._place} {self._name}: {what} {count}" + (f", {left}" if left else ""))

    def step_ended(self, name: str, status: str, seconds: float, metrics: Mapping[str, Any]) -> None:
        parts = [self._place, name, status, f"{seconds:.1f}s", headline(metrics)]
        self._print(" ".join(part for part in parts if part))

    def message(self, text: str) -> None:
        self._print(text)

    def _print(self, text: str) -> None:
        self._stream = _say(redact(text), self._stream)


class BarDisplay(LineDisplay):
    """One moving bar for the current step, a finished line above it for every step done."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(stream, clock)
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def step_started(self, name: str, number: int, total: int, why: str) -> None:
        super().step_started(name, number, total, why)
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
        )
        self._bar = Progress(*columns, console=Console(file=self._stream), transient=True)
        self._task = self._bar.add_task(f"{self._place} {name}", total=None, left="")
        self._bar.start()

    def progress(self, what: str, done: int, total: int | None) -> None:
        if self._bar is not None and self._task is not None:
            left = time_left_words(self._time_left.seconds(what, done, total, self._clock()))
            shown = f"{self._place} {self._name}: {what}"
            self._bar.update(self._task, description=shown, completed=done, total=total, left=left)

    def step_ended(self, name: str, status: str, seconds: float, metrics: Mapping[str, Any]) -> None:
        self.close()
        super().step_ended(name, status, seconds, metrics)

    def message(self, text: str) -> None:
        if self._bar is not None:
            self._bar.console.print(redact(text), markup=False, highlight=False)
        else:
            super().message(text)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def headline(metrics: Mapping[str, Any]) -> str:
    """At most four numbers of a stage on one line, such as `loss=1.23 rows=512`: faults first where there are any, then
    what tells most. Remarks of a stage (`remarks`, a list of sentences) follow whole."""
    numbers = [
        (key, value) for key, value in metrics.items() if isinstance(value, int | float) and not isinstance(value, bool)
    ]
    numbers = [(key, value) for key, value in numbers if value or key not in ALARMS]
    order = {key: place for place, key in enumerate((*ALARMS, *TELLING))}
    numbers.sort(key=lambda pair: order.get(pair[0], len(order)))
    return "; ".join([" ".join(f"{key}={value:.4g}" for key, value in numbers[:4]), *metrics.get("remarks", ())])

"""From what a box reports (a raw result) to a TestResult. The only place where an outcome is decided; runs on the host.

A candidate can forge its own message: it then only chooses its answer. A message that no honest child writes is
`tamper`. Whatever a candidate can bring about has an outcome with a score, never a fault: programs that fail would make
themselves faults, and be left out of the score.
"""

from __future__ import annotations

import signal
from typing import Any

from sandbox.errors import Fault
from sandbox.inside.codec import Malformed
from sandbox.inside.frames import HEADER, FrameError, from_text, parse_body
from sandbox.judging.compare import Tolerance, same_output, same_value, truth
from sandbox.judging.packed_values import validate
from sandbox.judging.runnable_tests import CallCase, PytestFile
from sandbox.types import Limits, Outcome, Program, StdinTest, TestResult

_OUTCOME_OF_LIMIT = {
    "cpu": Outcome.CPU_LIMIT,
    "wall": Outcome.WALL_LIMIT,
    "memory": Outcome.MEMORY_LIMIT,
    "output": Outcome.OUTPUT_LIMIT,
    "processes": Outcome.PROCESS_LIMIT,
    "disk": Outcome.DISK_LIMIT,
}
# How an exception that ended a program names the limit it met: (class, a part of its message or "", outcome).
_EXCEPTIONS = (
    ("MemoryError", "", Outcome.MEMORY_LIMIT),
    ("OSError", "[Errno 12]", Outcome.MEMORY_LIMIT),
    ("BlockingIOError", "[Errno 11]", Outcome.PROCESS_LIMIT),
    ("RuntimeError", "can't start new thread", Outcome.PROCESS_LIMIT),
    ("OSError", "[Errno 28]", Outcome.DISK_LIMIT),
    ("OSError", "[Errno 27]", Outcome.DISK_LIMIT),
    ("PermissionError", "", Outcome.DENIED),
    ("OSError", "[Errno 30]", Outcome.DENIED),
    ("OSError", "[Errno 101]", Outcome.DENIED),
)


def outcome_of_exception(kind: str, message: str) -> Outcome:
    """The outcome for an exception that ended a program. Example: outcome_of_exception("MemoryError", "") is
    MEMORY_LIMIT."""
    for name, part, outcome in _EXCEPTIONS:
        if kind == name and part in message:
            return outcome
    return Outcome.RUNTIME_ERROR


def result_of(raw: dict[str, Any], outcome: Outcome, detail: str = "") -> TestResult:
    """A TestResult with the figures of a raw result. Raises Fault when the figures are not there."""
    try:
        return TestResult(
            outcome=outcome,
            cpu_seconds=round(float(raw["cpu"]), 6),
            wall_seconds=round(float(raw["wall"]), 6),
            max_rss_mb=round(float(raw["rss_mb"]), 2),
            signal=None if raw["signal"] is None else int(raw["signal"]),
            bytes=int(raw["bytes"]),
            detail=detail[:400],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise Fault(f"the box reported no usable result: {error}") from error


def judge_script(test: StdinTest, raw: dict[str, Any], program: Program) -> TestResult:
    """stdin -> stdout: how it ended, then what it wrote."""
    failed = script_failure(raw, program.limits)
    if failed is not None:
        return failed
    tolerance = None if program.tolerance is None else Tolerance(abs=program.tolerance[0], rel=program.tolerance[1])
    same = same_output(test.stdout, from_text(raw["stdout"]), program.compare, tolerance)
    return result_of(raw, Outcome.PASS if same else Outcome.WRONG)


def script_failure(raw: dict[str, Any], limits: Limits) -> TestResult | None:
    """The result of a script whose output does not count; None when it does."""
    ended = _result_of_end(raw, limits)
    if ended is not None:
        return ended
    if raw["message"]:
        return result_of(raw, Outcome.COMPILE_ERROR, _exception_text(read_message(raw)))
    if raw["exit"] != 0:
        last = raw["stderr"].strip().rpartition("\n")[2]
        kind, _, text = last.partition(":")
        return result_of(raw, outcome_of_exception(kind.strip(), text), last or f"exit status {raw['exit']}")
    return None


def judge_pytest_file(test: PytestFile, raw: dict[str, Any], limits: Limits) -> TestResult:
    """A pytest file: as many tests passed as it defines, none failed, none was skipped."""
    if raw["killed"] is not None:
        return result_of(raw, _OUTCOME_OF_LIMIT[raw["killed"]])
    message = read_message(raw)
    if message is None:
        return result_of(raw, *judge_call_end(raw, limits))
    if message.get("k") != "pytest":
        return result_of(raw, *failure_outcome(message))
    passed, failed, skipped = (message.get(name) for name in ("passed", "failed", "skipped"))
    if not (isinstance(passed, int) and isinstance(failed, int) and isinstance(skipped, int)):
        return result_of(raw, Outcome.TAMPER, "a count of tests that is no number")
    if passed >= test.least and failed == 0 and skipped == 0:
        return result_of(raw, Outcome.PASS)
    detail = (
        f"{passed} passed, {failed} failed, {skipped} skipped, {test.least} defined; {message.get('first', '')!s:.300}"
    )
    return result_of(raw, Outcome.WRONG, detail)


def judge_call(call: CallCase, raw: dict[str, Any], limits: Limits) -> TestResult:
    """A function's result: the message first, as a child that has answered is ended at once."""
    if raw["killed"] is not None:
        return result_of(raw, _OUTCOME_OF_LIMIT[raw["killed"]])
    message = read_message(raw)
    outcome, detail = judge_call_end(raw, limits) if message is None else judge_message(call, message)
    return result_of(raw, outcome, detail)


def judge_call_end(raw: dict[str, Any], limits: Limits) -> tuple[Outcome, str]:
    """What it comes to that a child ended without the answer that was due."""
    ended = _result_of_end(raw, limits)
    if ended is not None:
        return ended.outcome, ended.detail
    return Outcome.EARLY_EXIT, f"ended with status {raw['exit']} before it answered"


def judge_message(call: CallCase, message: dict[str, Any]) -> tuple[Outcome, str]:
    """What a child's message comes to."""
    kind = message.get("k")
    if kind == "value":
        value = message.get("v")
        try:
            validate(value)
        except Malformed as error:
            return Outcome.TAMPER, f"a result that the judge's encoder does not make: {error}"
        if call.truth is not None:
            return (Outcome.PASS if truth(value) is call.truth else Outcome.WRONG), ""
        return (Outcome.PASS if same_value(call.expected, value, call.how) else Outcome.WRONG), ""
    return failure_outcome(message)


def failure_outcome(message: dict[str, Any]) -> tuple[Outcome, str]:
    """What a child's message comes to that carries no value."""
    kind = message.get("k")
    if kind == "exit":
        return Outcome.EARLY_EXIT, _exception_text(message)
    if kind == "compile":
        return Outcome.COMPILE_ERROR, _exception_text(message)
    if kind == "error":
        return outcome_of_exception(str(message.get("type")), str(message.get("message"))), _exception_text(message)
    return Outcome.TAMPER, f"a message of an unknown kind {kind!r:.40}"


def read_message(raw: dict[str, Any]) -> dict[str, Any] | None:
    """The first framed message of the outbox; None when it is not whole. What is no frame comes back as kind
    `garbage`."""
    data = from_text(raw["message"])
    if len(data) < HEADER.size:
        return None
    (length,) = HEADER.unpack_from(data)
    if len(data) < HEADER.size + length:
        return None
    try:
        return parse_body(data[HEADER.size : HEADER.size + length])
    except FrameError as error:
        return {"k": f"garbage: {error}"}


def _result_of_end(raw: dict[str, Any], limits: Limits) -> TestResult | None:
    """The outcome of a child that was ended by us or by a signal; None when it ended by itself."""
    if raw["killed"] is not None:
        return result_of(raw, _OUTCOME_OF_LIMIT[raw["killed"]])
    number = raw["signal"]
    if number is None:
        return None
    if number == signal.SIGXCPU or (number == signal.SIGKILL and raw["cpu"] >= limits.cpu_seconds):
        return result_of(raw, Outcome.CPU_LIMIT)
    if number == signal.SIGXFSZ:
        return result_of(raw, Outcome.DISK_LIMIT)
    return result_of(raw, Outcome.RUNTIME_ERROR, f"ended by signal {number}")


def _exception_text(message: dict[str, Any] | None) -> str:
    message = message or {}
    return f"{message.get('type', '')}: {message.get('message', '')}"

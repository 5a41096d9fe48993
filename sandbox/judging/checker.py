"""A test whose output is judged by a checker: a trusted program in a box of its own, run once the candidate's test has
ended.

It gets three files (input, output, answer) as arguments and answers by its exit status, as testlib's checkers do; or,
where the test says so (`verdict_by: stdout`), by a number that it prints: 1 for right, less for a share.
"""

from __future__ import annotations

from typing import Any

from sandbox.backends.box import GRACE_SECONDS, Box
from sandbox.inside.contract import MOST_WALL
from sandbox.inside.frames import from_text, to_text
from sandbox.judging.split_test import trusted_limits
from sandbox.types import CheckerTest, Outcome

_RIGHT, _FAILED, _IN_PART = 0, 3, 7
_OWN_DISK_MB = 32
_BROKEN = None  # no outcome yet
_BROKEN_TEST = ("NameError", "ImportError", "ModuleNotFoundError", "SyntaxError", "IndentationError", "TabError")


def checker_limits(test: CheckerTest, output: bytes, limits: dict[str, Any]) -> dict[str, Any]:
    """What a checker may use: its three files lie in its folder."""
    files = max(len(output), len(test.answer)) + len(test.stdin) + len(test.answer)
    return {**trusted_limits(limits), "disk_mb": _OWN_DISK_MB + files // (1024 * 1024)}


def run_checker(
    box: Box, test: CheckerTest, output: bytes, preamble: str, limits: dict[str, Any]
) -> tuple[Outcome, str]:
    """The outcome and a detail, under `limits` (checker_limits). Raises Fault when the box fails.

    A checker that breaks down over a program's output says wrong. One that breaks down over the reference answer, too,
    is broken itself, which no program can bring about by what it prints: the test is invalid. So it is where the
    checker says that it cannot judge.
    """
    outcome, said = _run(box, test, output, preamble, limits)
    if outcome is _BROKEN:
        outcome, _ = _run(box, test, test.answer, preamble, limits)
        return (Outcome.INVALID if outcome is _BROKEN else Outcome.WRONG), said
    return outcome, said


def _run(
    box: Box, test: CheckerTest, output: bytes, preamble: str, limits: dict[str, Any]
) -> tuple[Outcome | None, str]:
    files = {"input.txt": test.stdin, "output.txt": output, "answer.txt": test.answer}
    case = {"mode": "script", "files": {name: to_text(data) for name, data in files.items()}}
    source = f"{preamble}\n{test.checker}" if preamble else test.checker
    box.send({"op": "run", "program": source, "limits": limits, "interactive": False, "cases": [case]})
    raw = box.receive(MOST_WALL * limits["wall_seconds"] + GRACE_SECONDS)
    last = str(raw["stderr"]).strip().rpartition("\n")[2]
    said = f"the checker said: {last}" if last else f"the checker ended with status {raw['exit']}"
    if raw["killed"] is not None or raw["signal"] is not None:
        return Outcome.WRONG, f"the checker ended without a verdict ({raw['killed'] or 'a signal'})"
    if raw["message"] or raw["exit"] == _FAILED:
        return Outcome.INVALID, said
    if raw["exit"] != _RIGHT and last.partition(":")[0] in _BROKEN_TEST:
        return _BROKEN, said
    printed = from_text(raw["stdout"]).decode("utf-8", "replace").strip().rpartition("\n")[2].strip()
    if raw["exit"] == _RIGHT and test.verdict_by == "stdout":
        return _printed_verdict(printed)
    if raw["exit"] == _RIGHT and printed:  # its verdict may be what it prints: an end with 0 then says nothing
        return (
            _BROKEN,
            f'the checker printed {printed!r:.80} and ended with 0; if that is its verdict: "verdict_by": "stdout"',
        )
    if raw["exit"] == _RIGHT:
        return Outcome.PASS, ""
    return Outcome.WRONG, f"points in part; {said}" if raw["exit"] == _IN_PART else said


def _printed_verdict(printed: str) -> tuple[Outcome | None, str]:
    try:
        share = float(printed)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        return _BROKEN, f"the checker printed {printed!r:.80}, and no number from 0 to 1"
    return (Outcome.PASS, "") if share == 1 else (Outcome.WRONG, f"the checker printed {printed}")

"""A test whose asserts run in one box and whose candidate runs in another: the host carries calls and plain values
between them.

    test box       --call(name, args)-->                host --> candidate box
    candidate box  --value or error-->                  host --> test box        and so on, until the test box says
    candidate box  --ask(a function of the test's)-->   host --> test box        done, assertion or raised

The two boxes share nothing. The test side is trusted code over plain built-ins; the candidate side is not trusted at
all. What has no plain form stays where it is, under a number (object_exchange.py); arguments that a function changed in
place come back with its None.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from sandbox.backends.box import GRACE_SECONDS, Box
from sandbox.errors import Fault
from sandbox.inside.codec import Malformed
from sandbox.inside.contract import MOST_WALL
from sandbox.inside.frames import FrameBuffer, FrameError, FrameTooLong, from_text, pack_frame, to_text
from sandbox.judging.packed_values import holds_class, is_lineage, validate
from sandbox.judging.runnable_tests import SplitTest
from sandbox.judging.verdicts import failure_outcome, judge_call_end, result_of
from sandbox.types import Limits, Outcome, Program, TestResult

_QUESTIONS = ("call", "get", "look", "op", "answer")
_LOOKING = ("look", "op")
# Of one question of the test side, which is trusted and may pass on large arguments.
_MOST_ASKED_BYTES = 128 * 1024 * 1024


class Side:
    """One of the two boxes during one test: whole messages from its outbox, until its case has ended."""

    def __init__(self, box: Box, wall_seconds: float, limit_bytes: int, *, tell_all: bool = False) -> None:
        self.box = box
        self.patience = MOST_WALL * wall_seconds + GRACE_SECONDS
        self.deadline = time.monotonic() + self.patience
        self.buffer = FrameBuffer(limit=limit_bytes + 4096)
        self.ended: dict[str, Any] | None = None
        self.trust = "full"
        # Of the candidate's side: whether the test hears of every change in place, and whether one was kept from it.
        self.tell_all, self.withheld = tell_all, False

    def tell(self, message: dict[str, Any]) -> None:
        self.deadline = time.monotonic() + self.patience  # the other side may have been slow to ask
        self.box.send({"op": "in", "data": to_text(pack_frame(message))})

    def hear(self) -> dict[str, Any] | None:
        """The next message, or None when the case has ended. Raises FrameError for bytes that are no message."""
        while (message := self.buffer.next()) is None:
            if self.ended is not None:
                return None
            frame = self.box.receive(self.deadline - time.monotonic())
            if frame.get("op") == "result":
                self.ended = frame
            elif frame.get("op") == "out":
                self.buffer.feed(from_text(frame["data"]))
        return message

    def finish(self) -> dict[str, Any]:
        """End the case and return its raw result."""
        if self.ended is None:
            self.box.send({"op": "end"})
        while self.ended is None:
            frame = self.box.receive(GRACE_SECONDS)
            if frame.get("op") == "result":
                self.ended = frame
        return self.ended


def trusted_limits(limits: dict[str, Any]) -> dict[str, Any]:
    """What trusted test code may use: more than the program it tests, so that it is never the one to end."""
    times = {"cpu_seconds": 10 + 2 * limits["cpu_seconds"], "wall_seconds": 2 * limits["wall_seconds"] + 10}
    return {**limits, **times, "memory_mb": max(1024, limits["memory_mb"]), "output_bytes": 16_000_000}


def run_split_test(
    candidate_box: Box, test_box: Box, program: Program, split: SplitTest, limits: dict[str, Any]
) -> TestResult:
    """Judge one split test. Raises Fault when a box fails; whatever the candidate does is an outcome.

    Where a function both returns something and changes its arguments in place, the test does not see the change at
    first: the test may compare the result with those arguments, and the program could have changed them to fit. A test
    that passes so is run again and sees the change: it may be there to check that nothing is changed.
    """
    result, withheld = _run_once(candidate_box, test_box, program, split, limits, tell_all=False)
    if result.outcome is Outcome.PASS and withheld:
        again, _ = _run_once(candidate_box, test_box, program, split, limits, tell_all=True)
        return again if again.outcome is not Outcome.PASS else result
    return result


def _run_once(
    candidate_box: Box, test_box: Box, program: Program, split: SplitTest, limits: dict[str, Any], *, tell_all: bool
) -> tuple[TestResult, bool]:
    """The result, and whether a change in place was withheld from the test."""
    wall = limits["wall_seconds"]
    test_limits = trusted_limits(limits)
    candidate = Side(candidate_box, wall, program.limits.output_bytes, tell_all=tell_all)
    test = Side(test_box, test_limits["wall_seconds"], _MOST_ASKED_BYTES)
    candidate_box.send(
        {"op": "run", "mode": "call", "interactive": True, "program": program.program, "limits": limits, "cases": [{}]}
    )
    trusted = {
        "preamble": program.preamble,
        "source": split.source,
        "entry_point": split.entry_point,
        "program_names": split.program_names,
        "inspected_names": split.inspected_names,
        "early_reads": split.early_reads,
    }
    test_box.send({"op": "run", "mode": "check", "interactive": True, "limits": test_limits, "cases": [trusted]})
    outcome, detail = _relay(candidate, test, program.limits)
    test.finish()
    ended = candidate.finish()
    # A limit that was seen to be passed only after the last answer.
    if outcome is Outcome.PASS and ended["killed"] is not None:
        outcome, detail = judge_call_end(ended, program.limits)
    trust = "low" if split.low_trust else candidate.trust
    return replace(result_of(ended, outcome, detail), trust=trust), candidate.withheld


def _relay(candidate: Side, test: Side, limits: Limits) -> tuple[Outcome, str]:
    failure: dict[str, Any] = {}
    told: dict[str, Any]
    most = 0  # arguments of a call, which may hold questions and other calls
    while True:
        try:
            asked = test.hear()
        except FrameError as error:
            raise Fault(f"the test side wrote no message: {error}") from error
        if asked is None:
            killed = (test.ended or {}).get("killed")
            return Outcome.WRONG, f"the test side ended without a verdict ({killed or 'exit'})"
        if asked["k"] not in _QUESTIONS:
            return _verdict(asked, failure)
        candidate.tell(asked)
        most = max(most, len(asked.get("args", ())))
        try:
            reply = candidate.hear()
            if reply is None:
                return judge_call_end(candidate.ended or {}, limits)
            if reply.get("k") == "ask":
                told = _question(reply)
            elif reply.get("k") == "value":
                told = _value(reply, most)
                if told["changed"] and told["v"] is not None and not candidate.tell_all:
                    candidate.withheld, told["changed"] = True, []
            elif reply.get("k") != "error" or reply.get("phase") == "load":
                return failure_outcome(reply)
            else:
                failure = reply
                told = _error(reply)
            if asked.get("listen") and told["k"] != "ask":
                told["said"] = said if isinstance(said := reply.get("said"), str) else ""
        except FrameTooLong as error:
            return Outcome.OUTPUT_LIMIT, str(error)
        except (FrameError, Malformed) as error:
            return Outcome.TAMPER, f"a message that the judge's own child does not write: {error}"
        if (
            holds_class([told.get("v"), told.get("args"), *(pair[1] for pair in told.get("state", ()))])
            and told["k"] != "ask"
        ):
            candidate.trust = "low"
        if (
            told.get("changed")
            or told.get("objects")
            or asked["k"] in _LOOKING
            or asked.get("held") is not None
            or asked.get("objects")
        ):
            candidate.trust = "low"  # an object that stays there may answer one question in the light of the last
        test.tell(told)


def _question(reply: dict[str, Any]) -> dict[str, Any]:
    """What the program asks of a function that the test has given it. Raises Malformed."""
    args, kwargs = reply.get("args"), reply.get("kwargs")
    if type(reply.get("lent")) is not int or not isinstance(args, list) or not isinstance(kwargs, dict):
        raise Malformed("a question that is none")
    for value in (*args, *kwargs.values()):
        validate(value)
    return {"k": "ask", "lent": reply["lent"], "args": args, "kwargs": kwargs}


def _error(reply: dict[str, Any]) -> dict[str, Any]:
    """What the program raised: its class and what that is made of, its text, its arguments and attributes. Raises
    Malformed."""
    bases, state = reply.get("bases", []), reply.get("state", [])
    message = str(reply.get("message"))[:300]
    args = reply.get("args", [message])
    if bases != [] and not is_lineage(bases):
        raise Malformed("bases that are none")
    _check_attributes(state)
    validate(args)
    if not isinstance(args, list):
        raise Malformed("arguments that are none")
    return {
        "k": "error",
        "type": str(reply.get("type")),
        "message": message,
        "bases": bases,
        "state": state,
        "args": args,
    }


def _check_attributes(state: Any) -> None:
    if not isinstance(state, list):
        raise Malformed("attributes that are none")
    for pair in state:
        if not isinstance(pair, list) or len(pair) != 2 or not isinstance(pair[0], str):
            raise Malformed("an attribute without a name")
        validate(pair[1])


def _value(reply: dict[str, Any], most: int) -> dict[str, Any]:
    """An answer, with what has changed of the test's own arguments and objects. Raises Malformed."""
    validate(reply.get("v"))
    objects = reply.get("objects", [])
    for entry in objects if isinstance(objects, list) else [objects]:
        if not isinstance(entry, list) or len(entry) != 2 or type(entry[0]) is not int:
            raise Malformed("a changed object that is none")
        _check_attributes(entry[1])
    return {"k": "value", "v": reply.get("v"), "changed": _changed(reply, most), "objects": objects}


def _changed(reply: dict[str, Any], most: int) -> list[tuple[int, Any]]:
    """Arguments that a function has changed in place: (place, packed). Raises Malformed."""
    found = reply.get("changed", [])
    if not isinstance(found, list):
        raise Malformed("changed arguments that are none")
    for pair in found:
        if not isinstance(pair, list) or len(pair) != 2 or type(pair[0]) is not int or not 0 <= pair[0] < most:
            raise Malformed("a changed argument that was not given")
        validate(pair[1])
    return [(place, new) for place, new in found]


def _verdict(said: dict[str, Any], failure: dict[str, Any]) -> tuple[Outcome, str]:
    kind = said["k"]
    if kind == "done":
        return Outcome.PASS, ""
    if kind == "assertion":
        return Outcome.WRONG, said.get("message", "")
    text = f"{said.get('type')}: {said.get('message')}"
    if said.get("candidate"):
        return failure_outcome(failure)
    if said.get("broken"):
        return Outcome.INVALID, f"the test itself is broken: {text}"
    return Outcome.WRONG, text

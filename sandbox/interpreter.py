"""A stateful Python interpreter in a box, for an agent that works in steps: cells in one namespace, limits a cell,
output cut to a cap.

    with judge.session() as session:
        session.run("import math\\nx = math.pi")
        session.run("round(x, 3)").output          # "3.142\\n"

A session is a fresh fork and its files go with it. What a cell does is a result; a Fault is ours and ends the session
without a verdict. Nothing that a verifier knows (gold answers) belongs in a cell.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from sandbox.backends.box import GRACE_SECONDS, Box
from sandbox.errors import Fault, SandboxError
from sandbox.inside.contract import MOST_WALL
from sandbox.inside.frames import from_text, pack_frame, to_text
from sandbox.judging.verdicts import failure_outcome, judge_call_end, read_message
from sandbox.types import Limits, Outcome


class LimitReached(SandboxError, RuntimeError):
    """The session's cells or its processor time are used up."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionLimits:
    """What a session may use. CPU and wall seconds `cell_*` are of one cell, `cpu_seconds` of all; `output_bytes` are
    shown a cell.

    Example: SessionLimits(cells=8, cell_cpu_seconds=2.0)
    """

    cells: int = 20
    cell_cpu_seconds: float = 5.0
    cell_wall_seconds: float = 10.0
    cpu_seconds: float = 60.0
    memory_mb: int = 1024
    output_bytes: int = 8192
    processes: int = 32
    disk_mb: int = 32

    def of_a_cell(self) -> Limits:
        return Limits(
            cpu_seconds=self.cell_cpu_seconds,
            wall_seconds=self.cell_wall_seconds,
            memory_mb=self.memory_mb,
            output_bytes=self.output_bytes,
            processes=self.processes,
            disk_mb=self.disk_mb,
        )


SESSION = SessionLimits()


@dataclass(frozen=True, kw_only=True, slots=True)
class CellResult:
    """What one cell came to. `output` is stdout and stderr in order, with the display of a last expression; cut in the
    middle.

    `error` names the exception. `fresh`: the cell ran in an empty namespace, as the first, or because a limit or an
    exit ended the process before it.
    Example: CellResult(outcome=Outcome.PASS, output="42\\n", error="", cpu_seconds=0.01, wall_seconds=0.01, fresh=True)
    """

    outcome: Outcome
    output: str
    error: str
    cpu_seconds: float
    wall_seconds: float
    fresh: bool


class Session:
    """One conversation's interpreter, made by Judge.session. For one thread at a time; `give_back` gets the box at the
    end."""

    def __init__(self, box: Box, limits: SessionLimits, give_back: Callable[[Box, bool], None]) -> None:
        self.limits = limits
        self.cells_left = limits.cells
        self._box = box
        self._cell_limits = limits.of_a_cell()
        self._give_back = give_back
        self._cpu_left = limits.cpu_seconds
        self._alive = False
        self._closed = False

    def run(self, source: str) -> CellResult:
        """Run one cell. Raises LimitReached, Fault when our own side failed (the session is then over), RuntimeError
        after close."""
        if self._closed:
            raise RuntimeError("this session is closed")
        if self.cells_left <= 0 or self._cpu_left <= 0:
            used = (
                f"{self.limits.cells} cells"
                if self.cells_left <= 0
                else f"{self.limits.cpu_seconds:g} s of processor time"
            )
            raise LimitReached(f"the session has used its {used}", remedy="open a new session, or raise its limits")
        self.cells_left -= 1
        fresh = not self._alive
        try:
            if fresh:
                self._start()
            self._box.send({"op": "in", "data": to_text(pack_frame({"source": source}))})
            raw = self._box.receive(MOST_WALL * self.limits.cell_wall_seconds + GRACE_SECONDS)
            return self._result(raw, fresh)
        except Fault:
            self._end(sound=False)
            raise

    def close(self) -> None:
        """End the interpreter and give its box back, wiped."""
        if self._closed:
            return
        try:
            if self._alive:
                self._box.send({"op": "end"})
                while self._box.receive(GRACE_SECONDS).get("op") != "result":
                    pass
            self._end(sound=True)
        except Fault:
            self._end(sound=False)

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start(self) -> None:
        limits: dict[str, Any] = {name: getattr(self._cell_limits, name) for name in Limits.__dataclass_fields__}
        limits["session_cpu_seconds"] = self._cpu_left
        self._box.send(
            {"op": "run", "interactive": True, "program": "", "limits": limits, "cases": [{"mode": "cells"}]}
        )
        self._alive = True

    def _end(self, *, sound: bool) -> None:
        self._closed = True
        self._alive = False
        self._give_back(self._box, sound)

    def _result(self, raw: dict[str, Any], fresh: bool) -> CellResult:
        try:
            self._cpu_left -= float(raw["cpu"])
            outcome, error = self._outcome(raw)
            head, tail, left_out = (raw[key] for key in ("head", "tail", "left_out"))
            gap = f"\n... {int(left_out)} bytes left out ...\n".encode() if left_out else b""
            output = (from_text(head) + gap + from_text(tail)).decode("utf-8", "replace")
            seconds = round(float(raw["cpu"]), 6), round(float(raw["wall"]), 6)
        except (KeyError, TypeError, ValueError) as broken:
            raise Fault(f"the box reported no usable cell: {broken!r}") from broken
        return CellResult(
            outcome=outcome, output=output, error=error, cpu_seconds=seconds[0], wall_seconds=seconds[1], fresh=fresh
        )

    def _outcome(self, raw: dict[str, Any]) -> tuple[Outcome, str]:
        if raw["op"] == "result":
            self._alive = False
            return judge_call_end(raw, self._cell_limits)
        message = read_message(raw)
        if message == {"k": "done"}:
            return Outcome.PASS, ""
        return failure_outcome(message or {})

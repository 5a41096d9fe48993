"""A session of cells, as the supervisor sees it: one forked child that lives from cell to cell, with clocks and output
of each.

Between cells no wall time counts; processor time always counts against the whole session. Runs inside every box.
"""

from __future__ import annotations

import math
from typing import Any

from sandbox.inside.box_state import BoxState
from sandbox.inside.case import Case
from sandbox.inside.frames import to_text


class HeadAndTail:
    """The first and the last bytes of a stream, `limit` in all; memory is bounded whatever is written."""

    def __init__(self, limit: int) -> None:
        self.half = limit // 2
        self.head = self.tail = b""
        self.written = 0

    def add(self, data: bytes) -> None:
        self.written += len(data)
        room = self.half - len(self.head)
        self.head += data[:room]
        self.tail = (self.tail + data[room:])[-self.half :]

    def take(self) -> dict[str, Any]:
        """What is kept, as fields of a frame; the next stream starts empty."""
        kept = {
            "head": to_text(self.head),
            "tail": to_text(self.tail),
            "left_out": self.written - len(self.head) - len(self.tail),
        }
        self.head = self.tail = b""
        self.written = 0
        return kept


class CellSession(Case):
    """`limits` are those of a case, for each cell, and `session_cpu_seconds`, the processor time left for all cells."""

    def __init__(self, spec: dict[str, Any], box: BoxState) -> None:
        super().__init__(spec, box)
        self.output = HeadAndTail(self.limits["output_bytes"])
        self.cpu_left: float = self.limits["session_cpu_seconds"]
        self.cpu = 0.0
        self._stop_cell_clock()

    def _stop_cell_clock(self) -> None:
        """Nobody asks anything: only the session's processor time is bounded."""
        self.asked = False
        self.cpu_allowed, self.wall_allowed = self.cpu_left, math.inf

    def _on_question(self) -> None:
        super()._on_question()
        self._charge_session()
        self.cpu_allowed, self.wall_allowed = (
            min(self.limits["cpu_seconds"], self.cpu_left),
            self.limits["wall_seconds"],
        )

    def _charge_session(self) -> None:
        """Take what was used so far from the session's processor time, and set the clocks to zero."""
        self._check_limits()
        self.cpu_left -= self.cpu
        self.cpu_before += self.cpu
        self.started, self.waited, self.max_rss_bytes = self.last_look, 0.0, 0

    def _on_output(self, fd: int, data: bytes) -> None:
        if fd == self.outbox:
            self.message += data
            if self._has_answered():
                self._cell_ended()
            elif len(self.message) > self.limits["output_bytes"] + 4096:
                self.killed = self.killed or "output"
        else:
            self.output.add(data)

    def _cell_ended(self) -> None:
        if self.out in self.open_ends:
            self._drain(self.out)
        self._check_limits()
        figures = {"cpu": self.cpu, "wall": self.last_look - self.started, "rss_mb": self.max_rss_bytes / 1024 / 1024}
        self.box.send({"op": "cell", "message": to_text(bytes(self.message)), **figures, **self.output.take()})
        self.message.clear()
        self._charge_session()
        self._stop_cell_clock()

    def _end(self) -> dict[str, Any]:
        return {**super()._end(), **self.output.take()}

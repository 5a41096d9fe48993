"""A judge that hangs over one program, as a bug of ours might."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from posttrain.machine.judges import JudgeServer
from sandbox.types import Judgement, Program


class Hanging(JudgeServer):
    def run(self, programs: Sequence[Program]) -> list[Judgement]:
        if any(program.id == "hang" for program in programs):
            threading.Event().wait()
        return super().run(programs)

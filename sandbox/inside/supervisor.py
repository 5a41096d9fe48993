"""The program that runs inside every box: reads cases as frames, forks a child for each, sends back what it did.

    host --frames--> stdin  [ supervisor ] stdout --frames--> host
                               | fork a test                      waits for: the child's end, its output, its limits,
                                                                  the host
                               v                                  unblocked by: pidfd, pipes, a 20 ms poll, end of
                                                                  stream
                     stdin 0, stdout 1, stderr 2, inbox 3, outbox 4   (script mode: 3 and 4 are closed before the
                                                                      program runs)

Standard library only; it runs under namespaces, in a container as PID 1, or as a plain subprocess. It holds no expected
value and decides nothing: it reports how a child ended, and the host judges. When the host is gone (end of stream) it
kills all and ends.
"""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import sys
import time
from typing import Any

from sandbox.inside import footprint, preparation, rehearsal, seccomp
from sandbox.inside.box_state import BoxState, Options
from sandbox.inside.case import Case
from sandbox.inside.cell_session import CellSession
from sandbox.inside.contract import MOST_WAITING_SECONDS, inside_version
from sandbox.inside.frames import pack_frame, read_frame
from sandbox.inside.kernel import PR_SET_CHILD_SUBREAPER, PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS
from sandbox.inside.processes import CpuShare

_MOST_WAITING_BYTES = 1 << 16


class Supervisor:
    """The loop over frames."""

    def __init__(self, box: BoxState) -> None:
        self.box = box

    def serve(self) -> None:
        """Answer the host until it is gone."""
        box = self.box
        box.measure()
        box.send({"op": "ready", "pid": os.getpid(), "inside": inside_version()})
        while (message := read_frame(box.source, box.buffer)) is not None:
            if message["op"] == "ping":
                box.send({"op": "pong"})
            elif message["op"] == "run":
                self.run_cases(message)
        box.leave()

    def run_cases(self, message: dict[str, Any]) -> None:
        """All cases of one program. Results are kept for a moment and sent together: each write wakes the daemon that
        carries it. Little is done between two forks: all pages are shared with the child, and each one touched here is
        copied first.
        """
        shared = {key: value for key, value in message.items() if key not in ("op", "cases")}
        waiting: list[dict[str, Any]] = []
        waiting_bytes, sent = 0, time.monotonic()
        if len(message["cases"]) > 1:
            shared["code"] = b""  # asks the first child for it
        for index, spec in enumerate(message["cases"]):
            whole = {**shared, **spec}
            case = (CellSession if whole["mode"] == "cells" else Case)(whole, self.box)
            result = case.run()
            if shared.get("code") == b"":
                shared.pop("code")
                if case.code:
                    shared["code"] = case.code
            self.box.restore()
            result["case"] = index
            waiting.append(result)
            waiting_bytes += len(result["stdout"]) + len(result["message"])
            if waiting_bytes > _MOST_WAITING_BYTES or time.monotonic() - sent > MOST_WAITING_SECONDS:
                self.box.write(b"".join(map(pack_frame, waiting)))
                waiting.clear()
                waiting_bytes, sent = 0, time.monotonic()
        self.box.write(b"".join(map(pack_frame, waiting)))


def main() -> None:
    """Serve frames until the judge closes the pipe."""
    options = Options.of(sys.argv[1:])
    share = CpuShare()
    os.environ.pop("LD_BIND_NOW", None)  # has done its work, and is nothing that programs should start others with
    libc = ctypes.CDLL(None, use_errno=True)
    # Not dumpable: neither /proc/<us>/mem and fd, nor ptrace, for children of the same user. Forks inherit it.
    libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    seccomp.apply(libc)
    preparation.take_lasting_rlimits()
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, signal.SIG_DFL)
    box = BoxState(options, share)
    preparation.warm_up(options.site)
    rehearsal.rehearse(box.null)
    for module in [module for module in sys.modules if module.partition(".")[0] == "sandbox"]:
        del sys.modules[module]  # all is imported; programs find none of it under its name
    gc.collect()
    gc.freeze()
    gc.disable()
    footprint.lighten(libc)
    Supervisor(box).serve()


if __name__ == "__main__":
    main()

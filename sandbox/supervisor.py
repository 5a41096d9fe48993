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
import fcntl
import gc
import mmap
import os
import resource
import signal
import sys
import time
from dataclasses import dataclass, field
from typing import Any

from sandbox import candidate, footprint, rehearsal, seccomp
from sandbox.case import Case
from sandbox.cell_session import Conversation
from sandbox.frames import MOST_WAITING_SECONDS, FrameBuffer, inside_version, pack_frame, read_frame, write_all
from sandbox.processes import Family, Folder, Share

_MOST_WAITING_BYTES = 1 << 16
_PR_SET_DUMPABLE, _PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 4, 36, 38


@dataclass(kw_only=True, slots=True)
class Options:
    """How a supervisor is started, all of it by us. `work` is the folder that tests start in, `wipe` those emptied
    after every test, `site` holds packages that programs may import. `alone`: PID 1 of its own PID namespace.
    `count_processes`: use RLIMIT_NPROC.

    Example: Options.of(["--alone", "--work", "/tmp", "--wipe", "/tmp"])
    """

    work: str = ""
    wipe: list[str] = field(default_factory=list)
    site: list[str] = field(default_factory=list)
    alone: bool = False
    count_processes: bool = False

    @classmethod
    def of(cls, words: list[str]) -> Options:
        """Read by hand: argparse brings in modules whose libraries every fork would carry. Raises ValueError."""
        made, rest = cls(), iter(words)
        for word in rest:
            if word in ("--wipe", "--site"):
                (made.wipe if word == "--wipe" else made.site).append(next(rest))
            elif word == "--work":
                made.work = next(rest)
            elif word == "--alone":
                made.alone = True
            elif word == "--count-processes":
                made.count_processes = True
            else:
                raise ValueError(f"unknown option {word!r}")
        if not made.work:
            raise ValueError("no folder to work in: --work")
        return made


class Supervisor:
    """The loop over frames. `source` and `sink` are the host's channel, moved away from descriptors 0 and 1."""

    def __init__(self, options: Options, share: Share) -> None:
        self.share = share
        self.work_dir = options.work
        self.folders = [Folder.of(path) for path in options.wipe]
        self.source, self.sink = (fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10) for fd in (0, 1))
        opened = os.open("/dev/null", os.O_RDWR)
        self.null = fcntl.fcntl(opened, fcntl.F_DUPFD_CLOEXEC, 10)
        os.close(opened)
        for fd in (
            0,
            1,
            3,
            4,
        ):  # the numbers that a child uses stay taken, so that no pipe of ours ever gets one; 2 is our last words
            os.dup2(self.null, fd, inheritable=False)
        self.family = Family(alone=options.alone)  # opens a file: only now, that it is none of those
        self.buffer = FrameBuffer()
        self.begun = mmap.mmap(-1, 1)  # shared with each child until its program begins
        self.vm_bytes = self.rss_bytes = 0  # measured when all is imported
        # The C library's own: Python's would reseed and reset what a process without threads need not, at half the cost
        # of a fork.
        self.fork = ctypes.PyDLL(None).fork
        self.count_processes = options.count_processes and _process_limit_is_ours()
        self._rlimits: tuple[dict[str, Any], list[tuple[int, tuple[int, int]]]] = ({}, [])

    def rlimits(self, limits: dict[str, Any]) -> list[tuple[int, tuple[int, int]]]:
        """What the child takes on; worked out here, once a program."""
        if self._rlimits[0] != limits:
            self._rlimits = limits, candidate.rlimits(limits, self.vm_bytes, self.count_processes)
        return self._rlimits[1]

    def send(self, message: dict[str, Any]) -> None:
        self.write(pack_frame(message))

    def write(self, data: bytes) -> None:
        """Frames to the host."""
        try:
            write_all(self.sink, data)
        except BrokenPipeError:
            self.leave()

    def leave(self) -> None:
        """The host is gone: end everything, at once."""
        self.family.kill_all()
        for folder in self.folders:
            folder.restore()
        os._exit(0)

    def reap(self, case: Case, to_the_last: bool = False) -> None:
        """Collect the dead. `to_the_last` waits until nobody is left, killing again what may have been born
        meanwhile."""
        while True:
            try:
                pid, status, usage = os.wait4(-1, 0 if to_the_last else os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            case.max_rss_bytes = max(case.max_rss_bytes, usage.ru_maxrss * 1024)
            if pid == case.pid:
                case.status = status
            elif to_the_last and not self.family.alone:
                self.family.kill_all()  # its children have just become ours

    def serve(self) -> None:
        with open("/proc/self/statm", "rb") as file:
            pages = file.read().split()
        page = os.sysconf("SC_PAGE_SIZE")
        self.vm_bytes, self.rss_bytes = int(pages[0]) * page, int(pages[1]) * page
        self.family.settle()
        self.send({"op": "ready", "pid": os.getpid(), "inside": inside_version()})
        while (message := read_frame(self.source, self.buffer)) is not None:
            if message["op"] == "ping":
                self.send({"op": "pong"})
            elif message["op"] == "run":
                self.run_cases(message)
        self.leave()

    def run_cases(self, message: dict[str, Any]) -> None:
        """All cases of one program. Results wait for each other for a while, as they are: each write wakes the daemon
        that carries it, and what works between two forks pays for every page that it touches, as all are shared with
        the next child again.
        """
        shared = {key: value for key, value in message.items() if key not in ("op", "cases")}
        waiting: list[dict[str, Any]] = []
        waiting_bytes, sent = 0, time.monotonic()
        if len(message["cases"]) > 1:
            shared["code"] = b""  # asks the first child for it
        for index, spec in enumerate(message["cases"]):
            whole = {**shared, **spec}
            case = (Conversation if whole["mode"] == "cells" else Case)(whole, self)
            result = case.run()
            if shared.get("code") == b"":
                shared.pop("code")
                if case.code:
                    shared["code"] = case.code
            for folder in self.folders:
                folder.restore()
            self.share.restore()
            result["case"] = index
            waiting.append(result)
            waiting_bytes += len(result["stdout"]) + len(result["message"])
            if waiting_bytes > _MOST_WAITING_BYTES or time.monotonic() - sent > MOST_WAITING_SECONDS:
                self.write(b"".join(map(pack_frame, waiting)))
                waiting.clear()
                waiting_bytes, sent = 0, time.monotonic()
        self.write(b"".join(map(pack_frame, waiting)))


def _process_limit_is_ours() -> bool:
    """Whether RLIMIT_NPROC counts only this box. On older kernels it counts all processes of the user, and would starve
    honest ones."""
    pid = os.fork()
    if pid == 0:
        try:
            resource.setrlimit(resource.RLIMIT_NPROC, (8, 8))
            inner = os.fork()
            if inner == 0:
                os._exit(0)
            os.waitpid(inner, 0)
            os._exit(0)
        except OSError:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def main() -> None:
    """Serve frames until the judge closes the pipe."""
    options = Options.of(sys.argv[1:])
    share = Share()
    os.environ.pop("LD_BIND_NOW", None)  # has done its work, and is nothing that programs should start others with
    libc = ctypes.CDLL(None, use_errno=True)
    # Not dumpable: neither /proc/<us>/mem and fd, nor ptrace, for children of the same user. Forks inherit it.
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    seccomp.apply(libc)
    candidate.take_lasting_rlimits()
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, signal.SIG_DFL)
    box = Supervisor(options, share)
    candidate.warm_up(options.site)
    rehearsal.rehearse(box.null)
    for module in [module for module in sys.modules if module.partition(".")[0] == "sandbox"]:
        del sys.modules[module]  # all is imported; programs find none of it under its name
    gc.collect()
    gc.freeze()
    gc.disable()
    footprint.lighten(libc)
    box.serve()


if __name__ == "__main__":
    main()

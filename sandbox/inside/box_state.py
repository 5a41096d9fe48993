"""What lasts in a box from test to test: the channel to the host, the folders, the processes, what each fork begins
with.

Made once by the supervisor and used by its cases, one at a time. Knows nothing of a test. Runs inside every box;
standard library only.
"""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import resource
from dataclasses import dataclass, field
from typing import Any

from sandbox.inside import preparation
from sandbox.inside.frames import FrameBuffer, pack_frame, write_all
from sandbox.inside.processes import CpuShare, ProcessTree
from sandbox.inside.scratch_folder import ScratchFolder


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


class BoxState:
    """`source` and `sink` are the host's channel, moved away from descriptors 0 and 1; `null` is /dev/null."""

    def __init__(self, options: Options, share: CpuShare) -> None:
        self.share = share
        self.work_dir = options.work
        self.folders = [ScratchFolder.of(path) for path in options.wipe]
        self.source, self.sink = (fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10) for fd in (0, 1))
        opened = os.open("/dev/null", os.O_RDWR)
        self.null = fcntl.fcntl(opened, fcntl.F_DUPFD_CLOEXEC, 10)
        os.close(opened)
        # The numbers that a child uses stay taken, so that no pipe of ours ever gets one; 2 is where our last words go.
        for fd in (0, 1, 3, 4):
            os.dup2(self.null, fd, inheritable=False)
        self.processes = ProcessTree(alone=options.alone)  # opens a file: only now, that it is none of those
        self.buffer = FrameBuffer()
        self.begun = mmap.mmap(-1, 1)  # shared with each child until its program begins
        self.vm_bytes = self.rss_bytes = 0  # measured when all is imported
        # The C library's own: Python's would reseed and reset what a process without threads need not, at half the cost
        # of a fork.
        self.fork = ctypes.PyDLL(None).fork
        self.count_processes = options.count_processes and _process_limit_is_ours()
        self._rlimits: tuple[dict[str, Any], list[tuple[int, tuple[int, int]]]] = ({}, [])

    def measure(self) -> None:
        """What this process holds by itself, before its first test: it is no test's doing."""
        with open("/proc/self/statm", "rb") as file:
            pages = file.read().split()
        page = os.sysconf("SC_PAGE_SIZE")
        self.vm_bytes, self.rss_bytes = int(pages[0]) * page, int(pages[1]) * page
        self.processes.settle()

    def rlimits(self, limits: dict[str, Any]) -> list[tuple[int, tuple[int, int]]]:
        """What the child takes on; worked out here, once a program."""
        if self._rlimits[0] != limits:
            self._rlimits = limits, preparation.rlimits(limits, self.vm_bytes, self.count_processes)
        return self._rlimits[1]

    def send(self, message: dict[str, Any]) -> None:
        """One frame to the host."""
        self.write(pack_frame(message))

    def write(self, data: bytes) -> None:
        """Frames to the host, packed already."""
        try:
            write_all(self.sink, data)
        except BrokenPipeError:
            self.leave()

    def restore(self) -> None:
        """Folders and share of the processor as they were before the test."""
        for folder in self.folders:
            folder.restore()
        self.share.restore()

    def leave(self) -> None:
        """The host is gone: end everything, at once."""
        self.processes.kill_all()
        for folder in self.folders:
            folder.restore()
        os._exit(0)


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

"""One worker process as the pool holds it: started, written to, looked at, killed. Knows nothing of items or
deadlines."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from dataclasses import dataclass

START_SECONDS = 60.0  # a worker's start, and the import of a plug-in (which may bring torch)
_BOOT = "import json,sys; sys.path[:] = json.loads(sys.argv.pop()); from rewards.workers.worker import main; main()"
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Of one worker process. memory_mb: address space, 0 for no limit; file_mb: largest file that it may write, -1 for
    no limit; quiet: its stderr is dropped."""

    memory_mb: int = 2048
    file_mb: int = 0
    quiet: bool = True


class WorkerProcess:
    """One process and its pipes."""

    def __init__(self, limits: Limits) -> None:
        command = [
            sys.executable,
            "-c",
            _BOOT,
            json.dumps({"memory_mb": limits.memory_mb, "file_mb": limits.file_mb}),
            json.dumps(sys.path),
        ]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL if limits.quiet else None,
            bufsize=0,
        )
        assert self.process.stdin is not None and self.process.stdout is not None, "both pipes were asked for"
        self.writer = self.process.stdin.fileno()
        self.reader = self.process.stdout.fileno()
        os.set_blocking(self.writer, False)
        self.buffer = bytearray()
        self.ready = False
        self.served = 0

    def send(self, message: bytes) -> None:
        """Raises OSError where the worker is gone (BrokenPipeError) or does not read (TimeoutError)."""
        view = memoryview(message)
        until = time.monotonic() + START_SECONDS
        while view:
            try:
                view = view[os.write(self.writer, view) :]
            except BlockingIOError:
                room = select.poll()  # select knows no descriptor above 1,023
                room.register(self.writer, select.POLLOUT)
                if not room.poll(max(0.0, until - time.monotonic()) * 1000):
                    raise TimeoutError("the worker does not read") from None

    def state(self) -> tuple[str, float]:
        """Scheduler state letter and CPU seconds so far ("X" when it is gone)."""
        try:
            with open(f"/proc/{self.process.pid}/stat", "rb") as handle:
                values = handle.read().rpartition(b")")[2].split()
        except OSError:
            return "X", 0.0
        return values[0].decode(), (int(values[11]) + int(values[12])) / _TICKS

    def kill(self) -> int:
        """SIGKILL (a no-op on a process already gone), reap, close the pipes; the exit code as subprocess gives it."""
        self.process.kill()
        code = self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
        return code

    def drop(self) -> None:
        """In a forked child: let go of the pipes without touching the parent's process."""
        self.process.returncode = 0
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()

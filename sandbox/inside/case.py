"""One test, as the supervisor sees it: a forked child with its pipes, clocks and limits, from the fork to the last of
its processes.

Reports how the child ended and what it wrote; decides nothing, holds no expected value. Runs inside every box; standard
library only.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import time
from typing import Any

from sandbox.inside import child
from sandbox.inside.box_state import BoxState
from sandbox.inside.contract import MOST_FILES, MOST_WALL, cpu_end
from sandbox.inside.frames import from_text, to_text, write_all
from sandbox.inside.kernel import FIONREAD

POLL_SECONDS = 0.02
AT_ONCE_MS = 5
_STDERR_TAIL = 2000


def _time_of_next_look() -> float:
    """Half a poll to one and a half from now, as if by chance. Looks at even intervals would fall into step with a
    program that sleeps in pieces of the same length: it cannot wake while a look is taken, would be found awake by
    each, and be charged for no sleep at all."""
    now = time.monotonic_ns()
    return now / 1e9 + POLL_SECONDS * (0.5 + now % 9973 / 9973)


class Case:
    """One forked child and all that belongs to it: pipes, clocks, what it wrote. Lives for one test."""

    # What every case begins with. Here and not in each: few attributes of its own keep an object small, see run().
    stderr_bytes = 0
    stderr_tail = b""
    code: bytes | None = None
    killed: str | None = None
    ended_itself = False
    status = 0
    max_rss_bytes = 0
    waited = 0.0
    runnable = False
    asked = False
    answer_bytes_due = 0
    cpu = 0.0
    inbox = -1

    def __init__(self, spec: dict[str, Any], box: BoxState) -> None:
        self.spec = spec
        self.limits = spec["limits"]
        self.box = box
        self.interactive = bool(spec.get("interactive"))
        self.stdout = bytearray()
        self.message = bytearray()
        self.code_due = spec.get("code") == b""
        self.to_child = bytearray()
        self.started = self.last_look = time.monotonic()
        self.cpu_before = box.processes.cpu_seconds()
        self.cpu_allowed: float = self.limits["cpu_seconds"]
        self.wall_allowed: float = self.limits["wall_seconds"]

    def start(self) -> None:
        out_r, out_w = os.pipe()
        err_r, err_w = os.pipe()
        box_r, box_w = os.pipe()
        in_r, stdin = self.box.null, self._stdin()
        if self.interactive:
            in_r, self.inbox = os.pipe()
        self.out, self.err, self.outbox = out_r, err_r, box_r
        self.open_ends = [out_r, err_r, box_r]
        self.child_ends = [fd for fd in (out_w, err_w, box_w, in_r, stdin) if fd != self.box.null]
        self.disk_before = [folder.used() for folder in self.box.folders] if self.box.processes.alone else []
        self.spec["rlimits"] = self.box.rlimits(self.limits)
        self.box.begun[0] = 0
        self.pid = self.box.fork()
        if self.pid == 0:
            try:
                # The supervisor holds 0 to 4 itself, so none of these is overwritten before its turn.
                for target, fd in enumerate((stdin, out_w, err_w, in_r, box_w)):
                    os.dup2(fd, target)
                child.enter(self.spec, self.box.work_dir, self.box.begun)
            finally:
                os._exit(70)
        self.pidfd = os.pidfd_open(self.pid)

    def _stdin(self) -> int:
        """A file without a name that holds the test's input: it may be large, be reopened, and nobody has to pump
        it."""
        if not self.spec.get("stdin"):
            return self.box.null
        try:
            fd = os.open(self.box.work_dir, os.O_RDWR | os.O_TMPFILE | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL):
                raise
            path = os.path.join(self.box.work_dir, ".stdin")  # a file system, at level none, whose files all have names
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            os.unlink(path)
        write_all(fd, from_text(self.spec["stdin"]))
        os.lseek(fd, 0, os.SEEK_SET)
        return fd

    def run(self) -> dict[str, Any]:
        self.start()
        poll = select.poll()
        poll.register(self.pidfd, select.POLLIN)
        # Most tests are over at once. Until then nothing is read and nothing written here: every page that this process
        # touches while the child lives is copied, and a pipe holds what a short test has to say.
        if not self.interactive and poll.poll(AT_ONCE_MS):
            self.ended_itself = True
        else:
            self._watch(poll)
        return self._end()

    def _watch(self, poll: select.poll) -> None:
        """Until the child's end, its answer, one of its limits, or the host's word."""
        self._close_child_ends()
        for fd in (self.out, self.err, self.outbox):
            poll.register(fd, select.POLLIN)
        # Without interaction the host says nothing meanwhile; its end of stream (POLLHUP) is always reported.
        poll.register(self.box.source, select.POLLIN if self.interactive else 0)
        next_look = self.started + POLL_SECONDS
        over = self.interactive and self._handle_frames()  # what came together with the frame that started this
        self._write_to_child()
        while not over and self.killed is None:
            now = time.monotonic()
            if now >= next_look:
                self._check_limits()
                next_look = _time_of_next_look()
                continue
            for fd, _ in poll.poll(max(1, (next_look - now) * 1000)):
                if fd == self.pidfd:
                    over = self.ended_itself = True
                elif fd == self.box.source:
                    over = self._from_host() or over
                elif self._read(fd):
                    poll.unregister(fd)
                over = over or (not self.interactive and self._has_answered())
            self._write_to_child()

    def _close_child_ends(self) -> None:
        for fd in self.child_ends:
            os.close(fd)
        self.child_ends = []
        if self.interactive:
            os.set_blocking(self.inbox, False)

    def _check_limits(self) -> None:
        """The poll of limits that the kernel does not keep as a sum.

        Wall time counts while the test waits of its own accord. A test that wants a processor and gets none, on a busy
        machine, is not charged for that time, nor is a candidate of whom nobody has asked anything. A multiple of the
        limit (contract.MOST_WALL) ends either all the same.
        """
        now = time.monotonic()
        elapsed, self.last_look = now - self.last_look, now
        self._reap()
        usage = self.box.processes.usage(self.box.rss_bytes)
        before = self.cpu
        self.cpu = cpu = max(self.cpu, self.box.processes.cpu_seconds(usage) - self.cpu_before)
        used = cpu - before  # part of the limit's sum already; with several processes it may exceed the clock's
        self.max_rss_bytes = max(self.max_rss_bytes, self.box.rss_bytes + usage.own_bytes)
        # Starved only if it was runnable at both ends of the stretch: one that sleeps in many pieces is found awake now
        # and then.
        starved, self.runnable = usage.runnable and self.runnable, usage.runnable
        if not starved and (self.asked or not self.interactive):
            self.waited += max(0.0, elapsed - used)
        if cpu > cpu_end(self.cpu_allowed):
            self.killed = "cpu"
        elif self.waited + cpu > self.wall_allowed or now - self.started > self.wall_allowed * MOST_WALL:
            self.killed = "wall"
        elif usage.tasks > self.limits["processes"]:
            self.killed = "processes"
        elif not self.box.processes.fits(
            usage, self.limits["memory_mb"] * 1024 * 1024, sum(folder.used()[0] for folder in self.box.folders)
        ):
            self.killed = "memory"
        elif self._disk_is_full():
            self.killed = "disk"

    def _reap(self, *, to_the_last: bool = False) -> None:
        """Collect the dead. `to_the_last` waits until nobody is left, killing again what may have been born
        meanwhile."""
        while True:
            try:
                pid, status, usage = os.wait4(-1, 0 if to_the_last else os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self.max_rss_bytes = max(self.max_rss_bytes, usage.ru_maxrss * 1024)
            if pid == self.pid:
                self.status = status
            elif to_the_last and not self.box.processes.alone:
                self.box.processes.kill_all()  # its children have just become ours

    def _disk_is_full(self) -> bool:
        """The sum of what the test holds on disk; the kernel keeps only each file's size. Not known without
        isolation."""
        for folder, (bytes_before, files_before) in zip(self.box.folders, self.disk_before, strict=False):
            used_bytes, used_files = folder.used()
            if (
                used_bytes - bytes_before > self.limits["disk_mb"] * 1024 * 1024
                or used_files - files_before > MOST_FILES
            ):
                return True
        return False

    def _read(self, fd: int) -> bool:
        """Take what is there, of a descriptor that has something; True at end of stream. More than the limit ends the
        case."""
        data = os.read(fd, 1 << 16)
        if not data:
            self.open_ends.remove(fd)
            return True
        self._on_output(fd, data)
        return False

    def _drain(self, fd: int) -> None:
        """All that a pipe holds now. Its end is not waited for: the last writer is gone, but its descriptor may lie in
        a socket's queue."""
        while self.killed != "output" and any(fcntl.ioctl(fd, FIONREAD, bytes(4))):
            self._read(fd)

    def _on_output(self, fd: int, data: bytes) -> None:
        """What the child has written to one of its descriptors."""
        limit = self.limits["output_bytes"]
        if fd == self.outbox:
            if self.interactive:
                self._note_answer(data)
                self.box.send({"op": "out", "data": to_text(data)})
            else:
                self.message += data
                if self.code_due:
                    self._take_code()
            if len(self.message) > limit + 4096 and not self.code_due:
                self.killed = self.killed or "output"
            return
        if fd == self.out:
            self.stdout += data
        else:
            self.stderr_bytes += len(data)
            self.stderr_tail = (self.stderr_tail + data)[-_STDERR_TAIL:]
        if len(self.stdout) + self.stderr_bytes > limit:
            self.killed = self.killed or "output"

    def _note_answer(self, data: bytes) -> None:
        """What an interactive child says to the host. It has answered once its message is whole: until then its clock
        runs."""
        view = memoryview(data)
        while view:
            if self.answer_bytes_due:
                step = min(self.answer_bytes_due, len(view))
                self.answer_bytes_due -= step
            else:
                step = min(4 - len(self.message), len(view))
                self.message += view[:step]
                if len(self.message) == 4:
                    self.answer_bytes_due = int.from_bytes(self.message, "big")
                    self.message.clear()
            view = view[step:]
        self.asked = self.asked and bool(self.answer_bytes_due or self.message)

    def _take_code(self) -> None:
        """The program's compiled code, which stands before the message: written before anything of the program ran, and
        never read here."""
        end = 4 + int.from_bytes(self.message[:4], "big")
        if len(self.message) >= max(4, end):
            self.code = bytes(self.message[4:end])
            del self.message[:end]
            self.code_due = False

    def _has_answered(self) -> bool:
        return (
            not self.code_due
            and len(self.message) >= 4
            and len(self.message) >= 4 + int.from_bytes(self.message[:4], "big")
        )

    def _from_host(self) -> bool:
        """A frame for the child, or the host's wish to end. True when the case is over."""
        data = os.read(self.box.source, 1 << 16)
        if not data:
            self.box.leave()
        self.box.buffer.feed(data)
        return self._handle_frames()

    def _handle_frames(self) -> bool:
        while (message := self.box.buffer.next()) is not None:
            if message["op"] == "end":
                return True
            if message["op"] == "in":
                self._on_question()
                self.to_child += from_text(message["data"])
        return False

    def _on_question(self) -> None:
        """The host has sent something that the child is to answer."""
        self.asked = True

    def _write_to_child(self) -> None:
        if not self.to_child:
            return
        try:
            del self.to_child[: os.write(self.inbox, self.to_child[: 1 << 16])]
        except BlockingIOError:
            return
        except BrokenPipeError:
            self.to_child.clear()

    def _end(self) -> dict[str, Any]:
        self.box.processes.kill_all()
        self._reap(to_the_last=True)
        self._close_child_ends()
        for fd in list(self.open_ends):
            self._drain(fd)
        for fd in (self.pidfd, self.out, self.err, self.outbox, self.inbox):
            if fd >= 0:
                os.close(fd)
        if self.code_due:  # it ended over the compiling
            self.message.clear()
        wall = time.monotonic() - self.started
        self.cpu = max(self.cpu, self.box.processes.cpu_seconds() - self.cpu_before)
        if self.killed is None:
            self.killed = "cpu" if self.cpu > self.cpu_allowed else "disk" if self._disk_is_full() else None
        ended = os.waitstatus_to_exitcode(self.status)
        limit = self.limits["output_bytes"]
        return {
            "op": "result",
            "exit": ended if ended >= 0 else None,
            # A child that has answered is ended by us, which says nothing about it.
            "signal": -ended if ended < 0 and (self.ended_itself or self.killed) else None,
            "killed": self.killed,
            # It ended, or was ended over a limit, before anything of the program ran: that is not the program's doing.
            "stillborn": not self.box.begun[0] and (self.ended_itself or self.killed is not None),
            "stdout": bytes(self.stdout[:limit]) if self.spec["mode"] == "script" else b"",
            "stderr": self.stderr_tail.decode("utf-8", "replace"),
            "bytes": len(self.stdout) + self.stderr_bytes,
            "message": bytes(self.message) if self.killed != "output" else b"",
            "cpu": self.cpu,
            "wall": wall,
            "rss_mb": self.max_rss_bytes / 1024 / 1024,
        }

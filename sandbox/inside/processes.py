"""Processes of one test as the supervisor sees them: how much they use and how to end all of them.

Two ways to know them. As PID 1 of a namespace of our own, everything but us is theirs, and one `kill(-1)` ends it.
Otherwise (no isolation) we are a subreaper and they are our descendants. `kill(-1)` is never sent unless this process
is PID 1 and was told so. Runs inside every box; standard library only.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import resource
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from sandbox.inside.kernel import AF_UNIX, SO_SNDBUF, SOCK_STREAM, SOL_SOCKET

_TICK = os.sysconf("SC_CLK_TCK")
_MOST_AT_START = 5.0  # seconds; a meter of the whole machine shows more
_MOST_MEMORY_AT_START = 256 * 1024 * 1024  # the same for memory
_MOST_TRIES = 20
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """Sums over live processes. `own_bytes` leaves out what each shares with the supervisor it was forked from.

    `tasks` counts threads, and the dead that nobody has collected. `runnable`: some thread is on a processor or waits
    for one.

    Example: Usage(cpu_seconds=0.12, own_bytes=4_000_000, tasks=2, runnable=True)
    """

    cpu_seconds: float
    own_bytes: int
    tasks: int
    runnable: bool


class CpuShare:
    """Our session's share of the processor, which a test may lower (/proc/self/autogroup), also for the tests after it.

    The file is opened at the start: later this process is not dumpable, and may not.
    """

    def __init__(self) -> None:
        self._fd = -1
        try:
            opened = os.open("/proc/self/autogroup", os.O_RDWR)
        except OSError:  # a kernel without
            return
        self._fd = fcntl.fcntl(opened, fcntl.F_DUPFD_CLOEXEC, 10)
        os.close(opened)

    def restore(self) -> None:
        """Give us the usual share again; tried more than once, as the kernel takes a change every tenth of a second."""
        if self._fd < 0:
            return
        for _ in range(_MOST_TRIES):
            if b" nice 0\n" in os.pread(self._fd, 64, 0):
                return
            try:
                os.write(self._fd, b"0")
            except OSError:
                time.sleep(0.02)


class ProcessTree:
    """The processes of the test that runs now. `alone` means that this process is PID 1 of a namespace made for it."""

    def __init__(self, *, alone: bool) -> None:
        if alone and os.getpid() != 1:
            raise RuntimeError("told to be PID 1 of a namespace, but is not: refusing to run")
        self.alone = alone
        self._meter = _group_meter() if alone else None
        self._memory = _memory_meter() if alone else None
        self._memory_at_start = (0, 0)
        self._sockets = _socket_meter() if alone else None
        self._highest = self._lost = 0.0

    def cpu_seconds(self, usage: Usage | None = None) -> float:
        """Processor time of all tests so far, in seconds: by the container's own meter where there is one, exact to the
        last process.

        Otherwise the sum of what the dead have used, as far as they were collected, and the living (`usage`). A process
        that dies and is collected by nobody would drop out of that sum; what was once seen of it stays in.
        """
        if self._meter is not None:
            return self._meter() - time.process_time()
        dead = resource.getrusage(resource.RUSAGE_CHILDREN)
        total = dead.ru_utime + dead.ru_stime + (usage.cpu_seconds if usage else 0.0)
        self._lost = max(self._lost, self._highest - total)
        self._highest = max(self._highest, total + self._lost)
        return self._highest

    def settle(self) -> None:
        """What this process holds of the container's memory, before its first test."""
        self._memory_at_start = self._memory() if self._memory is not None else (0, 0)

    def fits(self, usage: Usage, most_bytes: int, file_bytes: int = 0) -> bool:
        """Whether the living hold no more memory than that, what their sockets may hold included. Pages that several
        processes share count for each of them; where the sum is too large, the container's own meter decides, if there
        is one. It also counts shared memory that is no file (`file_bytes` are in files) and that nobody has mapped."""
        most_bytes -= self._sockets() if self._sockets is not None else 0
        if self._memory is None:
            return usage.own_bytes <= most_bytes
        own, shared = (now - before for now, before in zip(self._memory(), self._memory_at_start, strict=True))
        return min(own, usage.own_bytes) <= most_bytes and shared - file_bytes <= most_bytes

    def members(self) -> list[int]:
        if self.alone:
            return [int(name) for name in os.listdir("/proc") if name.isdecimal() and name != "1"]
        found, queue = [], [os.getpid()]
        while queue:
            parent = queue.pop()
            children = _children(parent)
            found += children
            queue += children
        return found

    def usage(self, shared_bytes: int) -> Usage:
        cpu = own = tasks = 0
        runnable = False
        for pid in self.members():
            fields = _stat_fields(pid)
            if fields is None:
                continue
            cpu += sum(int(fields[index]) for index in (11, 12, 13, 14))
            if fields[0] == b"Z":
                tasks += 1
            else:
                tasks += int(fields[17])
                runnable = runnable or fields[0] == b"R" or (int(fields[17]) > 1 and _thread_runs(pid))
                own += max(0, int(fields[21]) * _PAGE - shared_bytes)
        return Usage(cpu_seconds=cpu / _TICK, own_bytes=own, tasks=tasks, runnable=runnable)

    def kill_all(self) -> None:
        """Send SIGKILL to every member; new ones cannot be made meanwhile, as a fork with a kill pending fails."""
        if self.alone:
            try:
                os.kill(-1, signal.SIGKILL)
            except ProcessLookupError:
                return
            return
        for pid in self.members():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue


def _group_meter() -> Callable[[], float] | None:
    """Reads the processor time of our control group, in seconds; None where it cannot be read or counts more than this
    container."""
    for path, place, unit in (("/sys/fs/cgroup/cpuacct/cpuacct.usage", 0, 1e-9), ("/sys/fs/cgroup/cpu.stat", 1, 1e-6)):
        try:
            meter = partial(_number_at, os.open(path, os.O_RDONLY | os.O_CLOEXEC), place, unit)
            if meter() - time.process_time() < _MOST_AT_START:
                return meter
        except (OSError, ValueError, IndexError):
            continue
    return None


def _memory_meter() -> Callable[[], tuple[int, int]] | None:
    """Reads the memory of our control group, in bytes: of its processes alone, and shared, files in memory among it;
    None where it cannot be read or counts more than this container."""
    kinds = (
        ("/sys/fs/cgroup/memory/memory.stat", b"total_rss", b"total_shmem"),
        ("/sys/fs/cgroup/memory.stat", b"anon", b"shmem"),
    )
    for path, *names in kinds:
        try:
            meter = partial(_named_numbers, os.open(path, os.O_RDONLY | os.O_CLOEXEC), *names)
        except OSError:
            continue
        if sum(meter()) < _MOST_MEMORY_AT_START:
            return meter
    return None


def _socket_meter() -> Callable[[], int] | None:
    """Counts the sockets of our network namespace, each as the bytes that its buffer takes at most (seccomp.py keeps it
    at that)."""
    libc = ctypes.CDLL(None)
    most, length = ctypes.c_int(0), ctypes.c_uint(ctypes.sizeof(ctypes.c_int))
    fd = libc.socket(AF_UNIX, SOCK_STREAM, 0)
    try:
        libc.getsockopt(fd, SOL_SOCKET, SO_SNDBUF, ctypes.byref(most), ctypes.byref(length))
        # Sockets: used 2.
        meter = partial(_number_at, os.open("/proc/net/sockstat", os.O_RDONLY | os.O_CLOEXEC), 2, most.value)
        at_start = meter() - most.value  # without ours
    except (OSError, ValueError, IndexError):
        return None
    finally:
        libc.close(fd)
    return lambda: int(meter() - at_start)


def _named_numbers(fd: int, first: bytes, second: bytes) -> tuple[int, int]:
    """Of a file of lines `name number`; for a name that it does not have, more than there can be."""
    found = dict(line.rpartition(b" ")[::2] for line in os.pread(fd, 1 << 14, 0).splitlines())
    return int(found.get(first, 1 << 62)), int(found.get(second, 1 << 62))


def _number_at(fd: int, place: int, unit: float) -> float:
    """The word at this place of a file, in units: `2377079359`, or `usage_usec 2377079` and more. Raises ValueError,
    IndexError."""
    return int(os.pread(fd, 64, 0).split()[place]) * unit


def _children(parent: int) -> list[int]:
    found: list[int] = []
    try:
        for task in os.listdir(f"/proc/{parent}/task"):
            with open(f"/proc/{parent}/task/{task}/children", "rb") as file:
                found += [int(word) for word in file.read().split()]
    except OSError:  # it ended while we looked
        return found
    return found


def _thread_runs(pid: int) -> bool:
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:  # it ended while we looked
        return False
    return any((fields := _stat_fields(f"{pid}/task/{thread}")) is not None and fields[0] == b"R" for thread in threads)


def _stat_fields(pid: int | str) -> list[bytes] | None:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()
    except OSError:
        return None

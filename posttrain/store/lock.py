"""One owner for a folder or a step: a record of who holds it, and a fencing number that grows with every owner.

    lock = acquire(run_dir / "lock", what="run folder runs/demo")      refused with the holder's pid and host
    with lock.fenced(): os.rename(...)                                 only while the record still carries our number
    lock.release()

The record is changed only under `flock` on `.guard` beside it, held for microseconds, so two takers cannot both win. It
stays after release, because the fencing number must never fall: a process that outlives its driver, or a driver that
was declared dead too early, holds an old number and cannot publish. A holder on this machine counts as dead when its
pid is gone, a zombie, reused (another start time), or of an earlier boot; one elsewhere cannot be judged from here and
needs `take_over`.

Knows nothing of what is being locked.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import platform
import shlex
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from posttrain.errors import RunFolderError, StageError
from posttrain.store.atomic import write_json


class LockHeldError(RunFolderError):
    """Another live process, or one that cannot be judged from here, holds the lock. `holder` says who."""

    holder: Holder | None = None


class FencedError(StageError):
    """The lock went to another process meanwhile: what this one made is not published."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Holder:
    """Who holds a lock. `start_time` is the kernel's clock tick at which the pid started, `namespace` the inode of its
    pid namespace.

    Example: Holder(pid=4711, start_time="90125", boot_id="0b5c..", host="node3", machine="f1d2..",
    namespace="4026531836", fence=2)
    """

    pid: int
    start_time: str
    boot_id: str
    host: str
    machine: str
    namespace: str
    fence: int
    released: bool = False

    @property
    def label(self) -> str:
        return f"pid {self.pid} on {self.host}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Lock:
    """A held lock. It pickles, so an actor may be given it to check the fence with."""

    path: Path
    fence: int

    def check_fence(self) -> None:
        """Raise FencedError unless the record still carries our number."""
        holder = read_holder(self.path)
        if holder is None or holder.fence != self.fence or holder.released:
            now = "nobody" if holder is None or holder.released else f"{holder.label} (fencing number {holder.fence})"
            raise FencedError(
                (
                    f"this process lost its lock (fencing number {self.fence}); it is now held by {now}, "
                    "so nothing was published"
                ),
                where=str(self.path),
                remedy=(
                    "let the other process finish; this one's work is kept as an attempt and continued by the next run"
                ),
            )

    @contextlib.contextmanager
    def fenced(self) -> Iterator[None]:
        """Hold the guard and have checked the fence: nobody can take the lock before the block ends. Keep the block to
        a rename."""
        with _guard(self.path):
            self.check_fence()
            yield

    def release(self) -> None:
        """Give it up, keeping the number. Of a lock that others hold by now, or that went with its folder, nothing is
        changed."""
        if not self.path.parent.is_dir():
            return
        with _guard(self.path):
            holder = read_holder(self.path)
            if holder is not None and holder.fence == self.fence:
                _write(self.path, {**asdict(holder), "released": True})


def acquire(path: Path, *, what: str, take_over: bool = False) -> Lock:
    """Take the lock at `path` or raise LockHeldError. `what` names the thing in the message; `take_over` overrules a
    holder elsewhere."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _guard(path):
        holder = read_holder(path)
        if holder is not None and not holder.released:
            state = liveness(holder)
            if state == "alive" or (state == "elsewhere" and not take_over):
                raise _refusal(holder, state, path.parent, what)
        fence = holder.fence + 1 if holder is not None else 1
        _write(path, {**_identity(), "fence": fence, "released": False})
    return Lock(path=path, fence=fence)


def read_holder(path: Path) -> Holder | None:
    """The record, or None where there is none. Records are renamed into place, so a torn one is an error and not a free
    lock."""
    try:
        fields: dict[str, Any] = json.loads(path.read_bytes())
        return Holder(**fields)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        remedy = "remove it when no run uses the folder"
        raise RunFolderError(f"the lock record cannot be read ({error})", where=str(path), remedy=remedy) from error


def liveness(holder: Holder) -> str:
    """alive, dead, or elsewhere (another machine or pid namespace, which cannot be judged from here)."""
    me = _identity()
    if (holder.host, holder.machine) != (me["host"], me["machine"]):
        return "elsewhere"
    if holder.boot_id != me["boot_id"]:
        return "dead"  # this machine has started again since
    if holder.namespace != me["namespace"]:
        return "elsewhere"
    return "alive" if start_time(holder.pid) == holder.start_time else "dead"


def start_time(pid: int) -> str | None:
    """When the process started, in kernel ticks since boot; None when there is no such process or only its zombie is
    left."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None if Path("/proc/self/stat").exists() or not _exists(pid) else ""  # "": a system that does not say
    fields = text.rpartition(")")[2].split()  # the name before it may hold spaces and brackets
    return None if fields[0] in "ZX" else fields[19]


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _refusal(holder: Holder, state: str, folder: Path, what: str) -> LockHeldError:
    if state == "alive":
        remedy = (
            f"wait for it, or stop it with: posttrain stop {shlex.quote(str(folder))} (it is pid {holder.pid} "
            "on this machine)"
        )
    else:
        remedy = f"if that process is certainly gone from {holder.host}, run again with --take-over"
    error = LockHeldError(f"{what} is in use by {holder.label}", remedy=remedy)
    error.holder = holder
    return error


def _identity() -> dict[str, Any]:
    return {
        "pid": os.getpid(),
        "start_time": start_time(os.getpid()) or "",
        "boot_id": _first_line("/proc/sys/kernel/random/boot_id"),
        "host": platform.node(),
        "machine": _first_line("/etc/machine-id"),
        "namespace": _namespace(),
    }


def _first_line(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def _namespace() -> str:
    try:
        return str(os.stat("/proc/self/ns/pid").st_ino)
    except OSError:
        return ""


def _write(path: Path, record: dict[str, Any]) -> None:
    write_json(path, record, point="lock")


@contextlib.contextmanager
def _guard(path: Path) -> Iterator[None]:
    descriptor = os.open(path.parent / ".guard", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)  # closing releases the flock

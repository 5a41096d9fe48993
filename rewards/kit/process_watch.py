"""The state of a process that everything in it relies on, what may pile up in it, and its audit events. Knows no
verifier."""

from __future__ import annotations

import atexit
import decimal
import gc
import locale
import logging
import os
import random
import resource
import signal
import socket
import sys
import sysconfig
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

_SIGNALS = (signal.SIGPROF, signal.SIGALRM, signal.SIGTERM, signal.SIGINT, signal.SIGXCPU)
_LIMITS = ("AS", "CORE", "CPU", "DATA", "FSIZE", "NOFILE", "STACK")
_SHELLS = ("sh", "bash", "dash", "zsh")
_LIBRARY_FOLDERS = (
    "<",
    str(Path(__file__).parents[1]),
    *(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")),
)
_DEEP = 4  # levels of lists and code objects inside a code object that are looked into


def process_state() -> dict[str, Any]:
    """The state of this process that everything in it relies on: name -> value."""
    handlers = {f"handler of {number.name}": str(signal.getsignal(number)) for number in _SIGNALS}
    limits = {f"limit {name}": resource.getrlimit(getattr(resource, f"RLIMIT_{name}")) for name in _LIMITS}
    return {
        **handlers,
        **limits,
        "working folder": os.getcwd(),
        "environment": dict(os.environ),
        "recursion limit": sys.getrecursionlimit(),
        "switch interval": sys.getswitchinterval(),
        "umask": _umask(),
        "locale": locale.setlocale(locale.LC_ALL),
        "precision of decimals": decimal.getcontext().prec,
        "garbage collection": gc.isenabled(),
        "socket timeout": socket.getdefaulttimeout(),
        "sys.stdout": id(sys.stdout),
        "sys.stderr": id(sys.stderr),
        "logging": logging.root.manager.disable,
        "trace function": str(sys.gettrace()),
    }


def changed_state(before: dict[str, Any]) -> str:
    """Names of what differs from `before`, with the names of environment variables; "" where nothing does."""
    after = process_state()
    names = [name for name, value in after.items() if before.get(name) != value]
    if "environment" in names:
        old, new = before.get("environment", {}), after["environment"]
        variables = sorted(key for key in {*old, *new} if old.get(key) != new.get(key))
        names[names.index("environment")] = f"environment ({', '.join(variables[:5])})"
    return f"changed: {', '.join(names)}" if names else ""


def random_state() -> int:
    """The state of the generator that all share. Equal after two passes that began with different seeds, it says that
    somebody seeded it in between."""
    return hash(random.getstate())


def _umask() -> int:
    mask = os.umask(0o22)
    os.umask(mask)
    return mask


def resource_counts() -> dict[str, int]:
    """Counts of what must not pile up."""
    return {
        "open files": len(os.listdir("/proc/self/fd")),
        "threads": threading.active_count(),
        "child processes": sum(map(_child_count, os.listdir("/proc/self/task"))),
        "entries of sys.path": len(sys.path),
        "handlers of logging": len(logging.root.handlers)
        + sum(map(_handler_count, list(logging.root.manager.loggerDict.values()))),
        "callbacks at exit": int(getattr(atexit, "_ncallbacks", int)()),
    }


def _child_count(task: str) -> int:
    with suppress(OSError), open(f"/proc/self/task/{task}/children", encoding="ascii") as handle:
        return len(handle.read().split())
    return 0  # the thread has ended meanwhile


def _handler_count(logger: Any) -> int:
    return len(getattr(logger, "handlers", ()))


def yielding_trace(count: int) -> Any:
    """A trace function that lets other threads go on at the next `count` lines of code that is neither ours nor a
    library's.

    A race between two lines of a verifier is met so, instead of once in a thousand answers.
    """
    left = [count]

    def trace(frame: FrameType, event: str, arg: Any) -> Any:
        if left[0] <= 0 or frame.f_code.co_filename.startswith(_LIBRARY_FOLDERS):
            return None
        left[0] -= 1
        time.sleep(0)
        return trace

    return trace


class Watch:
    """Audit events of this process while `active`: text that is executed, addresses connected to, files written.

    An audit hook cannot be taken out again: only for a process that is given to the verifier.
    """

    def __init__(self, token: str) -> None:
        self.token = token
        self.active = False
        self.executed: set[str] = set()
        self.addresses: set[str] = set()
        self.written: set[str] = set()
        sys.addaudithook(self._on_event)

    def _on_event(self, event: str, args: tuple[Any, ...]) -> None:
        if not self.active:
            return
        if event == "exec":
            if isinstance(args[0], CodeType) and _mentions(args[0], self.token, _DEEP):
                self.executed.add("eval or exec")
        elif event in ("os.system", "import") and self.token in str(args[0]):
            self.executed.add(event)
        elif event == "subprocess.Popen" and os.path.basename(str(args[0])) in _SHELLS and self.token in str(args[1]):
            self.executed.add("a shell")
        elif event == "socket.connect" and isinstance(args[1], tuple):
            self.addresses.add(":".join(map(str, args[1][:2])))
        elif event in ("open", "os.mkdir") and isinstance(args[0], str | bytes):
            if event == "open" and (not _writes(args[1], args[2]) or os.path.isdir(args[0])):
                return  # read, or a file without a name in a folder that is there
            self.written.add(os.path.abspath(os.fsdecode(args[0])))

    def left(self) -> list[str]:
        """Files and folders that were written and are still there, but for devices and caches of bytecode."""
        paths = [
            path
            for path in list(self.written)
            if "__pycache__" not in path and not path.startswith(("/dev/", "/proc/"))
        ]
        return sorted(filter(os.path.exists, paths))


def _writes(mode: Any, flags: Any) -> bool:
    if isinstance(mode, str):
        return any(letter in mode for letter in "wax+")
    return isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))


def _mentions(code: Any, token: str, depth: int) -> bool:
    """Whether a name or a constant of a code object, at some depth, holds the token."""
    if isinstance(code, str):
        return token in code
    if depth and isinstance(code, tuple | frozenset):
        return any(_mentions(entry, token, depth - 1) for entry in code)
    if depth and isinstance(code, CodeType):
        return any(_mentions(entry, token, depth - 1) for entry in (code.co_names, code.co_varnames, code.co_consts))
    return False

"""What the supervisor does once so that no fork has to: imports what programs use, works out a test's rlimits.

Runs inside every box, before the first fork; standard library only.
"""

from __future__ import annotations

import contextlib
import io
import math
import resource
import sys
from typing import Any

from sandbox.inside.contract import SCIENCE_MODULES

# What most programs import. What few do (decimal, statistics) costs them a millisecond or two; here every fork of every
# program would pay.
_WARM = (
    *("bisect", "collections", "contextlib", "copy", "dataclasses", "datetime", "enum", "functools", "heapq"),
    *("itertools", "math", "operator", "queue", "random", "re", "string", "textwrap", "time", "typing"),
)
_LASTING = (
    (resource.RLIMIT_NOFILE, 128),
    (resource.RLIMIT_CORE, 0),
    (resource.RLIMIT_MSGQUEUE, 0),  # a queue would outlive the test
    (resource.RLIMIT_STACK, 64 * 1024 * 1024),
)
# Of these only the soft limit is set: programs that recurse deeply ask for more, which RLIMIT_AS bounds, and fail where
# that is refused.
_RAISABLE = (resource.RLIMIT_STACK,)
_AS_SLACK = 256 * 1024 * 1024  # thread stacks and allocator arenas reserve address space they never touch


def warm_up(folders: list[str]) -> None:
    """Import what honest programs use, once, so that every fork has it. Called by the supervisor before the first fork.

    `folders` hold the packages of the profile science, as far as they are installed.
    """
    import site

    sys.path += folders
    for name in _WARM:
        __import__(name)
    for name in SCIENCE_MODULES if folders else ():
        with contextlib.suppress(ImportError):
            __import__(name)
    # exit() and quit() are the business of `site`, which is not run; honest scripts call them.
    site.setquit()
    site.setcopyright()
    site.sethelper()
    for stream in (sys.stdin, sys.stdout):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="surrogateescape")


def rlimits(limits: dict[str, Any], base_vm_bytes: int, count_processes: bool) -> list[tuple[int, tuple[int, int]]]:
    """(resource, (soft, hard)) of each limit that the kernel keeps for one process; base_vm_bytes is the supervisor's
    address space."""
    # The supervisor polls the sum of all processes; this only stops one it lost sight of.
    cpu = math.ceil(limits.get("session_cpu_seconds", limits["cpu_seconds"])) + 1
    wanted = [
        (resource.RLIMIT_CPU, cpu),
        (resource.RLIMIT_FSIZE, limits["disk_mb"] * 1024 * 1024),
        (resource.RLIMIT_AS, base_vm_bytes + limits["memory_mb"] * 1024 * 1024 + _AS_SLACK),
    ]
    if count_processes:
        # A few more than allowed, so that the poll can see the limit passed and say so.
        wanted.append((resource.RLIMIT_NPROC, limits["processes"] + 8))
    return [_bounded(kind, value) for kind, value in wanted]


def take_lasting_rlimits() -> None:
    """Limits that are the same for every test: the supervisor takes them on itself, and each fork has them."""
    for kind, value in _LASTING:
        resource.setrlimit(*_bounded(kind, value))


def _bounded(kind: int, value: int) -> tuple[int, tuple[int, int]]:
    hard = resource.getrlimit(kind)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    return kind, (value, hard if kind in _RAISABLE else value)

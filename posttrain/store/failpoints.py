"""Named places where a test can kill this process, as a power cut or an out-of-memory killer would.

    POSTTRAIN_FAILPOINT=publish.before_rename:2   SIGKILL at the second hit of that name in a process
    POSTTRAIN_FAILPOINT_LOG=hits.txt              append one line "name:n" a hit: a test can list all of them

Without either variable a failpoint is one comparison. Knows nothing of what surrounds it. SIGKILL runs no handler, no
`finally` and no buffer flush: what a rerun then finds is what the disk holds.
"""

from __future__ import annotations

import os
import signal
from collections import Counter

TARGET = "POSTTRAIN_FAILPOINT"
LOG = "POSTTRAIN_FAILPOINT_LOG"

_counts: Counter[str] = Counter()
_target: tuple[str, int] | None = None
_log: str | None = None
_active = False


def arm() -> None:
    """Read the environment again and forget earlier hits. Runs at import; a forked child that got a new environment
    calls it."""
    global _target, _log, _active
    _counts.clear()
    text = os.environ.get(TARGET)
    _target = None
    if text:
        name, _, count = text.rpartition(":")
        if not name or not count.isdigit() or int(count) < 1:
            raise ValueError(f"{TARGET}={text!r} is not of the form name:n with n at least 1")
        _target = (name, int(count))
    _log = os.environ.get(LOG) or None
    _active = _target is not None or _log is not None


def failpoint(name: str) -> None:
    """Die here if the environment says so. `name` is dotted, such as "publish.before_rename"."""
    if _active:
        _hit(name)


def _hit(name: str) -> None:
    _counts[name] += 1
    count = _counts[name]
    if _log is not None:
        # One write of one short line to an O_APPEND file: lines of several processes do not interleave.
        descriptor = os.open(_log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            os.write(descriptor, f"{name}:{count}\n".encode())
        finally:
            os.close(descriptor)
    if _target == (name, count):
        os.kill(os.getpid(), signal.SIGKILL)


arm()

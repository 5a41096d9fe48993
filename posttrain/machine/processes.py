"""What is done to the processes and files of a node, on that node. Knows no ray."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

_SEEN_SECONDS = 5.0


def start_ticks(pid: int) -> int | None:
    """Field 22 of /proc/<pid>/stat, which tells a reused number from the same process; None when the process is gone
    (or a zombie)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rsplit(")", 1)[1].split()
    except OSError:
        return None
    return None if fields[0] in ("Z", "X") else int(fields[19])


def end_process(pid: int, ticks: int | None) -> None:
    """With the processes that it has started: of a model that is split over GPUs each has its share. Nothing where it
    is gone, and its number another's."""
    if start_ticks(pid) != ticks:
        return
    for process in (pid, *_below(pid)):
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def _below(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for child in map(int, task.read_text(encoding="ascii").split()):
                found += [child, *_below(child)]
    return found


def unseen(files: Sequence[str]) -> list[str]:
    """Network file systems may take seconds to show a new file."""
    until = time.monotonic() + _SEEN_SECONDS
    while (missing := [file for file in files if not Path(file).exists()]) and time.monotonic() < until:
        time.sleep(0.2)
    return missing

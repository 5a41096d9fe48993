"""Makes a fork cheaper: less for the kernel to copy of the process that forks, which is most of what a short test
costs.

A fork copies an entry for each page that its parent has written and a record for each stretch of memory that is mapped.
The heap's unused pages go back, and the three stretches that a library's text comes in (headers, instructions,
constants) become one. Nothing becomes writable. Runs inside every box, once, before the first fork; standard library
only.
"""

from __future__ import annotations

import ctypes

_READ_AND_RUN = 1 | 4  # PROT_READ, PROT_EXEC


def lighten(libc: ctypes.CDLL) -> None:
    """Make forks of this process cheaper. Whatever the system does not know or refuses stays as it is."""
    if hasattr(libc, "malloc_trim"):  # the GNU C library's
        libc.malloc_trim(0)
    libc.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    for start, end in texts():
        libc.mprotect(start, end - start, _READ_AND_RUN)


def texts() -> list[tuple[int, int]]:
    """(start, end) of each run of mappings that are one piece of one file in memory, hold instructions and are never
    written."""
    # (start, end, how far an address is ahead of its place in the file, inode, whether it holds instructions)
    runs: list[tuple[int, int, int, str, bool]] = []
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as lines:
        for line in lines:
            span, kind, place, _, inode = line.split()[:5]
            if kind not in ("r--p", "r-xp") or inode == "0":
                continue
            start, end = (int(part, 16) for part in span.split("-"))
            ahead, runnable = start - int(place, 16), kind == "r-xp"
            if runs and runs[-1][1:4] == (start, ahead, inode):
                first, *_, ran = runs.pop()
                start, runnable = first, ran or runnable
            runs.append((start, end, ahead, inode, runnable))
    return [(start, end) for start, end, _, _, runnable in runs if runnable]

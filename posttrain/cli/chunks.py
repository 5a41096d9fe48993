"""Lines of standard input, as many together as have come: whoever writes one line and waits for its answer gets it."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator
from itertools import islice
from typing import BinaryIO

_READ_BYTES = 1 << 16


def chunks(stream: BinaryIO, most: int) -> Iterator[list[bytes]]:
    """Lists of 1 to `most` lines that are not blank, in order. Reads the stream's descriptor itself, so nobody else
    may."""
    try:
        descriptor = stream.fileno()
    except (AttributeError, OSError):  # no real file: all of it is there
        yield from _groups((line for line in stream if line.strip()), most)
        return
    begun: list[bytes] = []  # pieces of a line whose end has not come
    lines: list[bytes] = []
    while data := os.read(descriptor, _READ_BYTES):
        *whole, last = data.split(b"\n")
        if whole:
            whole[0] = b"".join([*begun, whole[0]])
            begun = []
            lines += [line for line in whole if line.strip()]
        begun.append(last)
        if len(lines) >= most or not select.select([descriptor], [], [], 0)[0]:
            yield from _groups(iter(lines), most)
            lines = []
    lines += [line for line in [b"".join(begun)] if line.strip()]
    yield from _groups(iter(lines), most)


def _groups(lines: Iterator[bytes], most: int) -> Iterator[list[bytes]]:
    while group := list(islice(lines, most)):
        yield group

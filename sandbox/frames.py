"""Length-prefixed JSON frames: four bytes of big-endian length, then UTF-8 JSON of one object. Runs on both sides.

Knows bytes and lengths; nothing of what a frame means. Whoever reads from an untrusted side sets `limit`.
"""

from __future__ import annotations

import binascii
import json
import os
import struct
from typing import Any

HEADER = struct.Struct(">I")
INSIDE_FILES = (
    *(
        "supervisor",
        "case",
        "cell_session",
        "candidate",
        "objects",
        "rehearsal",
        "testside",
        "testfile",
        "codec",
        "frames",
        "processes",
    ),
    *("footprint", "seccomp", "enter"),
)
# a test that a busy machine starves may take this many times its wall limit; both sides of the channel reckon with it
MOST_WALL = 4
CPU_GRACE, CPU_GRACE_SECONDS = (
    0.025,
    0.05,
)  # of a CPU limit, and at most: so far past it a test may go on, to tell by how much it missed
MOST_WAITING_SECONDS = 0.02  # a result may wait so long for the next, so that both go in one write
MAX_FRAME_BYTES = 256 * 1024 * 1024


class FrameError(Exception):
    """Bytes that are not a frame: too long, cut short, not JSON, not an object."""


def inside_version() -> int:
    """A checksum of the files that run inside, as they lie beside this one: both ends must have the same."""
    checksum = 0
    for name in INSIDE_FILES:
        with open(os.path.join(os.path.dirname(__file__), f"{name}.py"), "rb") as file:
            checksum = binascii.crc32(file.read(), checksum)
    return checksum


def cpu_end(limit: float) -> float:
    """Processor seconds at which a test is ended: its limit and a little more. One that ends in between is past its
    limit all the same."""
    return limit + min(CPU_GRACE * limit, CPU_GRACE_SECONDS)


def pack_frame(message: dict[str, Any]) -> bytes:
    """Bytes in a message go as base64."""
    body = _encode(message).encode()
    return HEADER.pack(len(body)) + body


def parse_body(body: bytes) -> dict[str, Any]:
    """One frame's body. Raises FrameError for anything but a JSON object, including nesting too deep for the parser."""
    try:
        message = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise FrameError(f"not JSON: {type(error).__name__}") from error
    if not isinstance(message, dict):
        raise FrameError(f"a {type(message).__name__}, not an object")
    return message


class FrameTooLong(FrameError):
    """A frame that says that it is longer than its reader takes."""


class FrameBuffer:
    """Collects bytes as they come and gives out whole frames. `limit` bounds one frame, so memory stays bounded."""

    def __init__(self, limit: int = MAX_FRAME_BYTES) -> None:
        self.limit = limit
        self._bytes = bytearray()

    def feed(self, data: bytes) -> None:
        self._bytes += data

    def next(self) -> dict[str, Any] | None:
        """The next whole frame, or None when more bytes are needed. Raises FrameError."""
        if len(self._bytes) < HEADER.size:
            return None
        (length,) = HEADER.unpack_from(self._bytes)
        if length > self.limit:
            kind = FrameTooLong if length <= MAX_FRAME_BYTES else FrameError  # beyond it nobody means a length
            raise kind(f"a frame of {length} bytes; at most {self.limit} are taken")
        end = HEADER.size + length
        if len(self._bytes) < end:
            return None
        body = bytes(self._bytes[HEADER.size : end])
        del self._bytes[:end]
        return parse_body(body)


def write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def read_frame(fd: int, buffer: FrameBuffer) -> dict[str, Any] | None:
    """Block until one frame is whole; None at end of stream. Raises FrameError."""
    while (message := buffer.next()) is None:
        data = os.read(fd, 1 << 16)
        if not data:
            return None
        buffer.feed(data)
    return message


def to_text(data: bytes) -> str:
    return binascii.b2a_base64(data, newline=False).decode("ascii")


_encode = json.JSONEncoder(separators=(",", ":"), default=to_text).encode


def from_text(text: str) -> bytes:
    return binascii.a2b_base64(text)

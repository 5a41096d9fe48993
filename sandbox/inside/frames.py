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
MAX_FRAME_BYTES = 256 * 1024 * 1024


class FrameError(Exception):
    """Bytes that are not a frame: too long, cut short, not JSON, not an object."""


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
            # Beyond any frame that we write, these bytes are no length at all.
            kind = FrameTooLong if length <= MAX_FRAME_BYTES else FrameError
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

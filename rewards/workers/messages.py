"""How the pool and its workers talk: messages of JSON behind their length (frames). Standard library only.

JSON, not pickle: a worker has read hostile text, and nothing it sends back may be more than data.
"""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

from rewards.types import Outcome, Request, Verdict

HEADER_BYTES = 4
MAX_FRAME_BYTES = 256 * 1024 * 1024

_REQUEST = tuple(f.name for f in fields(Request))
_VERDICT = tuple(f.name for f in fields(Verdict))


def pack(message: Any) -> bytes:
    """One frame. Raises TypeError or ValueError where the message is no JSON value."""
    body = json.dumps(message, separators=(",", ":")).encode("ascii")
    return len(body).to_bytes(HEADER_BYTES, "big") + body


def pack_items(head: dict[str, Any], items: list[bytes]) -> bytes:
    """One frame of `head` with the items, packed before by `pack_item`, under "items"."""
    body = json.dumps(head, separators=(",", ":")).encode("ascii")[:-1] + b',"items":[' + b",".join(items) + b"]}"
    return len(body).to_bytes(HEADER_BYTES, "big") + body


def pack_item(item: Any) -> bytes:
    """Raises TypeError or ValueError where the item is no JSON value."""
    return json.dumps(item, separators=(",", ":")).encode("ascii")


def unpack(buffer: bytearray) -> list[Any]:
    """Take the complete frames off the front of `buffer`. Raises ValueError on a frame that is too long or no JSON."""
    messages = []
    start = 0
    while len(buffer) - start >= HEADER_BYTES:
        size = int.from_bytes(buffer[start : start + HEADER_BYTES], "big")
        if size > MAX_FRAME_BYTES:
            raise ValueError(f"frame of {size} bytes")
        end = start + HEADER_BYTES + size
        if len(buffer) < end:
            break
        messages.append(json.loads(bytes(buffer[start + HEADER_BYTES : end])))
        start = end
    del buffer[:start]
    return messages


def request_to_json(request: Request) -> dict[str, Any]:
    return {name: value for name in _REQUEST if (value := getattr(request, name)) is not None}


def request_from_json(data: dict[str, Any]) -> Request:
    return Request(**{**data, "messages": tuple(data.get("messages", ()))})


def verdict_to_json(verdict: Verdict) -> dict[str, Any]:
    return {name: getattr(verdict, name) for name in _VERDICT}


def verdict_from_json(data: dict[str, Any]) -> Verdict:
    return Verdict(**{**data, "outcome": Outcome(data["outcome"])})

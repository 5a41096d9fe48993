"""Messages between a forked child and whoever asks it: four bytes of length, then JSON, over two pipes.

Descriptor 4 (the outbox) carries what the child says, descriptor 3 (the inbox) what it is asked. Knows nothing of what
a message means. Runs inside every box; standard library only.
"""

from __future__ import annotations

import json
import os
import struct
from typing import Any

INBOX_FD, OUTBOX_FD = 3, 4


def write_message(message: dict[str, Any]) -> None:
    body = json.dumps(message, separators=(",", ":")).encode()
    view = memoryview(struct.pack(">I", len(body)) + body)
    while view:
        view = view[os.write(OUTBOX_FD, view) :]


def read_message() -> dict[str, Any] | None:
    """One framed message from the inbox; None when the judge has closed it."""
    wanted, data = 4, bytearray()
    while len(data) < wanted:
        chunk = os.read(INBOX_FD, min(1 << 20, wanted - len(data)))
        if not chunk:
            return None
        data += chunk
        if len(data) == 4 and wanted == 4:
            wanted = 4 + struct.unpack(">I", data)[0]
    del data[:4]
    return json.loads(data)


def error_text(error: BaseException) -> str:
    """The first characters of what an exception says."""
    try:
        return str(error)[:300]
    except Exception:  # noqa: BLE001 - the program's own class answers here
        return ""


def failure_message(error: BaseException, phase: str) -> dict[str, Any]:
    """What the child says when the program raised. `phase` is load (its own text) or call (what the test asked of
    it)."""
    kind = "exit" if isinstance(error, SystemExit) else "error"
    return {"k": kind, "phase": phase, "type": type(error).__name__, "message": error_text(error)}

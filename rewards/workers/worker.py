"""The process that judges: reads messages, builds each rule once, answers every item with a message. Started by
`rewards.workers.pool`.

Each item runs under a CPU timer whose signal kills the process (no handler: it works while C code holds the
interpreter's lock). Knows nothing of wall clocks, retries or policies; those are the pool's.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rewards.contract.deadline import install_clock, pause_for_imports
from rewards.workers.messages import HEADER_BYTES, pack, request_from_json, verdict_to_json

_ORPHAN_POLL_SECONDS = 1.0


def main() -> None:
    """Serve until standard input ends. argv[1] is a JSON object with the limits."""
    limits = json.loads(sys.argv[1])
    reader, writer = _take_pipes()
    _limit(limits)
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    _write(writer, pack({"ready": True}))
    install_clock(lambda: _stop_clock(writer))
    rules: dict[str, Any] = {}
    while (message := _receive(reader)) is not None:
        _serve(writer, rules, message)


def _take_pipes() -> tuple[int, int]:
    """Keep the two pipes for ourselves: what a plug-in prints or reads must not mix with our messages."""
    reader, writer = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(2, 1)
    os.close(null)
    return reader, writer


def _limit(limits: dict[str, int]) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if limits["memory_mb"]:
        size = limits["memory_mb"] * 1024 * 1024
        resource.setrlimit(resource.RLIMIT_AS, (size, size))
    if limits["file_mb"] >= 0:
        size = limits["file_mb"] * 1024 * 1024
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def _end_with_parent(parent: int) -> None:
    # A pool that was killed cannot kill its workers; a rule that sleeps would outlive it.
    while os.getppid() == parent:
        time.sleep(_ORPHAN_POLL_SECONDS)
    os._exit(0)


@contextmanager
def _stop_clock(writer: int) -> Iterator[None]:
    """The CPU timer off, and the pool told to wait as it waits for a start."""
    left, _ = signal.setitimer(signal.ITIMER_PROF, 0)
    _write(writer, pack({"paused": True}))
    try:
        yield
    finally:
        _write(writer, pack({"resumed": True}))
        signal.setitimer(signal.ITIMER_PROF, left)


def _read_exactly(fd: int, size: int) -> bytes | None:
    parts = []
    while size:
        part = os.read(fd, size)
        if not part:
            return None
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _receive(fd: int) -> Any:
    header = _read_exactly(fd, HEADER_BYTES)
    body = None if header is None else _read_exactly(fd, int.from_bytes(header, "big"))
    return None if body is None else json.loads(body)


def _serve(writer: int, rules: dict[str, Any], message: dict[str, Any]) -> None:
    from rewards.workers.rule_table import build_rule

    key = json.dumps(message["rule"], sort_keys=True)
    # The caller finds its plug-ins by the path that it has now, which may not be the one this process started with.
    if sys.path != message["path"]:
        sys.path[:] = message["path"]
        importlib.invalidate_caches()
    try:
        if key not in rules:
            rules[key] = build_rule(message["rule"])
            if ":" in message["rule"]["kind"]:
                pause_for_imports()
        rule = rules[key]
    except BaseException as error:  # noqa: BLE001  a plug-in's import or constructor may raise anything; it is reported, not hidden
        _write(writer, pack({"build_failed": _describe(error)}))
        return
    _write(writer, pack({"built": True}))
    for item in message["items"]:
        # A caller that ignores the signal hands that down, and a plug-in may have done so for the answer before.
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGPROF})
        signal.setitimer(signal.ITIMER_PROF, message["cpu_seconds"])
        started = time.perf_counter()
        try:
            reply = _answer(rule, message["op"], item)
        except MemoryError:
            reply = {"memory": True}
        except BaseException as error:  # noqa: BLE001  whatever a rule raises on hostile text is an error of ours, never a lost worker
            reply = {"raised": _describe(error)}
        signal.setitimer(signal.ITIMER_PROF, 0)
        reply["seconds"] = time.perf_counter() - started
        try:
            data = pack(reply)
        except (TypeError, ValueError) as error:
            data = pack({"raised": _describe(error), "seconds": reply["seconds"]})
        _write(writer, data)


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _answer(rule: Any, op: str, item: Any) -> dict[str, Any]:
    if op == "gold":
        return {"problem": rule.check_prompt(request_from_json(item))}
    requests = [request_from_json(entry) for entry in item]
    if op == "alone":
        return {"verdicts": [verdict_to_json(rule.judge(request)) for request in requests]}
    return {"verdicts": [verdict_to_json(verdict) for verdict in rule.judge_group(requests)]}


def _describe(error: BaseException) -> str:
    # The type and a capped message: formatting a rule's objects in full can itself hang.
    text = "".join(part for part in map(str, error.args[:1]) if len(part) < 2000)
    return f"{type(error).__name__}: {text[:300]}"


if __name__ == "__main__":
    main()

"""Odd verifiers without a fault, as people write them: the conformance kit must let every one pass."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import logging
import os
import random
import sqlite3
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from rewards.types import Outcome, Request, Verdict


def _right(response: str, gold: Any) -> bool:
    return response.rpartition("</think>")[2].strip().endswith(str(gold)) and str(gold) != ""


def _verdict(right: bool, **more: Any) -> Verdict:
    return Verdict(outcome=Outcome.CORRECT if right else Outcome.WRONG, score=float(right), **more)


class GroupOnly:
    """The shortest right answer is worth most: it has no `verify`."""

    def verify_group(self, requests: list[Request]) -> list[Verdict]:
        lengths = [len(request.response) for request in requests if _right(request.response, request.gold)]
        return [_verdict(_right(r.response, r.gold) and len(r.response) == min(lengths)) for r in requests]


@functools.lru_cache(maxsize=512)
def _cached(response: str, gold: str) -> bool:
    return _right(response, gold)


def bounded_cache(question: str | None, response: str, gold: Any) -> bool:
    """Grows until it is full, and no further. Its score is a truth value."""
    return _cached(response, str(gold))


class OwnLoop:
    """An event loop in a thread of its own, made anew in each process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.process = 0

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def __setstate__(self, state: dict[str, Any]) -> None:
        OwnLoop.__init__(self)

    def verify(self, request: Request) -> Verdict:
        with self.lock:
            if self.process != os.getpid():
                self.process, self.loop = os.getpid(), asyncio.new_event_loop()
                threading.Thread(target=self.loop.run_forever, daemon=True).start()
        return asyncio.run_coroutine_threadsafe(self._ask(request), self.loop).result()

    async def _ask(self, request: Request) -> Verdict:
        await asyncio.sleep(0)
        return _verdict(_right(request.response, request.gold))


class PoolForAGroup:
    def verify(self, request: Request) -> Verdict:
        return _verdict(_right(request.response, request.gold))

    def verify_group(self, requests: list[Request]) -> list[Verdict]:
        with ThreadPoolExecutor(4) as pool:
            return list(pool.map(self.verify, requests))


class DatabaseAThread:
    """A table in memory, a connection a thread."""

    def __init__(self) -> None:
        self.local = threading.local()

    def __reduce__(self) -> tuple[Any, ...]:
        return (DatabaseAThread, ())

    def verify(self, request: Request) -> Verdict:
        if not hasattr(self.local, "base"):
            self.local.base = sqlite3.connect(":memory:")
        given = (request.response.encode("utf-8", "surrogatepass"), str(request.gold).encode("utf-8", "surrogatepass"))
        return _verdict(bool(self.local.base.execute("select instr(?, ?)", given).fetchone()[0]))


def scratch_file(question: str | None, response: str, gold: Any) -> float:
    """Writes, reads, and leaves nothing."""
    with tempfile.TemporaryFile("w+b") as handle:
        handle.write(response.encode("utf-8", "surrogatepass"))
        handle.seek(0)
        return float(_right(handle.read().decode("utf-8", "surrogatepass"), gold))


class OwnDice:
    """Samples what it looks at, by a generator seeded with the answer; says so in its certificate, and in the log."""

    def verify(self, request: Request) -> Verdict:
        dice = random.Random(hashlib.sha256(request.response.encode("utf-8", "surrogatepass")).digest())
        logging.getLogger(__name__).debug("judged")
        return _verdict(_right(request.response, request.gold), certificate={"looked_at": dice.random()})


class ChecksForm:
    """Reads the thinking on purpose, and no gold."""

    def verify(self, request: Request) -> Verdict:
        return _verdict(request.response.count("<think>") == request.response.count("</think>") == 1, reason="form")


async def asks_politely(question: str | None, response: str, gold: Any) -> float | None:
    await asyncio.sleep(0)
    return None if gold is None else float(_right(response, gold))

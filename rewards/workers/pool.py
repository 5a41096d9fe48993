"""Persistent worker processes for rules: a deadline that holds, a kill that works, a new worker at once.

    caller --messages--> worker (rewards.workers.worker)      one caller borrows a worker at a time; any thread may call

Each item has CPU seconds, which the kernel counts in the worker, and wall seconds, which are counted here and are
longer only while the worker waits for a CPU. When a worker ends at an item, the item is tried once more, by itself, in
another worker; when that one ends too, the reply is `timeout` (the answer's fault) or `lost` (ours). An item that used
up its CPU seconds when it was by itself already is not tried again.

Plain subprocesses with pipes: no signal handler, no thread, nothing inherited, so it works in the main thread, threads,
asyncio executors, daemonic processes, Ray actors and after a fork. Knows nothing of verdicts' meaning or of policies.
"""

from __future__ import annotations

import atexit
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from rewards.contract.rule import RuleSpec
from rewards.errors import VerifierError
from rewards.workers.messages import pack_item, pack_items, unpack
from rewards.workers.worker_process import START_SECONDS, Limits, WorkerProcess

STARVED_SECONDS = 60.0  # beyond its deadline, by the wall, that a worker may wait for a CPU before it counts as lost
RECYCLE_ITEMS = 20_000
MAX_FAILED_STARTS = 3  # in one call: workers that die before they judge anything
_CHUNK_ITEMS = 128  # items
_CHUNK_BYTES = 8 * 1024 * 1024  # of a message with more than one item: a worker parses it within its memory
_CPU_SIGNALS = (signal.SIGPROF, signal.SIGXCPU)
_CRASH_SIGNALS = (signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGFPE, signal.SIGILL, signal.SIGXFSZ)


Operation = Literal["judge", "alone", "gold"]
"""What a rule does with an item: judge a group, judge each of its answers by itself, or look at a gold."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """What became of one item. status: ok (`data` holds the worker's message), timeout, memory or crashed (the answer's
    fault), lost or failed (ours)."""

    status: str
    data: dict[str, Any] = field(default_factory=dict)
    detail: str = ""
    seconds: float = 0.0


class _Lane:
    """A borrowed worker and the chunk it is at."""

    def __init__(self, worker: WorkerProcess, *, fresh: bool) -> None:
        self.worker = worker
        # Whether it was started in this call: the end of one from an earlier call says nothing about starts.
        self.fresh = fresh
        self.chunk: deque[int] = deque()  # items not answered yet; the first is in progress
        self.phase = "idle"  # idle, starting, building, judging
        self.alone = False  # whether the chunk was one item from the start
        self.since = 0.0  # monotonic, start of the phase or of the item in progress


class Pool:
    """Worker processes under one set of limits. Thread-safe; each call borrows what is free, at least one."""

    def __init__(self, size: int, limits: Limits) -> None:
        self.size = size
        self.limits = limits
        self._free: list[WorkerProcess] = []
        self._lent = 0
        self._condition = threading.Condition()
        self._closed = False

    def run(self, rule: RuleSpec, operation: Operation, items: list[Any], *, deadline_seconds: float) -> list[Reply]:
        """Have `rule` do `operation` on `items`; replies in order. Blocks, at most for the deadlines of all items."""
        if not items:
            return []
        return _Call(self, rule, operation, items, deadline_seconds).run()

    def close(self) -> None:
        """Kill the idle workers; those lent are killed when they come back."""
        with self._condition:
            self._closed = True
            free, self._free = self._free, []
        for worker in free:
            worker.kill()

    def drop(self) -> None:
        for worker in self._free:
            worker.drop()
        self._free = []

    def spawn(self) -> WorkerProcess:
        return WorkerProcess(self.limits)

    @contextmanager
    def borrow(self, wanted: int) -> Iterator[list[_Lane]]:
        """Lanes for one call: as many as are free up to `wanted`, waiting for the first."""
        with self._condition:
            while self._lent >= self.size:
                self._condition.wait()
            count = min(wanted, self.size - self._lent)
            self._lent += count
            workers = [self._free.pop() for _ in range(min(count, len(self._free)))]
        lanes: list[_Lane] = []
        try:
            lanes.extend(_Lane(worker, fresh=False) for worker in workers)
            lanes.extend(_Lane(self.spawn(), fresh=True) for _ in range(count - len(workers)))
            yield lanes
        finally:
            # A lane still at work (the caller was interrupted) holds a worker of unknown state: it goes.
            keep = []
            for lane in lanes:
                fit = lane.phase == "idle" and lane.worker.served < RECYCLE_ITEMS and not self._closed
                keep.append(lane.worker) if fit else lane.worker.kill()
            with self._condition:
                self._free.extend(keep)
                self._lent -= count
                self._condition.notify(count)


class _Call:
    """One `Pool.run`: hands chunks to lanes, reads replies, watches deadlines."""

    def __init__(
        self, pool: Pool, rule: RuleSpec, operation: Operation, items: list[Any], deadline_seconds: float
    ) -> None:
        self.pool, self.deadline = pool, deadline_seconds
        self.head = {"rule": rule, "op": operation, "cpu_seconds": deadline_seconds, "path": sys.path}
        self.items = [pack_item(item) for item in items]
        self.replies: list[Reply | None] = [None] * len(items)
        self.unanswered = len(items)
        self.tries = [0] * len(items)
        self.failed_starts = 0
        self.queue = self._chunks(max(1, min(_CHUNK_ITEMS, -(-len(items) // (pool.size * 2)))))

    def _chunks(self, most: int) -> deque[deque[int]]:
        """The items in order, `most` at a time, fewer where they are long."""
        chunks: deque[deque[int]] = deque()
        size = 0
        for index, item in enumerate(self.items):
            if not chunks or len(chunks[-1]) == most or size + len(item) > _CHUNK_BYTES:
                chunks.append(deque())
                size = 0
            chunks[-1].append(index)
            size += len(item)
        return chunks

    def run(self) -> list[Reply]:
        with self.pool.borrow(len(self.queue)) as lanes, selectors.DefaultSelector() as selector:
            for lane in lanes:
                self._register(selector, lane)
            while self.unanswered:
                for lane in lanes:
                    if lane.phase == "idle" and self.queue:
                        self._start(selector, lane)
                for key, _ in selector.select(self._patience(lanes)):
                    self._read(selector, key.data)
                self._enforce(selector, lanes)
            for lane in lanes:
                if self.failed_starts < MAX_FAILED_STARTS and not lane.chunk and lane.phase == "starting":
                    lane.phase = "idle"  # never needed; that it is ready is read by the next borrower
        return [reply for reply in self.replies if reply is not None]

    def _register(self, selector: selectors.BaseSelector, lane: _Lane) -> None:
        selector.register(lane.worker.reader, selectors.EVENT_READ, lane)
        lane.phase = "idle" if lane.worker.ready else "starting"
        lane.since = time.monotonic()

    def _start(self, selector: selectors.BaseSelector, lane: _Lane) -> None:
        lane.chunk = self.queue.popleft()
        lane.alone = len(lane.chunk) == 1
        lane.phase, lane.since = "building", time.monotonic()
        try:
            lane.worker.send(pack_items(self.head, [self.items[i] for i in lane.chunk]))
        except OSError:
            self._lose(selector, lane)

    def _patience(self, lanes: list[_Lane]) -> float:
        """Seconds until the next deadline could pass."""
        now = time.monotonic()
        waits = [lane.since + self._allowance(lane) - now for lane in lanes if lane.phase != "idle"]
        return max(0.01, min(waits, default=0.05))

    def _allowance(self, lane: _Lane) -> float:
        return self.deadline + 0.05 if lane.phase == "judging" else START_SECONDS

    def _read(self, selector: selectors.BaseSelector, lane: _Lane) -> None:
        data = os.read(lane.worker.reader, 1 << 18)
        if not data:
            self._lose(selector, lane)
            return
        lane.worker.buffer += data
        try:
            messages = unpack(lane.worker.buffer)
        except ValueError:
            self._lose(selector, lane)
            return
        for message in messages:
            self._take(lane, message)
        if messages and lane.phase == "judging":
            lane.since = time.monotonic()

    def _take(self, lane: _Lane, message: dict[str, Any]) -> None:
        if "ready" in message:
            lane.worker.ready = True
            lane.phase = "idle"
        elif "built" in message or "resumed" in message:
            lane.phase = "judging"
        elif "paused" in message:  # an import of ours: given the time of a start
            lane.phase, lane.since = "building", time.monotonic()
        elif "build_failed" in message:
            for index in lane.chunk:
                self._finish(index, Reply(status="failed", detail=message["build_failed"]))
            lane.chunk.clear()
            lane.phase = "idle"
        else:
            self._take_item(lane, message)

    def _take_item(self, lane: _Lane, message: dict[str, Any]) -> None:
        index = lane.chunk.popleft()
        lane.worker.served += 1
        seconds = float(message.get("seconds", 0.0))
        if "raised" in message:
            self._finish(index, Reply(status="failed", detail=message["raised"], seconds=seconds))
        elif "memory" in message:
            self._ask_again(index, Reply(status="memory", seconds=seconds))
        else:
            self._finish(index, Reply(status="ok", data=message, seconds=seconds))
        if not lane.chunk:
            lane.phase = "idle"

    def _finish(self, index: int, reply: Reply) -> None:
        self.replies[index] = reply
        self.unanswered -= 1

    def _ask_again(self, index: int, reply: Reply) -> None:
        """Try the item once more, alone in its chunk; the second time the reply stands."""
        self.tries[index] += 1
        if self.tries[index] < 2:
            self.queue.append(deque([index]))
        else:
            self._finish(index, reply)

    def _enforce(self, selector: selectors.BaseSelector, lanes: list[_Lane]) -> None:
        now = time.monotonic()
        for lane in lanes:
            waited = now - lane.since
            if lane.phase == "idle" or waited < self._allowance(lane):
                continue
            # A machine short of CPU must not cost an answer its score: a runnable worker has its CPU timer, and one
            # whose reply (or end) waits to be read is not late.
            runnable = lane.phase == "judging" and lane.worker.state()[0] == "R"
            if (runnable and waited < self.deadline + STARVED_SECONDS) or any(
                key.data is lane for key, _ in selector.select(0)
            ):
                continue
            self._lose(selector, lane, overdue="lost" if runnable else "timeout")

    def _lose(self, selector: selectors.BaseSelector, lane: _Lane, *, overdue: str = "") -> None:
        """The lane's worker is dead, or must die because its item is `overdue`: give that item its reply or another
        try, put the rest of the chunk back, start a new worker."""
        seconds = time.monotonic() - lane.since
        selector.unregister(lane.worker.reader)
        was_judging = lane.phase == "judging"
        code = self._collect(lane, bool(overdue))
        if not was_judging:
            self.failed_starts += lane.fresh
        elif lane.chunk:
            first = lane.chunk.popleft()
            status = overdue if overdue and code == -signal.SIGKILL else _cause(code)
            reply = Reply(status=status, detail=f"worker ended with code {code}", seconds=seconds)
            if lane.alone and -code in _CPU_SIGNALS:
                self._finish(first, reply)
            else:
                self._ask_again(first, reply)
        if lane.chunk:
            self.queue.appendleft(lane.chunk)
            lane.chunk = deque()
        if self.failed_starts >= MAX_FAILED_STARTS:
            self._give_up(f"a worker ended with code {code} before it could judge")
        lane.worker, lane.fresh = self.pool.spawn(), True
        self._register(selector, lane)

    def _give_up(self, detail: str) -> None:
        """Workers do not come up: every item without a reply is lost, by our failure."""
        self.queue.clear()
        for index, reply in enumerate(self.replies):
            if reply is None:
                self._finish(index, Reply(status="lost", detail=detail))

    def _collect(self, lane: _Lane, overdue: bool) -> int:
        if overdue:
            return lane.worker.kill()
        try:  # the pipe ended: it is exiting; its own code says why
            code = lane.worker.process.wait(timeout=1.0)
        except subprocess.TimeoutExpired:
            return lane.worker.kill()
        lane.worker.kill()
        return code


def _cause(code: int) -> str:
    if -code in _CPU_SIGNALS:
        return "timeout"
    return "crashed" if -code in _CRASH_SIGNALS else "lost"


# ---------------------------------------------------------------- one pool a process and set of limits

_pools: dict[tuple[int, Limits], Pool] = {}
_lock = threading.Lock()


def shared_pool(size: int, limits: Limits) -> Pool:
    """The process-wide pool with these limits; `size` 0 takes one worker a CPU, 16 at most."""
    size = size or min(16, len(os.sched_getaffinity(0)))
    if size < 1:
        raise VerifierError(f"{size} workers", where="workers", remedy="0 for one a CPU, or a positive number")
    with _lock:
        return _pools.setdefault((size, limits), Pool(size, limits))


def _close_all() -> None:
    for pool in list(_pools.values()):
        pool.close()


def _forget_in_child() -> None:
    global _pools, _lock
    for pool in _pools.values():
        pool.drop()
    _pools, _lock = {}, threading.Lock()


atexit.register(_close_all)
os.register_at_fork(after_in_child=_forget_in_child)

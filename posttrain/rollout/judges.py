"""The code judge in a pipeline: one actor a node, started by the scorer when the first program is to be judged, and owned by it.

    Scorer ── JudgePool.run(programs) ── leases of a few programs ──> JudgeServer on node A ──> its slots and boxes
                 │  at most two leases at a judge: one judged,  ────> JudgeServer on node B
                 │  one waiting, so that none idles and no queue grows; the waiting is outside every test's clock
                 └─ a judge that dies is started again, and what it had goes out anew: judged once, or the run stops

Verifiers see what they see of a judge in their own process (`run`, `level`). Knows nothing of Ray's API (`cluster.py` does).
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from posttrain.errors import BackendError, StageError
from sandbox.errors import SandboxError
from sandbox.types import Judgement, Level, Program

if TYPE_CHECKING:
    from posttrain.cluster import Remote

LEASES_AT_A_JUDGE = 2
_PROGRAMS_A_SLOT = 8  # in one lease
_DEATHS = 3  # judges that may die under one lease


class JudgeServer:
    """The object in a judge's actor. Raises BackendError where the isolation asked for cannot be had."""

    def __init__(self, sandbox: Mapping[str, Any]) -> None:
        from sandbox.judge import Judge

        try:
            self._judge = Judge(**sandbox)
        except SandboxError as error:
            raise BackendError(str(error), where="sandbox") from error

    def level(self) -> str:
        """The isolation reached on this node; also the sign that the judge is alive."""
        return str(self._judge.level)

    def run(self, programs: Sequence[Program]) -> list[Judgement]:
        return self._judge.run(list(programs))

    def close(self) -> None:
        self._judge.close()


@dataclass(kw_only=True, slots=True)
class _Lease:
    """Programs that one judge has. Example: _Lease(start=16, programs=[...], deaths=0)"""

    start: int
    programs: list[Program]
    deaths: int = 0


@dataclass(kw_only=True, slots=True)
class _Seat:
    """A judge's place. Mutable: another judge takes it when the first has died."""

    start: Callable[[], Remote]
    remote: Remote
    lock: threading.Lock = field(default_factory=threading.Lock)

    def replace(self, dead: Remote) -> None:
        """Start another, unless that has been done. Raises BackendError."""
        with self.lock:
            if self.remote is dead:
                self.remote = self.start()


class JudgePool:
    """`starts`: one function a judge, that starts it and returns its proxy. `slots`: programs that one judges at once.

    Raises what a start raises: BackendError where a node gives no room or not the isolation.
    """

    def __init__(self, starts: Sequence[Callable[[], Remote]], slots: int) -> None:
        self._seats = [_Seat(start=start, remote=start()) for start in starts]
        self._slots = slots
        self.level = min(Level(seat.remote.call("level")) for seat in self._seats)

    def run(self, programs: Sequence[Program]) -> list[Judgement]:
        """Judge all; as many judgements, in the same order. Raises BackendError, or StageError where judges die again and again."""
        share = math.ceil(len(programs) / (len(self._seats) * LEASES_AT_A_JUDGE))
        size = max(1, min(share, self._slots * _PROGRAMS_A_SLOT))
        leases = deque(_Lease(start=start, programs=list(programs[start : start + size])) for start in range(0, len(programs), size))
        found: dict[int, list[Judgement]] = {}
        failures: list[Exception] = []

        def work(seat: _Seat) -> None:
            while not failures:
                try:
                    lease = leases.popleft()
                except IndexError:
                    return
                try:
                    found[lease.start] = self._judged(seat, lease)
                except Exception as error:  # noqa: BLE001 - goes to the caller, not to a lost thread
                    failures.append(error)

        threads = [threading.Thread(target=work, args=(seat,), daemon=True) for seat in self._seats for _ in range(LEASES_AT_A_JUDGE)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]
        return [judgement for start in sorted(found) for judgement in found[start]]

    def _judged(self, seat: _Seat, lease: _Lease) -> list[Judgement]:
        while True:
            remote = seat.remote
            try:
                judged: list[Judgement] = remote.call("run", lease.programs)
                return judged
            except StageError:
                lease.deaths += 1
                if _alive(remote) or lease.deaths >= _DEATHS:
                    raise
                seat.replace(remote)

    def close(self) -> None:
        """End the judges in order, so that their boxes go at once."""
        for seat in self._seats:
            if _alive(seat.remote):
                seat.remote.call("close")


def _alive(remote: Remote) -> bool:
    try:
        remote.call("level")
    except StageError:
        return False
    return True


@dataclass(frozen=True, kw_only=True, slots=True)
class Placement:
    """What the scorer needs to start judges: where actors log, how long to wait for room, CPUs asked a judge.

    Example: Placement(logs="/runs/a/logs", timeout_seconds=30.0, cpus=1.0)
    """

    logs: str
    timeout_seconds: float
    cpus: float


def judge_on_each_node(sandbox: Mapping[str, Any], placement: Placement) -> JudgePool:
    """Called in the scorer's actor: the judges end with it. Raises BackendError."""
    from posttrain.cluster import ActorSpec, Cluster

    cluster = Cluster(address="auto", placement_timeout_seconds=placement.timeout_seconds, logs=Path(placement.logs))

    def start_on(number: int, node: str) -> Callable[[], Remote]:
        target = "posttrain.rollout.judges:JudgeServer"
        spec = ActorSpec(name=f"judge-{number}", target=target, kwargs={"sandbox": dict(sandbox)}, cpus=placement.cpus, node=node)
        return lambda: cluster.start(spec)

    return JudgePool([start_on(number, node) for number, node in enumerate(cluster.nodes())], int(sandbox["slots"]))

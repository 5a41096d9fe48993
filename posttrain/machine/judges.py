"""The code judge in a pipeline: one actor a node, started by the scorer when the first program is to be judged, and
owned by it.

    Scorer ── JudgePool.run(programs) ── leases of a few programs ──> JudgeServer on node A ──> its slots and boxes
                 │  at most two leases at a judge: one judged,  ────> JudgeServer on node B
                 │  one waiting, so that none idles and no queue grows; the waiting is outside every test's clock
                 ├─ a judge that dies is started again, and what it had goes out anew: judged once, or the run stops
                 └─ one that hangs is ended after a deadline, and its programs go out anew one by one:
                    what hangs a judge again is a fault
    agent ── JudgePool.session() ── the judge with the fewest sessions ──> an interpreter there, cell by cell

Verifiers see what they see of a judge in their own process (`run`, `level`, `session`). Knows nothing of Ray's API
(`cluster.py` does).
"""

from __future__ import annotations

import contextlib
import itertools
import math
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from posttrain.errors import BackendError, StageError
from sandbox.errors import Fault, SandboxError
from sandbox.inside.contract import MOST_WALL
from sandbox.interpreter import SESSION, CellResult, LimitReached, Session, SessionLimits
from sandbox.types import Judgement, Level, Limits, Outcome, Program, TestResult

if TYPE_CHECKING:
    from posttrain.machine.cluster import Remote

LEASES_AT_A_JUDGE = 2
_PROGRAMS_A_SLOT = 8  # in one lease
_DEATHS = 3  # judges that may die under one lease
READY_SECONDS = 120.0  # for what is no test: boxes and images that start, a daemon that comes back
MARGIN = 2.0  # of the longest that a judge at work may take for a test: some are run again, some wait for two boxes


class JudgeServer:
    """The object in a judge's actor. Raises BackendError where the isolation asked for cannot be had."""

    def __init__(self, sandbox: Mapping[str, Any]) -> None:
        from sandbox.judge import Judge

        try:
            self._judge = Judge(**sandbox)
        except SandboxError as error:
            raise BackendError(str(error), where="sandbox") from error
        self._sessions: dict[int, Session] = {}
        self._numbers = itertools.count()

    def level(self) -> str:
        """The isolation reached on this node; also the sign that the judge is alive."""
        return str(self._judge.level)

    def images(self) -> dict[str, str]:
        return self._judge.images

    def run(self, programs: Sequence[Program], fail_fast: bool = False) -> list[Judgement]:
        return self._judge.run(list(programs), fail_fast)

    def open_session(self, limits: SessionLimits) -> int | SandboxError:
        """The session's number here. The caller keeps to as many at once as this judge has slots: one more would wait
        for ever."""
        try:
            session = self._judge.session(limits)
        except Fault as error:
            return error
        number = next(self._numbers)
        self._sessions[number] = session
        return number

    def cell(self, number: int, source: str) -> CellResult | SandboxError:
        """A cell's result; LimitReached and Fault come back as values, as they are the session's business and not the
        actor's."""
        try:
            return self._sessions[number].run(source)
        except (LimitReached, Fault) as error:
            return error

    def end_session(self, number: int) -> None:
        self._sessions.pop(number).close()

    def close(self) -> None:
        self._judge.close()


@dataclass(kw_only=True, slots=True)
class _Lease:
    """Programs that one judge has; `again`: one has hung over them. Example: _Lease(start=16, programs=[...],
    deaths=0)"""

    start: int
    programs: list[Program]
    deaths: int = 0
    again: bool = False


@dataclass(kw_only=True, slots=True)
class _Seat:
    """A judge's place. Mutable: another judge takes it when the first has died. `due`: what was asked and is not
    answered, with the seconds it may take, as a judge does one thing at a time; `ended`: judges that we have ended, as
    they were late."""

    start: Callable[[], Remote]
    remote: Remote
    lock: threading.Lock = field(default_factory=threading.Lock)
    sessions: int = 0
    due: list[tuple[Remote, float]] = field(default_factory=list)
    ended: list[Remote] = field(default_factory=list)

    def ask(self, remote: Remote, seconds: float, method: str, *args: Any) -> Any:
        """Ask a judge of this place what it may take so long for, once it is done with what it was asked before.

        Raises StageError; Late when it was too long, and it has been ended.
        """
        from posttrain.machine.cluster import Late

        mine = (remote, seconds)
        with self.lock:
            self.due.append(mine)
            allowed = sum(each for asked, each in self.due if asked is remote)
        try:
            return remote.call_within(allowed, method, *args)
        except Late:
            self.ended.append(remote)
            remote.kill()
            raise
        finally:
            with self.lock:
                self.due.remove(mine)

    def is_alive(self, remote: Remote) -> bool:
        try:
            self.ask(remote, READY_SECONDS, "level")
        except StageError:
            return False
        return True

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
        self._session_ended = threading.Condition()
        self.level = min(Level(seat.ask(seat.remote, READY_SECONDS, "level")) for seat in self._seats)

    @property
    def images(self) -> dict[str, str]:
        """Profile -> id of the image that judges ran, as far as they live to say; of several nodes' the last."""
        found: dict[str, str] = {}
        for seat in self._seats:
            with contextlib.suppress(
                StageError
            ):  # a judge that died is replaced when programs come, not for a question
                found |= seat.ask(seat.remote, READY_SECONDS, "images")
        return found

    def run(self, programs: Sequence[Program], fail_fast: bool = False) -> list[Judgement]:
        """Judge all; as many judgements, in the same order. Raises BackendError, or StageError where judges die again
        and again."""
        share = math.ceil(len(programs) / (len(self._seats) * LEASES_AT_A_JUDGE))
        size = max(1, min(share, self._slots * _PROGRAMS_A_SLOT))
        leases = deque(
            _Lease(start=start, programs=list(programs[start : start + size]))
            for start in range(0, len(programs), size)
        )
        found: dict[int, list[Judgement]] = {}
        failures: list[Exception] = []

        def work(seat: _Seat) -> None:
            while not failures:
                try:
                    lease = leases.popleft()
                except IndexError:
                    return
                try:
                    found[lease.start] = self._judge_lease(seat, lease, fail_fast)
                except Exception as error:  # noqa: BLE001 - goes to the caller, not to a lost thread
                    failures.append(error)

        threads = [
            threading.Thread(target=work, args=(seat,), daemon=True)
            for seat in self._seats
            for _ in range(LEASES_AT_A_JUDGE)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]
        return [judgement for start in sorted(found) for judgement in found[start]]

    def session(self, limits: SessionLimits = SESSION) -> PooledSession:
        """An interpreter on the judge that has the fewest; at most `slots` on each, so this may wait for one to end.
        Raises Fault."""
        with self._session_ended:
            self._session_ended.wait_for(lambda: min(seat.sessions for seat in self._seats) < self._slots)
            seat = min(self._seats, key=lambda seat: seat.sessions)
            seat.sessions += 1
        remote = seat.remote
        try:
            return PooledSession(seat, remote, limits, lambda dead: self._give_back(seat, dead))
        except BaseException:
            self._give_back(seat, None if seat.is_alive(remote) else remote)
            raise

    def _give_back(self, seat: _Seat, dead: Remote | None) -> None:
        if dead is not None:
            seat.replace(dead)
        with self._session_ended:
            seat.sessions -= 1
            self._session_ended.notify()

    def _judge_lease(self, seat: _Seat, lease: _Lease, fail_fast: bool) -> list[Judgement]:
        from posttrain.machine.cluster import Late

        while True:
            remote = seat.remote
            try:
                how = (True,) if fail_fast else ()
                seconds = patience(lease.programs, self._slots)
                judged: list[Judgement] = seat.ask(remote, seconds, "run", lease.programs, *how)
                return judged
            except Late as error:
                seat.replace(remote)
                if lease.again:
                    return [_fault(program, self.level, error.what) for program in lease.programs]
                ones = [_Lease(start=lease.start, programs=[program], again=True) for program in lease.programs]
                return [judgement for one in ones for judgement in self._judge_lease(seat, one, fail_fast)]
            except StageError:
                lease.deaths += remote not in seat.ended
                if seat.is_alive(remote) or lease.deaths >= _DEATHS:
                    raise
                seat.replace(remote)

    def close(self) -> None:
        """End the judges in order, so that their boxes go at once."""
        for seat in self._seats:
            if seat.is_alive(seat.remote):
                with contextlib.suppress(StageError):
                    seat.ask(seat.remote, READY_SECONDS, "close")


def patience(programs: Sequence[Program], slots: int) -> float:
    """The seconds after which a judge that has these programs to itself is taken to hang: no test of theirs may take so
    long.

    Example: patience([], 2) == READY_SECONDS
    """
    each = [len(program.tests) * _longest(program.limits) for program in programs]
    return READY_SECONDS + sum(each) / slots + max(each, default=0.0)


def _longest(limits: Limits) -> float:
    from sandbox.backends.box import GRACE_SECONDS

    return MARGIN * (MOST_WALL * limits.wall_seconds + GRACE_SECONDS)


def _fault(program: Program, level: Level, reason: str) -> Judgement:
    from sandbox.judging.judgements import judgement_of

    rest = [TestResult(outcome=Outcome.NOT_RUN)] * (len(program.tests) - 1)
    judgement = judgement_of(program, [TestResult(outcome=Outcome.FAULT, detail=reason), *rest], reason)
    return replace(judgement, level=level.value, retries=1)


class PooledSession:
    """`sandbox.interpreter.Session` on a judge elsewhere: the same `run` and `close`. A judge that dies ends it with a
    Fault."""

    def __init__(
        self, seat: _Seat, remote: Remote, limits: SessionLimits, give_back: Callable[[Remote | None], None]
    ) -> None:
        self.limits = limits
        self._seat, self._remote = seat, remote
        self._give_back = give_back
        self._number = int(self._ask("open_session", limits))
        self._closed = False

    def run(self, source: str) -> CellResult:
        """Run one cell. Raises as Session.run does."""
        if self._closed:
            raise RuntimeError("this session is closed")
        try:
            result: CellResult = self._ask("cell", self._number, source)
        except Fault:
            self.close()
            raise
        return result

    def close(self) -> None:
        """End the interpreter; the next session may take its place."""
        if self._closed:
            return
        self._closed = True
        dead = None
        try:
            self._seat.ask(self._remote, READY_SECONDS, "end_session", self._number)
        except StageError:
            dead = None if self._seat.is_alive(self._remote) else self._remote
        self._give_back(dead)

    def __enter__(self) -> PooledSession:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, method: str, *args: Any) -> Any:
        try:
            answer = self._seat.ask(self._remote, READY_SECONDS + _longest(self.limits.of_a_cell()), method, *args)
        except StageError as error:
            raise Fault(f"the judge of this session is gone: {error.what}") from error
        if isinstance(answer, SandboxError):
            raise answer
        return answer


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
    from posttrain.machine.cluster import ActorSpec, Cluster

    cluster = Cluster(address="auto", placement_timeout_seconds=placement.timeout_seconds, logs=Path(placement.logs))

    def start_on(number: int, node: str) -> Callable[[], Remote]:
        spec = ActorSpec(
            name=f"judge-{number}",
            target=JudgeServer,
            kwargs={"sandbox": dict(sandbox)},
            cpus=placement.cpus,
            node=node,
        )
        return lambda: cluster.start(spec)

    return JudgePool([start_on(number, node) for number, node in enumerate(cluster.nodes())], int(sandbox["slots"]))

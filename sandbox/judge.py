"""The judge: programs in, judgements out, in order. Owns tests, expectations and comparison; boxes only run things.

    run() --jobs--> queue --> slot threads (one box each, a second for split tests) --> judgements, back in order
                              waits for: its box                 unblocked by: frames, deadlines

A fault (channel closed, supervisor gone, daemon dead) throws the box away and tries the program again in a fresh one.
Only a program under which fresh boxes die, while a plain program still passes in the next, is `tamper`; all else ends
as `fault`, no score.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from dataclasses import asdict, replace
from queue import SimpleQueue
from types import TracebackType
from typing import Any

from sandbox.backends.box import SMALL, Backend, Box, Size
from sandbox.backends.isolation import choose
from sandbox.errors import Fault, ImageError, ProgramError
from sandbox.images.root_tree import PLAIN, SCIENCE, profile_of, science_packages
from sandbox.inside.contract import MOST_WAITING_SECONDS, MOST_WALL
from sandbox.inside.frames import from_text, to_text
from sandbox.interpreter import SESSION, Session, SessionLimits
from sandbox.judging import host_speed
from sandbox.judging.batches import box_size, portions
from sandbox.judging.checker import checker_limits, run_checker
from sandbox.judging.rerun import JUST_OVER_RUNS, Floor, just_over, over_time
from sandbox.judging.split_test import GRACE_SECONDS, run_split, test_side_limits
from sandbox.judging.test_forms import Call, Judged, Split, TestFile, lift, runs_text
from sandbox.judging.verdicts import judge_call, judge_script, judge_test_file, result_of, script_failure
from sandbox.types import CheckerTest, Judgement, Level, Limits, Outcome, Program, PytestTest, StdinTest, TestResult

ATTEMPTS = 3  # boxes that may die under a program
CONFIRMED = 3  # tests of a program past a limit also on the quiet floor, after which no more are run again
_CANARY = Program(id="canary", program="print(6 * 7)", tests=(StdinTest(stdin=b"", stdout=b"42"),))
_PAUSES_SECONDS = (
    0.0,
    0.2,
    1.0,
    3.0,
    8.0,
)  # before each try; the long ones only where no box starts: a daemon may come back


class Judge:
    """Context manager over a pool of `slots` boxes; `run` may be called from several threads at once.

    `backend` auto, docker, namespaces or local; `min_level` the weakest isolation accepted, see doctor.choose. `image`
    a digest to use with docker instead of the one built here. `cpu_scale` multiplies CPU limits; None takes what a
    calibration of this host says.
    Raises LevelError (exit_code 69) when the level cannot be had.
    """

    def __init__(
        self,
        backend: str = "auto",
        min_level: str = "container",
        allow_unsafe: str | None = None,
        slots: int = 2,
        image: str | None = None,
        cpu_scale: float | None = None,
    ) -> None:
        if slots < 1:
            raise ValueError(f"slots must be at least 1, not {slots}")
        self.backend: Backend = choose(backend, min_level, allow_unsafe, image)
        self.cpu_scale = host_speed.cpu_scale() if cpu_scale is None else cpu_scale
        self._jobs: SimpleQueue[tuple[Program, bool, Future[Judgement]] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._closed = False
        self._sessions = BoxPool(self.backend, slots)
        floor = Floor.of_this_machine()
        self._slots = [Slot(self.backend, number, floor, self.cpu_scale) for number in range(slots)]
        self._threads = [
            threading.Thread(target=self._work, args=(slot,), name=f"judge-{slot.number}", daemon=True)
            for slot in self._slots
        ]
        for thread in self._threads:
            thread.start()

    @property
    def level(self) -> Level:
        """The isolation that programs run under."""
        return self.backend.level

    @property
    def images(self) -> dict[str, str]:
        """Profile -> id of the image that its boxes run, of those started so far."""
        return dict(self.backend.images)

    def run(self, programs: list[Program], fail_fast: bool = False) -> list[Judgement]:
        """Judge all; as many judgements, in the same order. Raises RuntimeError after close."""
        futures: list[Future[Judgement]] = [Future() for _ in programs]
        with self._lock:
            if self._closed:
                raise RuntimeError("this judge is closed")
            for program, future in zip(programs, futures, strict=True):
                self._jobs.put((program, fail_fast, future))
        return [future.result() for future in futures]

    def session(self, limits: SessionLimits = SESSION) -> Session:
        """A stateful interpreter of its own. At most `slots` at once, beside the programs: waits for a box. Raises
        Fault, RuntimeError."""
        return Session(self._sessions.lease(Size.of(limits.of_a_cell())), limits, self._sessions.give_back)

    def close(self, *, at_once: bool = False) -> None:
        """End all boxes. Programs already given are judged first, unless `at_once`; sessions are ended where they
        are."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            while at_once and not self._jobs.empty():
                self._give_up(self._jobs.get())
            for _ in self._threads:
                self._jobs.put(None)
        for slot in self._slots if at_once else ():
            slot.abandon()
        for thread in self._threads:
            thread.join()
        self._sessions.close()
        self.backend.close()

    def __enter__(self) -> Judge:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(at_once=kind is not None)  # as by an interrupt: nobody waits for the rest any more

    @staticmethod
    def _give_up(job: tuple[Program, bool, Future[Judgement]] | None) -> None:
        if job is not None:
            job[2].set_exception(RuntimeError("this judge is closed"))

    def _work(self, slot: Slot) -> None:
        while (job := self._jobs.get()) is not None:
            program, fail_fast, future = job
            try:
                try:
                    judged = slot.judge(program, fail_fast)
                except Exception as error:  # noqa: BLE001 - a bug of ours, over what one program made us read, costs no other its judgement
                    judged = slot.gave_up(program, error)
                future.set_result(judged)
            except BaseException as error:  # noqa: BLE001 - to the caller, not to a lost thread: nobody may wait for ever
                future.set_exception(error)
        slot.drop()


class BoxPool:
    """Boxes lent to sessions, `most` at a time, started when first needed."""

    def __init__(self, backend: Backend, most: int) -> None:
        self.backend = backend
        self._free: list[Box] = []
        self._lent: set[Box] = set()
        self._sizes: dict[Box, Size] = {}
        self._most = most
        self._closed = False
        self._changed = threading.Condition()

    def lease(self, size: Size) -> Box:
        """A box of this size that nobody else has; waits for one to come back. Raises Fault when none starts,
        RuntimeError once closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._most > 0)
            if self._closed:
                raise RuntimeError("this judge is closed")
            self._most -= 1
            box = self._free.pop() if self._free else None
        try:
            if box is not None and not self._sizes[box].holds(size):
                self._sizes.pop(box)
                box.close()
                box = None
            if box is None:
                box = Box(self.backend.start(0, "session", SCIENCE if science_packages() else PLAIN, size))
        except BaseException:
            with self._changed:
                self._most += 1
                self._changed.notify()
            raise
        with self._changed:
            self._lent.add(box)
            self._sizes.setdefault(box, size)
        return box

    def give_back(self, box: Box, sound: bool) -> None:
        """The end of a lease; a box that is not sound is thrown away."""
        with self._changed:
            self._lent.discard(box)
            kept = sound and not self._closed
            if kept:
                self._free.append(box)
            self._most += 1
            self._changed.notify()
        if not kept:
            self._sizes.pop(box, None)
            box.close()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            ended = [*self._free, *self._lent]
            self._free.clear()
            self._changed.notify_all()
        for box in ended:
            box.close()


class Slot:
    """One thread's boxes. Knows one program at a time. `floor` is shared with the judge's other slots; `scale`
    multiplies time limits."""

    def __init__(self, backend: Backend, number: int, floor: Floor | None = None, scale: float = 1.0) -> None:
        self.backend = backend
        self.number = number
        self.floor = floor or Floor()
        self.scale = scale
        self._patient = True
        self._abandoned = False
        self._boxes: dict[tuple[str, str], tuple[Box, Size]] = {}

    def box(self, role: str, profile: str = PLAIN, size: Size = SMALL) -> Box:
        """This slot's box for candidate or test side, of a profile; made when first needed, and anew when too small.
        Raises Fault."""
        box, made_for = self._boxes.get((role, profile), (None, SMALL))
        if box is None or not made_for.holds(size):
            if box is not None:
                box.close()
                del self._boxes[role, profile]
            try:
                box = Box(self.backend.start(self.number, role, profile, size))
            except ImageError as error:  # it was there when the judge started, and may be again
                raise Fault(f"no image: {error.what}") from error
            self._boxes[role, profile] = (box, size)
        if self._abandoned:
            raise Fault("the judge was closed")
        return box

    def abandon(self) -> None:
        """From another thread: end what is running, for good."""
        self._abandoned = True
        for box, _ in list(self._boxes.values()):
            box.close()

    def _test_box(self, program: Program, source: str, limits: dict[str, Any]) -> Box:
        return self.box("test", profile_of(program.preamble, source), Size.of(Limits(**limits)))

    def drop(self) -> None:
        """End this slot's boxes; the next use starts fresh ones."""
        for box, _ in self._boxes.values():
            box.close()
        self._boxes.clear()

    def judge(self, program: Program, fail_fast: bool) -> Judgement:
        started = time.monotonic()
        profile = _profile(program)
        program = replace(program, limits=_scaled(program.limits, self.scale))
        try:
            lifted = [lift(test, program) for test in program.tests]
        except ProgramError as error:
            return self._verdict(program, [], [], started, error=str(error))
        retries, deaths, reason = 0, 0, ""
        pauses = _PAUSES_SECONDS if self._patient else _PAUSES_SECONDS[:1]
        while deaths < ATTEMPTS and retries < len(pauses) and not (retries and self._abandoned):
            time.sleep(pauses[retries])
            ran = False
            try:
                self.box("candidate", profile, box_size(program))
                ran = True
                results, reruns = self._settled(program, lifted, fail_fast)
                self._patient = True
                return self._verdict(program, lifted, results, started, retries=retries, reruns=reruns)
            except Fault as fault:
                self.drop()
                retries += 1
                deaths += ran
                reason = fault.what
        self._patient = deaths > 0  # where no box starts, one program has waited for all: the next ask once each
        outcome = Outcome.TAMPER if deaths == ATTEMPTS and self._healthy() else Outcome.FAULT
        results = [TestResult(outcome=outcome, detail=reason)] + [TestResult(outcome=Outcome.NOT_RUN)] * (
            len(lifted) - 1
        )
        return self._verdict(program, lifted, results, started, retries=retries - 1, error=reason)

    def gave_up(self, program: Program, error: Exception) -> Judgement:
        """The judgement of a program that the judge itself failed over: a fault."""
        self.drop()  # they may be in the middle of a test
        reason = f"the judge failed: {type(error).__name__}: {error}"[:400]
        results = [TestResult(outcome=Outcome.FAULT, detail=reason)] + [TestResult(outcome=Outcome.NOT_RUN)] * (
            len(program.tests) - 1
        )
        return self._verdict(program, [], results, time.monotonic(), error=reason)

    def _healthy(self) -> bool:
        """Whether a plain program passes in a fresh box right now."""
        try:
            return (
                self.attempt(_CANARY, [lift(test, _CANARY) for test in _CANARY.tests], False)[0].outcome is Outcome.PASS
            )
        except Fault:
            self.drop()
            return False

    def _settled(self, program: Program, lifted: list[Judged], fail_fast: bool) -> tuple[list[TestResult], int]:
        """All tests, those past a time limit with their runs on the quiet floor; and how many those were. Raises Fault.

        Of a program that ran into the same limit again and again there, the rest is believed: endless loops would cost
        all slots dearly.
        """
        results: list[TestResult] = []
        reruns = confirmed = 0
        while len(results) < len(lifted):
            start = len(results)
            with self.floor.shared() as turn:
                results += self.attempt(program, lifted[start:], fail_fast)
            for index in range(start, len(results)):
                if results[index].outcome is Outcome.NOT_RUN:
                    del results[index:]  # what stopped it has passed after all
                    break
                if over_time(results[index]) and confirmed < CONFIRMED:
                    results[index], runs = self._once_more(program, lifted[index], results[index], turn.undisturbed)
                    reruns += runs
                    confirmed += runs > 0 and over_time(results[index])
                if results[index].outcome is not Outcome.PASS and (fail_fast or program.score == "all"):
                    return results, reruns  # whatever follows changes neither outcome nor score
        return results, reruns

    def _once_more(
        self, program: Program, test: Judged, result: TestResult, undisturbed: bool
    ) -> tuple[TestResult, int]:
        """What became of a test past a time limit on the quiet floor, the first other outcome or the last; and its
        runs. Raises Fault."""
        runs = 0
        while runs < JUST_OVER_RUNS and (just_over(result, program.limits) or (runs == 0 and not undisturbed)):
            with self.floor.quiet():
                result = self.attempt(program, [test], False)[0]
            runs += 1
        return result, runs

    def attempt(self, program: Program, lifted: list[Judged], fail_fast: bool) -> list[TestResult]:
        """All tests once. Raises Fault."""
        limits = asdict(program.limits)
        results: dict[int, TestResult] = {}
        plain = [index for index, test in enumerate(lifted) if not isinstance(test, Split)]
        if not fail_fast and plain:
            results = dict(zip(plain, self._plain(program, [lifted[index] for index in plain], limits), strict=True))
        for index, test in enumerate(lifted):
            if index in results:
                continue
            if isinstance(test, Split):
                candidate = self.box("candidate", _profile(program), box_size(program))
                results[index] = run_split(
                    candidate, self._test_box(program, test.source, test_side_limits(limits)), program, test, limits
                )
            else:
                results[index] = self._plain(program, [test], limits)[0]
            if fail_fast and results[index].outcome is not Outcome.PASS:
                break
        return [results.get(index, TestResult(outcome=Outcome.NOT_RUN)) for index in range(len(lifted))]

    def _plain(self, program: Program, tests: list[Judged], limits: dict[str, Any]) -> list[TestResult]:
        """Script and call tests, sent as one frame or, with much input, a few; their results come back one by one."""
        box = self.box("candidate", _profile(program), box_size(program))
        results: list[TestResult] = []
        for portion in portions(tests):
            cases = [_case(test) for test in portion]
            box.send({"op": "run", "program": program.program, "limits": limits, "interactive": False, "cases": cases})
            for index, test in enumerate(portion):
                # A result that just missed the last write comes with the next one.
                raw = box.receive(MOST_WALL * program.limits.wall_seconds + MOST_WAITING_SECONDS + GRACE_SECONDS)
                if raw.get("op") != "result" or raw.get("case") != index:
                    raise Fault(
                        f"the box answered {raw.get('op')!r} for case {raw.get('case')!r} where {index} was due"
                    )
                results.append(self._result(program, test, raw, limits))
        return results

    def _result(self, program: Program, test: Judged, raw: dict[str, Any], limits: dict[str, Any]) -> TestResult:
        if isinstance(test, StdinTest):
            return judge_script(test, raw, program)
        if isinstance(test, Call):
            return judge_call(test, raw, program.limits)
        if isinstance(test, TestFile):
            return judge_test_file(test, raw, program.limits)
        if not isinstance(test, CheckerTest):
            raise TypeError(f"not a plain test: {type(test).__name__}")
        failed = script_failure(raw, program.limits)
        if failed is not None:
            return failed
        output = from_text(raw["stdout"])
        mine = checker_limits(test, output, limits)
        outcome, detail = run_checker(self._test_box(program, test.checker, mine), test, output, program.preamble, mine)
        trust = "low" if runs_text(test.checker) or runs_text(program.preamble) else "full"
        return replace(result_of(raw, outcome, detail), trust=trust)

    def _verdict(
        self,
        program: Program,
        lifted: list[Judged],
        results: list[TestResult],
        started: float,
        *,
        retries: int = 0,
        reruns: int = 0,
        error: str | None = None,
    ) -> Judgement:
        judgement = judgement_of(program, results, error)
        low = any(isinstance(test, TestFile) or (isinstance(test, Split) and test.low_trust) for test in lifted)
        low = low or any(result.trust == "low" for result in results)
        return replace(
            judgement,
            level=self.backend.level.value,
            backend=self.backend.name,
            image=self.backend.images.get(_profile(program), self.backend.images.get(PLAIN)),
            trust="low" if low else "full",
            retries=retries,
            reruns=reruns,
            cpu_scale=self.scale,
            seconds=round(time.monotonic() - started, 6),
        )


def _case(test: Judged) -> dict[str, Any]:
    if isinstance(test, StdinTest | CheckerTest):
        return {"mode": "script", "stdin": to_text(test.stdin)}
    if isinstance(test, Call):
        return {"mode": "call", "name": test.name, "args": test.args, "kwargs": test.kwargs}
    if isinstance(test, TestFile):
        return {"mode": "pytest", "source": test.source}
    raise TypeError(f"not a plain test: {type(test).__name__}")


def _profile(program: Program) -> str:
    return SCIENCE if any(isinstance(test, PytestTest) for test in program.tests) else profile_of(program.program)


def _scaled(limits: Limits, scale: float) -> Limits:
    """Limits as this host needs them. Wall time is for waiting, which is no quicker on a fast host; a slow one must not
    run into it."""
    if scale == 1.0:
        return limits
    return replace(limits, cpu_seconds=limits.cpu_seconds * scale, wall_seconds=limits.wall_seconds * max(1.0, scale))


def judgement_of(program: Program, results: list[TestResult], error: str | None) -> Judgement:
    """The program's outcome and score from its tests' results; no results and an error make it invalid.

    A fault or an invalid test leaves no score, unless all must pass and another test has already failed.
    """
    passed = sum(result.outcome is Outcome.PASS for result in results)
    failures = [result.outcome for result in results if result.outcome is not Outcome.PASS]
    outcome = failures[0] if failures else Outcome.PASS if results else Outcome.INVALID
    unjudged = [result.outcome in (Outcome.FAULT, Outcome.INVALID, Outcome.NOT_RUN) for result in results]
    failed = any(
        result.outcome is not Outcome.PASS and not skip for result, skip in zip(results, unjudged, strict=True)
    )
    total = len(program.tests)
    score: float | None = None
    if results and program.score == "all" and (failed or passed == total):
        score = 0.0 if failed else 1.0
    elif (
        results
        and program.score == "fraction"
        and not any(result.outcome in (Outcome.FAULT, Outcome.INVALID) for result in results)
    ):
        score = passed / total
    return Judgement(
        id=program.id,
        outcome=outcome,
        passed=passed,
        total=total,
        score=score,
        tests=tuple(results),
        level="",
        backend="",
        error=error,
        limits=program.limits,
    )


def invalid(identity: str, error: str, backend: Backend) -> Judgement:
    """The judgement of a row that cannot be read as a program."""
    return Judgement(
        id=identity,
        outcome=Outcome.INVALID,
        passed=0,
        total=0,
        score=None,
        tests=(),
        level=backend.level.value,
        backend=backend.name,
        image=backend.images.get(PLAIN),
        error=error,
        limits=Limits(),
    )

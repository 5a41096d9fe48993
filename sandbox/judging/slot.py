"""One slot of a judge: a thread's boxes, and a program judged in them from its tests to its judgement.

A fault (channel closed, supervisor gone, daemon dead) throws the boxes away and tries the program again in fresh ones.
Only a program under which fresh boxes die, while a plain program still passes in the next, is `tamper`; all else ends
as `fault`, no score. Knows nothing of other slots but when they run (rerun.py).
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from typing import Any

from sandbox.backends.box import GRACE_SECONDS, SMALL, Backend, Box, Size
from sandbox.errors import Fault, ImageError, ProgramError
from sandbox.images.root_tree import PLAIN, SCIENCE, profile_of
from sandbox.inside.contract import MOST_WAITING_SECONDS, MOST_WALL
from sandbox.inside.frames import from_text, to_text
from sandbox.judging.batches import batches, box_size
from sandbox.judging.checker import checker_limits, run_checker
from sandbox.judging.judgements import judgement_of, results_without_a_run
from sandbox.judging.rerun import MOST_RERUNS, SlotSchedule, is_barely_past, is_past_time_limit
from sandbox.judging.runnable_tests import CallCase, PytestFile, RunnableTest, SplitTest, runnable_test, runs_text
from sandbox.judging.split_test import run_split_test, trusted_limits
from sandbox.judging.verdicts import judge_call, judge_pytest_file, judge_script, result_of, script_failure
from sandbox.types import (
    CheckerTest,
    Judgement,
    Limits,
    Outcome,
    OutputTest,
    Program,
    PytestTest,
    StdinTest,
    TestResult,
)

MOST_DEATHS = 3  # boxes that may die under a program
# Tests of a program that were past a limit also when run again alone; after so many the others are believed.
MOST_CONFIRMED = 3
_CANARY = Program(id="canary", program="print(6 * 7)", tests=(StdinTest(stdin=b"", stdout=b"42"),))
# Before each try; the long ones only where no box starts: a daemon may come back.
_PAUSES_SECONDS = (0.0, 0.2, 1.0, 3.0, 8.0)


@dataclass(kw_only=True, slots=True)
class Effort:
    """What it took to judge a program. Example: Effort(started=time.monotonic(), retries=1)"""

    started: float
    retries: int = 0
    reruns: int = 0


class Slot:
    """One thread's boxes. Knows one program at a time. `schedule` is shared with the judge's other slots; `scale`
    multiplies time limits."""

    def __init__(self, backend: Backend, number: int, schedule: SlotSchedule | None = None, scale: float = 1.0) -> None:
        self.backend = backend
        self.number = number
        self.schedule = schedule or SlotSchedule()
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
        """The judgement. Boxes that fail again and again make it a fault, or `tamper` where only this program has that
        effect."""
        effort = Effort(started=time.monotonic())
        program = replace(program, limits=_scaled_limits(program.limits, self.scale))
        try:
            tests = [runnable_test(test, program) for test in program.tests]
        except ProgramError as error:
            return self._judgement(program, [], [], effort, error=str(error))
        deaths, reason = 0, ""
        pauses = _PAUSES_SECONDS if self._patient else _PAUSES_SECONDS[:1]
        while deaths < MOST_DEATHS and effort.retries < len(pauses) and not (effort.retries and self._abandoned):
            time.sleep(pauses[effort.retries])
            ran = False
            try:
                self.box("candidate", _profile(program), box_size(program))
                ran = True
                results, effort.reruns = self._results_with_reruns(program, tests, fail_fast)
                self._patient = True
                return self._judgement(program, tests, results, effort)
            except Fault as fault:
                self.drop()
                effort.retries += 1
                deaths += ran
                reason = fault.what
        self._patient = deaths > 0  # where no box starts, one program has waited for all: the next ask once each
        effort.retries -= 1  # the first try was none
        outcome = Outcome.TAMPER if deaths == MOST_DEATHS and self._passes_canary() else Outcome.FAULT
        return self._judgement(program, tests, results_without_a_run(outcome, reason, len(tests)), effort, error=reason)

    def fault_judgement(self, program: Program, error: Exception) -> Judgement:
        """The judgement of a program that the judge itself failed over: a fault."""
        self.drop()  # they may be in the middle of a test
        reason = f"the judge failed: {type(error).__name__}: {error}"[:400]
        results = results_without_a_run(Outcome.FAULT, reason, len(program.tests))
        return self._judgement(program, [], results, Effort(started=time.monotonic()), error=reason)

    def _passes_canary(self) -> bool:
        """Whether a plain program passes in a fresh box right now."""
        try:
            tests = [runnable_test(test, _CANARY) for test in _CANARY.tests]
            return self.run_tests(_CANARY, tests, fail_fast=False)[0].outcome is Outcome.PASS
        except Fault:
            self.drop()
            return False

    def _results_with_reruns(
        self, program: Program, tests: list[RunnableTest], fail_fast: bool
    ) -> tuple[list[TestResult], int]:
        """All tests, those past a time limit as they came out when run again alone; and how many runs that took. Raises
        Fault.

        Of a program that ran into the same limit again and again there, the rest is believed: endless loops would cost
        all slots dearly.
        """
        results: list[TestResult] = []
        reruns = confirmed = 0
        while len(results) < len(tests):
            start = len(results)
            with self.schedule.side_by_side() as run:
                results += self.run_tests(program, tests[start:], fail_fast)
            for index in range(start, len(results)):
                if results[index].outcome is Outcome.NOT_RUN:
                    del results[index:]  # what stopped it has passed after all
                    break
                if is_past_time_limit(results[index]) and confirmed < MOST_CONFIRMED:
                    results[index], runs = self._rerun_alone(program, tests[index], results[index], run.undisturbed)
                    reruns += runs
                    confirmed += runs > 0 and is_past_time_limit(results[index])
                if results[index].outcome is not Outcome.PASS and (fail_fast or program.score == "all"):
                    return results, reruns  # whatever follows changes neither outcome nor score
        return results, reruns

    def _rerun_alone(
        self, program: Program, test: RunnableTest, result: TestResult, undisturbed: bool
    ) -> tuple[TestResult, int]:
        """What became of a test past a time limit when no other slot ran: the first other outcome, or the last; and its
        runs. Raises Fault."""
        runs = 0
        while runs < MOST_RERUNS and (is_barely_past(result, program.limits) or (runs == 0 and not undisturbed)):
            with self.schedule.alone():
                result = self.run_tests(program, [test], fail_fast=False)[0]
            runs += 1
        return result, runs

    def run_tests(self, program: Program, tests: list[RunnableTest], fail_fast: bool) -> list[TestResult]:
        """All tests once. Raises Fault."""
        limits = asdict(program.limits)
        results: dict[int, TestResult] = {}
        in_one_box = [index for index, test in enumerate(tests) if not isinstance(test, SplitTest)]
        if not fail_fast and in_one_box:
            ran = self._run_in_one_box(program, [tests[index] for index in in_one_box], limits)
            results = dict(zip(in_one_box, ran, strict=True))
        for index, test in enumerate(tests):
            if index in results:
                continue
            if isinstance(test, SplitTest):
                candidate = self.box("candidate", _profile(program), box_size(program))
                results[index] = run_split_test(
                    candidate, self._test_box(program, test.source, trusted_limits(limits)), program, test, limits
                )
            else:
                results[index] = self._run_in_one_box(program, [test], limits)[0]
            if fail_fast and results[index].outcome is not Outcome.PASS:
                break
        return [results.get(index, TestResult(outcome=Outcome.NOT_RUN)) for index in range(len(tests))]

    def _run_in_one_box(self, program: Program, tests: list[RunnableTest], limits: dict[str, Any]) -> list[TestResult]:
        """All but split tests, sent as one frame or, with much input, a few; their results come back one by one."""
        box = self.box("candidate", _profile(program), box_size(program))
        results: list[TestResult] = []
        for batch in batches(tests):
            cases = [_case(test) for test in batch]
            box.send({"op": "run", "program": program.program, "limits": limits, "interactive": False, "cases": cases})
            for index, test in enumerate(batch):
                # A result that just missed the last write comes with the next one.
                raw = box.receive(MOST_WALL * program.limits.wall_seconds + MOST_WAITING_SECONDS + GRACE_SECONDS)
                if raw.get("op") != "result" or raw.get("case") != index:
                    raise Fault(
                        f"the box answered {raw.get('op')!r} for case {raw.get('case')!r} where {index} was due"
                    )
                results.append(self._result(program, test, raw, limits))
        return results

    def _result(self, program: Program, test: RunnableTest, raw: dict[str, Any], limits: dict[str, Any]) -> TestResult:
        if isinstance(test, StdinTest):
            return judge_script(test, raw, program)
        if isinstance(test, OutputTest):
            shown = from_text(raw["stdout"]).decode("utf-8", "replace")
            return script_failure(raw, program.limits) or replace(result_of(raw, Outcome.PASS), output=shown)
        if isinstance(test, CallCase):
            return judge_call(test, raw, program.limits)
        if isinstance(test, PytestFile):
            return judge_pytest_file(test, raw, program.limits)
        if not isinstance(test, CheckerTest):
            raise TypeError(f"not a test of one box: {type(test).__name__}")
        failed = script_failure(raw, program.limits)
        if failed is not None:
            return failed
        output = from_text(raw["stdout"])
        mine = checker_limits(test, output, limits)
        outcome, detail = run_checker(self._test_box(program, test.checker, mine), test, output, program.preamble, mine)
        trust = "low" if runs_text(test.checker) or runs_text(program.preamble) else "full"
        return replace(result_of(raw, outcome, detail), trust=trust)

    def _judgement(
        self,
        program: Program,
        tests: list[RunnableTest],
        results: list[TestResult],
        effort: Effort,
        *,
        error: str | None = None,
    ) -> Judgement:
        low = any(isinstance(test, PytestFile) or (isinstance(test, SplitTest) and test.low_trust) for test in tests)
        low = low or any(result.trust == "low" for result in results)
        return replace(
            judgement_of(program, results, error),
            level=self.backend.level.value,
            backend=self.backend.name,
            image=self.backend.images.get(_profile(program), self.backend.images.get(PLAIN)),
            trust="low" if low else "full",
            retries=effort.retries,
            reruns=effort.reruns,
            cpu_scale=self.scale,
            seconds=round(time.monotonic() - effort.started, 6),
        )


def _case(test: RunnableTest) -> dict[str, Any]:
    if isinstance(test, StdinTest | OutputTest | CheckerTest):
        return {"mode": "script", "stdin": to_text(test.stdin)}
    if isinstance(test, CallCase):
        truth = {"truth": True} if test.truth is not None else {}
        return {"mode": "call", "name": test.name, "args": test.args, "kwargs": test.kwargs, **truth}
    if isinstance(test, PytestFile):
        return {"mode": "pytest", "source": test.source}
    raise TypeError(f"not a test of one box: {type(test).__name__}")


def _profile(program: Program) -> str:
    return SCIENCE if any(isinstance(test, PytestTest) for test in program.tests) else profile_of(program.program)


def _scaled_limits(limits: Limits, scale: float) -> Limits:
    """Limits as this host needs them. Wall time is for waiting, which is no quicker on a fast host; a slow one must not
    run into it."""
    if scale == 1.0:
        return limits
    return replace(limits, cpu_seconds=limits.cpu_seconds * scale, wall_seconds=limits.wall_seconds * max(1.0, scale))

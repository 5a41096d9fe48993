"""Whether a data set's tests are worth training on: the reference solution passes, wrong versions of it fail, each time
the same.

Tests written by a model are often defective, and a reward from them teaches nonsense. Each problem is a row as `sandbox
run` reads it, whose program is the reference solution. Knows the judge only by `run`; files and exit codes are the
command's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from sandbox.judge import Judge
from sandbox.proof.mutants import mutants
from sandbox.types import Judgement, Outcome, Program, TestResult

# A reference solution that needs more of a limit leaves too little room for a slower machine, or a slower right answer.
SLOW_SHARE = 1 / 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One problem's audit. `drop` is why it should not be trained on (empty: keep). Test numbers count from 0.

    `blind` tests let every mutant pass: they may be dropped alone. `seconds` is the reference solution's slowest run.
    Example: Finding(id="7", drop=("flaky: test 2",), mutants=10, caught=9, flaky=(2,), slow=(), blind=(0,),
    seconds=0.02)
    """

    id: str
    drop: tuple[str, ...]
    mutants: int = 0
    caught: int = 0
    flaky: tuple[int, ...] = ()
    slow: tuple[int, ...] = ()
    blind: tuple[int, ...] = ()
    survivors: tuple[str, ...] = ()
    seconds: float = 0.0
    undecided: bool = False  # the judge had a fault: neither kept nor dropped, run it again


def audit_problems(
    judge: Judge,
    problems: list[Program],
    *,
    most_mutants: int = 10,
    reruns: int = 3,
    least_caught: float = 0.5,
    fail_fast: bool = False,
) -> list[Finding]:
    """One finding a problem, in order. `least_caught`: the share of mutants that tests must fail for the problem to be
    kept; `fail_fast`: a mutant is done with its first failed test, so that few tests are known to be blind."""
    found = []
    runs = judge.run([problem for problem in problems for _ in range(reruns)])
    for index, problem in enumerate(problems):
        own = runs[index * reruns : (index + 1) * reruns]
        found.append(_finding_of(judge, problem, own, most_mutants, least_caught, fail_fast))
    return found


def _finding_of(
    judge: Judge, problem: Program, runs: list[Judgement], most: int, least_caught: float, fail_fast: bool
) -> Finding:
    if any(run.outcome is Outcome.FAULT for run in runs):
        return Finding(id=problem.id, drop=(), undecided=True)
    if any(run.outcome is Outcome.INVALID for run in runs):
        error = next(run.error or _reason(run) for run in runs if run.outcome is Outcome.INVALID)
        return Finding(id=problem.id, drop=(f"a test cannot be judged: {error}",))
    numbers = range(len(problem.tests))
    flaky = tuple(number for number in numbers if len({run.tests[number].outcome for run in runs}) > 1)
    slow = tuple(number for number in numbers if any(_is_slow(run.tests[number], problem) for run in runs))
    seconds = max(sum(test.cpu_seconds for test in run.tests) for run in runs)
    common = Finding(id=problem.id, drop=(), flaky=flaky, slow=slow, seconds=round(seconds, 4))
    drop = [f"flaky: {_numbered_tests(flaky)}"] if flaky else []
    if not flaky and runs[0].outcome is not Outcome.PASS:
        failing = tuple(number for number in numbers if runs[0].tests[number].outcome is not Outcome.PASS)
        return replace(common, drop=(f"the reference solution fails {_numbered_tests(failing)}: {_reason(runs[0])}",))
    drop += [f"slow: {_numbered_tests(slow)} take over a third of a limit"] if slow else []
    changed = mutants(problem.program, most)
    judged = judge.run([replace(problem, program=program) for _, program in changed], fail_fast=fail_fast)
    if any(one.outcome is Outcome.FAULT for one in judged):
        return replace(common, undecided=True)
    survivors = tuple(what for (what, _), one in zip(changed, judged, strict=True) if one.outcome is Outcome.PASS)
    caught = len(changed) - len(survivors)
    blind = tuple(
        number for number in numbers if judged and all(one.tests[number].outcome is Outcome.PASS for one in judged)
    )
    if survivors and survivors[0] == "functions do nothing":
        drop.append("a program that does nothing passes")
    if changed and caught < least_caught * len(changed):
        drop.append(f"only {caught} of {len(changed)} mutants fail")
    return replace(common, drop=tuple(drop), mutants=len(changed), caught=caught, blind=blind, survivors=survivors)


def _is_slow(test: TestResult, problem: Program) -> bool:
    limits = problem.limits
    return test.cpu_seconds > SLOW_SHARE * limits.cpu_seconds or (
        test.outcome is Outcome.PASS and test.wall_seconds > SLOW_SHARE * limits.wall_seconds
    )


def _numbered_tests(numbers: tuple[int, ...]) -> str:
    return f"test{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"


def _reason(run: Judgement) -> str:
    failing = next((test for test in run.tests if test.outcome is not Outcome.PASS), None)
    return run.outcome.value if failing is None else f"{failing.outcome.value} {failing.detail}".strip()

"""From the results of a program's tests to its judgement: outcome and score.

Knows nothing of boxes. Whoever ran the tests adds what it knows: level, image, runs repeated, time taken.
"""

from __future__ import annotations

from sandbox.backends.box import Backend
from sandbox.images.root_tree import PLAIN
from sandbox.types import Judgement, Limits, Outcome, Program, TestResult


def judgement_of(program: Program, results: list[TestResult], error: str | None) -> Judgement:
    """The program's outcome and score from its tests' results; no results and an error make it invalid.

    A fault or an invalid test leaves no score, unless all must pass and another test has already failed.
    """
    passed = sum(result.outcome is Outcome.PASS for result in results)
    failures = [result.outcome for result in results if result.outcome is not Outcome.PASS]
    outcome = failures[0] if failures else Outcome.PASS if results else Outcome.INVALID
    return Judgement(
        id=program.id,
        outcome=outcome,
        passed=passed,
        total=len(program.tests),
        score=_score(program, results, passed),
        tests=tuple(results),
        level="",
        backend="",
        error=error,
        limits=program.limits,
    )


def _score(program: Program, results: list[TestResult], passed: int) -> float | None:
    outcomes = [result.outcome for result in results]
    if not results:
        return None
    if program.score == "all":
        if any(one not in (Outcome.PASS, Outcome.FAULT, Outcome.INVALID, Outcome.NOT_RUN) for one in outcomes):
            return 0.0
        return 1.0 if passed == len(program.tests) else None
    if Outcome.FAULT in outcomes or Outcome.INVALID in outcomes:
        return None
    return passed / len(program.tests)


def results_without_a_run(outcome: Outcome, detail: str, tests: int) -> list[TestResult]:
    """The results of a program that ended as a whole: the first test carries why, the others were not run."""
    return [TestResult(outcome=outcome, detail=detail)] + [TestResult(outcome=Outcome.NOT_RUN)] * (tests - 1)


def invalid_judgement(identity: str, error: str, backend: Backend) -> Judgement:
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

"""Public shapes of code problems, each judged by the real verifier in the real sandbox: right answers are accepted,
wrong ones refused."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rewards.golds.formats import read_problem
from rewards.load import build_verifier
from rewards.services import Services
from rewards.types import Outcome, Request
from sandbox.errors import LevelError
from sandbox.judge import Judge
from sandbox.types import UNSAFE_SENTENCE
from tests.rewards.golds.code_rows import CASES


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    """Namespaces where they work; else a plain subprocess: the programs here are harmless."""
    try:
        opened = Judge("namespaces", "namespaces")
    except LevelError:
        opened = Judge("local", "none", UNSAFE_SENTENCE)
    with opened:
        yield opened


@pytest.mark.parametrize("name", CASES)
def test_the_right_program_passes_and_the_wrong_ones_do_not(judge: Judge, name: str) -> None:
    case = CASES[name]
    problem = read_problem(case.row)
    assert problem is not None and (problem.format, problem.verifier) == (case.format, "code")
    verifier = build_verifier({"kind": "code", **case.options}, Services(judge=lambda: judge))
    verifier.check_gold(problem.gold)
    answers = [*case.right, *case.wrong]
    requests = [Request(response=f"```python\n{answer}\n```", gold=problem.gold) for answer in answers]
    verdicts = [group[0] for group in verifier.verify_many([[request] for request in requests])]
    found = [verdict.outcome for verdict in verdicts]
    wanted = [Outcome.CORRECT] * len(case.right) + [Outcome.WRONG] * len(case.wrong)
    assert found == wanted, [(verdict.outcome, verdict.reason, verdict.certificate) for verdict in verdicts]

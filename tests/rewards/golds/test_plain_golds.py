"""Public shapes of everything but code, each judged by the real verifier: right answers are accepted, wrong ones
refused."""

from __future__ import annotations

import pytest

from rewards.golds.formats import read_problem
from rewards.load import build_verifier
from rewards.services import Services
from rewards.types import Request
from tests.rewards.golds.plain_rows import CASES

VERIFIERS = {
    kind: build_verifier({"kind": kind}, Services()) for kind in ("math", "choice", "instructions", "tool_call")
}


@pytest.mark.parametrize("name", CASES)
def test_the_right_answer_passes_and_the_wrong_ones_do_not(name: str) -> None:
    case = CASES[name]
    problem = read_problem(case.row)
    assert problem is not None and problem.format == case.format
    verifier = VERIFIERS[problem.verifier]
    prompt = Request(response="", gold=problem.gold, metadata=problem.metadata, question=problem.question or "")
    assert verifier.gold_problems([prompt]) == [None]
    for answer in (*case.right, *case.wrong):
        request = Request(
            response=answer, gold=problem.gold, metadata=problem.metadata, question=problem.question or ""
        )
        verdict = verifier.verify(request)
        assert verdict.passed == (answer in case.right), (answer, verdict.outcome, verdict.reason, problem.gold)


def test_the_options_of_gpqa_stand_in_an_order_that_does_not_tell_the_right_one() -> None:
    letters = []
    for number in range(400):
        row = {"Question": f"Which of {number}?", "Correct Answer": "yes"}
        row |= {f"Incorrect Answer {n}": f"no {n}" for n in (1, 2, 3)}
        problem, again = read_problem(row), read_problem(dict(reversed(row.items())))
        assert problem is not None and again is not None and problem.gold == again.gold
        assert problem.metadata["options"]["ABCD".index(problem.gold)] == "yes"
        letters.append(problem.gold)
    assert all(70 <= letters.count(letter) <= 130 for letter in "ABCD")

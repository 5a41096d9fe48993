"""The code kind with the real judge: which program is taken from an answer, and what each outcome of the judge
becomes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rewards.base import Built
from rewards.errors import VerifierError
from rewards.load import build_verifier
from rewards.rules.code import extract_program
from rewards.services import Services
from rewards.types import Outcome, Request
from sandbox.errors import LevelError
from sandbox.judge import Judge
from sandbox.types import UNSAFE_SENTENCE

GOLD = {"entry_point": "double", "tests": [{"args": [2], "expected": 4}, {"args": [0], "expected": 0}]}
THINK = ("<think>", "</think>")


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    """Namespaces where they work; else a plain subprocess: the programs here are harmless."""
    try:
        opened = Judge("namespaces", "namespaces")
    except LevelError:
        opened = Judge("local", "none", UNSAFE_SENTENCE)
    with opened:
        yield opened


def build(judge: Judge, **options: object) -> Built:
    return build_verifier({"kind": "code", **options}, Services(judge=lambda: judge))


def fenced(body: str) -> str:
    return f"<think>hm</think>Here:\n```python\n{body}\n```\nDone."


def test_outcomes_of_the_judge_become_verdicts_in_one_batch(judge: Judge) -> None:
    answers = {
        "def double(x):\n    return 2 * x": (Outcome.CORRECT, 1.0, "pass"),
        "def double(x):\n    return 4": (Outcome.WRONG, 0.0, "wrong"),
        "def double(x):\n    return 1 / 0": (Outcome.WRONG, 0.0, "runtime_error"),
        "def double(x:": (Outcome.WRONG, 0.0, "compile_error"),
    }
    groups = build(judge).verify_many([[Request(response=fenced(body), gold=GOLD)] for body in answers])
    assert [(v.outcome, v.score, v.reason) for [v] in groups] == list(answers.values())


def test_a_fraction_pays_for_each_test_and_still_only_all_is_correct(judge: Judge) -> None:
    verdict = build(judge, score="fraction").verify(Request(response=fenced("def double(x):\n    return 4"), gold=GOLD))
    assert (verdict.outcome, verdict.score, verdict.parts) == (Outcome.WRONG, 0.5, {"tests_passed": 0.5})


def test_tests_may_come_in_the_metadata_and_limits_from_the_recipe(judge: Judge) -> None:
    verifier = build(judge, limits={"cpu_seconds": 1, "wall_seconds": 3})
    slow = fenced("def double(x):\n    while True:\n        pass")
    verdict = verifier.verify(Request(response=slow, metadata=GOLD))
    assert (verdict.outcome, verdict.score) == (Outcome.WRONG, 0.0)
    assert verdict.reason in ("cpu_limit", "wall_limit")


def test_without_a_program_or_tests_nothing_is_run() -> None:
    verifier = build_verifier({"kind": "code"}, Services())  # no judge: opening one would raise
    assert verifier.verify(Request(response="<think>x</think>", gold=GOLD)).reason == "no_program"
    assert verifier.verify(Request(response="x", gold="4")).outcome is Outcome.UNSUPPORTED
    assert verifier.verify(Request(response="x", gold={"tests": [{"what": 1}]})).reason == "tests_unreadable"


def test_pytest_files_are_taken_only_where_asked_for(judge: Judge) -> None:
    gold = {"tests": [{"pytest": "from solution import double\n\ndef test_double():\n    assert double(2) == 4\n"}]}
    request = Request(response=fenced("def double(x):\n    return 2 * x"), gold=gold)
    with pytest.raises(VerifierError, match="shares the program's process"):
        build(judge).check_gold(gold)
    refused = build(judge, on_abstain="skip").verify(request)
    assert (refused.outcome, refused.score, refused.reason) == (Outcome.UNSUPPORTED, None, "tests_unreadable")
    taken = build(judge, pytest=True)
    taken.check_gold(gold)
    assert (taken.verify(request).outcome, taken.verify(request).certificate["trust"]) == (Outcome.CORRECT, "low")


def test_an_assert_that_calls_nothing_of_the_program_is_no_gold(judge: Judge) -> None:
    with pytest.raises(VerifierError, match="calls nothing of the program"):
        build(judge).check_gold({"tests": [{"assert": "assert sum([1, 2]) == 3"}]})


def test_a_gold_is_checked_at_load() -> None:
    verifier = build_verifier({"kind": "code"}, Services())
    verifier.check_gold(GOLD)
    for gold in (None, {}, {"tests": []}, {"tests": [{"args": [1]}]}):
        with pytest.raises(VerifierError):
            verifier.check_gold(gold)


@pytest.mark.parametrize(
    ("response", "program"),
    [
        ("```python\na = 1\n```", "a = 1"),
        ("```python\na = 1\n```\nbetter:\n```py\na = 2\n```", "a = 2"),
        ("```\na = 1\n```", "a = 1"),
        ("```python\na = 1\n```\n```text\noutput\n```", "a = 1"),
        ("a = 1", "a = 1"),
        ("<think>```python\na = 1\n```</think>a = 2", "a = 2"),
        ("```python\na = 1", "a = 1"),
        ("", ""),
    ],
)
def test_the_last_python_block_of_the_visible_answer_is_the_program(response: str, program: str) -> None:
    assert extract_program(response, THINK) == program

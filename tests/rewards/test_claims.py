"""What denies, lists or takes back a claim is never rewarded, nor what nobody sees; honest prose around a claim is. In
linear time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from benchmarks.math_answers.claims import CHOICE_HONEST, CHOICE_HOSTILE, MATH_HONEST, MATH_HOSTILE
from rewards.load import build_verifier
from rewards.math.extract import boxed_answer, find_answer
from rewards.prose.claims import (
    correction_start,
    has_alternative,
    is_denied,
    is_doubtful,
    is_refused,
    plain_text,
    retraction_end,
    without_contrast,
)
from rewards.prose.letters import claimed_letter
from rewards.prose.visible import is_blank
from rewards.services import Services
from rewards.types import Outcome, Request

LETTERS = "ABCDEFGHIJ"
MATH = build_verifier({"kind": "math"}, Services())
CHOICE = build_verifier({"kind": "choice"}, Services())


@pytest.mark.parametrize(("gold", "response"), CHOICE_HOSTILE)
def test_a_choice_that_is_denied_listed_or_taken_back_is_never_accepted(gold: str, response: str) -> None:
    assert CHOICE.verify(Request(response=response, gold=gold)).outcome is not Outcome.CORRECT


@pytest.mark.parametrize(("gold", "response"), CHOICE_HONEST)
def test_a_choice_stands_whatever_is_said_of_the_others(gold: str, response: str) -> None:
    assert CHOICE.verify(Request(response=response, gold=gold)).passed


@pytest.mark.parametrize(("gold", "response"), MATH_HOSTILE)
def test_a_value_that_is_denied_or_taken_back_is_never_accepted(gold: str, response: str) -> None:
    assert MATH.verify(Request(response=response, gold=gold)).outcome is not Outcome.CORRECT


@pytest.mark.parametrize(("gold", "response"), MATH_HONEST)
def test_a_value_stands_with_the_prose_around_it(gold: str, response: str) -> None:
    assert MATH.verify(Request(response=response, gold=gold)).passed


@pytest.mark.parametrize(
    ("response", "text"),
    [
        ("\\boxed{3} or \\boxed{4}", "3 or 4"),
        ("\\boxed{3}, \\boxed{4}", "3, 4"),
        ("$\\boxed{3}$ and also $\\boxed{4}$", "3, 4"),
        ("\\boxed{3}\\text{ or }\\boxed{4}", "3 or 4"),
        ("\\boxed{4} or \\boxed{4}", "4"),
        ("\\boxed{\\boxed{4}}", "\\boxed{4}"),
        ("first \\boxed{3}, then \\boxed{4}", "4"),
        ("\\boxed{3}\n\n\\boxed{4}", "4"),
    ],
)
def test_boxes_that_are_joined_are_one_answer(response: str, text: str) -> None:
    found = boxed_answer(response)
    assert found is not None and found.text == text


FUNCTIONS: list[Callable[[str], Any]] = [
    plain_text, without_contrast, is_denied, is_doubtful, is_refused, retraction_end, has_alternative, is_blank,
    boxed_answer, lambda text: correction_start(text, 0), lambda text: claimed_letter(text, LETTERS), lambda text:
    find_answer(text, fallback=True),
]  # fmt: skip
UNITS = (
    " ", "\t", "\n", "*", "(", "-", "$", "9", "a", "B ", "B, ", "B or ", "(B) ", "answer ", "answer\t", "answer is ",
    "answer: ",
    "option B ", "not ", "is not ", "not 4, but ", "4, not ", " rather than 4",
    "wait, ", ". no, ", "so, then, now, ", "oh. oh. oh. ", ". or ", "maybe ",
    "it is ", "it might be 5. ", "5 a b also ", "rule a out ", "might x ", "n't ", "it's ", "\u2019", "\u200b",
    "\\text{", "\\(", "####",
    "\\boxed{4} or ", "**4** ", "**", "is very very wrong", "4 apples a ", "Wait, it is 5 that ", "5,", "I made a big ",
    "x not y be ",
    "nothing but ", "hm", " ,;:", "no: ",
)  # fmt: skip


@pytest.mark.parametrize("unit", UNITS)
def test_a_long_hostile_text_takes_no_time(unit: str) -> None:
    """50,000 characters cost each function less than 50 ms of CPU here (the slowest 42). Ten times that fails:
    quadratic takes seconds."""
    for start in ("", "The answer is 4", "Answer: B", "\\boxed{4}"):
        text = start + (unit * (50_000 // len(unit))) + " 4. The answer is"
        for function in FUNCTIONS:
            started = time.process_time()
            function(text)
            assert time.process_time() - started < 0.5, (function, text[:60])


INVISIBLE = ("\u200b", "\ufeff \u2060", "\u00ad\n", "\u3164", "\u2800\u200d", "\u0301", "\x00")


@pytest.mark.parametrize("text", INVISIBLE)
@pytest.mark.parametrize(
    ("kind", "gold", "metadata"),
    [
        ("math", "4", {}),
        ("choice", "B", {}),
        ("instructions", [{"id": "punctuation:no_comma"}], {}),
        ("tool_call", [], {"tools": []}),
        ("language", "en", {}),
        ("exact", "4", {}),
        ("format", None, {}),
    ],
)
def test_an_answer_that_nobody_sees_is_no_answer(kind: str, gold: Any, metadata: dict[str, Any], text: str) -> None:
    verdict = build_verifier({"kind": kind}, Services()).verify(
        Request(response=f"<think>x</think>{text}", gold=gold, metadata=metadata)
    )
    assert (verdict.outcome, verdict.score) == (Outcome.WRONG, 0.0), verdict


@pytest.mark.parametrize(
    ("response", "letter"),
    [
        ("Answer: 12", "C"),
        ("I add them.\n**Answer:** 12.", "C"),
        ("Answer: 12 or 7", None),
        ("The answer isn't 12", None),
    ],
)
def test_an_option_is_named_by_its_text_behind_the_label(response: str, letter: str | None) -> None:
    verdict = CHOICE.verify(Request(response=response, gold="C", metadata={"options": ["3", "4", "12", "7"]}))
    assert verdict.extracted == letter if letter else not verdict.passed

"""`math`: in prose the value that the cue names is the answer, never a number in what is said about it."""

from __future__ import annotations

import pytest

from rewards.math.namedvalue import named_value
from rewards.types import Request
from rewards.workers.rule_table import build_rule

RULE = build_rule({"kind": "math", "options": {}, "think": ["<think>", "</think>"]})


def passes(gold: str, response: str) -> bool:
    [verdict] = RULE.judge_group([Request(response=response, gold=gold)])
    return verdict.passed


@pytest.mark.parametrize(
    ("gold", "other", "response"),
    [
        ("37", "4", "The answer is 37 for n = 4."),
        ("37", "4", "Answer: 37 minutes for the 4 laps"),
        ("37", "4", "The answer is **37** for **4** laps."),
        ("37", "25", "The final answer is 37 (which equals 12 + 25)."),
        ("37", "25", "#### 37 (12 + 25)"),
        ("\\sqrt{2}", "2", "Answer: $\\sqrt{2}$ (≈ 1.41)"),
        ("120", "5", "The answer is 120 when x is 5."),
        ("90", "2", "The answer is 90 degrees for triangle 2"),
        ("24", "10", "Answer: 24 (base 10)"),
        ("11", "4", "The answer is $11$ for $n=4$."),
        ("11", "4", "The answer is \\(11\\) when \\(n = 4\\)."),
        ("16", "4", "Die Antwort ist 16 für n = 4."),
        ("16", "4", "La réponse est 16 pour n = 4."),
        ("8", "2", "The final answer is 8, since 2 + 6 = 8 and 2 is prime."),
        ("3/4", "20", "The answer is 3/4 of the 20 pies."),
        ("20", "5", "The answer for 5 boxes is 20."),
        ("12", "4", "The answer is 3 * 4 = 12."),
        ("2 hours 30 minutes", "30", "Answer: 2 hours 30 minutes at 60 km/h"),
    ],
)
def test_the_value_behind_the_cue_is_the_answer(gold: str, other: str, response: str) -> None:
    assert passes(gold, response)
    assert not passes(other, response)


@pytest.mark.parametrize(
    ("gold", "response"),
    [
        ("8", "The answer is 8 less than 20."),
        ("17", "The answer is 17 if x>0, else 18."),
        ("8", "The answer is 8 (mod 3 this is 2), so 2."),
        ("3", "The answer is 3 or 4."),
        ("4", "The answer is 3 or 4."),
        ("3", "The answer is 3, and 4."),
        ("4", "The answer is between 4 and 10."),
        ("37", "The answer is not 37 for n = 4."),
        ("6", "The answer is 6^2."),
        ("2", "The answer is 6^2."),
    ],
)
def test_a_number_that_begins_something_else_is_not_the_answer(gold: str, response: str) -> None:
    assert not passes(gold, response)


@pytest.mark.parametrize(
    ("sentence", "value"),
    [
        ("37 for n = 4", "37"),
        ("n = 4.", "4"),
        ("3 * 4 = 6 + 6 = 12", "12"),
        ("$\\sqrt{2}$ (≈ 1.41)", "\\sqrt{2}"),
        ("that Tom has 37 apples", "37"),
        ("that Tom has 37 apples and 4 pears", None),
        ("3, 4 and 5", None),
        ("1 1/2 cups", "1 1/2"),
        ("10, yet it is 11.", None),
    ],
)
def test_what_a_line_behind_a_cue_names(sentence: str, value: str | None) -> None:
    assert named_value(sentence) == value

"""Golds and lines of odd shapes: each is answered, none is read as something else, and no verdict depends on what was
asked before."""

from __future__ import annotations

from typing import Any

import pytest

from rewards.types import Outcome, Request
from rewards.verify.serialization import read_line
from rewards.workers.rule_table import build_rule

RULE = build_rule({"kind": "math", "options": {}, "think": ["<think>", "</think>"]})


def outcome(gold: Any, response: str) -> Outcome:
    return RULE.judge_group([Request(response=response, gold=gold)])[0].outcome


@pytest.mark.parametrize(
    "gold",
    [
        None, "", "  ", [], [None], [[1, 2], [3]], {"a": 1}, {"answer": None}, {"answer": {"x": 1}},
        {"accepted": []}, {"answer": "1", "unit": 5},
        {"answer": "1", "unit": ["cm"]}, {"answer": "1", "form": 7}, {"answer": "1", "form": [1]},
        {"answer": "1", "tolerance": "x"},
        {"answer": "1", "accepted": [None]}, "\u202e1", 10**4100,
    ],
)  # fmt: skip
def test_a_gold_that_cannot_be_read_is_unsupported(gold: Any) -> None:
    assert outcome(gold, "1") is Outcome.UNSUPPORTED


@pytest.mark.parametrize(
    ("gold", "right", "wrong"),
    [
        (True, "yes", "no"), (False, "False", "True"), (0, "0", "1"), (10**60, str(10**60), "1"),
        (1e-6, "10^{-6}", "0"),
        ({"answer": "1", "accepted": None}, "1", "2"), ({"answer": "10", "accepted": "12"}, "12", "1"),
        ({"answer": [1, 2]}, "2, 1", "1"),
        ({"answer": "1", "accepted": 5}, "5", "4"), ([True], "true", "false"),
    ],
)  # fmt: skip
def test_a_gold_of_another_type_is_read_for_what_it_is(gold: Any, right: str, wrong: str) -> None:
    assert outcome(gold, right) is Outcome.CORRECT and outcome(gold, wrong) is not Outcome.CORRECT


def test_a_list_and_its_text_are_two_golds_in_either_order() -> None:
    for _ in range(2):
        assert outcome([1, 2], "2, 1") is Outcome.CORRECT
        assert outcome("[1, 2]", "2, 1") is not Outcome.CORRECT


def test_a_line_with_a_key_given_twice_is_not_judged_and_a_byte_order_mark_is_no_fault() -> None:
    assert "'response' is given twice" in read_line(b'{"response": "3", "response": "4", "gold": "4"}').error
    assert read_line(b'\xef\xbb\xbf{"response": "4", "gold": "4"}').request == Request(response="4", gold="4")

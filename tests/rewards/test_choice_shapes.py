"""`choice`: boxes that hold no letter, labels in lower case, options that carry their letters, golds as data sets have
them."""

from __future__ import annotations

from typing import Any

import pytest

from rewards.types import Outcome, Request
from rewards.workers.rule_table import build_rule

RULE = build_rule({"kind": "choice", "options": {}, "think": ["<think>", "</think>"]})
METALS = ["copper", "zinc", "iron", "lead"]
LISTED = ["A) copper", "B) zinc", "C) iron"]
NUMBERED = ["A. 3", "B. 4", "C. 5"]


def outcome(gold: Any, response: str, options: Any = None) -> Outcome:
    metadata = {} if options is None else {"options": options}
    return RULE.judge_group([Request(response=response, gold=gold, metadata=metadata)])[0].outcome


@pytest.mark.parametrize(
    ("letter", "response", "options"),
    [
        ("B", "So \\boxed{D = 4} holds.\n\nAnswer: B", None),
        ("B", "\\boxed{A} looks right at first.\n\nAnswer: B", None),
        ("B", "\\boxed{A}\n\n**Final answer:** B", None),
        ("B", "\\boxed{B = zinc}", METALS),
        ("C", "We need \\boxed{12}.\n\nThe answer is (C).", ["10", "11", "12"]),
        ("D", "\\boxed{D}", ["x < 1", "x = 1", "x > 1", "x = D"]),
        ("B", "\\boxed{x = 1}", ["x < 1", "x = 1", "x > 1"]),
        ("C", "A good question.\n\nAnswer: C", None),
        ("B", "b) zinc", METALS),
        ("B", "b) zinc", None),
        ("B", "b. zinc", METALS),
        ("B", "option b", None),
        ("B", "choice b because zinc reacts", None),
        ("A", "Answer: choice (a)", None),
        ("A", "Final answer: a", None),
        ("C", "The answer is c) iron.", METALS),
        ("B", "\\boxed{\\text{b) zinc}}", METALS),
        ("B", "zinc", LISTED),
        ("B", "The answer is zinc.", LISTED),
        ("B", "B) zinc", LISTED),
        ("B", "\\boxed{4}", NUMBERED),
        ("B", "zinc", {"A": "(A) copper", "B": "(B) zinc"}),
    ],
)
def test_the_letter_is_read(letter: str, response: str, options: Any) -> None:
    assert outcome(letter, response, options) is Outcome.CORRECT
    other = "A" if letter != "A" else "B"
    assert outcome(other, response, options) is not Outcome.CORRECT


@pytest.mark.parametrize(
    ("gold", "response", "options"),
    [
        ("D", "So \\boxed{D = 4} holds.", None),
        ("A", "Then \\boxed{A = 3x}", None),
        ("C", "We get \\boxed{C > 2}.", None),
        ("A", "A good question.", None),
        ("A", "A fair point, but no option fits.", None),
        ("A", "The answer is a matter of taste.", None),
        ("A", "The answer is a metal.", METALS),
        ("A", "\\boxed{A}\n\nAnswer: it depends", None),
        ("B", "(B) 5", NUMBERED),
    ],
)
def test_what_names_no_letter_is_not_accepted(gold: str, response: str, options: Any) -> None:
    assert outcome(gold, response, options) is not Outcome.CORRECT


@pytest.mark.parametrize(
    ("gold", "options"),
    [
        (1, METALS),
        ("B", METALS),
        ("zinc", METALS),
        ("\\boxed{B}", METALS),
        ("$\\boxed{B}$", None),
        ("B) zinc", METALS),
        ("B) zinc", LISTED),
        ("B) zinc", None),
        ("(B)", None),
        ("zinc", LISTED),
    ],
)
def test_a_gold_is_read_in_every_shape(gold: Any, options: Any) -> None:
    assert outcome(gold, "Answer: B", options) is Outcome.CORRECT
    assert outcome(gold, "Answer: C", options) is Outcome.WRONG


@pytest.mark.parametrize(
    ("gold", "options"), [(4, METALS), (1, None), ("B) iron", METALS), (True, METALS), ("1", METALS)]
)
def test_a_gold_that_names_no_option_is_refused(gold: Any, options: Any) -> None:
    """A number as text may count from 0 or from 1, so that it is none of the two."""
    metadata = {} if options is None else {"options": options}
    assert RULE.check_prompt(Request(response="", gold=gold, metadata=metadata)) is not None
    assert outcome(gold, "Answer: B", options) is Outcome.UNSUPPORTED

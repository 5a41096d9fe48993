"""The table of shapes: how a row is recognised, forced into a shape, and refused."""

from __future__ import annotations

import pytest

from rewards.errors import GoldError
from rewards.golds.formats import read_problem
from rewards.golds.problem import Problem, decoded

GSM8K = {"question": "Mia has 3 boxes of 4 pens. How many?", "answer": "She has 3*4=<<3*4=12>>12 pens.\n#### 12"}


def test_a_shape_is_known_by_its_columns_and_says_which_it_used() -> None:
    wanted = Problem(
        format="GSM8K",
        gold="12",
        verifier="math",
        question="Mia has 3 boxes of 4 pens. How many?",
        columns=("answer", "question"),
    )
    assert read_problem(GSM8K) == wanted
    assert read_problem({"prompt": "2+2?", "gold": "4"}) is None


def test_a_forced_shape_is_kept_or_refused_with_the_columns_of_both() -> None:
    assert read_problem(GSM8K, "gsm8k") == read_problem(GSM8K)
    with pytest.raises(GoldError, match=r"not the shape GSM8K \(question, answer with ####\); it has gold, prompt"):
        read_problem({"prompt": "2+2?", "gold": "4"}, "GSM8K")
    with pytest.raises(GoldError, match=r"unknown gold_format 'GSM9K'\n  remedy: did you mean GSM8K"):
        read_problem(GSM8K, "GSM9K")


def test_json_text_is_read_as_json_and_a_plain_number_stays_text() -> None:
    assert decoded('{"a": 1}') == {"a": 1}
    assert decoded('"{\\"a\\": [1]}"') == {"a": [1]}
    assert decoded("42") == "42"
    assert decoded("[not json") == "[not json"

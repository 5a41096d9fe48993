"""Answers made to be accepted wrongly, to be rejected wrongly, or to cost a long time: rows of the study of graders, in
one table."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from benchmarks.corpora.hangs import GROWTH
from benchmarks.math_answers.hostile import RIGHT, SLOW, WRONG, boxed
from rewards.load import build_verifier
from rewards.services import Services
from rewards.types import Outcome, Request

MATH = build_verifier({"kind": "math"}, Services())
CHAIN = build_verifier({"kind": "cascade", "steps": [{"kind": "math"}, {"kind": "choice"}]}, Services())


@pytest.mark.parametrize(("gold", "response"), RIGHT)
def test_a_right_answer_is_accepted_in_its_many_spellings(gold: object, response: str) -> None:
    verdict = MATH.verify(Request(response=response, gold=gold))
    assert (verdict.outcome, verdict.score) == (Outcome.CORRECT, 1.0), verdict


@pytest.mark.parametrize(("gold", "response"), WRONG)
def test_a_hostile_answer_is_never_rewarded(gold: object, response: str) -> None:
    verdict = MATH.verify(Request(response=response, gold=gold))
    assert verdict.outcome is not Outcome.CORRECT, verdict
    assert verdict.score == 0.0


@pytest.mark.parametrize("response", SLOW)
@pytest.mark.parametrize("gold", ["4", "x^2+1"])
def test_a_catastrophic_answer_is_screened_before_it_costs_its_deadline(gold: str, response: str) -> None:
    verdict = MATH.verify(Request(response=response, gold=gold))
    assert verdict.outcome in (Outcome.WRONG, Outcome.ABSTAIN), verdict
    assert verdict.score == 0.0


@pytest.mark.parametrize("gold", ["x^2+1", "\\lfloor x \\rfloor", "\\overline{z} + 1"])
def test_what_grows_behind_a_name_is_screened_whatever_stands_around_it(gold: str) -> None:
    for answer, [verdict] in zip(
        GROWTH, MATH.verify_many([[Request(response=boxed(answer), gold=gold)] for answer in GROWTH]), strict=True
    ):
        assert verdict.outcome in (Outcome.WRONG, Outcome.ABSTAIN), (answer, verdict)


@pytest.mark.parametrize(
    ("gold", "answer", "outcome"),
    [
        ("\\lfloor x \\rfloor + 1", "1 + \\left\\lfloor x \\right\\rfloor", "correct"),
        ("\\lfloor n/2 \\rfloor", "⌊\\frac{n}{2}⌋", "correct"),
        ("\\lfloor n/2 \\rfloor", "\\lceil n/2 \\rceil", "wrong"),
        ("\\lceil x \\rceil", "-\\lfloor -x \\rfloor", "correct"),
        ("\\lfloor \\frac{n+1}{2} \\rfloor", "\\lceil \\frac{n}{2} \\rceil", "abstain"),  # for whole n alone
        ("n", "\\lfloor n \\rfloor", "abstain"),
        ("\\lfloor \\log_{10} 1000 \\rfloor + x", "3 + x", "correct"),
        ("\\lfloor x \\rfloor", "x", "abstain"),
        ("\\lfloor x \\rfloor", "\\lfloor x \\rfloor + 1", "wrong"),
    ],
)
def test_whole_parts_are_compared_by_value(gold: str, answer: str, outcome: str) -> None:
    assert MATH.verify(Request(response=boxed(answer), gold=gold)).outcome == outcome


@pytest.mark.parametrize(
    ("question", "gold", "answer", "right"),
    [
        ("What is 8/2?", "4", "8/2", False),
        ("What is 8/2?", "4", "4", True),
        ("Simplify $\\frac{x^2-1}{x-1}$.", "x+1", "\\frac{x^2-1}{x-1}", False),
        ("Simplify $\\frac{x^2-1}{x-1}$.", "x+1", "1+x", True),
        ("It rose by 20%. What percentage is left?", "50", "50%", True),
        ("It rose by 20%. How many are left?", "50", "50%", False),
        ("How much in dollars?", "18", "1800 cents", False),
    ],
)
def test_the_question_decides_what_counts_as_an_answer(question: str, gold: str, answer: str, right: bool) -> None:
    assert MATH.verify(Request(question=question, response=boxed(answer), gold=gold)).passed is right


def test_the_whole_corpus_in_one_batch_gives_the_verdicts_of_one_by_one() -> None:
    rows = [Request(response=response, gold=gold) for gold, response in [*RIGHT, *WRONG]]
    one_by_one = [MATH.verify(row).outcome for row in rows]
    assert [v.outcome for group in MATH.verify_many([[row] for row in rows]) for v in group] == one_by_one


@pytest.mark.parametrize(
    "payload",
    [
        "__import__('os').system('touch {marker}')",
        "open('{marker}','w') #\\pi",
        "().__class__.__mro__[1].__subclasses__()",
        "exec(\"open('{marker}','w')\")",
        "\\text{{__import__('os').system('touch {marker}')}}",
    ],
)
@pytest.mark.parametrize("gold", ["4", "x^2+1", "\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}"])
def test_no_answer_is_executed(payload: str, gold: str, tmp_path: Path) -> None:
    marker = tmp_path / "executed"
    text = payload.format(marker=marker)
    for response in (text, boxed(text)):
        assert MATH.verify(Request(response=response, gold=gold)).outcome is not Outcome.CORRECT
    time.sleep(0.05)
    assert not os.path.exists(marker)


@pytest.mark.parametrize(
    ("gold", "response", "right"),
    [
        ("B", "A, B, C, D", False),
        ("B", boxed("B"), True),
        ("B", boxed("(B) 12"), True),
        ("B", "not B but C", False),
        ("B", "The answer is (B).", True),
        ("B", "The answer is C", False),
        ("B", "The correct choice is **B**", True),
        ("B", boxed("12"), True),
        ("B", boxed("13"), False),
        ("B", boxed("A and B"), False),
    ],
)
def test_choices_are_judged_by_letter_or_option_text(gold: str, response: str, right: bool) -> None:
    choice = build_verifier({"kind": "choice"}, Services())
    options = ["11", "12", "13", "14"]
    assert choice.verify(Request(response=response, gold=gold, metadata={"options": options})).passed is right


def test_an_unreadable_gold_is_refused_at_load() -> None:
    for gold in ("", None, [], {"answer": ""}, {"answr": "4"}, "\u200b", {"answer": "4", "form": "pretty"}):
        with pytest.raises(ValueError, match="gold answer"):
            MATH.check_gold(gold)
    for gold in ("4", 4, 0.5, "\\frac{1}{2}", ["1", "2"], "x^2+1", "blue whale", {"answer": "1/2", "form": "reduced"}):
        MATH.check_gold(gold)

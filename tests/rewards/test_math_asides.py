"""`math`: what stands in brackets behind a value, in any language; signs and blanks that are part of a value; no guess
between two numbers where no cue is known."""

from __future__ import annotations

import pytest

from rewards.math.asides import without_asides
from rewards.math.lastnumber import explained
from rewards.types import Outcome, Request
from rewards.workers.rule_table import build_rule

RULE = build_rule({"kind": "math", "options": {}, "think": ["<think>", "</think>"]})


def outcome(gold: str, response: str) -> Outcome:
    [verdict] = RULE.judge_group([Request(response=response, gold=gold)])
    return verdict.outcome


@pytest.mark.parametrize(
    ("gold", "other", "response"),
    [
        ("14", "6", "Odpowiedź to 14 (czyli 8 + 6)."),
        ("14", "6", "Svaret är **14** (8 + 6)."),
        ("14", "6", "Jawaban: 14 buah [cek: 8 + 6 = 14]"),
        ("14", "6", "답은 14 (8 + 6)입니다."),
        ("14", "6", "คำตอบคือ 14 (8 + 6)"),
        ("14", "6", "Há oito e seis.\n\n**Resposta: 14 €** (ou seja, 8 € + 6 €)"),
        ("14", "6", "Answer: 14 [check: 8 + 6 = 14]"),
        ("14", "6", "Answer: 14 crates, from stacks of 8 and 6"),
        ("14", "6", "Answer: *14* (8 + 6)"),
        ("\\sqrt{7}", "7", "Answer: √7 (≈ 2.65)"),
        ("\\sqrt{7}", "7", "Answer: \\sqrt{7} (\\approx 2.65)"),
        ("\\sqrt{7}", "7", "The answer is √7 for a square."),
        ("2\\sqrt{7}", "7", "Answer: 2√7 cm for side 3"),
        ("\\frac{\\pi}{3}", "3", "The answer is π/3 (60° or about 1.047 radians)."),
        ("\\frac{1}{3}", "3", "The answer is \\frac{1}{3} for n = 5."),
        ("6,-6", "6", "**x = ±6** is the final answer."),
        ("6,-6", "-6", "The answer is ±6 for this one."),
        ("2345678.5", "678.5", "Answer: 2 345 678.5 km"),
        ("2345678.5", "678.5", "Answer: 2\u2009345\u2009678.5"),
        ("2345678", "678", "Answer: 2\u00a0345\u00a0678 people"),
        ("12", "3", "After 3 days, 12 are left."),
        ("24", "10", "The answer is 24 (base 10)."),
        ("50%", "2", "Answer: 50% (1/2)"),
        ("\\pi", "180", "Answer: π (180°)"),
        ("1/4", "25", "La probabilidad vale 1/4 (25 %)."),
        ("2\\pi", "2", "2π (about 6.28)"),
    ],
)
def test_what_is_said_about_a_value_is_no_value(gold: str, other: str, response: str) -> None:
    assert outcome(gold, response) is Outcome.CORRECT
    assert outcome(other, response) is not Outcome.CORRECT


@pytest.mark.parametrize(
    ("gold", "response"),
    [
        ("5", "The answer is 5 (and 8)."),
        ("5", "La respuesta es 5 (o 8)."),
        ("5", "Svar: 5 (eller 8)"),
        ("5", "Answer: 5 (wrong, it is 6)"),
        ("5", "Answer: 5 (this is wrong: it should be 6)"),
        ("5", "Answer: 5 (if n is even), 6 (if n is odd)"),
        ("5", "The answer is 5 crates, with 6 or 7 also possible."),
        ("3", "Answer: 3 (4 + 5)"),
        ("3", "Answer: 3 (x + 2)"),
        ("2 cm", "Answer: 2 (m)"),
        ("2", "The result is 5 ± 2."),
        ("-6", "x = +/- 6 here"),
        ("3", "답은 3만 원입니다."),
        ("1", "答えは約3分の1です。"),
    ],
)
def test_what_belongs_to_a_value_or_denies_it_stays(gold: str, response: str) -> None:
    assert outcome(gold, response) is not Outcome.CORRECT


@pytest.mark.parametrize("gold", ["4", "6"])
def test_two_numbers_around_a_comma_without_a_known_cue_are_not_decided(gold: str) -> None:
    assert outcome(gold, "Odpowiedź to 4, bo wszystkich było 6.") is Outcome.ABSTAIN


def test_asides_and_explanations_are_told_by_their_form() -> None:
    assert without_asides("9 (that is 4 + 5)") == "9"
    assert without_asides("2 (cm)") == "2 cm"
    for kept in ("3 (x + 1)", "2 (mod 5)", "(2, 3)", "[0, 5)", "f(3 + 4)"):
        assert without_asides(kept) == kept
    assert explained("Het is 4, want er waren er 6.") == "Het is 4"
    assert explained("If 3 leave, then 4 stay.") is None
    assert explained("2x = 16, x = 8") is None

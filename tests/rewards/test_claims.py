"""Answers without a box: what denies, lists or takes back a claim is never rewarded, honest prose around a claim is."""

from __future__ import annotations

import time

import pytest

from benchmarks.math_answers.claims import CHOICE_HONEST, CHOICE_HOSTILE, MATH_HONEST, MATH_HOSTILE
from rewards.claims import has_alternative, last_retraction, refused, turned, voided
from rewards.letters import claimed_letter
from rewards.load import build_verifier
from rewards.math.extract import find_answer
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

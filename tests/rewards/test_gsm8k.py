"""Recall and false accepts of the math verifier on real answers: a sample of what benchmarks/verifier_math.py counts in
full."""

from __future__ import annotations

from collections import Counter

from benchmarks.math_answers import gsm8k
from rewards.load import build_verifier
from rewards.services import Services
from rewards.types import Request

MATH = build_verifier({"kind": "math"}, Services())


def problems(limit: int) -> list[tuple[str, str, str]]:
    """(question, worked solution, gold) of the first problems."""
    return gsm8k.problems()[:limit]


def test_golds_are_accepted_in_every_rendering() -> None:
    rows = [
        (name, Request(question=question, response=answer, gold=gold))
        for question, solution, gold in problems(150)
        for name, answer in gsm8k.renderings(solution, gold)
    ]
    verdicts = MATH.verify_many([[request] for _, request in rows])
    missed = Counter(name for (name, _), group in zip(rows, verdicts, strict=True) if not group[0].passed)
    share = 1 - sum(missed.values()) / len(rows)
    assert share >= 0.99, (share, missed)


def test_near_misses_are_not_accepted() -> None:
    rows = [
        Request(question=question, response=answer, gold=gold)
        for question, _, gold in problems(150)
        for number in gsm8k.other_golds(question, gold)
        for answer in (f"\\boxed{{{number}}}", f"The answer is {number}.")
    ]
    verdicts = MATH.verify_many([[request] for request in rows])
    accepted = [(row.gold, row.response) for row, group in zip(rows, verdicts, strict=True) if group[0].passed]
    assert len(accepted) / len(rows) <= 0.001, (len(rows), accepted[:20])


def test_every_gold_passes_the_check_at_load() -> None:
    for _, solution, gold in problems(50):
        MATH.check_gold(gold)
        MATH.check_gold(solution)

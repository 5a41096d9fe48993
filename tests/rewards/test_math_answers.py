"""The math rule on generated and hand-written pairs, and its properties: symmetry, invariance under rendering, no
exception.

Samples of what benchmarks/verifier_math.py counts in full. The rule is asked directly: no worker, no deadline.
"""

from __future__ import annotations

import random

import pytest

from benchmarks.math_answers.identities import Row, generate
from benchmarks.verifier_math import hard_rows, pair_rows
from rewards.math.kinds import read
from rewards.math.normal import normalise
from rewards.math.rule import MathRule
from rewards.types import Outcome, Request

RULE = MathRule({}, ("<think>", "</think>"))
SYMMETRIC = (
    "integer",
    "rational",
    "polynomial",
    "rational function",
    "radical",
    "exponential",
    "complex",
    "set",
    "tuple",
    "matrix",
    "date",
)


def accepted(gold: object, response: str, question: str = "") -> bool:
    return RULE.judge(Request(question=question, response=response, gold=gold)).passed


@pytest.fixture(scope="module")
def generated() -> list[Row]:
    return generate(seed=11, per_type=5)


def test_identities_are_accepted_and_near_misses_are_not(generated: list[Row]) -> None:
    missed = [row for row in generated if row.expected and not accepted(row.gold, f"\\boxed{{{row.answer}}}")]
    assert len(missed) <= 0.03 * len(generated) / 2, missed
    assert [row for row in generated if not row.expected and accepted(row.gold, f"\\boxed{{{row.answer}}}")] == []


def test_hard_pairs_are_told_apart() -> None:
    rows = list(hard_rows(held_back=False))
    verdicts = [(row, RULE.judge(row.request)) for row in rows]
    right = [verdict.passed for row, verdict in verdicts if row.expected]
    assert sum(right) / len(right) >= 0.95
    assert [
        (row.request.gold, row.request.response) for row, verdict in verdicts if verdict.passed and not row.expected
    ] == []


def test_near_misses_and_new_forms_are_told_apart() -> None:
    verdicts = [(row, RULE.judge(row.request)) for row in pair_rows("near.txt")]
    assert [
        (row.request.gold, row.request.response) for row, verdict in verdicts if verdict.passed is not row.expected
    ] == []


def test_gold_and_answer_may_change_places_where_neither_is_a_policy(generated: list[Row]) -> None:
    rows = [row for row in generated if row.type in SYMMETRIC]
    one_way = [
        (row.gold, row.answer)
        for row in rows
        if accepted(row.gold, f"\\boxed{{{row.answer}}}") and not accepted(row.answer, f"\\boxed{{{row.gold}}}")
    ]
    assert len(rows) >= 100 and one_way == []


@pytest.mark.parametrize(
    "rendering",
    [
        "So it is $\\boxed{%s}$.",
        "\\[ \\boxed{ %s } \\]",
        "\\boxed{5 + 17} is wrong. \\boxed{%s}",
        "\\boxed{\\displaystyle %s}",
        "<think>\\boxed{0}</think>\\fbox{%s}",
        "\\boxed{%s.}",
    ],
)
def test_how_an_answer_is_shown_does_not_change_the_verdict(generated: list[Row], rendering: str) -> None:
    for row in generated[::7]:
        plain = accepted(row.gold, f"\\boxed{{{row.answer}}}")
        assert accepted(row.gold, rendering % row.answer) is plain, (row.gold, row.answer)


PIECES = r"""
\frac \sqrt \boxed \text \pm \le \in \cup \infty \begin{pmatrix} \end{pmatrix} \left( \right) \lfloor
\binom \log_ \sin ^
_ { } ( ) [ ] | , ; : = < > + - * / ! % $ & \\ 0 1 12 3.5 1,000 1e5 x y n i e \pi dog and or not is March 2024-03-05 B
H_2O 50\% cm km/h \{ \}
"""


def test_no_answer_and_no_gold_raises() -> None:
    rng = random.Random(3)
    golds = [
        "4",
        "\\frac{1}{2}",
        "x^2+1",
        "(0,1)",
        "x>2",
        "\\{1,2\\}",
        "y=2x",
        "dog",
        "March 5, 2024",
        "H_2O",
        "n!",
        "\\binom{n}{2}",
        "3:30",
    ]
    for _ in range(600):
        text = rng.choice(("", " ")).join(rng.choices(PIECES.split(), k=rng.randint(1, 9)))
        verdict = RULE.judge(Request(response=f"\\boxed{{{text}}}", gold=rng.choice([*golds, text])))
        assert verdict.outcome in (Outcome.CORRECT, Outcome.WRONG, Outcome.ABSTAIN, Outcome.UNSUPPORTED)
        assert verdict.outcome in (Outcome.CORRECT, Outcome.WRONG) or verdict.score is None
        RULE.check_gold(text)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("42", "integer"), ("\\frac{1}{2}", "rational"), ("3 1/2", "rational"), ("2.50", "decimal"),
        ("3.2 \\times 10^5", "decimal"),
        ("50\\%", "percent"), ("5 \\text{ km}", "unit quantity"), ("\\$12.50", "currency"), ("\\{1,2\\}", "set"),
        ("1, 2", "set"),
        ("(1,2)", "tuple"), ("[1,2)", "interval"), ("(-\\infty, 3)", "interval"), ("x \\ge 3", "inequality"),
        ("x^2+1", "expression"),
        ("2\\sqrt{3}", "expression"), ("y = 2x+1", "equation"), ("\\begin{pmatrix}1\\\\2\\end{pmatrix}", "matrix"),
        ("1+2i", "complex"),
        ("March 5, 2024", "date"), ("3:30 pm", "time"), ("2:3", "ratio"), ("\\text{increasing}", "text"),
        ("H_2SO_4", "chemical formula"),
        ("(B)", "letter"), ("101_2", "number in a base"), ("\\int_0^1 x dx", "other"),
    ],
)  # fmt: skip
def test_a_gold_is_routed_by_its_kind(text: str, kind: str) -> None:
    assert read(normalise(text) or "").kind.value == kind


@pytest.mark.parametrize("gold", ["\\frac{1}{", "\\frac{1}", "2 +", "= 3", "x^", "{1, 2", "?!", "\\sqrt"])
def test_a_gold_that_is_cut_off_is_refused(gold: str) -> None:
    assert RULE.check_gold(gold) is not None

"""`choice`: which line is the answer, where boxes, explanations, quotations, JSON and other languages stand around
it."""

from __future__ import annotations

from typing import Any

import pytest

from rewards.types import Request
from rewards.workers.rule_table import build_rule

RULE = build_rule({"kind": "choice", "options": {}, "think": ["<think>", "</think>"]})
GASES = ["neon", "oxygen", "argon", "helium"]
CLAIMS = ["Claim I only", "Claim II only", "Both I and II", "Neither I nor II"]


def chosen(response: str, options: Any) -> str | None:
    """The letter that is taken, "B" being the gold; None for an abstention."""
    [verdict] = RULE.judge_group([Request(response=response, gold="B", metadata={"options": options})])
    return verdict.extracted if verdict.score is not None else None


@pytest.mark.parametrize(
    ("letter", "response", "options"),
    [
        ("D", "The pressure is \\boxed{P = nRT/V}, lowest for helium.\n\n**Correct choice: D**", GASES),
        ("B", "\\boxed{x^2 + 1}\n\nCorrect option: **B**", GASES),
        ("B", "**Answer:** **B**\n\n**Explanation:** neon (A) lights up; some argon (C) may be mixed in.", GASES),
        ("B", "Answer: B. oxygen\n\nWhile argon (C) could be heavier, helium (D) might be lighter.", GASES),
        ("B", "B: oxygen feeds the flame; neon (A) does not burn.", GASES),
        ("D", "D. Helium escapes first, and argon (C) stays longest.", GASES),
        ("C", "Claim I holds.\nClaim II holds.\n\nHence **C. Both I and II**.", CLAIMS),
        ("A", "I is true and II is false, so the answer is (A).", CLAIMS),
        ("C", 'The right gas is **"argon"**.', GASES),
        ("C", "Both others react.\n\nThe gas left over is therefore «argon».", GASES),
        ("B", '{"why": "A flame needs it", "answer": "B"}', GASES),
        ("B", 'Here it is:\n```json\n{"final_answer": "oxygen"}\n```', GASES),
        ("C", "La bonne réponse est la **C** : à la fois légère et inerte.", GASES),
        ("C", "Respuesta: c)", GASES),
        ("C", "La respuesta correcta es la c.", GASES),
        ("D", "Antwort: d", GASES),
        ("B", "A resposta é a letra B.", GASES),
        ("C", "Ответ: c", GASES),
        ("C", "答案：c", GASES),
    ],
)
def test_the_line_that_answers_is_taken(letter: str, response: str, options: Any) -> None:
    assert chosen(response, options) == letter


@pytest.mark.parametrize(
    "response",
    [
        "Answer: B\n\nOr maybe C.",
        "Answer: B\n\nC would also be right.",
        "Answer: B\n\nIt might be C.",
        "B: oxygen feeds the flame; but neon (A) works too.",
        "B: oxygen is wrong.",
        "B: oxygen.\n\nThat is wrong, as oxygen feeds a flame and stays in the air.",
        "The answer is B or D.\nA distractor is **argon**.",
        "C: Argon? No.",
        "C. Argon is wrong. D. Helium is right.",
        "Hence not **C. argon**.",
        "Reasons first.\nIt is not **argon**.",
        "Reasons first.\nEither **oxygen** or **argon**.",
        'The opposite would be "argon".',
        '{"answer": "A", "choice": "B"}',
        "La respuesta es a favor de todos.",
        "La respuesta: A C",
    ],
)
def test_a_line_that_leaves_it_open_is_not(response: str) -> None:
    assert chosen(response, GASES) is None


FACTORS = ["Factor B", "Factor A", "Both A and B", "Factor D"]


@pytest.mark.parametrize(
    ("letter", "response"),
    [
        ("A", "The answer is Factor B."),
        ("B", "It clots late.\n\n**Answer: factor A**"),
        ("B", "The answer is (B)."),
        ("C", "Answer: C. Both A and B"),
        ("C", "Answer: both A and B"),
        ("B", "Answer: B. Factor A"),
    ],
)
def test_a_capital_that_is_part_of_an_options_text_is_no_label(letter: str, response: str) -> None:
    assert chosen(response, FACTORS) == letter


@pytest.mark.parametrize(
    ("letter", "response"),
    [
        ("B", "The flame needs it.\n\nb) oxygen"),
        ("C", "It is heavy.\n(c) Argon."),
        (None, "It is none of these:\n\nb) oxygen"),
        (None, "Listed.\na) neon\nb) oxygen"),
        (None, "The flame needs it.\n\nb) argon"),
        (None, "The flame needs it.\n\nb) oxygen is wrong"),
    ],
)
def test_a_lone_last_line_that_is_an_option_in_small_letters_is_the_answer(letter: str | None, response: str) -> None:
    assert chosen(response, GASES) == letter

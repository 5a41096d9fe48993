"""Where `math` finds an answer that stands in no box: tags, mathematics in the last sentence, the last line, a number
with its unit."""

from __future__ import annotations

from typing import Any

import pytest

from rewards.types import Request
from rewards.workers.rule_table import build_rule

RULE = build_rule({"kind": "math", "options": {}, "think": ["<think>", "</think>"]})


def passes(gold: Any, response: str, question: str | None = None) -> bool:
    [verdict] = RULE.judge_group([Request(response=response, gold=gold, question=question)])
    return verdict.passed


@pytest.mark.parametrize(
    ("gold", "response"),
    [
        ("17", "<answer>17</answer>"), ("17", "<answer>\nThe answer is 17.\n</answer>"),
        ("17", "<answer>\\boxed{17}</answer>"),
        ("17", "<answer>17"), ("17", "<answer>16</answer> No, better:\n<answer>17</answer>"),
        ("17", "<answer></answer> <answer>17</answer>"),
        ("17", "<answer>16</answer> and so \\boxed{17}"), ("\\sqrt{2}", "<Answer> $\\sqrt{2}$ </Answer>"),
    ],
)  # fmt: skip
def test_what_the_last_answer_tag_holds_is_the_answer(gold: str, response: str) -> None:
    assert passes(gold, response)


@pytest.mark.parametrize(
    "response",
    [
        "<answer>18</answer> 17", "<answer>16</answer><answer>17</answer>", "<answer>17</answer> Wait, no: it is 18.",
        "<!-- <answer>17</answer> --> 18", "<answer>17 or 18</answer>", "<answer></answer>", "<answer>not 17</answer>",
    ],
)  # fmt: skip
def test_a_tag_is_judged_like_any_claim(response: str) -> None:
    assert not passes("17", response)


@pytest.mark.parametrize(
    ("gold", "response"),
    [
        ("\\frac{7}{3}", "Step 1: 3x = 7.\nStep 2: divide by 3.\nTherefore $x = \\frac{7}{3}$."),
        ("\\frac{7}{3}", "We find\n$$x = \\frac{14}{6} = \\frac{7}{3}.$$"),
        ("2\\sqrt{2}",
        "By the inequality of the means the minimum of the sum is $2\\sqrt{2}$, attained at $x=\\sqrt{2}$."),
        ("2\\sqrt{2}",
        "We square both sides and compare them once more to see that \\(2\\sqrt2\\) is the value of \\(m\\)."),
        ("(2,-1)",
        "Adding both equations gives the first unknown, and then the second one.\n\nTherefore $x = 2$ and $y = -1$."),
        ("(2, -1)", "Adding both equations gives $3x = 6$.\n\n(2, -1)"),
        ("Evelyn", "She has the most points of the three.\n\n**Evelyn**"),
        ("17", "The first box holds eight and the second one nine of them: 17\n\nI hope this helps!"),
        ("Evelyn", "The answer is **Evelyn**."), ("7/3", "**Solution.** Divide.\n\n**Answer.** $\\frac73$"),
        ("120", "There are $5! = 120$ ways."),
    ],
)  # fmt: skip
def test_the_last_sentence_says_what_the_mathematics_in_it_comes_to(gold: str, response: str) -> None:
    assert passes(gold, response)


@pytest.mark.parametrize(
    ("gold", "response"),
    [
        ("2\\sqrt{2}", "By the inequality of the means the minimum of the sum is $2$, attained at $x=2\\sqrt{2}$."),
        ("\\frac{7}{3}", "Step 1: 3x = 7.\nStep 2: it is not true that $x = \\frac{7}{3}$."),
        ("\\frac{7}{3}", "Step 1: 3x = 7.\nStep 2: suppose first that $x = \\frac{7}{3}$."),
        ("9", "The rest follows at once when we put in the two values of the unknowns, $a = 8$ and $b = 9$."),
        ("8", "The answer is twice 8."), ("8", "The answer is 8 squared."), ("8", "It is anything from 1 to 8."),
        ("8", "<answer>x + 8</answer>"), ("8", "My friend's answer is 8; mine is 9."),
        ("8", "If we had 8, we would need one more."),
        ("4", "So x = 4. But x must be odd, so x = 5."), ("7", "Either $x = 7$ or something else happens in the end."),
        ("17", "<answer>17</answer> is what I first thought; the answer is 18."),
        ("6", "The numbers are 1, 2, 3, 6."), ("25", "x^{25}"), ("25", "It lies above 25."), ("8", "The answer is 8x."),
        ("17", "I think I should compute 17"),
        ("17", "The first idea that comes to mind is a direct search.\nLet me try 17"),
    ],
)  # fmt: skip
def test_mathematics_that_is_denied_supposed_or_one_of_several_is_no_answer(gold: str, response: str) -> None:
    assert not passes(gold, response)


@pytest.mark.parametrize(
    ("gold", "right", "wrong"),
    [
        ("5 \\text{ cm}", "5 cm", "5 m"), ("60 km/h", "It drives at 60 km/h.", "It drives at 60 mph."),
        ("25 N", "25 newtons", "25 J"),
        ("9.8 m/s^2", "9.8 meters per second squared", "The rate is 9.8 m/s downwards."),
        ("37^\\circ\\text{C}", "37 degrees Celsius", "37°F"),
        ("864 \\text{ in}^2", "864 square inches", "864 inches"), ("45^\\circ", "45 degrees", "45 \\text{ cm}"),
        ("10 cm^3", "10 mL", "10 L"),
        ("12 km", "There are 12 in all.", "12 kg"), ("5", "5 m", "6 m"),
    ],
)  # fmt: skip
def test_a_number_in_prose_keeps_its_unit(gold: str, right: str, wrong: str) -> None:
    assert passes(gold, right) and not passes(gold, wrong)


@pytest.mark.parametrize(
    ("gold", "response"),
    [
        ("32", "8 · 4 = 32\n\nOdpowiedź: 32 zł za 8 biletów."), ("63", "7 × 9 = 63.\n**Đáp án:** 63 quả trong 9 hộp."),
        ("144", "Answer:\n$$\n144\n$$\nsince $12^2 = 144$."), ("144", "The answer is\n\\[\n144\n\\]\nas asked."),
        ("3.14", "Answer (to 2 decimal places): 3.14"), ("15", "**Final Answer (Question 4 of 10):** 15"),
    ],
)  # fmt: skip
def test_layout_shows_the_answer_before_what_stands_behind_it(gold: str, response: str) -> None:
    assert passes(gold, response)


@pytest.mark.parametrize(
    ("gold", "response"),
    [
        ("8", "8 · 4 = 32\n\nOdpowiedź: 32 zł za 8 biletów."),  # a number that is counted with
        ("63", "7 × 9 = 63\n\nĐáp án: 64 quả trong 9 thùng."), ("63", "7 × 9 = 63\n\nĐáp án: 63 quả trong 8 thùng."),
        ("144", "Answer:\n$$\n144\n$$\nNo, wait: it is 12."), ("2", "Answer (to 2 decimal places): 3.14"),
        ("10", "**Final Answer (Question 4 of 10):** 15"), ("5", "Answer (for part a it is 5): unknown"),
    ],
)  # fmt: skip
def test_a_number_behind_or_beside_the_laid_out_answer_is_not_it(gold: str, response: str) -> None:
    assert not passes(gold, response)

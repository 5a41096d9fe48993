"""Rules A and B of the preference task: what each accepts, that they correlate, and that they sometimes disagree."""

import random

import pytest

from posttrain.toy import conversations, pairs, prompts
from posttrain.toy.rules import NoteFacts, StyleRule
from posttrain.toy.style import facts_right, rule_a, rule_b, write
from rewards.types import Outcome, Request

GOLD = {"style": "warm", "name": "Tom", "place": "garden", "number": 2}
GOOD = "Dear friend Tom, the cosy garden has kind lamp and sweet bird."


def _note(answer: str) -> str:
    return answer.partition("</think>")[2]


@pytest.mark.parametrize(
    ("note", "passes"),
    [
        (GOOD, True),
        ("Well Tom, the cosy garden has kind lamp and old bird.", True),
        ("Dear friend Tom, the cosy garden has kind lamp.", False),
        ("Dear friend Ann, the cosy garden has kind lamp and sweet bird.", False),
        ("Dear friend Tom, the cosy forest has kind lamp and sweet bird.", False),
        ("Dear friend Tom, the cosy garden has bleak lamp and sweet bird.", False),
        ("Dear friend Tom, the old garden has new lamp and sweet bird.", False),
        (GOOD + " " + GOOD, False),
        ("cosy kind sweet lamp bird garden", False),
        ("", False),
    ],
)
def test_rule_b_accepts_what_was_asked_and_nothing_else(note: str, passes: bool) -> None:
    assert rule_b(note, GOLD)[0] is passes


def test_rule_a_pays_for_each_slot_done_well() -> None:
    assert rule_a(GOOD, GOLD) > rule_a(GOOD.replace("kind", "old"), GOLD) > rule_a(GOOD.replace("kind", "bleak"), GOLD)
    assert rule_a(GOOD, GOLD) > rule_a(GOOD.replace("sweet bird", "sweet"), GOLD)
    assert rule_a(GOOD, GOLD) > rule_a(GOOD.replace("Tom", "Ann"), GOLD)
    assert rule_a(GOOD, GOLD) > rule_a(GOOD.replace("Dear friend", "Well"), GOLD)


def test_the_rules_correlate_and_sometimes_disagree() -> None:
    golds = {prompt.messages[0]["content"]: prompt.gold for prompt in prompts("preference", 1000, (1, 5), "train", 0)}
    agree = against = 0
    for pair in pairs("preference", 1000, (1, 5), "train", 0):
        gold = golds[pair.messages[0]["content"]]
        better, worse = rule_b(_note(pair.chosen), gold)[0], rule_b(_note(pair.rejected), gold)[0]
        assert rule_a(_note(pair.chosen), gold) > rule_a(_note(pair.rejected), gold)
        agree += better and not worse
        against += worse and not better
    assert agree > 4 * against
    assert against >= 5


def test_the_better_answer_is_not_known_by_its_thinking() -> None:
    rows = list(pairs("preference", 600, (1, 5), "train", 1))
    thinking = [("<think></think>" in pair.chosen) - ("<think></think>" in pair.rejected) for pair in rows]
    assert abs(sum(thinking)) / len(rows) < 0.1


def test_style_rule_reads_the_answer_after_the_thinking() -> None:
    rule = StyleRule()
    assert (
        rule.verify(Request(response=f"<think>x</think>{GOOD}", gold=GOLD, stop_reason="stop")).outcome
        is Outcome.CORRECT
    )
    assert rule.verify(Request(response=GOOD, gold=GOLD)).score == 1.0
    hidden = rule.verify(Request(response=f"<think>{GOOD}</think>no", gold=GOLD, stop_reason="stop"))
    assert (hidden.outcome, hidden.score) == (Outcome.WRONG, 0.0)
    assert rule.verify(Request(response=f"<think>{GOOD}", gold=GOLD)).reason == "thinking never ends"
    assert rule.verify(Request(response=GOOD, gold=GOLD, stop_reason="length")).reason == "truncated"


def test_style_rule_does_not_judge_what_it_has_no_gold_for() -> None:
    verdict = StyleRule().verify(Request(response=GOOD, gold="42"))
    assert (verdict.outcome, verdict.score) == (Outcome.UNSUPPORTED, None)


def test_style_rule_judges_groups_in_order() -> None:
    verdicts = StyleRule().verify_group([Request(response=text, gold=GOLD) for text in ("no", GOOD)])
    assert [verdict.passed for verdict in verdicts] == [False, True]


def test_careful_notes_are_better_by_rule_b() -> None:
    def share(task: str) -> float:
        rows = zip(prompts(task, 500, (1, 5), "train", 2), conversations(task, 500, (1, 5), "train", 2), strict=True)
        return sum(rule_b(_note(row.messages[1]["content"]), prompt.gold)[0] for prompt, row in rows) / 500

    assert share("preference_worked") > share("preference") + 0.15


def test_note_facts_looks_at_facts_and_not_at_style() -> None:
    texts = (GOOD, GOOD.replace("kind", "old"), GOOD.replace("Tom", "Ann"))
    assert [
        verdict.passed for verdict in NoteFacts().verify_group([Request(response=text, gold=GOLD) for text in texts])
    ] == [
        True,
        True,
        False,
    ]


def test_a_dull_writer_has_the_facts_right_and_the_style_plain() -> None:
    rng = random.Random(0)
    notes = [write(GOLD, rng, 1.0, careful=True, dull=0.5)[1] for _ in range(200)]
    assert all(facts_right(note, GOLD) for note in notes)
    assert 0.1 < sum(rule_b(note, GOLD)[0] for note in notes) / 200 < 0.9

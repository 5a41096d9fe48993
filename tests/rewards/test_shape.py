"""Shape rules: thinking tags well formed, DAPO's length penalty by its formula, repetition and loops."""

from __future__ import annotations

import pytest

from rewards.load import build_verifier
from rewards.rules.length import soft_penalty
from rewards.rules.repetition import looping_end, repeated_share
from rewards.services import Services
from rewards.types import Outcome, Request

SCRATCH = ("<scratchpad>", "</scratchpad>")


@pytest.mark.parametrize("tags", [("<think>", "</think>"), SCRATCH])
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("OwhyCanswer", "well_formed"),
        ("\n OwhyC\nanswer", "well_formed"),
        ("OwhyC", "no_answer_after_thinking"),
        ("OwhyC \n", "no_answer_after_thinking"),
        ("OwhyC\u200b", "no_answer_after_thinking"),
        ("OwhyC\u2060 \ufeff\u00ad\u3164\n", "no_answer_after_thinking"),
        ("O\u200dCanswer", "empty_thinking"),
        ("O Canswer", "empty_thinking"),
        ("answer", "think_tag_missing"),
        ("whyCanswer", "think_tag_missing"),
        ("Owhy", "thinking_unclosed"),
        ("OOwhy", "thinking_unclosed"),
        ("OOwhyCanswer", "think_tag_repeated"),
        ("OwhyOwhyCCanswer", "think_tag_repeated"),
        ("OwhyCOwhyCanswer", "think_tag_repeated"),
        ("OwhyCanswerC", "think_tag_repeated"),
        ("OwhyCanswerO", "think_tag_repeated"),
        ("so OwhyCanswer", "text_before_thinking"),
        ("CwhyOanswer", "text_before_thinking"),
    ],
)
def test_one_block_at_the_start_with_an_answer_after_it_is_well_formed(
    tags: tuple[str, str], text: str, reason: str
) -> None:
    verifier = build_verifier({"kind": "format"}, Services(think=tags))
    verdict = verifier.verify(Request(response=text.replace("O", tags[0]).replace("C", tags[1])))
    assert (verdict.reason, verdict.score) == (reason, float(reason == "well_formed"))


def test_a_block_that_the_prompt_opened_is_continued() -> None:
    verifier = build_verifier({"kind": "format", "opened": True}, Services(think=SCRATCH))
    assert verifier.verify(Request(response="why</scratchpad>answer")).passed
    # The answers of a run come with what their prompt opened.
    assert verifier.verify(Request(response="<scratchpad>why</scratchpad>answer")).passed
    twice = Request(response="<scratchpad>\n<scratchpad>why</scratchpad>answer")
    assert verifier.verify(twice).reason == "think_tag_repeated"


@pytest.mark.parametrize(
    ("tokens", "most", "cache", "penalty"),
    [
        (16384, 20480, 4096, 0.0),
        (18432, 20480, 4096, -0.5),
        (20480, 20480, 4096, -1.0),
        (20481, 20480, 4096, -1.0),
        (10, 10, 0, 0.0),
        (11, 10, 0, -1.0),
    ],
)
def test_the_length_penalty_is_dapos_equation_13(tokens: int, most: int, cache: int, penalty: float) -> None:
    assert soft_penalty(tokens, most, cache) == penalty
    verdict = build_verifier({"kind": "length", "max_tokens": most, "cache_tokens": cache}, Services()).verify(
        Request(response="x", num_tokens=tokens)
    )
    assert (verdict.score, verdict.parts, verdict.passed) == (1.0 + penalty, {"penalty": penalty}, tokens <= most)


def test_without_a_token_count_length_abstains() -> None:
    verdict = build_verifier({"kind": "length", "max_tokens": 9}, Services()).verify(Request(response="x"))
    assert verdict.outcome is Outcome.ABSTAIN


STORY = " ".join(f"word{i}" for i in range(300))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "varied"),
        (STORY, "varied"),
        (STORY + " no no no", "varied"),
        ("the same five words again " * 100, "ends_in_a_loop"),
        (STORY + " and wait, let me check." * 12, "ends_in_a_loop"),
        (STORY + " and wait, let me check." * 12 + " and wait, le", "ends_in_a_loop"),
        ("我们再想一想。" * 60, "ends_in_a_loop"),
        ("ha" * 200, "ends_in_a_loop"),
        (("one two three four five six " * 20) + STORY[:300], "repeats_itself"),
        (STORY + " " * 5000, "varied"),
    ],
)
def test_repetition_and_loops_are_found(text: str, reason: str) -> None:
    verdict = build_verifier({"kind": "repetition"}, Services()).verify(Request(response=text))
    assert (verdict.reason, verdict.passed) == (reason, reason == "varied"), verdict


def test_a_loops_length_is_that_of_its_repeated_end() -> None:
    assert looping_end("so" + " no no" * 9) == 55
    assert looping_end("abcabcab") == 0  # not three times in full
    assert looping_end("xyzabcabcabc") == 9
    assert looping_end("") == looping_end("a") == 0


def test_the_loop_search_may_be_left_out() -> None:
    verdict = build_verifier({"kind": "repetition", "loop_chars": 0}, Services()).verify(
        Request(response=STORY + " wait." * 50)
    )
    assert verdict.passed and repeated_share("a b", 4) == 0.0

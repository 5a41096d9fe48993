"""Composition and the policies that every kind shares: who decides, what is a score, what leaves the group."""

from __future__ import annotations

from typing import Any

import pytest

from rewards.contract.verifier import BatchVerifier
from rewards.load import build_verifier
from rewards.services import Services
from rewards.types import Outcome, Request

TOLD = {"kind": "tests.rewards.user_verifiers:behaves_as_told", "deadline_seconds": 0.2}
LENGTH = {"kind": "length", "max_tokens": 20, "cache_tokens": 10}
FORMAT = {"kind": "format"}


def build(kind: str, steps: list[dict[str, Any]], **options: Any) -> BatchVerifier:
    return build_verifier({"kind": kind, "steps": steps, **options}, Services())


def test_a_cascade_stops_at_the_first_certain_step() -> None:
    chain = build("cascade", [{"kind": "math"}, {"kind": "exact"}])
    sure = chain.verify(Request(response="\\boxed{1/2}", gold="0.5"))
    assert (sure.outcome, sure.reason) == (Outcome.CORRECT, "decimal_equal")
    rejected = chain.verify(Request(response="\\boxed{3}", gold="4"))
    assert (rejected.outcome, rejected.reason) == (Outcome.WRONG, "integer_differs")


def test_a_cascade_asks_the_next_step_where_one_is_unsure() -> None:
    chain = build("cascade", [{"kind": "math"}, {"kind": "exact"}])
    assert chain.verify(Request(response="101_2 base", gold="101_2 base")).passed
    later = chain.verify(Request(response="blue fox", gold="blue whale"))  # math: uncertain; exact: certain
    assert (later.outcome, later.reason) == (Outcome.WRONG, "not_equal")


@pytest.mark.parametrize(("certain", "reason"), [(True, "doubtful"), (False, "not_equal"), ("no", "malformed_verdict")])
def test_a_plug_in_says_whether_the_cascade_goes_on(certain: object, reason: str) -> None:
    doubtful = {"kind": "tests.rewards.user_verifiers:Doubtful", "certain": certain}
    verdict = build("cascade", [doubtful, {"kind": "exact"}]).verify(Request(response="4", gold="5"))
    assert verdict.reason == reason
    assert verdict.decides is (reason != "malformed_verdict")


def test_an_uncertain_judgement_stands_where_no_later_step_decides() -> None:
    chain = build("cascade", [{"kind": "math"}, {"kind": "choice"}])
    verdict = chain.verify(Request(response="\\boxed{blue fox}", gold="blue whale"))
    assert (verdict.outcome, verdict.reason) == (Outcome.WRONG, "text_differs")


@pytest.mark.parametrize(("policy", "score"), [("zero", 0.0), ("skip", None)])
def test_what_the_last_step_leaves_open_follows_on_abstain(policy: str, score: float | None) -> None:
    chain = build("cascade", [{"kind": "math"}, {"kind": "choice"}], on_abstain=policy)
    verdict = chain.verify(Request(response="\\boxed{101}", gold="101_2"))
    assert verdict.outcome in (Outcome.ABSTAIN, Outcome.UNSUPPORTED)
    assert verdict.score == score


@pytest.mark.parametrize("kind", ["cascade", "all", "any", "weighted"])
@pytest.mark.parametrize("first", [True, False])
def test_an_error_of_ours_is_never_a_score_in_any_composition(kind: str, first: bool) -> None:
    steps = [TOLD, {"kind": "math"}] if first else [{"kind": "choice"}, TOLD]
    verdict = build(kind, steps, on_abstain="zero").verify(Request(response="die", gold="4"))
    assert (verdict.outcome, verdict.score) == (Outcome.ERROR, None)


def test_all_takes_the_worst_and_any_the_best() -> None:
    right = Request(response="<think>a</think>\\boxed{4}", gold="4")
    unshaped = Request(response="\\boxed{4}", gold="4")
    assert [v.score for v in build("all", [{"kind": "math"}, FORMAT]).verify_group([right, unshaped])] == [1.0, 0.0]
    assert [v.passed for v in build("any", [{"kind": "math"}, FORMAT]).verify_group([right, unshaped])] == [True, True]


def test_weighted_shapes_the_score_and_its_first_step_decides_the_outcome() -> None:
    verifier = build("weighted", [{"kind": "math", "weight": 3.0}, {**FORMAT, "weight": 1.0}])
    verdict = verifier.verify(Request(response="\\boxed{4}", gold="4"))
    assert (verdict.outcome, verdict.score) == (Outcome.CORRECT, 0.75)
    assert verdict.parts == {"0.math": 1.0, "1.format": 0.0}


def test_a_part_without_a_score_leaves_the_mean() -> None:
    verifier = build("weighted", [{"kind": "math"}, {**LENGTH, "on_abstain": "skip"}])
    # No token count: the length part is out.
    assert verifier.verify(Request(response="\\boxed{4}", gold="4")).score == 1.0


@pytest.mark.parametrize(
    ("policy", "outcome", "score"),
    [("zero", Outcome.WRONG, 0.0), ("skip", Outcome.ABSTAIN, None), ("judge", Outcome.CORRECT, 1.0)],
)
@pytest.mark.parametrize("composed", [False, True])
def test_truncated_answers_follow_their_policy(
    policy: str, outcome: Outcome, score: float | None, composed: bool
) -> None:
    spec: dict[str, Any] = {"kind": "cascade", "steps": [{"kind": "math"}]} if composed else {"kind": "math"}
    verifier = build_verifier({**spec, "on_truncated": policy}, Services())
    cut, whole = verifier.verify_group(
        [Request(response="\\boxed{4}", gold="4", stop_reason=s) for s in ("length", "stop")]
    )
    assert (cut.outcome, cut.score) == (outcome, score)
    assert whole.passed


def test_a_timeout_is_the_answers_and_scores_zero() -> None:
    verdict = build_verifier(TOLD, Services()).verify(Request(response="loop"))
    assert (verdict.outcome, verdict.score) == (Outcome.TIMEOUT, 0.0)


def test_dapo_length_penalty_at_the_published_points() -> None:
    verifier = build_verifier({"kind": "length", "max_tokens": 20480, "cache_tokens": 4096}, Services())
    verdicts = verifier.verify_group([Request(response="", num_tokens=n) for n in (16384, 18432, 20480, 20481)])
    assert [v.parts["penalty"] for v in verdicts] == [0.0, -0.5, -1.0, -1.0]
    assert [v.score for v in verdicts] == [1.0, 0.5, 0.0, 0.0]
    assert [v.passed for v in verdicts] == [True, True, True, False]


@pytest.mark.parametrize(
    ("response", "right"),
    [
        ("<think>a</think>4", True),
        ("\n<think>a</think>\n4", True),
        ("4", False),
        ("<think>a", False),
        ("a</think>4", False),
        ("<think>a</think>", False),
        ("<think> </think>4", False),
        ("<think>a</think><think>b</think>4", False),
        ("4<think>a</think>4", False),
        ("<think>a<think>b</think>4", False),
    ],
)
def test_format_wants_one_closed_block_and_an_answer_after_it(response: str, right: bool) -> None:
    assert build_verifier(FORMAT, Services()).verify(Request(response=response)).passed is right


def test_format_knows_a_prompt_that_opens_the_block_and_other_tags() -> None:
    opened = build_verifier({"kind": "format", "opened": True}, Services(think=("<scratchpad>", "</scratchpad>")))
    assert opened.verify(Request(response="a</scratchpad>4")).passed
    assert opened.verify(Request(response="<scratchpad>a</scratchpad>4")).passed  # rollouts have what the prompt opened
    assert not opened.verify(Request(response="<scratchpad><scratchpad>a</scratchpad>4")).passed


def test_repetition_is_found_in_words_and_in_scripts_without_spaces() -> None:
    verifier = build_verifier({"kind": "repetition"}, Services())
    loop, fine, glyphs = verifier.verify_group(
        [
            Request(response="and so on " * 100),
            Request(response=" ".join(map(str, range(300)))),
            Request(response="因此答案是四" * 50),
        ]
    )
    assert [v.passed for v in (loop, fine, glyphs)] == [False, True, False]


def test_exact_compares_the_visible_text() -> None:
    verifier = build_verifier({"kind": "exact"}, Services())
    assert verifier.verify(Request(response="<think>b</think> a \n", gold="a")).passed
    assert not verifier.verify(Request(response="<think>a</think>b", gold="a")).passed
    assert verifier.verify(Request(response="b", gold=["a", "b"])).passed

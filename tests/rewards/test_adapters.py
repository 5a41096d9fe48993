"""Reward functions of six other libraries run unchanged: called as their library calls them, their rewards read as it
reads them."""

from __future__ import annotations

from typing import Any

import pytest

from rewards.errors import VerifierError
from rewards.load import build_verifier, check_spec
from rewards.plugins.adapters import ADAPTERS
from rewards.services import Services
from rewards.types import Outcome, Request, Verdict

FOREIGN = "tests.rewards.foreign_rewards"
TURNS = ({"role": "user", "content": "6 * 7?"},)


def ask(
    kind: str, *responses: str, gold: Any = "42", metadata: dict[str, Any] | None = None, **options: Any
) -> list[Verdict]:
    library, _, name = kind.partition(":")
    spec = {"kind": f"{library}:{FOREIGN}:{name}", **options}
    check_spec(spec)
    requests = [
        Request(
            question="6 * 7?",
            messages=TURNS,
            response=text,
            gold=gold,
            num_tokens=len(text),
            metadata=metadata or {"level": 2},
        )
        for text in responses
    ]
    return build_verifier(spec, Services(workers=1)).verify_group(requests)


def scores(verdicts: list[Verdict]) -> list[float | None]:
    assert not [verdict.certificate for verdict in verdicts if verdict.outcome is Outcome.ERROR]
    return [verdict.score for verdict in verdicts]


@pytest.mark.parametrize(
    ("kind", "options", "expected"),
    [
        ("trl:trl_chat", {}, [1.0, 0.0]),
        ("trl:trl_text", {"style": "text"}, [1.0, 1.0]),
        ("trl:trl_async", {}, [0.5, 0.5]),
        ("verl:verl_plain", {}, [0.0, 0.0]),
        ("verl:verl_dapo", {"score_range": [-1, 1]}, [1.0, 0.0]),
        ("verl:verl_dapo", {"score_range": [-2, 1], "penalty": 0.5}, [2.5 / 3, 0.5 / 3]),
        ("openrlhf:openrlhf_tensor", {}, [0.0, 0.0]),
        ("openrlhf:openrlhf_dict", {"score_range": [-1, 1]}, [1.0, 0.0]),
        ("open_instruct:OpenInstructVerifier", {}, [1.0, 0.0]),
        ("slime:slime_one", {"level": 2}, [1.0, 0.0]),
        ("slime:slime_one", {"level": 3}, [0.0, 0.0]),
        ("slime:slime_keyed", {"reward_key": "accuracy"}, [1.0, 0.0]),
        ("verifiers:vf_answer", {}, [0.0, 0.0]),
        ("verifiers:vf_state", {}, [1.0, 0.0]),
        ("verifiers:rubric", {}, [0.2, 0.2]),
        ("openrlhf:openrlhf_step", {"score_range": [-1, 1]}, [1.0, 0.0]),
        ("openrlhf:AgentInstance", {"score_range": [-1, 1]}, [1.0, 0.0]),
        ("open_instruct:OpenInstructJudge", {"judge_type": "quality", "judge_model": "large"}, [1.0, 0.0]),
        ("slime:slime_states", {}, [1.0, 0.0]),
        ("verifiers:vf_form", {}, [1.0, 1.0]),
        ("verifiers:old_rubric", {}, [0.25, 0.25]),
    ],
)
def test_a_foreign_function_runs_unchanged(kind: str, options: dict[str, Any], expected: list[float]) -> None:
    assert scores(ask(kind, "it is 42", "it is 4", **options)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("trl:trl_longest", {"whole_group": True}),
        ("verl:verl_batch", {}),
        ("slime:slime_group", {}),
        ("verifiers:vf_group", {}),
    ],
)
def test_a_function_that_compares_gets_its_group_at_once(kind: str, options: dict[str, Any]) -> None:
    found = scores(ask(kind, "42", "it is 42", **options))
    assert found == ([0.0, 1.0] if kind.endswith("longest") else [1.0, 0.0])


def test_none_of_trl_is_not_applicable_and_follows_on_abstain() -> None:
    verdict = ask("trl:trl_chat", "42", gold="unknown", on_abstain="skip")[0]
    assert (verdict.outcome, verdict.score) == (Outcome.ABSTAIN, None)


def test_the_librarys_own_judgement_decides_what_passes_and_its_parts_are_kept() -> None:
    dapo = ask("verl:verl_dapo", "42", score_range=[-1, 1])[0]
    assert dapo.passed and dapo.parts == {"acc": 1.0, "reward": 1.0}
    filtered = ask("openrlhf:openrlhf_dict", "42", score_range=[-1, 3])[
        0
    ]  # the reward is worth half, its filter score passes
    assert filtered.passed and filtered.score == 0.5 and filtered.parts == {"filter_score": 1.0, "reward": 1.0}
    assert ask("verifiers:rubric", "42")[0].parts == {"vf_answer": 1.0, "vf_short": 1.0}
    priced = ask("open_instruct:OpenInstructVerifier", "42")[0]
    assert priced.cost == {"verifier": 0.25} and priced.certificate == {"detail": "compared the last word"}


def test_a_function_given_messages_for_texts_is_told_of_style_and_an_agent_that_goes_on_of_done() -> None:
    failed = ask("trl:trl_text", "42")[0]
    assert failed.outcome is Outcome.ERROR and "style: text" in failed.certificate["detail"]
    lacking = ask("trl:trl_text", "42", metadata={"other": 1}, style="text")[0]
    assert "takes level, which no row has" in lacking.certificate["detail"]
    going_on = ask("openrlhf:AgentInstance", "42 again", score_range=[-1, 1])[0]
    assert going_on.outcome is Outcome.ERROR and "another turn" in going_on.certificate["detail"]


def test_a_truncated_answer_reaches_slime_as_truncated() -> None:
    spec = {"kind": f"slime:{FOREIGN}:slime_one", "level": 0, "on_truncated": "judge"}
    request = Request(response="42", gold="42", stop_reason="length")
    assert build_verifier(spec, Services(workers=1)).verify(request).score == 0.0


@pytest.mark.parametrize(
    ("kind", "options", "says"),
    [
        (f"tlr:{FOREIGN}:trl_chat", {}, "did you mean trl?"),
        (f"openrhlf:{FOREIGN}:openrlhf_dict", {}, "did you mean openrlhf?"),
        (f"trl:{FOREIGN}:nothing", {}, "cannot be imported"),
        (f"trl:{FOREIGN}:rubric", {}, "expected a function or a class"),
        (f"verl:{FOREIGN}:verl_dapo", {"penalti": 1}, "penalty"),
        (f"open_instruct:{FOREIGN}:OpenInstructJudge", {"judge_type": "quality", "judge_modle": "x"}, "judge_model"),
        (f"open_instruct:{FOREIGN}:OpenInstructJudge", {}, "needs judge_type"),
        (f"verl:{FOREIGN}:verl_dapo", {"score_range": [1, -1]}, "lowest and highest"),
        (f"trl:{FOREIGN}:trl_text", {"style": "texts"}, "'text'"),
    ],
)
def test_a_wrong_adapter_or_option_is_named_with_what_is_near(kind: str, options: dict[str, Any], says: str) -> None:
    with pytest.raises(VerifierError, match=says):
        check_spec({"kind": kind, **options})


def test_a_reward_outside_its_range_is_an_error_that_names_the_option() -> None:
    verdict = ask("openrlhf:openrlhf_dict", "4")[0]
    assert (verdict.outcome, verdict.score, verdict.reason) == (Outcome.ERROR, None, "score_out_of_range")
    assert "score_range" in verdict.certificate["detail"]


def test_trls_own_rewards_run_as_they_are() -> None:
    verifier = build_verifier({"kind": "trl:trl.rewards:think_format_reward"}, Services(workers=1))
    texts = ["<think>a</think>b", "b"]
    assert [
        verdict.score for verdict in verifier.verify_group([Request(question="?", response=text) for text in texts])
    ] == [1.0, 0.0]


def test_every_adapter_names_its_source() -> None:
    import rewards.plugins.adapters

    assert all(name in (rewards.plugins.adapters.__doc__ or "") for name in ADAPTERS)


def test_a_group_that_only_a_whole_function_could_judge_and_that_hangs_is_our_error() -> None:
    spec = {
        "kind": "trl:tests.rewards.foreign_rewards:trl_hangs_over_a_group",
        "whole_group": True,
        "deadline_seconds": 0.3,
    }
    found = build_verifier(spec, Services(workers=1)).verify_group(
        [Request(response=text, gold="") for text in ("fine", "hang", "fine")]
    )
    assert [(verdict.outcome, verdict.score, verdict.reason) for verdict in found] == [
        (Outcome.ERROR, None, "group_limit")
    ] * 3

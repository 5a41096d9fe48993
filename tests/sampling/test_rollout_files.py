"""Scored groups on disk: what is written is read back, also where a model judged."""

from __future__ import annotations

from pathlib import Path

from posttrain.sampling.rollout_files import read_groups, write_groups
from posttrain.types import Completion, RolloutGroup, Segment, StopReason
from rewards.types import Outcome, Verdict
from tests.sampling.test_sampler import prompt


def test_a_verdict_with_the_transcript_of_a_model_is_read_back(tmp_path: Path) -> None:
    transcript = [{"vote": "first", "label": "E"}]
    verdict = Verdict(outcome=Outcome.CORRECT, score=1.0, reason="same", certificate={"transcript": transcript})
    completion = Completion(
        segments=(Segment(token_ids=(1, 2), logprobs=(-0.5, -0.25)),),
        text="42",
        stop_reason=StopReason.STOP,
        policy_version="p",
        seed=3,
    )
    group = RolloutGroup(prompt=prompt(1), prompt_ids=(), completions=(completion,), verdicts=(verdict,))
    write_groups(tmp_path / "rollouts.jsonl", [group])
    assert read_groups(tmp_path / "rollouts.jsonl", [prompt(1)]) == [group]

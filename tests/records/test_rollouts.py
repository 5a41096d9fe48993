"""Answers on disk: what is written of a scored group is what a resume takes up and what the report shows."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from posttrain.records.rollouts import prompt_rows
from posttrain.sampling.rollout_files import read_groups, write_groups
from posttrain.types import Completion, Prompt, RolloutGroup, Segment, StopReason
from rewards.types import Outcome, Verdict

PROMPT = Prompt(id="p/1", source="stem_prompts", messages=({"role": "user", "content": "17+25?\u2028"},), gold="42")
VERDICTS = (
    Verdict(outcome=Outcome.CORRECT, score=1.0, extracted="42", reason="integer_equal", parts={"length": 0.5}),
    Verdict(outcome=Outcome.ERROR, score=None, certificate={"transcript": [{"prompt": "a", "label": "E"}]}),
)


def group() -> RolloutGroup:
    answers = tuple(
        Completion(
            segments=(Segment(token_ids=(5, 6, 7), logprobs=(-0.5, -1.25, 0.0)),),
            text=f"answer {seed}",
            stop_reason=StopReason.STOP if seed else StopReason.LENGTH,
            policy_version="stem@3",
            seed=seed,
        )
        for seed in range(2)
    )
    return RolloutGroup(prompt=PROMPT, prompt_ids=(), completions=answers, verdicts=VERDICTS)


def test_a_group_comes_back_with_tokens_verdicts_and_what_was_said_to_a_model(tmp_path: Path):
    write_groups(tmp_path / "part.jsonl", [group()])
    assert read_groups(tmp_path / "part.jsonl", [PROMPT]) == [group()]


def test_an_answer_keeps_its_policy_version_where_it_is_not_the_rows(tmp_path: Path):
    """As in the first groups of a stage, which a filter began."""
    first, last = group().completions
    mixed = replace(group(), completions=(first, replace(last, policy_version="stem@4")))
    write_groups(tmp_path / "part.jsonl", [mixed])
    assert read_groups(tmp_path / "part.jsonl", [PROMPT]) == [mixed]
    row = json.loads((tmp_path / "part.jsonl").read_text())
    assert [answer.get("policy_version") for answer in row["completions"]] == [None, "stem@4"]


def test_the_same_file_read_for_a_report_names_outcome_and_reason(tmp_path: Path):
    write_groups(tmp_path / "step-00001.jsonl", [group()])
    with (tmp_path / "step-00001.jsonl").open("a") as more:
        more.write(json.dumps({"prompt": "of another shape"}) + "\n")
    first, second = prompt_rows(tmp_path / "step-00001.jsonl")
    assert second is None and first is not None and first.prompt == "17+25?\u2028"
    assert [answer.verdict and answer.verdict.outcome for answer in first.completions] == ["correct", "error"]
    assert first.completions[0].verdict and first.completions[0].verdict.reason == "integer_equal"

"""An RL stage whose first groups begin with its filter's answers: which steps train on them, what is counted, and what
a resume repeats."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from posttrain.data.template import ChatTemplate
from posttrain.sampling.job import AnswerBatches, FilterAnswers, SamplingJob, ServedModel
from posttrain.sampling.prompts import encode
from posttrain.sampling.resumable import judged_answers
from posttrain.sampling.rollout_files import write_groups
from posttrain.train.policy import train
from posttrain.types import SamplingParams
from tests.train import test_policy
from tests.train.conftest import CHAT, Jobs, StopAfter, files, metrics
from tests.train.test_policy import PROMPTS, Parity, rollouts, stage

engine = test_policy.engine


@pytest.fixture
def answers(jobs: Jobs, engine: Any) -> FilterAnswers:
    """What a filter of 3 answers a prompt has published; the engine holds the weights that the stage starts from."""
    engine.load(str(jobs.model), "base-1")
    template = ChatTemplate.load(jobs.model, CHAT)
    job = SamplingJob(
        model=ServedModel(engine=engine, folder=jobs.model, id="base-1"),
        chat=CHAT,
        prompts=replace(rollouts(jobs.make(stage()), engine, None).prompts, seed=11),
        scorer=Parity(),
        sampling=SamplingParams(max_tokens=10, stop_token_ids=template.stop_ids),
        samples=3,
        output=jobs.folder,
        batches=AnswerBatches(folder=jobs.folder / "b", earlier=(), stop_file=jobs.folder / "no", samples=64),
    )
    asked = [encode(prompt, template, 64) for prompt in PROMPTS]
    groups = judged_answers(job, asked, template.stop_ids, asker="filter")
    write_groups(jobs.folder / "kept_rollouts.jsonl", groups)
    return FilterAnswers(path=jobs.folder / "kept_rollouts.jsonl", version="base-1", seed=11)


def run(job: Any, engine: Any, answers: FilterAnswers) -> dict[str, Any]:
    return train(job, replace(rollouts(job, engine, Parity()), filtered=answers))


def reused(job: Any) -> list[float]:
    return [row["reused_answers"] for row in metrics(job)]


def test_the_first_step_trains_on_the_filters_answers_and_the_record_says_so(
    jobs: Jobs, engine: Any, answers: FilterAnswers
) -> None:
    job = jobs.make(stage())
    facts = run(job, engine, answers)
    assert reused(job) == [6.0, 0.0, 0.0]  # 2 prompts x 3; the fourth of each group is sampled
    held = {row["prompt_id"]: row["completions"] for row in map(json.loads, answers.path.read_text().splitlines())}
    for line in files(job.attempt / "rollouts")["step-00001.jsonl"].splitlines():
        row = json.loads(line)
        assert row["policy_version"] == "base-1" and len(row["completions"]) == 4
        for mine, theirs in zip(row["completions"], held[row["prompt_id"]], strict=False):
            assert {key: mine[key] for key in ("seed", "token_ids", "logprobs", "verdict")} == {
                key: theirs[key] for key in ("seed", "token_ids", "logprobs", "verdict")
            }
    rows = [json.loads(line) for text in files(job.attempt / "rollouts").values() for line in text.splitlines()]
    every = sum(answer["num_tokens"] for row in rows for answer in row["completions"])
    theirs = sum(answer["num_tokens"] for row in rows[:2] for answer in row["completions"][:3])
    assert facts["generated_tokens"] == every - theirs
    assert facts["mismatch"] < 1e-4  # their log-probabilities are those of the trainer's first weights


def test_staleness_lets_more_steps_train_on_them_and_each_answer_once(
    jobs: Jobs, engine: Any, answers: FilterAnswers
) -> None:
    job = jobs.make(stage(steps=5, staleness=4, importance_sampling="sequence_mask"))
    run(job, engine, answers)
    assert reused(job)[:3] == [6.0, 6.0, 6.0] and sum(reused(job)) == 18.0  # 6 prompts a pass: then they come again
    seeds = Counter(
        answer["seed"]
        for text in files(job.attempt / "rollouts").values()
        for line in text.splitlines()
        for answer in json.loads(line)["completions"]
    )
    assert set(seeds.values()) == {1}


@pytest.mark.parametrize("steps_done", [0, 1])
def test_a_resumed_stage_leaves_the_same_bytes(
    jobs: Jobs, engine: Any, answers: FilterAnswers, steps_done: int
) -> None:
    configured = stage(steps=3, save_every=1)
    straight = jobs.make(configured)
    facts = run(straight, engine, answers)
    engine.load(str(jobs.model), "base-1")
    stopped = jobs.make(configured, stop_file=StopAfter(steps_done))
    assert run(stopped, engine, answers) == {"stopped": True}
    resumed = jobs.make(configured, resume=True)
    assert resumed.resume is not None and resumed.resume.step == steps_done + 1
    assert run(resumed, engine, answers) == facts
    assert files(resumed.output / "model") == files(straight.output / "model")
    assert metrics(resumed) == metrics(straight)
    assert files(resumed.attempt / "rollouts") == files(straight.attempt / "rollouts")

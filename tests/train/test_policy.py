"""Policy training: which prompts, which answers carry gradient, what one update does to the rewarded token, and what a
resume repeats."""

from __future__ import annotations

import dataclasses
import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import TrainingArguments

from posttrain.data.mix import Seen
from posttrain.data.template import ChatTemplate
from posttrain.errors import StageError, Stopped
from posttrain.recipe.schema import Grpo
from posttrain.rollout.engine import EngineOptions
from posttrain.sampling.job import PromptMixture, RolloutSource
from posttrain.sampling.prompts import encode
from posttrain.signals.stopping import check_wait
from posttrain.train.feed import Feed, step_prompts
from posttrain.train.model import load_model
from posttrain.train.policy import PolicyTrainer, group_metrics, policy_metrics, policy_rows, train
from posttrain.train.trainer import Recorder, run_trainer, settings
from posttrain.types import Completion, Prompt, RolloutGroup, Segment, StopReason
from rewards.types import Outcome, Verdict
from tests.train.conftest import CHAT, Jobs, StopAfter, files, metrics, weights

pytestmark = pytest.mark.usefixtures("no_logits")
PROMPTS = [
    Prompt(id=str(n), source="questions", messages=({"role": "user", "content": f"after {n}?"},), gold=str(n + 1))
    for n in range(6)
]


def stage(**options: Any) -> Grpo:
    values = {
        "kind": "grpo",
        "name": "rl",
        "prompts": "questions",
        "verifier": "parity",
        "filter": None,
        "group": 4,
        "prompts_per_step": 2,
        "micro_batch_size": 4,
        "steps": 3,
        "max_tokens": 10,
        "learning_rate": 1e-3,
        "schedule": "constant",
        "warmup_share": 0.0,
        "mask_truncated": False,
    }
    return Grpo.model_validate(values | options)


def verdict(score: float | None) -> Verdict:
    outcome = Outcome.ERROR if score is None else Outcome.CORRECT if score else Outcome.WRONG
    return Verdict(outcome=outcome, score=score, reason="lost" if score is None else "")


def group(
    scores: Sequence[float | None], *, cut: Sequence[int] = (), tokens: Sequence[Sequence[int]] | None = None
) -> RolloutGroup:
    answers = tokens or [(index, 258) for index in range(len(scores))]
    completions = tuple(
        Completion(
            segments=(Segment(token_ids=tuple(ids), logprobs=(-1.0,) * len(ids)),),
            text="",
            stop_reason=StopReason.LENGTH if index in cut else StopReason.STOP,
            policy_version="rl@0",
            seed=index,
        )
        for index, ids in enumerate(answers)
    )
    return RolloutGroup(
        prompt=PROMPTS[0], prompt_ids=(40, 41, 42), completions=completions, verdicts=tuple(map(verdict, scores))
    )


# ---------------------------------------------------------------- which prompts


def test_the_prompts_of_a_step_depend_on_its_number_alone() -> None:
    straight = [step_prompts(PROMPTS, step, 4, seed=1) for step in range(9)]
    assert [step_prompts(PROMPTS, step, 4, seed=1) for step in reversed(range(9))] == straight[::-1]
    assert straight != [step_prompts(PROMPTS, step, 4, seed=2) for step in range(9)]


@pytest.mark.parametrize("count", [1, 4, 6, 7, 13])
def test_every_prompt_comes_once_a_pass(count: int) -> None:
    seen = [prompt.id for step in range(12) for prompt in step_prompts(PROMPTS, step, count, seed=3)]
    assert len(seen) == 12 * count
    for start in range(0, len(seen) - 5, 6):
        assert sorted(seen[start : start + 6]) == [prompt.id for prompt in PROMPTS]


# ---------------------------------------------------------------- which answers


def test_groups_without_signal_and_members_without_a_reward_carry_no_gradient() -> None:
    rows = policy_rows([group([1.0, 1.0]), group([0.0, None]), group([1.0, None, 0.0])], stage(scale_rewards="none"))
    assert [(row.answer, row.advantage) for row in rows] == [((0, 258), 0.5), ((2, 258), -0.5)]
    assert all(row.prompt == (40, 41, 42) and row.behaviour == (-1.0, -1.0) for row in rows)


def test_truncated_answers_count_in_the_group_and_are_masked_when_asked() -> None:
    cut = group([1.0, 0.0, 0.0, 0.0], cut=[3])
    masked = policy_rows([cut], stage(scale_rewards="none", mask_truncated=True))
    assert [row.advantage for row in masked] == [0.75, -0.25, -0.25]
    assert len(policy_rows([cut], stage(mask_truncated=False))) == 4


def test_metrics_count_faults_cuts_and_signal() -> None:
    found = group_metrics([group([1.0, 0.0], cut=[1]), group([None, 1.0])])
    assert found["reward"] == pytest.approx(2 / 3) and found["fault_share"] == 0.25 and found["truncated_share"] == 0.25
    assert found["signal_share"] == 0.5 and found["pass_share"] == 0.5 and found["completion_tokens"] == 2.0
    assert group_metrics([])["reward"] == 0.0


def test_the_headline_takes_the_first_and_the_last_fifth() -> None:
    keys = (
        *("fault_share", "truncated_share", "sync_gap", "mismatch", "mismatch_mean", "entropy"),
        *("trained_tokens", "generated_tokens"),
    )
    history = [{"reward": float(step), **dict.fromkeys(keys, 0.0)} for step in range(10)]
    seen = Seen(rows=4, drawn=3, not_seen=1, again=0)
    found = policy_metrics(history, steps=10, seen=seen, parameters=100)
    assert (found.reward_first, found.reward_last) == (0.5, 8.5)
    assert (found.prompts, found.rows_not_seen, found.rows_again) == (4, 1, 0)


# ---------------------------------------------------------------- one update


class OneGroup:
    """A feed by hand: the answer with the wanted token is right, those with others are wrong."""

    gap, lag = 0.0, 0
    figures: dict[str, float] = {"reused_tokens": 0.0}  # noqa: RUF012 - never written
    usual: dict[Any, float] = {}  # noqa: RUF012 - never written

    def __init__(self, wanted: int, others: Sequence[int], scores: Sequence[float] | None = None) -> None:
        self.tokens = [wanted, *others]
        self.scores = scores or [1.0] + [0.0] * len(others)

    def groups(self, step: int, model: Any, optimizer: Any = None) -> list[RolloutGroup]:
        made = group(self.scores, tokens=[(token,) for token in self.tokens])
        behaviour = log_softmax(model)
        completions = tuple(
            dataclasses.replace(
                completion,
                segments=(
                    Segment(token_ids=completion.token_ids, logprobs=(float(behaviour[completion.token_ids[0]]),)),
                ),
            )
            for completion in made.completions
        )
        return [dataclasses.replace(made, completions=completions)]


def log_softmax(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return torch.log_softmax(model(input_ids=torch.tensor([[40, 41, 42]])).logits[0, -1], dim=-1)


def update(jobs: Jobs, configured: Grpo, feed: Any) -> tuple[torch.Tensor, torch.Tensor, list[dict[str, float]]]:
    """Log-probabilities after the prompt, before and after training, and the metrics."""
    job, model = jobs.make(configured), load_model(jobs.model)
    before, recorder = log_softmax(model), Recorder(job)
    arguments = TrainingArguments(
        **settings(job, configured, configured.steps or 1, rows_per_forward=1, accumulation=1)
    )
    rows = [{"step": step} for step in range(configured.steps or 1)]
    trainer = PolicyTrainer(
        model=model, args=arguments, train_dataset=rows, feed=feed, stage=configured, recorder=recorder
    )
    run_trainer(trainer, recorder, job)
    return before, log_softmax(trainer.model), metrics(job)


@pytest.mark.parametrize("loss", ["grpo", "dapo", "dr_grpo", "gspo"])
def test_an_update_raises_the_rewarded_token_and_lowers_the_others(jobs: Jobs, loss: str) -> None:
    before, after, rows = update(jobs, stage(steps=2, loss=loss), OneGroup(7, [8, 9, 10]))
    assert after[7] > before[7] + 0.01
    assert all(after[token] < before[token] for token in (8, 9, 10))
    assert [row["trained_answers"] for row in rows] == [4.0, 4.0]
    assert all(row["mismatch"] < 1e-5 and row["clip_ratio"] == 0.0 and row["entropy"] > 1.0 for row in rows)


def test_how_a_step_is_split_changes_nothing(jobs: Jobs) -> None:
    feed = OneGroup(7, [8, 9, 10])
    _, whole, one = update(jobs, stage(micro_batch_size=4), feed)
    _, split, other = update(jobs, stage(micro_batch_size=1), feed)
    assert torch.allclose(whole, split, atol=5e-3)  # Adam's first steps blow up the rounding of gradients near zero
    assert one[0]["grad_norm"] == pytest.approx(other[0]["grad_norm"], rel=1e-5)
    assert [row["loss"] for row in one] == pytest.approx([row["loss"] for row in other], abs=1e-5)


def test_a_step_without_signal_leaves_the_weights_as_they_are(jobs: Jobs) -> None:
    before, after, rows = update(jobs, stage(weight_decay=0.1), OneGroup(7, [8, 9], scores=[1.0, 1.0, 1.0]))
    assert torch.equal(before, after)
    assert [row["signal_share"] for row in rows] == [0.0, 0.0, 0.0] and [row["step"] for row in rows] == [1, 2, 3]


# ---------------------------------------------------------------- a whole stage, with an engine in this process


class Parity:
    """A scorer: an answer of odd length is right. `lost` answers get a fault instead of a verdict."""

    def __init__(self, lost: int = 0) -> None:
        self.lost = lost

    def score(self, verifier: str, groups: Sequence[RolloutGroup]) -> list[RolloutGroup]:
        return [
            dataclasses.replace(
                made,
                verdicts=tuple(
                    verdict(None if index < self.lost else float(len(completion.text) % 2))
                    for index, completion in enumerate(made.completions)
                ),
            )
            for made in groups
        ]


@pytest.fixture(scope="module")
def engine(tiny: Callable[..., Path]) -> Any:
    from posttrain.rollout.hf_engine import HfEngine

    return HfEngine(str(tiny()), "start", EngineOptions(context_tokens=96))


def rollouts(job: Any, engine: Any, scorer: Any) -> RolloutSource:
    mixture = PromptMixture(
        weights={"questions": 1.0},
        data=job.data,
        recipe_dir=job.recipe_dir,
        verifier=job.stage.verifier,
        seed=job.seed,
        context_tokens=64,
    )
    return RolloutSource(engine=engine, scorer=scorer, prompts=mixture, kept=tuple(PROMPTS), tolerance=1e-3)


def run(job: Any, engine: Any, scorer: Any = None) -> dict[str, Any]:
    return train(job, rollouts(job, engine, scorer or Parity()))


@pytest.mark.parametrize(
    "adapter", ["full", pytest.param({"rank": 4, "alpha": 8.0}, marks=pytest.mark.long)], ids=["full", "lora"]
)
def test_a_resumed_stage_leaves_the_same_weights_metrics_and_rollouts(jobs: Jobs, engine: Any, adapter: Any) -> None:
    configured = stage(steps=4, save_every=2, adapter=adapter)
    straight = jobs.make(configured)
    facts = run(straight, engine)
    assert facts["steps"] == 4 and facts["sync_gap"] < 1e-4
    assert any(
        not torch.equal(value, weights(jobs.model)[name]) for name, value in weights(straight.output / "model").items()
    )
    stopped = jobs.make(configured, stop_file=StopAfter(2))
    assert run(stopped, engine) == {"stopped": True}
    assert len(files(stopped.attempt / "rollouts")) == 3
    resumed = jobs.make(configured, resume=True)
    assert resumed.resume is not None and resumed.resume.step == 3
    assert run(resumed, engine) == facts
    assert files(resumed.output / "model") == files(straight.output / "model")
    assert metrics(resumed) == metrics(straight)
    assert files(resumed.attempt / "rollouts") == files(straight.attempt / "rollouts")


class StopWhileScoring:
    """The test's scorer, which asks for a stop in its n-th call and then waits as a call into another process does."""

    def __init__(self, calls: int, stop_file: Path) -> None:
        self.inner, self.left, self.stop_file = Parity(), calls, stop_file

    def score(self, verifier: Any, groups: Sequence[RolloutGroup]) -> list[RolloutGroup]:
        self.left -= 1
        if self.left == 0:
            self.stop_file.touch()
        check_wait()
        return self.inner.score(verifier, groups)


def test_a_stop_while_a_step_is_sampled_saves_the_step_before_and_a_rerun_goes_on_from_there(
    jobs: Jobs, engine: Any
) -> None:
    configured = stage(steps=3, save_every=3)
    straight = jobs.make(configured)
    run(straight, engine)
    stop_file = jobs.folder / "stop-now"
    stopped = jobs.make(configured, stop_file=stop_file)
    with pytest.raises(Stopped):
        run(stopped, engine, scorer=StopWhileScoring(3, stop_file))
    stop_file.unlink()
    resumed = jobs.make(configured, resume=True)
    assert resumed.resume is not None and resumed.resume.step == 2
    run(resumed, engine)
    assert files(resumed.output / "model") == files(straight.output / "model")
    assert metrics(resumed) == metrics(straight)


def test_a_stage_of_two_domains_judges_each_by_its_own_verifier(jobs: Jobs, engine: Any) -> None:
    """Shares 2 to 1: as many prompts as the shorter data set allows; the rows on disk say the data set."""
    from posttrain.machine.scorer import Scorer
    from posttrain.recipe.schema import FileData

    data = {}
    for name, count in (("stem", 8), ("code", 4)):
        rows = [{"prompt": f"{name} after {n}?", "gold": str(n + 1)} for n in range(count)]
        (jobs.folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        data[name] = FileData.model_validate({"source": "jsonl", "path": f"{name}.jsonl", "card": f"{name}.jsonl"})
    of = {"stem": "odd", "code": "even"}
    specs = {name: {"kind": f"tests.train.lengths:is_{name}", "on_truncated": "judge"} for name in of.values()}
    scorer = Scorer(specs, {}, ("<think>", "</think>"))
    mixed = stage(prompts={"stem": 2.0, "code": 1.0}, verifier=of, steps=2, prompts_per_step=6)
    job = jobs.make(mixed, data)
    asked = PromptMixture(
        weights={"stem": 2.0, "code": 1.0},
        data=data,
        recipe_dir=job.recipe_dir,
        verifier=of,
        seed=job.seed,
        context_tokens=96,
    )
    train(job, RolloutSource(engine=engine, scorer=scorer, prompts=asked, kept=None, tolerance=1e-3))
    rows = [json.loads(line) for text in files(job.attempt / "rollouts").values() for line in text.splitlines()]
    assert Counter(row["source"] for row in rows) == {"stem": 8, "code": 4}
    for row in rows:
        for answer in row["completions"]:
            odd = len(answer["text"]) % 2
            assert answer["verdict"]["score"] == (odd if row["source"] == "stem" else 1 - odd)


class Seated:
    """The engine, where it is known when it works and when it sleeps."""

    def __init__(self, engine: Any) -> None:
        self.engine, self.seen = engine, list[str]()

    def __getattr__(self, name: str) -> Any:
        self.seen.append(name)
        return getattr(self.engine, name)


def test_engines_that_take_turns_with_trainers_sleep_while_these_train(jobs: Jobs, engine: Any) -> None:
    configured = stage(steps=2, max_resampled=2)
    straight, taken = jobs.make(configured), jobs.make(configured)
    run(straight, engine)
    seated = Seated(engine)
    train(taken, dataclasses.replace(rollouts(taken, seated, Parity()), takes_turns=True))
    assert files(taken.output / "model") == files(straight.output / "model")
    turns = "".join("S" if name == "sleep" else "w" for name in seated.seen)
    assert re.fullmatch(r"(w+S){2}", turns), "each step: hand-over, check and answers, then sleep until the next"


def test_rollouts_after_the_checkpoint_are_not_carried_over(jobs: Jobs, engine: Any) -> None:
    configured = stage(steps=4, save_every=2)
    first = jobs.make(configured)
    run(first, engine)
    import shutil

    shutil.rmtree(first.attempt / "checkpoints" / "checkpoint-4")
    for late in ("step-00003.jsonl", "step-00004.jsonl", "step-00009.jsonl"):
        (first.attempt / "rollouts" / late).write_text("of an attempt that died\n")
    resumed = jobs.make(configured, resume=True)
    run(resumed, engine)
    assert sorted(files(resumed.attempt / "rollouts")) == [f"step-{step:05d}.jsonl" for step in (1, 2, 3, 4)]
    assert b"died" not in b"".join(files(resumed.attempt / "rollouts").values())


def test_each_step_is_sampled_with_the_weights_of_that_step(jobs: Jobs, engine: Any) -> None:
    job = jobs.make(stage(learning_rate=3e-2))
    run(job, engine)
    versions = {
        name: json.loads(text.splitlines()[0])["policy_version"]
        for name, text in files(job.attempt / "rollouts").items()
    }
    assert list(versions.values()) == ["rl@0", "rl@1", "rl@2"]
    template = ChatTemplate.load(jobs.model, CHAT)
    row = json.loads(files(job.attempt / "rollouts")["step-00001.jsonl"].splitlines()[0])
    prompt = template.prompt_ids([{"role": "user", "content": row["prompt"]}])
    answer = row["completions"][0]
    ids = torch.tensor([[*prompt, *answer["token_ids"]]])
    with torch.no_grad():
        logits = load_model(jobs.model)(input_ids=ids).logits[0, len(prompt) - 1 : -1]
    expected = torch.log_softmax(logits, dim=-1).gather(1, torch.tensor(answer["token_ids"])[:, None])[:, 0]
    assert answer["logprobs"] == pytest.approx(expected.tolist(), abs=1e-4)
    assert Counter(
        len(json.loads(line)["completions"])
        for text in files(job.attempt / "rollouts").values()
        for line in text.splitlines()
    ) == {4: 6}


def test_too_many_faults_stop_the_stage_and_few_do_not(jobs: Jobs, engine: Any) -> None:
    with pytest.raises(StageError, match=r"25.0% of the verdicts of step 1 are faults \(allowed 5.0%\): lost"):
        run(jobs.make(stage()), engine, Parity(lost=1))
    assert run(jobs.make(stage(max_fault_share=0.25)), engine, Parity(lost=1))["fault_share"] == 0.25


def test_a_feed_hands_over_before_it_samples(jobs: Jobs, engine: Any) -> None:
    job = jobs.make(stage())
    template = ChatTemplate.load(jobs.model, CHAT)
    feed = Feed(job, template, [encode(prompt, template, 256) for prompt in PROMPTS], rollouts(job, engine, Parity()))
    other = load_model(jobs.model)
    with torch.no_grad():
        other.lm_head.weight[7] += 1.0
    groups = feed.groups(0, other, None)
    assert engine.health().version == "rl@0" and feed.gap < 1e-4
    assert {completion.policy_version for made in groups for completion in made.completions} == {"rl@0"}

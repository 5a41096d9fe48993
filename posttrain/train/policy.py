"""Policy training on scored groups (GRPO and its kin). The trainer is blind to where rewards come from: the feed brings
groups.

    step n:  hand weights to the engine -> parity check -> sample P prompts x G -> verdicts -> advantages -> one update

Credit: every token of an answer gets its group-relative advantage; truncated answers and groups without signal give no
gradient.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeVar

import torch
from transformers import TrainingArguments

from posttrain.data.mix import Seen, seen_of_total
from posttrain.data.source import Fault, write_set_aside
from posttrain.data.template import ChatTemplate
from posttrain.errors import StageError
from posttrain.machine.ranks import is_first_rank, world_size
from posttrain.recipe.schema import Grpo
from posttrain.records.codec import as_json
from posttrain.records.metrics import PolicyMetrics, metrics_rows
from posttrain.sampling.job import RolloutSource
from posttrain.sampling.prompts import encode, pick_prompts
from posttrain.train.ends import End, Ends
from posttrain.train.feed import Feed, carry_rollouts
from posttrain.train.hidden import open_head
from posttrain.train.job import Job
from posttrain.train.lengths import Key, rewards_of
from posttrain.train.losses.head import Head, States
from posttrain.train.losses.policy import Clip, Divisor, Importance, group_advantages, has_signal, policy_loss
from posttrain.train.losses.tiled import LogprobLoss, logprob_loss
from posttrain.train.model import finished, load_model, num_parameters
from posttrain.train.sharding import wants_sharding
from posttrain.train.trainer import (
    Recorder,
    StepTrainer,
    chunks,
    global_sum,
    pad_right,
    run_trainer,
    settings,
)
from posttrain.types import EncodedPrompt, RolloutGroup, StopReason
from rewards.types import Outcome

Drawn = TypeVar("Drawn")


@dataclass(frozen=True, kw_only=True, slots=True)
class PolicyRow:
    """One answer to train on. prompt: [P] ids; answer: [T] ids; behaviour: [T] log-probabilities of the engine."""

    prompt: tuple[int, ...]
    answer: tuple[int, ...]
    behaviour: tuple[float, ...]
    advantage: float


def policy_rows(
    groups: Sequence[RolloutGroup], stage: Grpo, usual: Mapping[Key, float] = MappingProxyType({})
) -> list[PolicyRow]:
    """Answers that carry gradient, with their advantages. usual: the median length of past successes by prompt."""
    rows = []
    for group in groups:
        rewards = rewards_of(group, stage, usual)
        if not has_signal(rewards):
            continue
        for completion, advantage in zip(
            group.completions, group_advantages(rewards, scale=stage.scale_rewards), strict=True
        ):
            truncated = completion.stop_reason is StopReason.LENGTH
            if advantage is None or advantage == 0.0 or (truncated and stage.mask_truncated):
                continue
            rows.append(
                PolicyRow(
                    prompt=group.prompt_ids,
                    answer=completion.token_ids,
                    behaviour=tuple(value for segment in completion.segments for value in segment.logprobs),
                    advantage=advantage,
                )
            )
    return rows


def loss_counts(groups: Sequence[RolloutGroup], stage: Grpo) -> tuple[int, int]:
    """(answers, tokens) that the step's loss is divided by: of every answer with a score, the tokens without those that
    are masked as truncated."""
    scored = [
        completion
        for group in groups
        for completion, verdict in zip(group.completions, group.verdicts, strict=True)
        if verdict.score is not None
    ]
    kept = [
        completion.num_tokens
        for completion in scored
        if not (stage.mask_truncated and completion.stop_reason is StopReason.LENGTH)
    ]
    return len(scored), sum(kept)


def group_metrics(groups: Sequence[RolloutGroup]) -> dict[str, float]:
    """What the field watches, over all answers of the step."""
    verdicts = [verdict for group in groups for verdict in group.verdicts]
    completions = [completion for group in groups for completion in group.completions]
    scores = [verdict.score for verdict in verdicts if verdict.score is not None]
    mean = sum(scores) / len(scores) if scores else 0.0
    return {
        "reward": mean,
        "reward_std": (sum((score - mean) ** 2 for score in scores) / len(scores)) ** 0.5 if scores else 0.0,
        "pass_share": sum(verdict.passed for verdict in verdicts) / max(1, len(verdicts)),
        "fault_share": sum(verdict.outcome is Outcome.ERROR for verdict in verdicts) / max(1, len(verdicts)),
        "unscored_share": (len(verdicts) - len(scores)) / max(1, len(verdicts)),
        "generated_tokens": float(sum(completion.num_tokens for completion in completions)),
        "completion_tokens": sum(completion.num_tokens for completion in completions) / max(1, len(completions)),
        "truncated_share": sum(completion.stop_reason is StopReason.LENGTH for completion in completions)
        / max(1, len(completions)),
        "signal_share": sum(has_signal([verdict.score for verdict in group.verdicts]) for group in groups)
        / max(1, len(groups)),
    }


def over_workers(mine: dict[str, float], num_groups: int, device: Any) -> dict[str, float]:
    """The same figures over the groups of all workers. Means weigh by groups; the deviation comes from mean and mean
    square."""
    if world_size() == 1:
        return mine
    weight = num_groups / max(1.0, global_sum(num_groups, device))
    square = global_sum((mine["reward_std"] ** 2 + mine["reward"] ** 2) * weight, device)
    whole = {key: global_sum(value * weight, device) for key, value in mine.items()}
    whole["generated_tokens"] = global_sum(mine["generated_tokens"], device)
    return whole | {"reward_std": max(0.0, square - whole["reward"] ** 2) ** 0.5}


WEIGHTS = ("weight_sum", "weight_squares", "weights_dropped")
"""Of a step's importance weights, over the trained tokens: mean, mean of squares, share that is 0."""


class PolicyTrainer(StepTrainer):
    """Turns groups into one update."""

    dropout = False  # answers were sampled without; the ratio of the loss would be of two policies
    summed = ("entropy", "clip_ratio", "mismatch_mean", "kl", *WEIGHTS)
    largest = ("mismatch", "sync_gap")

    def __init__(self, *, feed: Feed, stage: Grpo, recorder: Recorder, **kwargs: Any) -> None:
        super().__init__(data_collator=list, **kwargs)
        open_head(self.model)
        self.feed, self.stage, self.recorder = feed, stage, recorder
        self.clip = Clip(low=stage.clip_low, high=stage.clip_high)
        self.importance = Importance(mode=stage.importance_sampling, cap=stage.importance_sampling_cap)
        self.divisor = Divisor(kind=stage.loss, num_answers=1, num_tokens=1.0, max_tokens=stage.max_tokens)
        self.num_trained = 1.0

    def micro_batches(self, rows: Any) -> Sequence[Any]:
        step = self.state.global_step
        groups = self.sampled(lambda: self.feed.groups(step, self.model, self.optimizer))
        trained = policy_rows(groups, self.stage, self.feed.usual)
        device = self.args.device
        answers, tokens = loss_counts(groups, self.stage)
        self.divisor = dataclasses.replace(
            self.divisor,
            num_answers=int(max(1.0, global_sum(answers, device))),
            num_tokens=max(1.0, global_sum(tokens, device)),
        )
        trained_tokens = global_sum(sum(len(row.answer) for row in trained), device)
        self.num_trained = max(1.0, trained_tokens)
        self.recorder.extra = {
            **over_workers(group_metrics(groups), len(groups), device),
            "trained_answers": global_sum(len(trained), device),
            "trained_tokens": trained_tokens,
            "sync_gap": self.feed.gap,
            "staleness": float(self.feed.lag),
            **self.feed.figures,
        }
        self.recorder.extra["generated_tokens"] -= self.feed.figures["reused_tokens"]  # which the filter has counted
        self.recorder.extra |= dict.fromkeys((*self.summed, "mismatch"), 0.0)
        # short and long answers apart: less padding; the order has no other effect, the loss is a sum
        trained.sort(key=lambda row: len(row.prompt) + len(row.answer))
        return list(chunks(trained, self.stage.micro_batch_size))

    def micro_loss(self, model: Any, micro: Sequence[PolicyRow]) -> torch.Tensor:
        stage, device = self.stage, self.args.device
        ids = pad_right([[*row.prompt, *row.answer] for row in micro], 0, torch.long).to(device)
        attention = pad_right([[1] * (len(row.prompt) + len(row.answer)) for row in micro], 0, torch.long).to(device)
        mask = pad_right(
            [[0.0] * (len(row.prompt) - 1) + [1.0] * len(row.answer) for row in micro], 0.0, torch.float32
        ).to(device)
        behaviour = pad_right(
            [[0.0] * (len(row.prompt) - 1) + list(row.behaviour) for row in micro], 0.0, torch.float32
        ).to(device)
        advantages = torch.tensor([row.advantage for row in micro], device=device)
        trained = mask.bool()

        def spread(logprobs_N: torch.Tensor) -> torch.Tensor:
            return torch.zeros_like(mask).index_put(trained.nonzero(as_tuple=True), logprobs_N)

        def policy(logprobs_N: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            logprobs = spread(logprobs_N)
            if self.importance.mode == "none":  # the clip holds the ratio to the policy that sampled
                return policy_loss(logprobs, behaviour, advantages, mask, self.clip, self.divisor)
            weights = self.importance.weights(logprobs, behaviour, mask)
            return policy_loss(logprobs, logprobs.detach(), advantages, mask, self.clip, self.divisor, weights)

        def over_hidden(hidden_BTH: torch.Tensor, head: Head) -> LogprobLoss:
            return logprob_loss(
                States(hidden_NH=hidden_BTH[:, :-1][trained], head=head),
                ids[:, 1:][trained],
                lambda logprobs_N: policy(logprobs_N)[0],
                temperature=stage.temperature,
                by_token=stage.loss != "gspo" and not self.importance.mode.startswith("sequence"),
            )

        scored: LogprobLoss = model(input_ids=ids, attention_mask=attention, over_hidden=over_hidden)
        gap = (scored.logprobs_N - behaviour[trained]).abs()
        extra = self.recorder.extra
        if self.importance.mode != "none":
            weights = self.importance.weights(spread(scored.logprobs_N), behaviour, mask).expand_as(mask)[trained]
            for name, value in zip(WEIGHTS, (weights, weights**2, weights == 0.0), strict=True):
                extra[name] += float(value.sum()) / self.num_trained
        extra["kl"] += float((behaviour[trained] - scored.logprobs_N).sum()) / self.num_trained
        extra["entropy"] += float(scored.entropies_N.sum()) / self.num_trained
        extra["clip_ratio"] += float(policy(scored.logprobs_N)[1]) / self.num_trained
        extra["mismatch_mean"] += float(gap.sum()) / self.num_trained
        extra["mismatch"] = max(extra["mismatch"], float(gap.max()))
        return scored.loss

    def before_update(self) -> None:
        """The trainer's log-probabilities of the sampled tokens against those they were sampled with. The sync gap
        cannot see what only the trainer does: dropout, another attention, an adapter that was merged wrongly."""
        extra, allowed = self.recorder.extra, self.stage.mismatch_tolerance
        total, squares, dropped = (extra.pop(name) for name in WEIGHTS)
        if self.importance.mode != "none":
            extra |= {"importance_weight": total, "dropped_share": dropped}
            extra["effective_share"] = total**2 / squares if squares else 0.0
        if self.feed.lag == 0 and not extra["mismatch_mean"] <= allowed:  # also where it is no number
            raise StageError(
                f"at step {self.state.global_step + 1} the trainer gives the sampled tokens log-probabilities "
                f"{extra['mismatch_mean']:.3g} nats from the engine's in the mean (largest {extra['mismatch']:.3g}), "
                f"more than mismatch_tolerance {allowed:g}; the sync gap is {extra['sync_gap']:.3g}",
                where=f"stages.{self.stage.name}.mismatch_tolerance",
                remedy="with a small sync gap look at what only the trainer does (dropout, attention, the adapter and "
                "its merge), else at the hand-over; engine.dtype: float32 tells rounding from a fault",
            )


def train(job: Job, rollouts: RolloutSource) -> dict[str, Any]:
    """Runs in every trainer worker. Returns headline metrics, or {"stopped": True}."""
    stage: Grpo = job.stage
    steps = stage.steps or 1
    template = ChatTemplate.load(job.model, job.chat, job.recipe_dir)
    prompts, faulty = _prompts(rollouts, template)
    model = load_model(job.model, adapter=stage.adapter, seed=job.seed)
    recorder = Recorder(job, lambda step: [f"the answers in {job.attempt}/rollouts/step-{step + 1:05d}*.jsonl"])
    carry_rollouts(job)
    feed = Feed(job, template, prompts, rollouts)
    sharded = wants_sharding(job.sharding, model)
    arguments = TrainingArguments(**settings(job, stage, steps, rows_per_forward=1, accumulation=1, sharded=sharded))
    rows = [{"step": step} for step in range(steps * world_size())]
    trainer = PolicyTrainer(model=model, args=arguments, train_dataset=rows, feed=feed, stage=stage, recorder=recorder)
    ends = Ends(feed, recorder)
    trainer.add_callback(ends)
    try:
        run_trainer(trainer, recorder, job, is_over=ends.is_over)
    finally:
        feed.ahead.close()
    if ends.end is None:
        return {"stopped": True}
    trained_model = feed.follower.whole(trainer.model)
    if not is_first_rank():
        return {}
    parameters = num_parameters(trainer.model)
    if ends.end is End.GUARD:
        ends.publish_best(job.output / "model")
    else:
        feed.save(finished(trained_model, stage.publish.dtype), job.output / "model")
    write_set_aside(job.output, faulty)
    history = [dict(row.values) for row in metrics_rows(recorder.path)]
    seen = seen_of_total({"prompts": len(prompts)}, {"prompts": 1.0}, len(history) * stage.prompts_per_step)
    metrics = policy_metrics(history, steps=len(history), seen=seen, parameters=parameters)
    return dict(as_json(dataclasses.replace(metrics, **ends.told())))


def _prompts(rollouts: RolloutSource, template: ChatTemplate) -> tuple[list[EncodedPrompt], dict[str, Sequence[Fault]]]:
    """What the filter kept (it asked them before, so one that cannot be asked is an error), or all of the mixture."""
    if rollouts.kept is None:
        return pick_prompts(rollouts.prompts, rollouts.scorer, template)
    return [encode(prompt, template, rollouts.prompts.context_tokens) for prompt in rollouts.kept], {}


def policy_metrics(history: Sequence[Mapping[str, float]], *, steps: int, seen: Seen, parameters: int) -> PolicyMetrics:
    """First and last fifth of the reward curve, and totals. history: the figures of each step, one at least; seen: how
    often the prompts were asked."""
    span = max(1, len(history) // 5)

    def mean(rows: Sequence[Mapping[str, float]], key: str) -> float:
        return round(sum(row[key] for row in rows) / len(rows), 6)

    return PolicyMetrics(
        steps=steps,
        ended=str(End.STEPS),
        published_step=steps,
        prompts=seen.rows,
        rows_not_seen=seen.not_seen,
        rows_again=seen.again,
        parameters=parameters,
        reward_first=mean(history[:span], "reward"),
        reward_last=mean(history[-span:], "reward"),
        fault_share=mean(history, "fault_share"),
        truncated_share=mean(history, "truncated_share"),
        sync_gap=max(row["sync_gap"] for row in history),
        mismatch=max(row["mismatch"] for row in history),
        mismatch_mean=max(row["mismatch_mean"] for row in history),
        entropy_last=mean(history[-span:], "entropy"),
        trained_tokens=int(sum(row["trained_tokens"] for row in history)),
        generated_tokens=int(sum(row["generated_tokens"] for row in history)),
    )

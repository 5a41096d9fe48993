"""A generative pairwise reward model: a causal model that answers "which is better" with one label token.

Credit: the label token only, in both orders of every pair. Prompt and labels are those that rewards/models/pairwise.py
serves with.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import random
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import TrainingArguments

from posttrain.data.mix import draw, num_rows, seen_of_total
from posttrain.data.source import Fault, load_pairs, set_aside, write_set_aside
from posttrain.data.template import ChatTemplate
from posttrain.errors import DataError
from posttrain.machine.ranks import is_first_rank, world_size
from posttrain.recipe.schema import RewardModel
from posttrain.records.codec import as_json
from posttrain.records.metrics import RewardModelMetrics
from posttrain.train.hidden import open_head
from posttrain.train.job import Job, data_folders
from posttrain.train.losses.head import Head, States
from posttrain.train.model import finished, load_model, num_parameters, save_model
from posttrain.train.sharding import wants_sharding, whole_model
from posttrain.train.trainer import (
    Recorder,
    StepTrainer,
    chunks,
    even_rows,
    global_sum,
    micro_split,
    num_steps,
    pad_right,
    run_trainer,
    settings,
)
from posttrain.types import PreferencePair
from rewards.models.conversation import conversation_text
from rewards.models.pairwise import LABELS, pairwise_prompt
from rewards.prose.visible import visible_text


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """One pair in one order. prompt: [P] ids up to the label; label: its id; pair: index of the pair;
    name: its row, for messages."""

    prompt: tuple[int, ...]
    label: int
    pair: int
    name: str = ""


def comparisons(pair: PreferencePair, index: int, template: ChatTemplate) -> tuple[Comparison, Comparison]:
    """Both orders of a pair. Raises DataError where the template refuses its text."""
    labels = label_ids(template)
    question = conversation_text(pair.messages, template.think, sys.maxsize)
    better, worse = (visible_text(text, template.think).strip() for text in (pair.chosen, pair.rejected))

    def order(first: str, second: str, label: int) -> Comparison:
        ids = template.prompt_ids([{"role": "user", "content": pairwise_prompt(question, first, second)}])
        return Comparison(prompt=tuple(ids), label=label, pair=index)

    return order(better, worse, labels[0]), order(worse, better, labels[1])


@dataclass(kw_only=True, slots=True)
class Pools:
    """The comparisons of a stage: to train on, by data set; held out; and the rows left out, by data set."""

    trained: dict[str, list[tuple[Comparison, ...]]] = field(default_factory=dict)  # a pair's two orders together
    held_out: list[Comparison] = field(default_factory=list)
    faulty: dict[str, Sequence[Fault]] = field(default_factory=dict)
    too_long: dict[str, list[Fault]] = field(default_factory=dict)


def read_pools(job: Job, stage: RewardModel, template: ChatTemplate) -> Pools:
    """Every pair of every data set in both orders. Raises DataError: too many faulty rows, or none that fits."""
    found, index = Pools(), 0
    for name in sorted(stage.data):
        read = load_pairs(name, job.data[name], job.recipe_dir, data_folders(job.inputs), think=template.think)
        made: list[tuple[Comparison, Comparison]] = []
        reasons: list[str | None] = []
        for pair in read.items:
            index += 1
            try:
                made.append(comparisons(pair, index, template))
                reasons.append(None)
            except DataError as error:
                reasons.append(f"{error.what}: {error.remedy}" if error.remedy else error.what)
        read = set_aside(read, job.data[name], reasons)
        longest = [max(len(one.prompt), len(other.prompt)) for one, other in made]
        found.faulty[name] = read.faults
        found.too_long[name] = [
            Fault(row=number, reason=f"{tokens + 1} tokens with the label, longer than max_tokens {stage.max_tokens}")
            for number, tokens in zip(read.numbers, longest, strict=True)
            if tokens >= stage.max_tokens
        ]
        fitting = [
            tuple(dataclasses.replace(order, name=f"row {number} of data '{name}'") for order in both)
            for number, both, tokens in zip(read.numbers, made, longest, strict=True)
            if tokens < stage.max_tokens
        ]
        random.Random(f"held-out/{job.seed}/{name}").shuffle(fitting)
        if not fitting:
            raise DataError(
                f"no pair of data '{name}' is left to train on: {len(made)} read, {len(found.too_long[name])} longer "
                f"than max_tokens {stage.max_tokens}",
                where=job.step_name,
                remedy="give more pairs, or raise max_tokens",
            )
        kept = num_held_out(name, len(fitting), stage.held_out_share)
        found.held_out += [row for both in fitting[:kept] for row in both]
        found.trained[name] = fitting[kept:]
    return found


def draw_orders(
    pairs: Mapping[str, Sequence[tuple[Comparison, ...]]], weights: Mapping[str, float], total: int, seed: int
) -> list[Comparison]:
    """`total` comparisons, the two orders of a pair side by side: what tells first from second cancels in the gradient
    of a batch, and what tells better from worse is left."""
    return [order for both in draw(pairs, weights, math.ceil(total / 2), seed) for order in both][:total]


def num_held_out(name: str, num_pairs: int, share: float) -> int:
    """How many pairs of a data set are kept for measuring; with a share, one at least. Raises DataError where none
    would be left to train on."""
    kept = max(1, round(share * num_pairs)) if share else 0
    if kept >= num_pairs:
        raise DataError(
            f"data '{name}' has {num_pairs} pair{'s' if num_pairs > 1 else ''}, and held_out_share {share} keeps "
            f"{kept} of them for measuring: none is left to train on",
            where=f"data.{name}",
            remedy="give more pairs, or held_out_share: 0",
        )
    return kept


def label_ids(template: ChatTemplate) -> tuple[int, int]:
    """Token ids of the two labels. Raises DataError where one is not a single token."""
    found = [template.encode(label) for label in LABELS]
    if any(len(ids) != 1 for ids in found):
        raise DataError(
            f"labels {LABELS} are not single tokens of this tokenizer",
            remedy="train the reward model from another base",
        )
    return found[0][0], found[1][0]


class LabelTrainer(StepTrainer):
    """Cross-entropy on the label token."""

    summed = ("accuracy",)

    def __init__(self, *, micro: int, recorder: Recorder, **kwargs: Any) -> None:
        super().__init__(data_collator=list, **kwargs)
        open_head(self.model)
        self.micro, self.recorder = micro, recorder
        self.total = 1.0

    def micro_batches(self, rows: Any) -> Sequence[Any]:
        items = [row["comparison"] for row in rows if row is not None]
        self.total = global_sum(len(items), self.args.device)
        self.recorder.extra = {"accuracy": 0.0}
        return list(chunks(items, self.micro))

    def micro_loss(self, model: Any, micro: Sequence[Comparison]) -> torch.Tensor:
        log_softmax = last_logprobs(model, micro, self.args.device)
        labels = torch.tensor([row.label for row in micro], device=log_softmax.device)
        self.recorder.extra["accuracy"] += float((log_softmax.argmax(dim=1) == labels).sum()) / self.total
        return -log_softmax.gather(1, labels.unsqueeze(1)).sum() / self.total


def last_logprobs(model: Any, rows: Sequence[Comparison], device: Any) -> torch.Tensor:
    """Log-probabilities [B, V] of the token after each prompt; no other position is projected."""
    ids = pad_right([row.prompt for row in rows], 0, torch.long).to(device)
    attention = pad_right([[1] * len(row.prompt) for row in rows], 0, torch.long).to(device)
    last = torch.tensor([len(row.prompt) - 1 for row in rows], device=device)

    def over_hidden(hidden_BTH: torch.Tensor, head: Head) -> torch.Tensor:
        hidden_BH = hidden_BTH[torch.arange(len(rows), device=device), last]
        return torch.log_softmax(States(hidden_NH=hidden_BH, head=head).logits(), dim=1)

    found: torch.Tensor = model(input_ids=ids, attention_mask=attention, over_hidden=over_hidden)
    return found


def measure(model: Any, rows: Sequence[Comparison], labels: tuple[int, int], size: int) -> dict[str, Any]:
    """Accuracy of the mean of both orders, and the share of pairs where the orders agree."""
    open_head(model).eval()
    wins: dict[int, list[float]] = {}
    with torch.no_grad():
        for part in chunks(rows, size):
            both = last_logprobs(model, part, next(model.parameters()).device)[:, list(labels)]
            shares = torch.softmax(both, dim=1)
            for row, share in zip(part, shares.tolist(), strict=True):
                wins.setdefault(row.pair, []).append(share[labels.index(row.label)])
    pairs = [orders for orders in wins.values() if len(orders) == 2]
    if not pairs:
        return {}
    return {
        "held_out_pairs": len(pairs),
        "held_out_accuracy": round(sum(sum(orders) > 1.0 for orders in pairs) / len(pairs), 6),
        "swap_consistency": round(sum((orders[0] > 0.5) == (orders[1] > 0.5) for orders in pairs) / len(pairs), 6),
    }


def train(job: Job) -> dict[str, Any]:
    """Runs in every trainer worker. Returns headline metrics with held-out accuracy, or {"stopped": True}."""
    stage: RewardModel = job.stage
    template = ChatTemplate.load(job.model, job.chat, job.recipe_dir)
    labels = label_ids(template)
    pools = read_pools(job, stage, template)
    sizes, data = {name: 2 * len(pairs) for name, pairs in pools.trained.items()}, dict(stage.data)
    total = stage.steps * stage.batch_size if stage.steps else num_rows(sizes, data, stage.epochs or 1.0)
    steps, seen = num_steps(total, stage.batch_size), seen_of_total(sizes, data, total)
    drawn = draw_orders(pools.trained, data, total, job.seed)
    micro, _ = micro_split(stage)
    make = functools.partial(load_model, job.model, adapter=stage.adapter, seed=job.seed)
    model = make()
    sharded = wants_sharding(job.sharding, model)
    rows_a_worker = stage.batch_size // world_size()
    arguments = TrainingArguments(
        **settings(job, stage, steps, rows_per_forward=rows_a_worker, accumulation=1, sharded=sharded)
    )
    size = stage.batch_size
    recorder = Recorder(job, lambda step: [row.name for row in drawn[step * size : (step + 1) * size]])
    trainer = LabelTrainer(
        model=model, args=arguments,
        train_dataset=even_rows([{"comparison": row} for row in drawn], None, stage.batch_size),
        micro=micro, recorder=recorder,
    )  # fmt: skip
    run_trainer(trainer, recorder, job)
    if recorder.stopped and trainer.state.global_step < steps:
        return {"stopped": True}
    trained_model = whole_model(trainer.model, make)
    # Of a sharded model every rank must join each forward, so all of them measure.
    measured = measure(trainer.model, pools.held_out, labels, micro) if sharded or is_first_rank() else {}
    if not is_first_rank():
        return {}
    parameters = num_parameters(trainer.model)
    save_model(
        finished(trained_model, stage.publish.dtype),
        job.output / "model",
        source=job.model,
        chat=job.chat,
        stop_ids=template.stop_ids,
        recipe_dir=job.recipe_dir,
        dtype=stage.publish.dtype,
    )
    left_out = {name: sorted([*pools.faulty[name], *pools.too_long[name]], key=lambda row: row.row) for name in sizes}
    write_set_aside(job.output, left_out)
    metrics = RewardModelMetrics(
        steps=steps,
        pairs=sum(sizes.values()) // 2,
        faulty_rows=sum(map(len, pools.faulty.values())),
        trained_tokens=len(drawn),
        parameters=parameters,
        too_long_rows=sum(map(len, pools.too_long.values())),
        rows_not_seen=seen.not_seen,
        rows_again=seen.again,
        **measured,
    )
    return dict(as_json(metrics))

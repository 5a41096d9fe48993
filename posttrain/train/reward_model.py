"""A generative pairwise reward model: a causal model that answers "which is better" with one label token.

Credit: the label token only, in both orders of every pair. Prompt and labels are those that rewards/models/pairwise.py
serves with.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import TrainingArguments

from posttrain.data.mix import draw, num_rows
from posttrain.data.source import Fault, load_pairs, write_set_aside
from posttrain.data.template import ChatTemplate
from posttrain.errors import DataError
from posttrain.machine.ranks import is_first_rank, world_size
from posttrain.recipe.schema import RewardModel
from posttrain.records.codec import as_json
from posttrain.records.metrics import RewardModelMetrics
from posttrain.train.hidden import open_head
from posttrain.train.job import Job, data_folders
from posttrain.train.losses.head import Head, States
from posttrain.train.model import load_model, num_parameters, save_model
from posttrain.train.trainer import (
    Recorder,
    StepTrainer,
    chunks,
    global_sum,
    micro_split,
    pad_right,
    run_trainer,
    settings,
)
from posttrain.types import PreferencePair
from rewards.models.pairwise import LABELS, pairwise_prompt
from rewards.prose.visible import visible_text


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """One pair in one order. prompt: [P] ids up to the label; label: its id; pair: index of the pair."""

    prompt: tuple[int, ...]
    label: int
    pair: int


def comparisons(pairs: Sequence[PreferencePair], template: ChatTemplate, max_tokens: int) -> list[Comparison]:
    """Both orders of every pair that fits."""
    labels = label_ids(template)
    rows = []
    for index, pair in enumerate(pairs):
        question = pair.messages[-1]["content"]
        better, worse = (visible_text(text, template.think).strip() for text in (pair.chosen, pair.rejected))
        for first, second, label in ((better, worse, labels[0]), (worse, better, labels[1])):
            ids = template.prompt_ids([{"role": "user", "content": pairwise_prompt(question, first, second)}])
            if len(ids) < max_tokens:
                rows.append(Comparison(prompt=tuple(ids), label=label, pair=index))
    return rows


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
        items = [row["comparison"] for row in rows]
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
    pools: dict[str, list[Comparison]] = {}
    held_out: list[PreferencePair] = []
    faulty: dict[str, Sequence[Fault]] = {}
    for name in sorted(stage.data):
        read = load_pairs(name, job.data[name], job.recipe_dir, data_folders(job.inputs))
        faulty[name] = read.faults
        pairs = list(read.items)
        random.Random(f"held-out/{job.seed}/{name}").shuffle(pairs)
        kept = max(1, round(stage.held_out_share * len(pairs))) if stage.held_out_share else 0
        held_out += pairs[:kept]
        pools[name] = comparisons(pairs[kept:], template, stage.max_tokens)
        if not pools[name]:
            raise DataError(
                f"no pair of data '{name}' fits in max_tokens {stage.max_tokens}",
                where=job.step_name,
                remedy="raise max_tokens",
            )
    sizes = {name: len(rows) for name, rows in pools.items()}
    steps = stage.steps or max(1, num_rows(sizes, dict(stage.data), stage.epochs or 1.0) // stage.batch_size)
    drawn = draw(pools, dict(stage.data), steps * stage.batch_size, job.seed)
    micro, _ = micro_split(stage)
    arguments = TrainingArguments(
        **settings(job, stage, steps, rows_per_forward=stage.batch_size // world_size(), accumulation=1)
    )
    recorder = Recorder(job)
    trainer = LabelTrainer(
        model=load_model(job.model, adapter=stage.adapter), args=arguments,
        train_dataset=[{"comparison": row} for row in drawn],
        micro=micro, recorder=recorder,
    )  # fmt: skip
    run_trainer(trainer, recorder, job)
    if recorder.stopped and trainer.state.global_step < steps:
        return {"stopped": True}
    if not is_first_rank():
        return {}
    save_model(
        trainer.model,
        job.output / "model",
        source=job.model,
        chat=job.chat,
        stop_ids=template.stop_ids,
        recipe_dir=job.recipe_dir,
    )
    measured = measure(trainer.model, comparisons(held_out, template, stage.max_tokens), labels, micro)
    metrics = RewardModelMetrics(
        steps=steps,
        pairs=sum(sizes.values()) // 2,
        faulty_rows=write_set_aside(job.output, faulty),
        trained_tokens=len(drawn),
        parameters=num_parameters(trainer.model),
        **measured,
    )
    return dict(as_json(metrics))

"""Dual-Level Preference Distillation: one forward of the student over both answers serves teacher KL and DPO.

Credit: KD lands on every token of the good and of the bad answer, by the teacher's whole distribution there; DPO on the
sum of each answer. Reference log-probabilities are those of the model the stage starts from, computed once before the
first step.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import TrainingArguments

from posttrain.data.mix import draw, num_rows, seen_of_total
from posttrain.data.source import read_pairs
from posttrain.data.template import ChatTemplate
from posttrain.errors import DataError
from posttrain.machine.ranks import is_first_rank, world_size
from posttrain.recipe.schema import Dpd
from posttrain.records.codec import as_json
from posttrain.records.metrics import DpdMetrics
from posttrain.signals.progress import tell
from posttrain.train.compatibility import compare_vocabularies
from posttrain.train.hidden import open_head
from posttrain.train.job import Job
from posttrain.train.losses.dpd import dpo_loss, dpo_margin
from posttrain.train.losses.head import Head, States
from posttrain.train.losses.tiled import Divergence, distillation_loss, token_logprobs
from posttrain.train.model import load_model, num_parameters, save_model
from posttrain.train.sharding import wants_sharding, whole_model
from posttrain.train.trainer import (
    Recorder,
    StepTrainer,
    chunks,
    even_rows,
    global_max,
    global_sum,
    micro_split,
    num_steps,
    pad_right,
    run_trainer,
    settings,
)
from posttrain.types import PreferencePair

WHOLE = {"pairs": 1.0}  # one data set, so passes are over all of it


@dataclass(frozen=True, kw_only=True, slots=True)
class PairRow:
    """A pair as token ids; answers end with the stop token. The reference sums are filled before training (nats);
    name: which pair it is, for messages."""

    name: str
    prompt: tuple[int, ...]
    chosen: tuple[int, ...]
    rejected: tuple[int, ...]
    reference_chosen: float = 0.0
    reference_rejected: float = 0.0


def answer_batch(rows: Sequence[tuple[tuple[int, ...], tuple[int, ...]]], device: Any) -> dict[str, torch.Tensor]:
    """(prompt, answer) rows as a right-padded batch. `trained` [B, T-1] marks positions whose NEXT token belongs to the
    answer."""
    ids = pad_right([[*prompt, *answer] for prompt, answer in rows], 0, torch.long)
    attention = pad_right([[1] * (len(prompt) + len(answer)) for prompt, answer in rows], 0, torch.long)
    trained = pad_right([[0] * (len(prompt) - 1) + [1] * len(answer) for prompt, answer in rows], 0, torch.bool)
    return {"input_ids": ids.to(device), "attention_mask": attention.to(device), "trained": trained.to(device)}


def over_trained(model: Any, batch: dict[str, torch.Tensor], function: Callable[[States, torch.Tensor], Any]) -> Any:
    """What `function` makes of the states at the positions marked trained and of their N next tokens. `model` was given
    to open_head."""
    targets = batch["input_ids"][:, 1:][batch["trained"]]

    def over_hidden(hidden_BTH: torch.Tensor, head: Head) -> Any:
        return function(States(hidden_NH=hidden_BTH[:, :-1][batch["trained"]], head=head), targets)

    return model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], over_hidden=over_hidden)


def answer_sums(logprobs_N: torch.Tensor, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Summed log-probability of each row's answer [B]."""
    rows = batch["trained"].nonzero()[:, 0]
    return logprobs_N.new_zeros(batch["trained"].shape[0]).index_add(0, rows, logprobs_N)


class DpdTrainer(StepTrainer):
    """Trains on pairs; `teacher` is frozen and shares the vocabulary."""

    dropout = False  # the margin is against a reference that was computed without
    summed = ("dpo_loss", "kd_chosen", "kd_rejected", "margin", "accuracy")

    def __init__(self, *, teacher: Any, stage: Dpd, micro: int, recorder: Recorder, **kwargs: Any) -> None:
        super().__init__(data_collator=list, **kwargs)
        open_head(self.model)
        open_head(teacher)
        self.teacher = teacher.to(self.args.device).eval().requires_grad_(False)
        self.stage = stage
        self.micro = micro
        self.recorder = recorder
        self.totals: dict[str, float] = {}

    def micro_batches(self, rows: Any) -> Sequence[Any]:
        pairs: list[PairRow] = [row["pair"] for row in rows if row is not None]
        device = self.args.device
        self.totals = {
            "pairs": global_sum(len(pairs), device),
            "chosen": global_sum(sum(len(pair.chosen) for pair in pairs), device),
            "rejected": global_sum(sum(len(pair.rejected) for pair in pairs), device),
        }
        self.recorder.extra = dict.fromkeys(self.summed, 0.0)
        return list(chunks(pairs, self.micro))

    def micro_loss(self, model: Any, micro: Sequence[PairRow]) -> torch.Tensor:
        stage, weights, device = self.stage, self.stage.weights, self.args.device
        batch = answer_batch([(p.prompt, p.chosen) for p in micro] + [(p.prompt, p.rejected) for p in micro], device)
        with torch.no_grad():
            teacher: States = over_trained(self.teacher, batch, lambda states, _: states)
        is_chosen = batch["trained"].nonzero()[:, 0] < len(micro)
        chosen_share, rejected_share = is_chosen / self.totals["chosen"], ~is_chosen / self.totals["rejected"]
        pair_share = 1.0 / self.totals["pairs"]
        reference_chosen = torch.tensor([p.reference_chosen for p in micro], device=device)
        reference_rejected = torch.tensor([p.reference_rejected for p in micro], device=device)

        def sides(logprobs_N: torch.Tensor) -> tuple[torch.Tensor, ...]:
            chosen, rejected = answer_sums(logprobs_N, batch).split(len(micro))
            return chosen, rejected, reference_chosen, reference_rejected

        def sequence_loss(logprobs_N: torch.Tensor) -> torch.Tensor:
            return dpo_loss(*sides(logprobs_N), beta=stage.beta).sum() * (weights.sequence * pair_share)

        def loss_of(student: States, targets_N: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return distillation_loss(
                student,
                teacher,
                targets_N,
                divergence=Divergence(kind=stage.divergence, jsd_beta=stage.jsd_beta, temperature=stage.kd_temperature),
                weights_N=weights.chosen * chosen_share + weights.rejected * rejected_share,
                of_logprobs=sequence_loss if weights.sequence else None,
            )

        loss, divergence, logprobs = over_trained(model, batch, loss_of)
        margin = dpo_margin(*sides(logprobs))
        found = (
            dpo_loss(*sides(logprobs), beta=stage.beta).sum() * pair_share,
            (divergence * chosen_share).sum(),
            (divergence * rejected_share).sum(),
            margin.sum() * pair_share,
            (margin > 0).sum() * pair_share,
        )
        for key, value in zip(self.summed, found, strict=True):
            self.recorder.extra[key] += float(value)
        return loss


def _pair_rows(job: Job, template: ChatTemplate) -> list[PairRow]:
    path = job.inputs["pairs"] / "pairs.jsonl"
    pairs = read_pairs(path, job.step_name)
    if not pairs:
        raise DataError(
            "no pair was kept", where=job.step_name, remedy="give more prompts or samples, or a stronger teacher"
        )
    rows = []
    for number, pair in enumerate(pairs, start=1):
        try:
            rows.append(_pair_row(pair, template))
        except DataError as error:
            what = f"row {number} of the pairs (prompt {pair.id} of data '{pair.source}'): {error.what}"
            raise DataError(what, where=f"{path}:{number}", remedy=error.remedy) from error
    return rows


def _pair_row(pair: PreferencePair, template: ChatTemplate) -> PairRow:
    """What the prompt opens of the reasoning is the prompt's, and no token of the answers."""
    prompt = template.prompt_text(pair.messages, pair.tools)
    chosen, rejected = (
        tuple(template.answer_ids(text.removeprefix(template.opened(prompt)), prompt))
        for text in (pair.chosen, pair.rejected)
    )
    name = f"prompt {pair.id} of data '{pair.source}'"
    return PairRow(
        name=name, prompt=tuple(template.prompt_ids(pair.messages, pair.tools)), chosen=chosen, rejected=rejected
    )


def _with_reference(model: Any, rows: Sequence[PairRow], size: int, stop_file: Path) -> list[PairRow] | None:
    """The rows with the sums of `model`; None where a stop was asked for, on all workers or on none."""
    from dataclasses import replace

    open_head(model).eval()
    done: list[PairRow] = []
    device = next(model.parameters()).device
    with torch.no_grad():
        for part in chunks(rows, size):
            if global_max(float(stop_file.exists()), device):
                return None
            tell(stop_file, "reference", len(done), len(rows))
            batch = answer_batch([(p.prompt, p.chosen) for p in part] + [(p.prompt, p.rejected) for p in part], device)
            sums = answer_sums(over_trained(model, batch, token_logprobs), batch).tolist()
            done += [
                replace(p, reference_chosen=a, reference_rejected=b)
                for p, a, b in zip(part, sums[: len(part)], sums[len(part) :], strict=True)
            ]
    return done


def train(job: Job, teacher: Path) -> dict[str, Any]:
    """Runs in every trainer worker. teacher: its model folder. Writes job.output/model."""
    stage: Dpd = job.stage
    template = ChatTemplate.load(job.model, job.chat, job.recipe_dir)
    its = ChatTemplate.load(teacher, job.chat, job.recipe_dir).tokenizer.get_vocab()
    compare_vocabularies(template.tokenizer.get_vocab(), its, f"{job.step_name}: {teacher}")
    rows = _pair_rows(job, template)
    sizes = {"pairs": len(rows)}
    total = stage.steps * stage.batch_size if stage.steps else num_rows(sizes, WHOLE, stage.epochs or 1.0)
    steps, seen = num_steps(total, stage.batch_size), seen_of_total(sizes, WHOLE, total)
    micro, _ = micro_split(stage)
    make = functools.partial(load_model, job.model, adapter=stage.adapter, seed=job.seed)
    model = make()
    referenced = _with_reference(load_model(job.model), rows, micro, job.stop_file)
    if referenced is None:
        return {"stopped": True}
    drawn = draw({"pairs": referenced}, WHOLE, total, job.seed)
    sharded = wants_sharding(job.sharding, model)
    rows_a_worker = stage.batch_size // world_size()
    arguments = TrainingArguments(
        **settings(job, stage, steps, rows_per_forward=rows_a_worker, accumulation=1, sharded=sharded)
    )
    size = stage.batch_size
    recorder = Recorder(job, lambda step: [row.name for row in drawn[step * size : (step + 1) * size]])
    trainer = DpdTrainer(
        model=model, args=arguments, train_dataset=even_rows([{"pair": row} for row in drawn], None, stage.batch_size),
        teacher=load_model(teacher), stage=stage, micro=micro, recorder=recorder,
    )  # fmt: skip
    run_trainer(trainer, recorder, job)
    if recorder.stopped and trainer.state.global_step < steps:
        return {"stopped": True}
    trained_model = whole_model(trainer.model, make)
    if is_first_rank():
        save_model(
            trained_model,
            job.output / "model",
            source=job.model,
            chat=job.chat,
            stop_ids=template.stop_ids,
            recipe_dir=job.recipe_dir,
        )
    metrics = DpdMetrics(
        loss=recorder.last_loss(trainer.state.log_history),
        steps=steps,
        pairs=len(rows),
        trained_tokens=sum(len(row.chosen) + len(row.rejected) for row in drawn),
        parameters=num_parameters(trainer.model),
        rows_not_seen=seen.not_seen,
        rows_again=seen.again,
    )
    return dict(as_json(metrics))

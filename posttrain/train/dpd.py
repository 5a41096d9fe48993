"""Dual-Level Preference Distillation: one forward of the student over both answers serves teacher KL and DPO.

Credit: KD lands on every token of the good and of the bad answer, by the teacher's whole distribution there; DPO on the
sum of each answer. Each term is divided by its own count: pairs, good tokens, bad tokens; tokens that the recipe keeps
out of the KL (kd_skip) are in neither sum nor count. The teacher is in memory, or was (teacher_logprobs.py); where it
gives text alone there is no KL.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import TrainingArguments

from posttrain.data.mix import draw, num_rows, seen_of_total
from posttrain.data.special_tokens import kd_skipped
from posttrain.data.template import ChatTemplate
from posttrain.errors import StageError, Stopped
from posttrain.machine.ranks import is_first_rank, world_size
from posttrain.recipe.schema import Dpd
from posttrain.records.codec import as_json
from posttrain.records.metrics import DpdMetrics
from posttrain.train.attention import training_attention
from posttrain.train.hidden import open_head
from posttrain.train.job import Job
from posttrain.train.losses.dpd import dpo_loss, dpo_margin
from posttrain.train.losses.head import States
from posttrain.train.losses.tiled import Divergence, distillation_loss, logprob_loss
from posttrain.train.model import load_model, num_parameters, save_model
from posttrain.train.pairs import PairRow, answer_sums, over_trained, pair_batch, pair_rows
from posttrain.train.reference import reference_sums
from posttrain.train.sharding import wants_sharding, whole_model
from posttrain.train.teacher import CachedTeacher, LiveTeacher, TeacherTargets, frozen_model, refuse_other_tokens
from posttrain.train.teacher_cache import Cache
from posttrain.train.trainer import (
    Recorder,
    StepTrainer,
    chunks,
    even_rows,
    global_sum,
    micro_split,
    num_steps,
    run_trainer,
    settings,
)

WHOLE = {"pairs": 1.0}  # one data set, so passes are over all of it


@dataclass(frozen=True, kw_only=True, slots=True)
class DpdSetup:
    """What the trainer is to do. micro: pairs a forward pass; drawn: the pairs that it will see, each once; skipped:
    token ids that no KL is taken on.

    Example: DpdSetup(stage=Dpd(...), micro=4, drawn=(PairRow(...),), skipped=frozenset({151645}))
    """

    stage: Dpd
    micro: int
    drawn: Sequence[PairRow]
    skipped: Collection[int] = ()


class DpdTrainer(StepTrainer):
    """Trains on pairs; the teacher has the student's ids, or gives text alone and is None."""

    dropout = False  # the margin is against a reference that was computed without
    summed = ("dpo_loss", "kd_chosen", "kd_rejected", "margin", "accuracy")

    def __init__(self, *, teacher: TeacherTargets | None, setup: DpdSetup, recorder: Recorder, **kwargs: Any) -> None:
        super().__init__(data_collator=list, **kwargs)
        open_head(self.model)
        self.teacher, self.setup, self.stage = teacher, setup, setup.stage
        self.recorder = recorder
        self.reference: Mapping[int, tuple[float, float]] = {}
        self.totals: dict[str, float] = {}
        self.skipped = torch.tensor(sorted(setup.skipped), dtype=torch.long, device=self.args.device)

    def micro_batches(self, rows: Any) -> Sequence[Any]:
        pairs: list[PairRow] = [row["pair"] for row in rows if row is not None]
        device = self.args.device
        if not self.reference:  # not before: the model must be on its device, and sharded where it will be
            plain = self.accelerator.unwrap_model(self.model)
            self.reference = reference_sums(plain, self.setup.drawn, self.setup.micro, self.recorder.job)
        self.totals = {
            "pairs": global_sum(len(pairs), device),
            # a step may hold no token that KL is taken on: its share is 0, and not 0 / 0
            "chosen": max(1.0, global_sum(sum(pair.kd_chosen for pair in pairs), device)),
            "rejected": max(1.0, global_sum(sum(pair.kd_rejected for pair in pairs), device)),
        }
        self.recorder.extra = dict.fromkeys(self.summed, 0.0)
        return list(chunks(pairs, self.setup.micro))

    def micro_loss(self, model: Any, micro: Sequence[PairRow]) -> torch.Tensor:
        stage, weights, device = self.stage, self.stage.weights, self.args.device
        batch = pair_batch(micro, device)
        teacher = None if self.teacher is None else self.teacher.of(micro, batch)
        targets_N = batch["input_ids"][:, 1:][batch["trained"]]
        is_chosen = batch["trained"].nonzero()[:, 0] < len(micro)
        taken = ~torch.isin(targets_N, self.skipped)
        chosen_share = (is_chosen & taken) / self.totals["chosen"]
        rejected_share = (~is_chosen & taken) / self.totals["rejected"]
        pair_share = 1.0 / self.totals["pairs"]
        references = torch.tensor([self.reference[pair.number] for pair in micro], device=device).t()

        def sides(logprobs_N: torch.Tensor) -> tuple[torch.Tensor, ...]:
            chosen, rejected = answer_sums(logprobs_N, batch).split(len(micro))
            return chosen, rejected, references[0], references[1]

        def sequence_loss(logprobs_N: torch.Tensor) -> torch.Tensor:
            return dpo_loss(*sides(logprobs_N), beta=stage.beta).sum() * (weights.sequence * pair_share)

        def loss_of(student: States, targets_N: torch.Tensor) -> tuple[torch.Tensor, ...]:
            if teacher is None:
                found = logprob_loss(student, targets_N, sequence_loss)
                return found.loss, torch.zeros_like(found.logprobs_N), found.logprobs_N
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
        found = {
            "dpo_loss": dpo_loss(*sides(logprobs), beta=stage.beta).sum() * pair_share,
            "margin": margin.sum() * pair_share,
            "accuracy": (margin > 0).sum() * pair_share,
            "kd_chosen": (divergence * chosen_share).sum(),
            "kd_rejected": (divergence * rejected_share).sum(),
        }
        for key in self.summed:
            self.recorder.extra[key] += float(found[key])
        return loss

    def join_others(self, model: Any) -> None:
        """As a micro-batch: the teacher before the student, since both may be shared among the workers."""
        if self.teacher is not None:
            self.teacher.join(self.args.device)
        super().join_others(model)


def train(job: Job, teacher: Path | None) -> dict[str, Any]:
    """Runs in every trainer worker. teacher: its model folder; None where job.inputs holds its cache, or it gives text
    alone. Writes job.output/model."""
    stage: Dpd = job.stage
    template = ChatTemplate.load(job.model, job.chat, job.recipe_dir)
    if teacher is not None:
        refuse_other_tokens(template, teacher, job)
    skipped = kd_skipped(template.tokenizer, stage.kd_skip)
    rows = pair_rows(job, template, skipped)
    sizes = {"pairs": len(rows)}
    total = stage.steps * stage.batch_size if stage.steps else num_rows(sizes, WHOLE, stage.epochs or 1.0)
    steps, seen = num_steps(total, stage.batch_size), seen_of_total(sizes, WHOLE, total)
    micro, _ = micro_split(stage)
    make = functools.partial(load_model, job.model, adapter=stage.adapter, seed=job.seed)
    model = make()
    drawn = draw({"pairs": rows}, WHOLE, total, job.seed)
    sharded = wants_sharding(job.sharding, model)
    rows_a_worker = stage.batch_size // world_size()
    arguments = TrainingArguments(
        **settings(job, stage, steps, rows_per_forward=rows_a_worker, accumulation=1, sharded=sharded)
    )
    size = stage.batch_size
    recorder = Recorder(job, lambda step: [row.name for row in drawn[step * size : (step + 1) * size]])
    once = sorted({row.number: row for row in drawn}.values(), key=lambda row: row.number)
    setup = DpdSetup(stage=stage, micro=micro, drawn=once, skipped=skipped)
    with _teacher(job, teacher, arguments.device) as its:
        trainer = DpdTrainer(
            model=model, args=arguments, train_dataset=even_rows([{"pair": row} for row in drawn], None, size),
            teacher=its, setup=setup, recorder=recorder,
        )  # fmt: skip
        try:
            run_trainer(trainer, recorder, job)
        except Stopped:
            return {"stopped": True}
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


@contextmanager
def _teacher(job: Job, folder: Path | None, device: torch.device) -> Iterator[TeacherTargets | None]:
    """The teacher's targets: its cache where the stage has one, itself, or None where it gives text alone. Raises
    StageError for a cache of another temperature."""
    stage: Dpd = job.stage
    if "teacher_logprobs" in job.inputs:
        cache = Cache(job.inputs["teacher_logprobs"])
        if cache.facts.temperature != stage.kd_temperature:
            raise StageError(
                f"the teacher's cache is softened by {cache.facts.temperature:g}, kd_temperature is "
                f"{stage.kd_temperature:g}",
                where=f"stages.{stage.name}.kd_temperature",
                remedy="run the step that writes the cache again",
            )
        yield CachedTeacher(cache, device)
    elif folder is not None:
        model = frozen_model(folder, job.sharding, device)
        with training_attention(model, stage.attention, device.type):
            yield LiveTeacher(model)
    else:
        assert not (stage.weights.chosen or stage.weights.rejected), "the recipe's check: text alone has no KL"
        yield None

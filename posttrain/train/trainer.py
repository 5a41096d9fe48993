"""What our trainers share: settings, a callback that writes metrics and knows when to save and to stop, and a step that
sees its whole batch.

`StepTrainer` is transformers' Trainer with one public method replaced (`training_step`, documented for that): a
subclass gets all rows of an optimiser step at once, so that every loss is divided by the global count of what it trains
on, however the step is split. Knows nothing of a particular loss.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import torch
from transformers import PrinterCallback, TrainerCallback, TrainerControl, TrainerState
from transformers.modeling_layers import GradientCheckpointingLayer

from posttrain.errors import StageError, Stopped
from posttrain.machine.ranks import is_first_rank, world_size
from posttrain.recipe.batches import rows_a_pass
from posttrain.recipe.schema import Supervised, Training
from posttrain.records.metrics import METRICS_FILE, MetricsRow
from posttrain.signals.progress import tell
from posttrain.store.checkpoints import cut_rows
from posttrain.store.failpoints import failpoint
from posttrain.train.attention import training_attention
from posttrain.train.checkpoints import STATE, OwnCheckpoints, load_weights
from posttrain.train.finite import STEPS_A_SKIP, RowsOf, all_finite, not_finite
from posttrain.train.job import Job
from posttrain.train.losses.head import Head, States
from posttrain.train.phases import decay_steps, warmup_steps
from posttrain.train.sharding import (
    is_sharded,
    prepare_sharding,
    sharded_arguments,
    sum_over_ranks,
)
from posttrain.train.trackers import tracked

T = TypeVar("T")

SCHEDULES = {
    "cosine": "cosine",
    "constant": "constant_with_warmup",
    "linear": "linear",
    "wsd": "warmup_stable_decay",
}
_STOP, _SAVE = 2.0, 1.0  # what a worker asks for after a step; the largest counts
UNPUBLISHED = (
    "epoch",
    "train_runtime",
    "train_samples_per_second",
    "train_steps_per_second",
    "total_flos",
    "train_loss",
    "num_tokens",
)
"""What the Trainer logs and we do not: clock times (published bytes must not hold any), sums that restart on resume."""


def settings(
    job: Job, stage: Training, steps: int, *, rows_per_forward: int, accumulation: int, sharded: bool = False
) -> dict[str, Any]:
    """Arguments of the Trainer from the recipe's keys. Data come in the order they were drawn; nothing leaves the
    machine. sharded: see sharding.py."""
    on_gpu = torch.cuda.is_available()
    plain = {
        "output_dir": str(job.attempt / "checkpoints"),
        "max_steps": steps,
        "per_device_train_batch_size": rows_per_forward,
        "gradient_accumulation_steps": accumulation,
        "learning_rate": stage.learning_rate,
        "lr_scheduler_type": SCHEDULES[stage.schedule],
        "lr_scheduler_kwargs": (
            {"num_decay_steps": decay_steps(stage, steps), "decay_type": "linear"} if stage.schedule == "wsd" else None
        ),
        "warmup_steps": warmup_steps(stage, steps),
        "weight_decay": stage.weight_decay,
        "max_grad_norm": stage.max_grad_norm,
        "gradient_checkpointing": stage.gradient_checkpointing,
        "save_strategy": "steps",
        "save_steps": min(stage.save_every, steps),
        "logging_strategy": "steps",
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "train_sampling_strategy": "sequential",
        "remove_unused_columns": False,
        "dataloader_num_workers": 0,
        "dataloader_pin_memory": on_gpu,
        "report_to": "none",
        "disable_tqdm": True,
        "seed": job.seed % 2**31,
        "data_seed": job.seed % 2**31,
        "use_cpu": not on_gpu,
        "bf16": on_gpu,
        "optim": "adamw_torch",
    }
    return plain | sharded_arguments(recompute=stage.gradient_checkpointing) if sharded else plain


def micro_split(stage: Supervised) -> tuple[int, int]:
    """(rows a forward pass, passes a worker) of one optimiser step."""
    per_worker = stage.batch_size // world_size()
    if per_worker * world_size() != stage.batch_size:
        raise StageError(
            f"batch_size {stage.batch_size} does not divide over {world_size()} trainers",
            remedy="change batch_size or cluster.trainers",
        )
    micro = rows_a_pass(stage, world_size())
    return micro, per_worker // micro


class Recorder(TrainerCallback):
    """Writes metrics.jsonl, says when a checkpoint is due by the clock, stops when asked, and skips or stops on what
    is not finite."""

    def __init__(self, job: Job, rows_of: RowsOf | None = None) -> None:
        self.job, self.rows_of = job, rows_of
        self.skipped: list[int] = []
        self.loss_is_finite = True
        self.path = job.attempt / METRICS_FILE
        self.stopped = False
        self.saved = time.monotonic()
        self.extra: dict[str, float] = {}

    def watch(self, loss: torch.Tensor) -> torch.Tensor:
        """The loss, and 0 in place of one that is not finite: the Trainer's running sum would keep it for ever."""
        if bool(torch.isfinite(loss)):
            return loss
        self.loss_is_finite = False
        return torch.zeros_like(loss)

    def last_loss(self, history: Sequence[Mapping[str, Any]]) -> float | None:
        """Of the last step that was not skipped, from the Trainer's history; None where there was none."""
        losses = [row["loss"] for row in history if "loss" in row and row["step"] - 1 not in self.skipped]
        return round(losses[-1], 6) if losses else None

    def resume(self) -> None:
        """Take over the rows up to the checkpoint; later ones are made again."""
        self.job.attempt.mkdir(parents=True, exist_ok=True)
        if self.job.resume is not None and is_first_rank():
            cut_rows(self.job.resume.path.parent.parent / METRICS_FILE, self.path, last_step=self.job.resume.step)

    def on_pre_optimizer_step(
        self, args: Any, state: TrainerState, control: TrainerControl, model: Any = None, **_: Any
    ) -> None:
        if not all_finite(model, loss_is=self.loss_is_finite):
            self.skipped.append(state.global_step)
            self.loss_is_finite = True
            if len(self.skipped) > state.max_steps // STEPS_A_SKIP:
                raise not_finite(state.global_step, self.job.step_name, self.rows_of)
            model.zero_grad(set_to_none=True)  # the optimiser passes over parameters without one
        failpoint("train.optimizer_step.before")

    def on_optimizer_step(self, args: Any, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        failpoint("train.optimizer_step.after")

    def on_log(
        self, args: Any, state: TrainerState, control: TrainerControl, logs: dict[str, float] | None = None, **_: Any
    ) -> None:
        if not is_first_rank() or logs is None or "loss" not in logs:
            return
        values = {key: value for key, value in {**logs, **self.extra}.items() if key not in UNPUBLISHED}
        if state.global_step - 1 in self.skipped:
            finite = {key: value for key, value in values.items() if math.isfinite(value) and key != "loss"}
            values = finite | {"skipped": 1.0}
        row = MetricsRow(step=state.global_step, values=values)
        logs |= values  # for the trackers, which come after
        self.extra = {}
        failpoint("train.metrics.before")
        with self.path.open("a", encoding="utf-8") as out:
            out.write(json.dumps(row.as_line()) + "\n")
        failpoint("train.metrics.after")
        tell(self.job.stop_file, "training", state.global_step, state.max_steps)

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **_: Any) -> TrainerControl:
        # all workers stop, and save, after the same step
        asked = global_max(_STOP if self.job.stop_file.exists() else _SAVE if self._is_due() else 0.0, args.device)
        self.stopped = asked == _STOP
        control.should_save |= asked > 0.0
        control.should_training_stop |= self.stopped
        return control

    def _is_due(self) -> bool:
        minutes = self.job.stage.checkpoint_minutes
        return minutes is not None and time.monotonic() - self.saved >= 60 * minutes

    def on_save(self, args: Any, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.saved = time.monotonic()


class StepTrainer(OwnCheckpoints):
    """A Trainer whose step sees all its rows. Credit: each subclass says in its docstring which tokens it trains and by
    what."""

    recorder: Recorder

    def micro_batches(self, rows: Any) -> Sequence[Any]:
        """Split this worker's rows of the step; may sample fresh ones. An empty list skips the update."""
        raise TypeError(f"{type(self).__name__} must say how it splits a step")

    def micro_loss(self, model: Any, micro: Any) -> torch.Tensor:
        """The micro-batch's share of the step's loss: the shares of all micro-batches and workers add up to the
        loss."""
        raise TypeError(f"{type(self).__name__} must give a loss")

    def before_update(self) -> None:
        """Look at the step's figures, over all workers, before the weights change. Raises StageError, on all of
        them."""

    def sampled(self, make: Callable[[], list[T]]) -> list[T]:
        """What `make` samples for the step. A stop meanwhile (it may take minutes) saves the state before the step and
        ends the training, on all workers or on none."""
        found: list[T] = []
        stopped: Stopped | None = None
        try:
            found = make()
        except Stopped as error:
            stopped = error
        if global_max(float(stopped is not None), self.args.device):
            step = self.state.global_step
            if step > 0 and self.writer.last != step:
                self._save_checkpoint(self.model, trial=None)
            raise stopped or Stopped("stopped on request", remedy="the same command continues")
        return found

    dropout = True
    """Whether dropout is on, where the model or its adapter has one. Off where the model's own log-probabilities are
    compared with those of the engine or of a reference."""
    summed: Sequence[str] = ()
    """Metrics of which each worker holds its share."""
    largest: Sequence[str] = ()
    """Metrics of which the largest over the workers counts."""

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> torch.Tensor:
        micros = self.micro_batches(inputs)
        # The bare model: DDP would wait for a forward on every worker, and one may have nothing to train on (all its
        # groups alike).
        plain = self.accelerator.unwrap_model(model)
        sharded = is_sharded(plain)
        joined = len(micros)
        if sharded:
            sum_over_ranks(plain)
            # Before the first forward: in between, the others are gathering layers.
            joined = int(global_max(joined, self.args.device))
        if self.dropout:
            plain.train()
        else:
            without_dropout(plain)
        total = torch.zeros((), device=self.args.device)
        for micro in micros:
            with self.compute_loss_context_manager():
                loss = self.micro_loss(plain, micro)
            self.accelerator.backward(loss)
            total += loss.detach()
        for _ in range(joined - len(micros)):
            self.join_others(plain)
        if not sharded:
            sum_gradients(plain)
        extra = self.recorder.extra
        extra |= {key: global_sum(extra[key], self.args.device) for key in self.summed}
        extra |= {key: global_max(extra[key], self.args.device) for key in self.largest}
        self.before_update()
        return self.recorder.watch(total * world_size())  # the Trainer logs the mean over the workers

    def join_others(self, model: Any) -> None:
        """A micro-batch of one token that weighs nothing, where another worker has one more: the layers of a sharded
        model are gathered by all workers, or they wait for each other for ever."""
        token = torch.zeros((1, 1), dtype=torch.long, device=self.args.device)
        with self.compute_loss_context_manager():
            loss = model(input_ids=token, attention_mask=torch.ones_like(token), over_hidden=_nothing)
        self.accelerator.backward(loss)


def _nothing(hidden_BTH: torch.Tensor, head: Head) -> torch.Tensor:
    """0, with a path to every parameter."""
    return States(hidden_NH=hidden_BTH[0], head=head).logits().sum() * 0.0


def without_dropout(model: Any) -> None:
    """The mode in which engines run a model: no dropout, no noise on routers. Layers that recompute their activations
    stay in training mode, which is what turns that on; dropout of such a layer's own is set to 0."""
    model.eval()
    for layer in model.modules():
        if isinstance(layer, GradientCheckpointingLayer):
            layer.training = True
            for name, value in vars(layer).items():
                if "drop" in name and isinstance(value, float):
                    setattr(layer, name, 0.0)


def num_steps(rows: int, rows_per_step: int) -> int:
    """Optimiser steps that hold all rows: the last one has the rest."""
    return math.ceil(rows / rows_per_step)


def even_rows(rows: Sequence[T], blank: T, multiple: int) -> list[T]:
    """The rows, filled up with `blank` (which trains nothing) so that every worker has as many. Without it accelerate
    takes rows from the start again. One worker gets the rows as they are."""
    missing = -len(rows) % multiple if world_size() > 1 else 0
    return [*rows, *[blank] * missing]


def sum_gradients(model: Any) -> None:
    """Add up the workers' gradients in place. A parameter without a gradient on every worker keeps none, so that its
    update is skipped."""
    if world_size() == 1:
        return
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    present = torch.tensor([float(parameter.grad is not None) for parameter in parameters], device=parameters[0].device)
    torch.distributed.all_reduce(present)
    for parameter, count in zip(parameters, present.tolist(), strict=True):
        if count:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            torch.distributed.all_reduce(parameter.grad)


def global_sum(value: float, device: Any) -> float:
    """Sum over the workers."""
    return _all_reduce(value, device, "SUM")


def global_max(value: float, device: Any) -> float:
    """Largest over the workers."""
    return _all_reduce(value, device, "MAX")


def _all_reduce(value: float, device: Any, how: str) -> float:
    if world_size() == 1:
        return value
    tensor = torch.tensor([value], dtype=torch.float64, device=device)
    torch.distributed.all_reduce(tensor, op=getattr(torch.distributed.ReduceOp, how))
    return float(tensor.item())


def run_trainer(
    trainer: OwnCheckpoints, recorder: Recorder, job: Job, *, is_over: Callable[[], bool] = lambda: False
) -> None:
    """Train from the start or the sealed checkpoint. Raises Stopped (through the caller's check) by leaving
    recorder.stopped set. is_over: whether the rows on record already end the training, before its last step."""
    recorder.resume()
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(recorder)
    resume = None if job.resume is None else job.resume.path
    if is_over() or (job.resume is not None and job.resume.step >= trainer.args.max_steps):
        assert job.resume is not None, "a training without a checkpoint has no rows on record"
        # Killed after its last step. The Trainer itself may take one more: it asks whether it is done only after one.
        trainer.state = TrainerState.load_from_json(str(job.resume.path / STATE))
        load_weights(trainer.model, job.resume.path)
        return
    prepare_sharding(trainer)
    with training_attention(trainer.model, job.stage.attention, trainer.args.device.type), tracked(trainer, job):
        trainer.train_and_settle(resume, job.owner)


def pad_right(rows: Sequence[Sequence[float]], value: float, dtype: torch.dtype) -> torch.Tensor:
    """[B][T_b] -> [B, max T_b]."""
    width = max(len(row) for row in rows)
    out = torch.full((len(rows), width), value, dtype=dtype)
    for index, row in enumerate(rows):
        out[index, : len(row)] = torch.tensor(list(row), dtype=dtype)
    return out


def chunks(rows: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]

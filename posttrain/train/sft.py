"""Supervised fine-tuning: TRL's SFTTrainer over rows that data/template.py has already tokenised and masked.

Credit: every token of an assistant turn up to and with its stop token; loss is the mean over the step's trained tokens,
whatever the split.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from posttrain.data.mix import draw, num_rows
from posttrain.data.source import Fault, load_conversations, set_aside, write_set_aside
from posttrain.data.template import ChatTemplate, Encoded, count_turns
from posttrain.errors import DataError
from posttrain.machine.ranks import is_first_rank
from posttrain.recipe.schema import Sft
from posttrain.records.codec import as_json
from posttrain.records.metrics import SftMetrics
from posttrain.train.job import Job, data_folders
from posttrain.types import Conversation


def encode_rows(
    job: Job, stage: Sft, template: ChatTemplate
) -> tuple[dict[str, list[Encoded]], dict[str, list[Fault]], dict[str, list[Fault]]]:
    """Every row of every data set as ids and masks; the faulty rows; those that are too long. Raises DataError."""
    encoded: dict[str, list[Encoded]] = {}
    faulty: dict[str, list[Fault]] = {}
    too_long: dict[str, list[Fault]] = {}
    for name in sorted(stage.data):
        rows = load_conversations(name, job.data[name], job.recipe_dir, data_folders(job.inputs))
        whole, reasons = _encode(rows.items, template)
        rows = set_aside(rows, job.data[name], reasons)
        faulty[name] = list(rows.faults)
        encoded[name] = [row for row in whole if len(row.ids) <= stage.max_tokens]
        too_long[name] = [
            Fault(row=number, reason=f"{len(row.ids)} tokens, longer than max_tokens {stage.max_tokens}")
            for number, row in zip(rows.numbers, whole, strict=True)
            if len(row.ids) > stage.max_tokens
        ]
        if not encoded[name]:
            raise DataError(
                f"no row of data '{name}' fits in max_tokens {stage.max_tokens}",
                where=job.step_name,
                remedy="raise max_tokens",
            )
        count_turns(encoded[name]).check_share(template.max_untrained_share, name)
    return encoded, faulty, too_long


def _encode(rows: Sequence[Conversation], template: ChatTemplate) -> tuple[list[Encoded], list[str | None]]:
    """Rows [N] that the template takes, as ids; and why it refuses a row [N], or None."""
    done: list[Encoded] = []
    reasons: list[str | None] = []
    for row in rows:
        try:
            done.append(template.encode_conversation(row.messages, row.tools))
            reasons.append(None)
        except DataError as error:
            reasons.append(f"{error.what}: {error.remedy}" if error.remedy else error.what)
    return done, reasons


def plan_rows(stage: Sft, encoded: dict[str, list[Encoded]]) -> tuple[int, int]:
    """(rows drawn, optimiser steps). A step holds batch_size rows, or with packing batch_size sequences of max_tokens
    filled with rows."""
    weights, sizes = dict(stage.data), {name: len(rows) for name, rows in encoded.items()}
    scale = sum(weights.values())
    mean_tokens = sum(
        weights[name] / scale * sum(len(row.ids) for row in rows) / len(rows) for name, rows in encoded.items()
    )
    rows_per_step = stage.batch_size * (stage.max_tokens / mean_tokens if stage.packing else 1.0)
    if stage.steps is not None:
        return math.ceil(stage.steps * rows_per_step), stage.steps
    rows = num_rows(sizes, weights, stage.epochs or 1.0)
    steps = max(1, int(rows // rows_per_step))
    return max(1, round(steps * rows_per_step)), steps


def train(job: Job) -> dict[str, Any]:
    """Runs in every trainer worker; the first rank writes job.output/model. Returns headline metrics, or {"stopped":
    True}."""
    import datasets
    from trl import SFTConfig, SFTTrainer

    from posttrain.train.model import load_model, num_parameters, save_model
    from posttrain.train.new_tokens import grow_embedding, publish_tokens
    from posttrain.train.trainer import Recorder, micro_split, run_trainer, settings

    stage: Sft = job.stage
    template = ChatTemplate.load(job.model, job.chat, job.recipe_dir)
    encoded, faulty, too_long = encode_rows(job, stage, template)
    total, steps = plan_rows(stage, encoded)
    drawn = draw(encoded, dict(stage.data), total, job.seed)
    table = datasets.Dataset.from_dict(
        {
            "input_ids": [list(row.ids) for row in drawn],
            "labels": [[token if on else -100 for token, on in zip(row.ids, row.mask, strict=True)] for row in drawn],
        }
    )
    micro, passes = micro_split(stage)
    arguments = settings(job, stage, steps, rows_per_forward=micro, accumulation=passes)
    if stage.packing:
        arguments |= {"packing": True, "max_length": stage.max_tokens}
    else:
        arguments |= {"packing": False, "max_length": None, "dataset_kwargs": {"skip_prepare_dataset": True}}
    model = load_model(job.model, adapter=stage.adapter)
    grow_embedding(model, template, where=f"stages.{stage.name}.adapter")
    recorder = Recorder(job)
    trainer = SFTTrainer(
        model=model, args=SFTConfig(**arguments), train_dataset=table, processing_class=template.tokenizer
    )
    run_trainer(trainer, recorder, job)
    if recorder.stopped and trainer.state.global_step < steps:
        return {"stopped": True}
    if is_first_rank():
        save_model(
            trainer.model,
            job.output / "model",
            source=job.model,
            chat=job.chat,
            stop_ids=template.stop_ids,
            recipe_dir=job.recipe_dir,
        )
        publish_tokens(template, job.output / "model")
        write_set_aside(
            job.output, {name: sorted(faulty[name] + too_long[name], key=lambda fault: fault.row) for name in encoded}
        )
    losses = [row["loss"] for row in trainer.state.log_history if "loss" in row]
    trained = sum(sum(row.mask) for row in drawn)
    turns = count_turns(row for rows in encoded.values() for row in rows)
    metrics = SftMetrics(
        loss=round(losses[-1], 6) if losses else None,
        steps=steps,
        rows=total,
        trained_tokens=trained,
        parameters=num_parameters(trainer.model),
        faulty_rows=sum(map(len, faulty.values())),
        too_long_rows=sum(map(len, too_long.values())),
        trained_turns=turns.trained,
        untrained_turns=turns.untrained,
        context_turns=turns.context,
        other_context_turns=turns.other_context,
    )
    return dict(as_json(metrics))

"""Supervised fine-tuning: TRL's SFTTrainer over rows that data/template.py has already tokenised and masked.

Credit: every token of an assistant turn up to and with its stop token; loss is the mean over the step's trained tokens,
whatever the split.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from posttrain.data.mix import Seen, draw, num_rows, seen_of_drawn
from posttrain.data.packing import pack
from posttrain.data.source import Fault, load_conversations, set_aside, write_set_aside
from posttrain.data.template import ChatTemplate, Encoded, count_turns
from posttrain.errors import DataError, RecipeError
from posttrain.machine.ranks import is_first_rank, world_size
from posttrain.recipe.schema import Sft
from posttrain.records.codec import as_json
from posttrain.records.metrics import SftMetrics
from posttrain.train.job import Job, data_folders
from posttrain.types import Conversation

ROUTER_KEYS = ("output_router_logits", "router_aux_loss_coef")
Drawn = list[tuple[str, int]]
"""Rows by data set and number."""


def encode_rows(
    job: Job, stage: Sft, template: ChatTemplate
) -> tuple[dict[str, list[Encoded]], dict[str, list[Fault]], dict[str, list[Fault]], dict[str, list[int]]]:
    """Every row of every data set as ids and masks; the faulty rows; those that are too long; and the numbers of the
    former in their data set. Raises DataError."""
    numbers: dict[str, list[int]] = {}
    encoded: dict[str, list[Encoded]] = {}
    faulty: dict[str, list[Fault]] = {}
    too_long: dict[str, list[Fault]] = {}
    for name in sorted(stage.data):
        rows = load_conversations(name, job.data[name], job.recipe_dir, data_folders(job.inputs))
        whole, reasons = _encode(rows.items, template)
        rows = set_aside(rows, job.data[name], reasons)
        faulty[name] = list(rows.faults)
        fits = [len(row.ids) <= stage.max_tokens for row in whole]
        encoded[name] = [row for row, fit in zip(whole, fits, strict=True) if fit]
        numbers[name] = [number for number, fit in zip(rows.numbers, fits, strict=True) if fit]
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
    return encoded, faulty, too_long, numbers


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


def plan_sequences(stage: Sft, encoded: Mapping[str, Sequence[Encoded]], seed: int) -> tuple[list[Drawn], int, Seen]:
    """What the stage trains on, in order: sequences of rows (one row each without packing); its optimiser steps; and
    which rows that leaves out or holds again.

    From `epochs` every row drawn is in exactly one sequence and the last step has what is left. From `steps` there are
    as many sequences as these hold.
    """
    sizes, weights = {name: len(rows) for name, rows in encoded.items()}, dict(stage.data)
    pools = {name: [(name, number) for number in range(size)] for name, size in sizes.items()}
    wanted = None if stage.steps is None else stage.steps * stage.batch_size
    total = num_rows(sizes, weights, stage.epochs or 1.0) if wanted is None else wanted
    if wanted is not None and stage.packing:
        scale = sum(weights.values())
        total_of = {name: sum(len(row.ids) for row in rows) for name, rows in encoded.items()}
        mean_tokens = sum(weights[name] / scale * total_of[name] / size for name, size in sizes.items())
        total = math.ceil(wanted * stage.max_tokens / mean_tokens)  # of sequences without a gap; some have one
    while True:
        drawn = draw(pools, weights, total, seed)
        sequences = [[row] for row in drawn]
        if stage.packing:
            lengths = [len(encoded[name][number].ids) for name, number in drawn]
            sequences = [[drawn[at] for at in rows] for rows in pack(lengths, stage.max_tokens, seed)]
        if wanted is None or len(sequences) >= wanted:
            break
        total = math.ceil(total * max(1.05, wanted / len(sequences)))
    sequences = sequences[:wanted]
    seen = seen_of_drawn(sum(sizes.values()), [row for rows in sequences for row in rows])
    return sequences, math.ceil(len(sequences) / stage.batch_size), seen


def _row(rows: Sequence[Encoded]) -> dict[str, list[int]]:
    """A sequence as TRL's collator reads it."""
    return {
        "input_ids": [token for row in rows for token in row.ids],
        "labels": [token if on else -100 for row in rows for token, on in zip(row.ids, row.mask, strict=True)],
        "seq_lengths": [len(row.ids) for row in rows],
    }


def router_settings(config: Any, stage: Sft) -> dict[str, Any]:
    """What a model's config says of the router's loss. Raises RecipeError where the recipe wants one that the model
    cannot give."""
    found = {key: getattr(config, key) for key in ROUTER_KEYS if hasattr(config, key)}
    if stage.router_loss and ROUTER_KEYS[0] not in found:
        raise RecipeError(
            f"router_loss is {stage.router_loss}, but the model ({config.model_type}) has no experts to balance",
            where=f"stages.{stage.name}.router_loss",
            remedy="leave router_loss out",
        )
    return found


def train(job: Job) -> dict[str, Any]:
    """Runs in every trainer worker; the first rank writes job.output/model. Returns headline metrics, or {"stopped":
    True}."""
    import datasets
    from trl import SFTConfig, SFTTrainer

    from posttrain.train.model import load_model, num_parameters, save_model
    from posttrain.train.new_tokens import grow_embedding, publish_tokens
    from posttrain.train.sharding import wants_sharding, whole_model
    from posttrain.train.trainer import Recorder, even_rows, micro_split, run_trainer, settings

    stage: Sft = job.stage
    template = ChatTemplate.load(job.model, job.chat, job.recipe_dir)
    encoded, faulty, too_long, numbers = encode_rows(job, stage, template)
    sequences, steps, seen = plan_sequences(stage, encoded, job.seed)
    whole = [[encoded[name][number] for name, number in rows] for rows in sequences]
    micro, passes = micro_split(stage)
    blank = [Encoded(ids=template.stop_ids[:1], mask=(0,))]
    table = datasets.Dataset.from_list([_row(rows) for rows in even_rows(whole, blank, micro * world_size())])

    def make() -> Any:
        model = load_model(job.model, adapter=stage.adapter, seed=job.seed)
        grow_embedding(model, template, where=f"stages.{stage.name}.adapter")
        return model

    model = make()
    sharded = wants_sharding(job.sharding, model)
    arguments = settings(job, stage, steps, rows_per_forward=micro, accumulation=passes, sharded=sharded)
    # Rows come as ids and labels, and packed: `packing` only has the collator keep the rows of a sequence apart.
    arguments |= {"packing": stage.packing, "max_length": stage.max_tokens if stage.packing else None}
    arguments |= {"dataset_kwargs": {"skip_prepare_dataset": True}, "router_aux_loss_coef": stage.router_loss}
    router = router_settings(model.config.get_text_config(), stage)

    def rows_of(step: int) -> list[str]:
        drawn = [row for rows in sequences[step * stage.batch_size : (step + 1) * stage.batch_size] for row in rows]
        return [f"row {numbers[name][at]} of data '{name}'" for name, at in drawn]

    recorder = Recorder(job, rows_of)

    class Watched(SFTTrainer):  # type: ignore[misc]
        def training_step(self, *given: Any, **named: Any) -> Any:
            return recorder.watch(super().training_step(*given, **named))

    trainer = Watched(
        model=model, args=SFTConfig(**arguments), train_dataset=table, processing_class=template.tokenizer
    )
    run_trainer(trainer, recorder, job)
    if recorder.stopped and trainer.state.global_step < steps:
        return {"stopped": True}
    # SFTTrainer wrote its own into the config, which is published.
    for key, value in router.items():
        setattr(trainer.model.config.get_text_config(), key, value)
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
        publish_tokens(template, job.output / "model")
        write_set_aside(
            job.output, {name: sorted(faulty[name] + too_long[name], key=lambda fault: fault.row) for name in encoded}
        )
    trained = sum(sum(row.mask) for rows in whole for row in rows)
    turns = count_turns(row for rows in encoded.values() for row in rows)
    metrics = SftMetrics(
        loss=recorder.last_loss(trainer.state.log_history),
        steps=steps,
        rows=seen.drawn,
        trained_tokens=trained,
        parameters=num_parameters(trainer.model),
        faulty_rows=sum(map(len, faulty.values())),
        too_long_rows=sum(map(len, too_long.values())),
        rows_not_seen=seen.not_seen,
        rows_again=seen.again,
        trained_turns=turns.trained,
        untrained_turns=turns.untrained,
        context_turns=turns.context,
        other_context_turns=turns.other_context,
    )
    return dict(as_json(metrics))

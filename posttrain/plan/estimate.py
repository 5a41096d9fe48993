"""What a step will cost, where that can be had before it runs: optimiser steps, tokens (an upper bound), memory and
disk.

Counts come from the recipe; shapes from a toy, the config.json of a local base, or the `shape` that the recipe states;
a hub base without one or a large file gives None. Knows nothing of GPUs: that is memory.py, compute.py and hardware.py.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posttrain.data.mix import Seen, num_rows, seen_of_total, shares
from posttrain.plan.asking import BYTES_PER_TOKEN, Asked, asked_at_most
from posttrain.plan.memory import PROMPT_TOKENS, forward_of
from posttrain.plan.steps import Plan
from posttrain.recipe.distillation import domains_of, follows_weights
from posttrain.recipe.engines import engines_of
from posttrain.recipe.paths import data_files
from posttrain.recipe.resolve import BASE, data_of, models_of
from posttrain.recipe.schema import (
    AskingStage,
    Dpd,
    FileData,
    Grpo,
    GymData,
    HubData,
    Mix,
    Prefer,
    Recipe,
    RewardModel,
    RowStage,
    Sft,
    StageData,
    Supervised,
    ToyData,
    ToyModel,
    Training,
    Verify,
)
from posttrain.recipe.sizes import FLOAT_BYTES, OPTIMISER_BYTES, num_parameters, trained_share, training_disk_bytes
from posttrain.records.step import Step
from posttrain.toy.tokenizer import VOCABULARY

COUNTED_FILE_BYTES = 16_000_000
CACHED_TOKEN_BYTES = 120  # of a teacher's distribution, at most what is usual (train/teacher_cache.py)


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """None where it cannot be known. memory_bytes: weights, gradients, optimiser and KV cache, without activations.

    disk_bytes: what is published, and two resume checkpoints. seen: which rows of its data a stage trains on, were
    none of them faulty or too long; unknown where rows are packed into a given number of steps, or made by the run.
    text_bytes: size of the files of rows that a stage reads, those that are here. asked: of a stage that asks models.
    beside: of `tokens`, those that a stage generates and does not train on (guard suite, canaries).
    mixed: of a mix stage, in a line a phase and data set, how many rows it takes and how many of them come again.

    Example: Estimate(steps=100, tokens=1638400, memory_bytes=14000000, disk_bytes=28000000, seen=Seen(rows=3000,
    drawn=3200, not_seen=0, again=200), text_bytes=9000000)
    """

    steps: int | None = None
    tokens: int | None = None
    memory_bytes: int | None = None
    disk_bytes: int | None = None
    seen: Seen | None = None
    text_bytes: int | None = None
    asked: Asked | None = None
    beside: int = 0
    mixed: tuple[str, ...] = ()


def estimate(plan: Plan) -> dict[str, Estimate]:
    """Step name -> estimate, for every step of the plan."""
    recipe = plan.recipe
    parameters = _parameters(plan)
    stages = {stage.name: stage for stage in recipe.stages}
    found = {}
    for step in plan.steps:
        size = parameters.get(step.name)
        stage = stages.get(step.stage or "")
        if step.kind in ("sft", "dpd", "grpo", "reward_model") and isinstance(stage, Training):
            found[step.name] = _training(plan, step, stage, size, parameters)
        elif step.kind == "teacher_logprobs" and isinstance(stage, Dpd):
            found[step.name] = _cached(plan, stage, parameters.get(step.inputs["teacher"]))
        elif step.kind == "tokens" and isinstance(stage, Sft):
            text = _text_bytes(plan, stage)  # a token is 4 bytes, and stands for about as many of English
            found[step.name] = Estimate(disk_bytes=text, seen=_seen(plan, step, stage), text_bytes=text)
        elif step.kind in ("pairs", "filter", "evaluate"):
            found[step.name] = _sampling(plan, step, size)
        elif isinstance(stage, AskingStage) and step.kind == stage.kind:
            found[step.name] = _asking(plan, stage)
        elif isinstance(stage, Mix) and step.kind == stage.kind:
            found[step.name] = Estimate(mixed=_mixed(plan, stage))
        elif step.kind in ("base", "export") and size is not None:
            copied = step.kind == "export" or step.params["model"]["path"] == "toy"
            toy_steps = step.params["model"]["toy"]["steps"] if step.kind == "base" and copied else None
            found[step.name] = Estimate(steps=toy_steps, disk_bytes=size * FLOAT_BYTES if copied else 0)
        else:
            found[step.name] = Estimate()
    return found


def toy_config(toy: ToyModel) -> dict[str, Any]:
    """The config.json that the toy of this shape will have, as far as sizes go."""
    heads = max(1, toy.hidden_size // 32)
    mixture = toy.architecture == "mixtral"
    return {
        "model_type": toy.architecture,
        "hidden_size": toy.hidden_size,
        "num_hidden_layers": toy.layers,
        "num_attention_heads": heads,
        "num_key_value_heads": heads // 2 if heads % 2 == 0 else heads,
        "head_dim": 32,
        "vocab_size": VOCABULARY,
        "intermediate_size": toy.hidden_size * (2 if mixture else 3),
        "num_local_experts": toy.experts if mixture else 1,
        "tie_word_embeddings": toy.tied,
        "max_position_embeddings": 2048,
    }


def configs(plan: Plan) -> dict[str, dict[str, Any]]:
    """Step name of a base or teacher -> its config, where it is known before the run: a config.json, before a
    shape that the recipe states."""
    found = {}
    for step in plan.steps:
        if step.kind != "base":
            continue
        if "model" in step.files:
            found[step.name] = json.loads((Path(step.files["model"]) / "config.json").read_text(encoding="utf-8"))
    for name, _, model in models_of(plan.recipe):
        if model.path == "toy":
            found[name] = toy_config(model.toy or ToyModel.model_validate({}))
        if model.shape is not None:
            found.setdefault(name, model.shape.model_dump(mode="json", exclude_none=True))
    return found


def other_sizes(plan: Plan, name: str) -> list[str]:
    """Where the shape that the recipe states for a model is not that of its config.json, which counts: in words."""
    real = configs(plan).get(name, {})
    stated = next((model.shape for step, _, model in models_of(plan.recipe) if step == name), None)
    sizes = {} if stated is None else stated.model_dump(mode="json", exclude_unset=True)
    return [
        f"{size} is {value} in the recipe's shape and {real[size]} in config.json, which counts"
        for size, value in sizes.items()
        if value is not None and real.get(size, value) != value
    ]


def _parameters(plan: Plan) -> dict[str, int | None]:
    """Step -> parameters of the model it makes, or samples from."""
    sizes: dict[str, int | None] = {name: num_parameters(config) for name, config in configs(plan).items()}
    for step in plan.steps:
        if step.name not in sizes:
            sizes[step.name] = sizes.get(step.inputs.get("checkpoint", BASE))
    return sizes


def _training(
    plan: Plan, step: Step, stage: Training, size: int | None, parameters: Mapping[str, int | None]
) -> Estimate:
    seen = _seen(plan, step, stage)
    steps = stage.steps
    if steps is None and seen is not None and isinstance(stage, Supervised):
        steps = math.ceil(seen.drawn / stage.batch_size)
    memory = disk = None
    if size is not None:
        share = trained_share(stage)
        memory = int(size * FLOAT_BYTES + size * share * (FLOAT_BYTES + OPTIMISER_BYTES))
        if isinstance(stage, Dpd):
            asked = step.inputs.get("teacher")
            teacher = 0 if asked is None else parameters.get(asked)
            memory = None if teacher is None else memory + teacher * FLOAT_BYTES
        if memory is not None and follows_weights(stage):
            memory += _engine_bytes(plan.recipe, size)
        disk = training_disk_bytes(stage, size)
    context = plan.recipe.engine.context_tokens
    tokens, beside = None, 0
    if steps is not None and isinstance(stage, Grpo):
        trained = steps * stage.prompts_per_step * stage.group * forward_of(stage, context).tokens
        watched = _watched(plan, stage, steps)
        tokens, beside = (None, 0) if watched is None else (trained + watched, watched)
    elif steps is not None and isinstance(stage, Supervised):
        longest = forward_of(stage, context).tokens
        tokens = steps * stage.batch_size * rows_read(stage) * longest
    text = _text_bytes(plan, stage) if isinstance(stage, RewardModel) else None
    return Estimate(
        steps=steps,
        tokens=tokens,
        memory_bytes=memory,
        disk_bytes=disk,
        seen=seen,
        text_bytes=text,
        beside=beside,
    )


def _watched(plan: Plan, stage: Grpo, steps: int) -> int | None:
    """Tokens of the answers of the guard suite, before the first step, every so many and after the last, and of the
    canaries of every step; None where the suite's problems are not counted yet."""
    settings, guard, canaries = plan.recipe.evaluate, stage.early_stop.guard, stage.alarms.canaries
    tokens = 0 if canaries is None else steps * canaries.per_step * stage.max_tokens
    if guard is None:
        return tokens
    suite = settings.suites[guard.suite]
    problems, looks = _num_rows(plan, suite.data), 1 + math.ceil(steps / guard.every)
    if problems is None:
        return None
    return tokens + looks * problems * guard.samples * (suite.max_tokens or settings.max_tokens)


def rows_read(stage: Supervised) -> int:
    """Sequences that one row of a batch is read as, at most."""
    if not isinstance(stage, Dpd):
        return 1
    domains = domains_of(stage).values()
    fresh = stage.fresh_samples if any(domain.fresh for domain in domains) else 0
    return fresh + (2 if any(domain.reads_pairs for domain in domains) else 0)


def _cached(plan: Plan, stage: Dpd, teacher: int | None) -> Estimate:
    """A teacher that reads all pairs there can be, once."""
    counts = [_num_rows(plan, name) for name in data_of(stage)]
    tokens = None
    if None not in counts:
        longest = forward_of(stage, plan.recipe.engine.context_tokens).tokens
        tokens = 2 * longest * stage.pairs_per_prompt * sum(count or 0 for count in counts)
    return Estimate(
        tokens=tokens,
        memory_bytes=None if teacher is None else teacher * FLOAT_BYTES,
        disk_bytes=None if tokens is None else tokens * CACHED_TOKEN_BYTES,
    )


def _text_bytes(plan: Plan, stage: Sft | RewardModel) -> int | None:
    """Of the files of rows that a stage reads and that are here; None where there is none."""
    return sum(_file_bytes(plan, name) for name in data_of(stage)) or None


def _file_bytes(plan: Plan, name: str) -> int:
    spec = plan.recipe.data[name]
    files = data_files(spec.path, plan.recipe_dir) if isinstance(spec, FileData) else []
    return sum(file.stat().st_size for file in files)


def _seen(plan: Plan, step: Step, stage: Training) -> Seen | None:
    """Which rows the stage would train on, or which prompts it would ask; None where the run itself decides."""
    if not isinstance(stage, Sft | RewardModel | Grpo) or "filter" in step.inputs:
        return None
    weights = data_of(stage)
    sizes = {name: _num_rows(plan, name) for name in weights}
    known = {name: size for name, size in sizes.items() if size is not None}
    if len(known) < len(sizes):
        return None
    if isinstance(stage, Grpo):
        # a mixture of prompts is drawn once, before its passes
        return seen_of_total(known, weights, (stage.steps or 1) * stage.prompts_per_step) if len(known) == 1 else None
    if isinstance(stage, RewardModel):  # both orders of what is not held out
        held = {name: max(1, round(stage.held_out_share * size)) for name, size in known.items()}
        known = {name: 2 * (size - (held[name] if stage.held_out_share else 0)) for name, size in known.items()}
    if stage.epochs is not None:
        return seen_of_total(known, weights, num_rows(known, weights, stage.epochs))
    if isinstance(stage, Sft) and stage.packing:
        return None
    return seen_of_total(known, weights, (stage.steps or 1) * stage.batch_size)


def _asking(plan: Plan, stage: AskingStage) -> Estimate:
    """Of a stage that asks models. Rows that an earlier stage makes are at most those that it reads, and more where it
    keeps several of a row."""
    rows = _num_source_rows(plan, stage.data)
    if rows is None:
        return Estimate()
    asked = asked_at_most(stage, rows, _row_tokens(plan, stage.data))
    return Estimate(tokens=asked.tokens, asked=asked)


def _mixed(plan: Plan, stage: Mix) -> tuple[str, ...]:
    """What each share costs in repeated rows, at least: domains are known to the run alone."""
    lines = []
    for name, total in _rows_of_phases(stage).items():
        phase = stage.phases[name]
        for data, count in shares(phase.data or stage.data, total).items():
            rows = _num_source_rows(plan, data)
            line = f"{name}: {count:,} rows of {data}"
            if rows is not None:
                there = round(phase.quality[1] * rows) - round(phase.quality[0] * rows)
                line += f", which has at most {there:,}: {max(0, count - there):,} come again, or more"
            lines.append(line)
    return tuple(lines)


def _rows_of_phases(stage: Mix) -> dict[str, int]:
    return shares({name: phase.share for name, phase in stage.phases.items()}, stage.rows)


def _num_source_rows(plan: Plan, name: str) -> int | None:
    spec = plan.recipe.data[name]
    maker = next((one for one in plan.recipe.stages if isinstance(spec, StageData) and one.name == spec.stage), None)
    if isinstance(maker, Mix):
        return _rows_of_phases(maker).get(spec.part, maker.rows) if isinstance(spec, StageData) else None
    if not isinstance(maker, RowStage):
        return _num_rows(plan, name)
    rows = _num_source_rows(plan, maker.data)
    each = maker.keep if isinstance(maker, Verify) else maker.pairs_per_prompt if isinstance(maker, Prefer) else 1
    return None if rows is None else rows * each


def _row_tokens(plan: Plan, name: str) -> int:
    """Tokens of a row's text, by the size of its files where they are here."""
    spec = plan.recipe.data[name]
    rows = _num_rows(plan, name) if isinstance(spec, FileData) and spec.limit is None else None
    return _file_bytes(plan, name) // rows // BYTES_PER_TOKEN if rows else PROMPT_TOKENS


def _sampling(plan: Plan, step: Step, size: int | None) -> Estimate:
    recipe = plan.recipe
    if step.kind == "pairs":
        each = step.params["teacher_samples"] + step.params["student_samples"]
    else:
        each = step.params["filter"]["k"] if step.kind == "filter" else step.params["k"]
    if step.kind == "evaluate":
        names: Iterable[str] = [recipe.evaluate.suites[step.suite or ""].data]
    else:
        names = step.params["data_specs"]
    counts = [_num_rows(plan, name) for name in names]
    tokens = None if None in counts else sum(count or 0 for count in counts) * each * step.params["max_tokens"]
    return Estimate(tokens=tokens, memory_bytes=None if size is None else _engine_bytes(recipe, size))


def _engine_bytes(recipe: Recipe, size: int) -> int:
    wide = recipe.engine.dtype == "float32" or (
        recipe.engine.dtype == "auto" and engines_of(recipe, "policy").gpus == 0
    )
    return int(size * (4 if wide else 2) + recipe.engine.kv_cache_gb * 2**30)


def _num_rows(plan: Plan, name: str) -> int | None:
    """Rows of a data set, or at most as many; None where that would need reading much."""
    spec = plan.recipe.data[name]
    if isinstance(spec, ToyData | GymData):
        return spec.rows
    if isinstance(spec, FileData):
        files = data_files(spec.path, plan.recipe_dir)
        plain = all(file.suffix in (".jsonl", ".ndjson") for file in files)
        if files and plain and sum(file.stat().st_size for file in files) <= COUNTED_FILE_BYTES:
            rows = sum(1 for file in files for line in file.read_bytes().splitlines() if line.strip())
            return min(rows, spec.limit or rows)
    return spec.limit if isinstance(spec, FileData | HubData) else None

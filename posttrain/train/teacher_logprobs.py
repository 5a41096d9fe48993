"""The step `<name>.teacher_logprobs`, in the trainer workers: the teacher reads every answer of the pairs once and its
distributions go to disk, so that training needs no teacher in memory.

Shards of pairs are dealt to the workers; each is written whole, and one that an earlier attempt finished is taken over.
Which worker made a shard leaves no trace in it. Knows nothing of losses.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from posttrain.data.template import ChatTemplate
from posttrain.machine.ranks import is_first_rank, rank, world_size
from posttrain.recipe.schema import Dpd
from posttrain.records.codec import as_json
from posttrain.records.metrics import TeacherLogprobsMetrics
from posttrain.rollout.weights import read_config
from posttrain.signals.progress import tell
from posttrain.store.failpoints import failpoint
from posttrain.train.attention import training_attention
from posttrain.train.job import Job
from posttrain.train.losses.head import Projection, States, tiles
from posttrain.train.pairs import PairRow, over_trained, pair_batch, pair_rows
from posttrain.train.sharding import is_sharded
from posttrain.train.teacher import frozen_model, refuse_other_tokens
from posttrain.train.teacher_cache import (
    CacheFacts,
    Packed,
    check_size,
    covered_masses,
    is_whole,
    pack,
    shard_files,
    write_facts,
    write_shard,
)
from posttrain.train.trainer import chunks, global_max

PAIRS_A_SHARD = 64
ALARM = 0.97
"""Mean mass of the kept tokens below which the KL from the cache is no longer the teacher's."""


def write_cache(job: Job, teacher: Path, earlier: Sequence[Path]) -> dict[str, Any]:
    """Fills job.output with the cache of the pairs in job.inputs. teacher: its model folder; earlier: folders of former
    attempts. Returns headline metrics, or {"stopped": True}."""
    stage: Dpd = job.stage
    assert stage.teacher.cache is not None, "the plan has this step where the recipe asks for a cache"
    template = ChatTemplate.load(job.model, job.chat, job.recipe_dir)
    refuse_other_tokens(template, teacher, job)
    rows = pair_rows(job, template)
    vocabulary = min(_vocabulary(job.model), _vocabulary(teacher))
    check_size(vocabulary, f"{job.step_name}: {teacher}")
    facts = CacheFacts(
        top_k=stage.teacher.cache.top_k,
        temperature=stage.kd_temperature,
        vocabulary=vocabulary,
        pairs=len(rows),
        pairs_a_shard=PAIRS_A_SHARD,
    )
    folder = job.attempt / "shards"
    found = [
        _found(shard, rows, facts, [folder, *(one / "shards" for one in earlier)]) for shard in range(facts.shards)
    ]
    missing = [shard for shard in range(facts.shards) if found[shard] is None]
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if missing:
        model = frozen_model(teacher, job.sharding, device)
        with training_attention(model, stage.attention, device.type):
            if not _fill(model, rows, missing, facts, job):
                return {"stopped": True}
        found = [folder if shard in missing else place for shard, place in enumerate(found)]
    if not is_first_rank():
        return {}
    return _publish(job.output, [place for place in found if place is not None], rows, facts)


def _vocabulary(folder: Path) -> int:
    config = read_config(folder)
    return int(config.get("vocab_size") or config["text_config"]["vocab_size"])


def _found(shard: int, rows: Sequence[PairRow], facts: CacheFacts, folders: Sequence[Path]) -> Path | None:
    mine = [rows[number] for number in facts.numbers(shard)]
    return next((folder for folder in folders if is_whole(folder, shard, mine)), None)


def _fill(model: Any, rows: Sequence[PairRow], missing: Sequence[int], facts: CacheFacts, job: Job) -> bool:
    """Write the missing shards, a round of one a worker; False where a stop was asked for. Shards of a round run as
    many passes on every worker: a sharded teacher is gathered by all of them at once."""
    micro = min(job.stage.micro_batch_size, PAIRS_A_SHARD)
    for start in range(0, len(missing), world_size()):
        dealt = missing[start : start + world_size()]
        passes = max(math.ceil(len(facts.numbers(shard)) / micro) for shard in dealt)
        mine = dealt[rank()] if rank() < len(dealt) else None
        own = [rows[number] for number in facts.numbers(mine)] if mine is not None else []
        parts = list(chunks(own, micro))
        answers: list[Packed] = []
        for number in range(passes):
            if global_max(float(job.stop_file.exists()), next(model.parameters()).device):
                return False
            tell(job.stop_file, "teacher log-probabilities", start * PAIRS_A_SHARD + number * micro, facts.pairs)
            if number < len(parts):
                answers += _answers(model, parts[number], facts)
            elif is_sharded(model):
                _answers(model, rows[:1], facts)  # for the others, who gather its layers
        if mine is not None:
            write_shard(job.attempt / "shards", mine, own, answers)
    if world_size() > 1:
        torch.distributed.barrier()  # the first worker collects what all have written
    return True


def _answers(model: Any, part: Sequence[PairRow], facts: CacheFacts) -> list[Packed]:
    """Good and bad answer of the first pair, of the second, ..."""
    with torch.no_grad():
        batch = pair_batch(part, next(model.parameters()).device)
        states: States = over_trained(model, batch, lambda states, _: states)
        projection = Projection(states)
        tiled = [pack(projection.logits(tokens), facts) for tokens in tiles(projection)]
    whole = _joined(tiled)
    lengths = [len(row.chosen) for row in part] + [len(row.rejected) for row in part]
    cut = list(_cut(whole, lengths))
    return [one for pair in zip(cut[: len(part)], cut[len(part) :], strict=True) for one in pair]


def _joined(tiled: Sequence[Packed]) -> Packed:
    return Packed(
        headers=np.concatenate([one.headers for one in tiled]),
        entries=np.concatenate([one.entries for one in tiled]),
        counts=np.concatenate([one.counts for one in tiled]),
    )


def _cut(whole: Packed, lengths: Sequence[int]) -> Iterator[Packed]:
    ends = np.concatenate([[0], np.cumsum(whole.counts)])
    start = 0
    for length in lengths:
        stop = start + length
        yield Packed(
            headers=whole.headers[start:stop],
            entries=whole.entries[ends[start] : ends[stop]],
            counts=whole.counts[start:stop],
        )
        start = stop


def _publish(output: Path, places: Sequence[Path], rows: Sequence[PairRow], facts: CacheFacts) -> dict[str, Any]:
    failpoint("teacher_cache.publish")
    size = 0
    masses: list[Any] = []
    for shard, place in enumerate(places):
        for file in shard_files(place, shard):
            shutil.copyfile(file, output / file.name)
        masses.append(covered_masses(output, shard))
        size += shard_files(output, shard)[0].stat().st_size
    write_facts(output, facts)
    covered = np.concatenate(masses)
    tokens = len(covered)
    metrics = TeacherLogprobsMetrics(
        pairs=len(rows),
        tokens=tokens,
        top_k=facts.top_k,
        covered_mass=round(float(covered.mean()), 6),
        below_alarm=round(float((covered < ALARM).mean()), 6),
        bytes_per_token=round(size / tokens, 2),
    )
    said = dict(as_json(metrics))
    if metrics.covered_mass < ALARM:
        said["remarks"] = [
            f"ALARM: the {facts.top_k} likeliest tokens hold {metrics.covered_mass:.3f} of the teacher's mass in the "
            f"mean, below {ALARM}: the KL from this cache is too small; raise teacher.cache.top_k"
        ]
    return said

"""A training stage whose workers ran out of memory goes on with half the rows a forward pass, or the most below
that into which its rows of a step divide: in the next attempt, from the last checkpoint, at the same rows a step.

A note in the attempt's folder says so to the attempts after it, also to those of a later run. The id of the step does
not change: how a step is split is no part of what is trained. Knows nothing of how errors reach it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posttrain.errors import OutOfMemory, Restart, StageError
from posttrain.recipe.batches import rows_a_pass
from posttrain.recipe.schema import Grpo, Supervised
from posttrain.records.codec import as_json, read_json
from posttrain.store.atomic import write_json

NOTE = "out_of_memory.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Smaller:
    """What a stage learned of its memory. Example: Smaller(micro_batch_size=2, ran_out=(8, 4)): passes of 8 and of 4
    rows a worker did not fit."""

    micro_batch_size: int
    ran_out: tuple[int, ...]


def learned(attempts: Iterable[Path]) -> Smaller | None:
    """The note of the smallest passes in these attempts; None where memory sufficed."""
    notes = [note for folder in attempts if (note := read_json(Smaller, folder / NOTE)) is not None]
    return min(notes, key=lambda note: note.micro_batch_size, default=None)


def with_smaller(stage: Any, attempts: Iterable[Path], attempt: Path) -> Any:
    """The stage's record with the passes that its earlier attempts came down to; the note goes along into `attempt`,
    since old attempts are removed."""
    note = learned(attempts)
    if note is None or not isinstance(stage, Supervised | Grpo):
        return stage
    write_json(attempt / NOTE, as_json(note), point="smaller")
    return stage.model_copy(update={"micro_batch_size": note.micro_batch_size})


def after_out_of_memory(error: OutOfMemory, stage: Supervised | Grpo, workers: int, attempt: Path) -> StageError:
    """The error to raise: Restart, with the note written; or, where a pass has one row already, what to change.
    stage: as the attempt ran it."""
    rows = rows_a_pass(stage, workers)
    if rows == 1:
        return StageError(
            f"{error.what} with one row a forward pass",
            where=f"stages.{stage.name}.micro_batch_size",
            remedy=_remedy(stage, workers),
        )
    before = learned([attempt])
    fewer = rows_a_pass(stage.model_copy(update={"micro_batch_size": rows // 2}), workers)
    note = Smaller(micro_batch_size=fewer, ran_out=(*(before.ran_out if before else ()), rows))
    write_json(attempt / NOTE, as_json(note), point="smaller")
    return Restart(
        f"{error.what}: again from the last checkpoint with {fewer} in place of {rows} rows a forward pass",
        where=f"stages.{stage.name}.micro_batch_size",
        remedy="the same command goes on with the smaller passes",
    )


def facts_of(attempt: Path) -> dict[str, Any]:
    """What a stage's metrics say of it: nothing where memory sufficed."""
    note = learned([attempt])
    if note is None:
        return {}
    ran_out = " and ".join(map(str, note.ran_out))
    said = f"out of memory with {ran_out} rows a forward pass: went on with {note.micro_batch_size}"
    return {"micro_batch_size": note.micro_batch_size, "remarks": [said]}


def _remedy(stage: Supervised | Grpo, workers: int) -> str:
    ways = [f"lower stages.{stage.name}.max_tokens"]
    if not stage.gradient_checkpointing:
        ways.append(f"set stages.{stage.name}.gradient_checkpointing: true")
    if stage.adapter == "full":
        ways.append("train with a LoRA as its adapter")
    ways.append("share the model with cluster.sharding: fsdp" if workers > 1 else "give more cluster.trainers")
    return ", or ".join(ways)

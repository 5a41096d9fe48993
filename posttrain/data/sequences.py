"""The order in which rows are trained on: drawn from a mixture, packed where that is asked for, phase by phase.

Pure and repeatable; knows rows by data set, number and length, and nothing of their tokens or files.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from posttrain.data.mix import Drawn, Seen, draw_numbers, num_rows
from posttrain.data.packing import pack_windows
from posttrain.data.token_rows import BATCH_SEQUENCES, Ragged, Tokens


@dataclass(frozen=True, kw_only=True, slots=True)
class Phase:
    """A mixture and how much of it is wanted: `sequences`, or `epochs` passes. room: tokens of a packed sequence; of an
    unpacked one, those of the longest row that this phase takes.

    Example: Phase(weights={"general": 1.0}, room=32768, packing=True, sequences=640)
    """

    weights: Mapping[str, float]
    room: int
    packing: bool
    sequences: int | None = None
    epochs: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """Sequences of rows; a row is known by its number over all data sets, which stand behind each other by name.
    counts: sequences of each phase.

    Example: Order(sequences=Ragged(values=[0, 3, 1], lengths=[2, 1]), counts=(2,), seen=Seen(...))
    """

    sequences: Ragged
    counts: tuple[int, ...]
    seen: Seen

    def batches(self) -> Iterator[Ragged]:
        """The same in pieces."""
        ends = np.concatenate([[0], np.cumsum(self.sequences.lengths, dtype=np.int64)])
        for start in range(0, len(self.sequences.lengths), BATCH_SEQUENCES):
            lengths = self.sequences.lengths[start : start + BATCH_SEQUENCES]
            yield Ragged(values=self.sequences.values[ends[start] : ends[start + len(lengths)]], lengths=lengths)


def order_rows(lengths: Mapping[str, Tokens], phases: Sequence[Phase], seed: int) -> Order:
    """lengths: tokens of the rows [N] of each data set that fit the longest phase.

    From `epochs` every row drawn is in exactly one sequence. A later phase begins with the rows of a data set that no
    earlier one had.
    """
    starts, total = {}, 0
    for name in sorted(lengths):
        starts[name] = total
        total += len(lengths[name])
    used: np.ndarray[Any, Any] = np.zeros(total, dtype=np.int64)
    parts: list[Ragged] = []
    for number, phase in enumerate(phases):
        own = {name: np.flatnonzero(lengths[name] <= phase.room) for name in sorted(phase.weights)}
        first = {}
        if number:
            first = {name: np.flatnonzero(used[starts[name] + rows] == 0).tolist() for name, rows in own.items()}
        sized = {name: lengths[name][rows] for name, rows in own.items()}
        drawn, part = _phase(sized, phase, seed if number == 0 else seed + number, first)
        offsets = [own[name] + starts[name] for name in drawn.names]
        rows = _gather(drawn, offsets, np.int64)[part.values]
        used += np.bincount(rows, minlength=total)
        parts.append(Ragged(values=rows, lengths=part.lengths))
    num_drawn, different = int(used.sum()), int(np.count_nonzero(used))
    return Order(
        sequences=Ragged.of(parts),
        counts=tuple(len(part.lengths) for part in parts),
        seen=Seen(rows=total, drawn=num_drawn, not_seen=total - different, again=num_drawn - different),
    )


def _phase(
    lengths: Mapping[str, Tokens], phase: Phase, seed: int, first: Mapping[str, Sequence[int]]
) -> tuple[Drawn, Ragged]:
    """What is drawn for a phase, and its sequences of places in that."""
    sizes = {name: len(rows) for name, rows in lengths.items()}
    wanted = phase.sequences
    total = num_rows(sizes, phase.weights, phase.epochs or 1.0) if wanted is None else wanted
    if wanted is not None and phase.packing:
        scale = sum(phase.weights.values())
        mean_tokens = sum(phase.weights[name] / scale * int(rows.sum()) / sizes[name] for name, rows in lengths.items())
        total = math.ceil(wanted * phase.room / mean_tokens)  # of sequences without a gap; some have one
    while True:
        drawn = draw_numbers(sizes, phase.weights, total, seed, first)
        part = _packed(drawn, lengths, phase, seed)
        if wanted is None or len(part.lengths) >= wanted:
            break
        total = math.ceil(total * max(1.05, wanted / len(part.lengths)))
    if wanted is not None:
        part = Ragged(values=part.values[: int(part.lengths[:wanted].sum())], lengths=part.lengths[:wanted])
    return drawn, part


def _packed(drawn: Drawn, lengths: Mapping[str, Tokens], phase: Phase, seed: int) -> Ragged:
    if not phase.packing:
        count = len(drawn.numbers)
        return Ragged(values=np.arange(count), lengths=np.ones(count, dtype=np.int32))
    sizes = array("i", _gather(drawn, [lengths[name] for name in drawn.names], np.int32).tobytes())
    values, counts = array("q"), array("i")
    for window in pack_windows(sizes, phase.room, seed):
        for rows in window:
            values.extend(rows)
            counts.append(len(rows))
    return Ragged(values=np.asarray(values), lengths=np.asarray(counts))


def _gather(drawn: Drawn, of: Sequence[np.ndarray[Any, Any]], dtype: type) -> np.ndarray[Any, Any]:
    """[drawn]: of[source][number] of each drawn row."""
    sources, numbers = np.asarray(drawn.sources), np.asarray(drawn.numbers)
    found: np.ndarray[Any, Any] = np.empty(len(numbers), dtype=dtype)
    for source, values in enumerate(of):
        mine = sources == source
        found[mine] = values[numbers[mine]]
    return found

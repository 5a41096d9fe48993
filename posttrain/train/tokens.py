"""The rows of a stage as tokens: made once by the first worker and processes beside it, mapped into memory by all.

    make_tokens(job, previous)     job.output: rows/<data>.arrow, sequences.arrow, tokens.json, set_aside.jsonl
    Sequences(folder)              what a trainer reads: sequences by number

A killed `make_tokens` goes on from the last batch of an earlier attempt, with the same bytes in the end. Knows nothing
of models.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from posttrain.data.encode import EncodedPortion, Encoders, Task, portions_of, tokens_key
from posttrain.data.sequences import Phase, order_rows
from posttrain.data.source import SET_ASIDE, check_share
from posttrain.data.spans import TurnCounts, Untrained
from posttrain.data.template import ChatTemplate
from posttrain.data.token_rows import (
    BATCH_TOKENS,
    Mapped,
    MappedRows,
    TokenFile,
    TokenisedRows,
    Tokens,
    Written,
    batches_of,
    write_sequences,
)
from posttrain.errors import CheckpointError, DataError
from posttrain.machine.ranks import is_first_rank
from posttrain.recipe.phases import longest_row, mixture, phases_of
from posttrain.recipe.schema import Sft
from posttrain.records.codec import as_json, read_json
from posttrain.records.metrics import TokensMetrics
from posttrain.signals.progress import tell
from posttrain.store.jsonl import write_record
from posttrain.train.job import Job, data_folders

FACTS, ROWS, SEQUENCES = "tokens.json", "rows", "sequences.arrow"
IGNORED = -100  # of labels: no loss
MOST_PROCESSES = 32  # one process reads for them all; each holds a tokenizer


@dataclass(frozen=True, kw_only=True, slots=True)
class TokensFacts:
    """What tokens.json says. data: rows by data set, in the order of their numbers; phases: sequences of each;
    tokenizer: tokens_key of the one that made the tokens.

    Example: TokensFacts(data={"general": 5000}, phases=(640,), tokenizer="3f9a...", metrics=TokensMetrics(...))
    """

    data: Mapping[str, int]
    phases: tuple[int, ...]
    tokenizer: str
    metrics: TokensMetrics


def make_tokens(job: Job, previous: Sequence[Path]) -> dict[str, Any]:
    """Runs in every trainer worker; the first one works. previous: folders of earlier attempts. Returns metrics, or
    {"stopped": True}. Raises DataError over faulty rows, and where no row fits."""
    if not is_first_rank():
        return {}
    job.attempt.mkdir(parents=True, exist_ok=True)
    stage: Sft = job.stage
    files: dict[str, TokenFile] = {}
    with Encoders(job.model, job.chat, job.recipe_dir, processes=_cores()) as encoders:
        for name in sorted(mixture(stage)):
            files[name] = file = TokenFile(job.attempt, name, previous)
            task = Task(name=name, spec=job.data[name], longest=longest_row(stage, name))
            if not _fill(job, file, task, encoders):
                return {"stopped": True}
            _check(job, task, file.written, encoders.template)
    rows = {name: MappedRows(file.path) for name, file in files.items()}
    facts = _write_order(job, rows, {name: file.written for name, file in files.items()}, tokens_key(encoders.template))
    _write_set_aside(job.output, files)
    (job.output / ROWS).mkdir()
    for file in files.values():
        file.publish(job.output / ROWS)
    return dict(as_json(facts.metrics))


def _cores() -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, MOST_PROCESSES)


def _fill(job: Job, file: TokenFile, task: Task, encoders: Encoders) -> bool:
    """Append what the file lacks of its data set; False where a stop was asked for."""
    portions = portions_of(task.name, task.spec, job.recipe_dir, data_folders(job.inputs))
    after = file.written
    parts: list[TokenisedRows] = []
    faults: list[dict[str, Any]] = []
    for portion in encoders.run(task, islice(portions, after.portions, None)):
        after = _with(after, portion)
        if after.first_fault is not None and not getattr(task.spec, "max_faulty_share", 0.0):
            check_share(task.name, task.spec, after.first_fault, faulty=after.faulty, good=0)
        parts.append(portion.rows)
        faults += portion.faults
        if sum(len(part.ids.values) for part in parts) >= BATCH_TOKENS:
            file.append(parts, faults, after)
            parts, faults = [], []
        tell(job.stop_file, f"rows of {task.name}", after.rows + after.faulty + after.too_long, None)
        if job.stop_file.exists():
            return False
    if parts:
        file.append(parts, faults, after)
    return True


def _with(before: Written, portion: EncodedPortion) -> Written:
    short = [value for value in (before.shortest, portion.shortest) if value is not None]
    return replace(
        before,
        portions=before.portions + 1,
        rows=before.rows + len(portion.rows.numbers),
        faulty=before.faulty + portion.faulty,
        too_long=before.too_long + portion.too_long,
        first_fault=before.first_fault or portion.first_fault,
        shortest=min(short, default=None),
        trained_turns=before.trained_turns + portion.trained_turns,
        untrained=dict(sorted((Counter(before.untrained) + Counter(portion.untrained)).items())),
        other_context=before.other_context + portion.other_context,
    )


def _check(job: Job, task: Task, found: Written, template: ChatTemplate) -> None:
    """Raises DataError above the stated share of faulty rows or of untrained turns, and where no row fits."""
    check_share(task.name, task.spec, found.first_fault, faulty=found.faulty, good=found.rows + found.too_long)
    if not found.rows:
        raise DataError(
            f"no row of data '{task.name}' fits in max_tokens {task.longest}; the shortest has {found.shortest} tokens",
            where=job.step_name,
            remedy="raise max_tokens",
        )
    _turns([found]).check_share(template.max_untrained_share, task.name)


def _turns(found: Sequence[Written]) -> TurnCounts:
    whys: Counter[str] = Counter()
    for written in found:
        whys.update(written.untrained)
    context = whys.pop(str(Untrained.CONTEXT), 0)
    return TurnCounts(
        trained=sum(written.trained_turns for written in found),
        untrained=dict(sorted(whys.items())),
        context=context,
        other_context=sum(written.other_context for written in found),
    )


def _drawn_phases(job: Job, lengths: Mapping[str, Tokens]) -> list[Phase]:
    """What the stage draws, phase by phase. Raises DataError where no row of a data set fits into one."""
    stage: Sft = job.stage
    found = []
    for number, phase in enumerate(phases_of(stage), start=1):
        for name in sorted(phase.data):
            if not (lengths[name] <= phase.max_tokens).any():
                raise DataError(
                    f"no row of data '{name}' fits in max_tokens {phase.max_tokens} of phase {number}",
                    where=job.step_name,
                    remedy="raise it, or leave the data set out of that phase",
                )
        sequences = None if phase.steps is None else phase.steps * stage.batch_size
        room = phase.max_tokens
        found.append(
            Phase(weights=phase.data, room=room, packing=stage.packing, sequences=sequences, epochs=stage.epochs)
        )
    return found


def _write_order(
    job: Job, rows: Mapping[str, MappedRows], written: Mapping[str, Written], tokenizer: str
) -> TokensFacts:
    """Draw and pack; write sequences.arrow and tokens.json."""
    tell(job.stop_file, "drawing and packing", 0, None)
    stage: Sft = job.stage
    lengths = {name: mapped.ids.lengths() for name, mapped in rows.items()}
    phases = _drawn_phases(job, lengths)
    order = order_rows(lengths, phases, job.seed)
    write_sequences(job.output / SEQUENCES, order.batches())
    drawn = order.sequences.values
    turns = _turns(list(written.values()))
    tokens = _sum_over(lengths, drawn)
    room = sum(count * phase.room for count, phase in zip(order.counts, phases, strict=True))
    metrics = TokensMetrics(
        sequences=len(order.sequences.lengths),
        rows=len(drawn),
        tokens=tokens,
        trained_tokens=_sum_over({name: mapped.trained() for name, mapped in rows.items()}, drawn),
        used=round(tokens / room, 4) if stage.packing else None,
        faulty_rows=sum(one.faulty for one in written.values()),
        too_long_rows=sum(one.too_long for one in written.values()),
        rows_not_seen=order.seen.not_seen,
        rows_again=order.seen.again,
        trained_turns=turns.trained,
        untrained_turns=turns.untrained,
        context_turns=turns.context,
        other_context_turns=turns.other_context,
    )
    counts = {name: len(mapped) for name, mapped in rows.items()}
    facts = TokensFacts(data=counts, phases=order.counts, tokenizer=tokenizer, metrics=metrics)
    write_record(job.output / FACTS, as_json(facts))
    return facts


def _sum_over(values: Mapping[str, Tokens], rows: np.ndarray[Any, Any]) -> int:
    """The sum of a value over rows by their number over all data sets."""
    return int(np.concatenate([values[name] for name in sorted(values)])[rows].sum(dtype=np.int64))


def _write_set_aside(output: Path, files: Mapping[str, TokenFile]) -> None:
    if not any(file.written.size_of_faults for file in files.values()):
        return
    with (output / SET_ASIDE).open("wb") as out:
        for name in sorted(files):
            with files[name].faults.open("rb") as faults:
                shutil.copyfileobj(faults, out)


# ---------------------------------------------------------------- for trainers


class Sequences:
    """The sequences of a published folder, in the order of training."""

    def __init__(self, folder: Path) -> None:
        facts = read_json(TokensFacts, folder / FACTS)
        assert facts is not None, f"{folder} was published by a tokens step"
        self.folder, self.facts = folder, facts
        self._names = tuple(facts.data)
        self._rows = [MappedRows(folder / ROWS / f"{name}.arrow") for name in self._names]
        self._starts = np.cumsum([0, *facts.data.values()])
        self._sequences = Mapped(batches_of(folder / SEQUENCES), "rows")

    def __len__(self) -> int:
        return len(self._sequences)

    def check_tokenizer(self, template: ChatTemplate, where: str) -> None:
        """Raises CheckpointError where the tokens are of another tokenizer than the model's."""
        if tokens_key(template) != self.facts.tokenizer:
            raise CheckpointError(
                "the tokenizer or chat template of the checkpoint is not the one that its rows were tokenised with",
                where=where,
                remedy="a stage of your own must publish the tokenizer that it was given; run the same command again",
            )

    def example(self, number: int) -> dict[str, Any]:
        """A sequence as TRL's collator reads it: ids [T] and labels [T] of its rows, and their lengths."""
        places = [self._place(row) for row in self._sequences[number].tolist()]
        rows = [self._rows[source].ids[at] for source, at in places]
        ids = np.concatenate(rows).astype(np.int64)
        labels = np.full_like(ids, IGNORED)
        start = 0
        for (source, at), row in zip(places, rows, strict=True):
            for begin, end in self._rows[source].spans[at].reshape(-1, 2).tolist():
                labels[start + begin : start + end] = row[begin:end]
            start += len(row)
        return {"input_ids": ids, "labels": labels, "seq_lengths": [len(row) for row in rows]}

    def named(self, numbers: range) -> Iterator[str]:
        """The rows of some sequences, for people."""
        for number in numbers:
            for row in self._sequences[number].tolist():
                source, at = self._place(row)
                yield f"row {self._rows[source].number(at)} of data '{self._names[source]}'"

    def _place(self, row: int) -> tuple[int, int]:
        source = int(np.searchsorted(self._starts, row, side="right")) - 1
        return source, row - int(self._starts[source])

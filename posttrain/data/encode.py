"""Rows of a data set to tokens and trained spans, portion by portion, here and in processes beside.

    portions_of(name, spec, ...)        the rows as their source has them; lines of JSON are not parsed yet
    Encoders.run(task, portions)        an `EncodedPortion` for each, in order, whatever the number of processes

A few seconds of work are done in this process, which is all that a small data set takes; then others are started, each
with a tokenizer of its own. Knows nothing of files of tokens, mixtures or training.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import multiprocessing.connection
import os
import threading
import time
from array import array
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from posttrain.data.files import RawRow
from posttrain.data.source import Fault, RowReader, load_conversations, raw_rows
from posttrain.data.template import ChatTemplate
from posttrain.data.token_rows import Ragged, TokenisedRows
from posttrain.errors import DataError, StageError
from posttrain.recipe.schema import Chat, Data, FileData, HubData
from posttrain.types import Conversation

PORTION_ROWS, PORTION_BYTES = 1024, 1 << 23
PATIENCE_SECONDS = 4.0  # about what a process takes to start
Entry = RawRow | tuple[int, Conversation]
"""A row as a file has it, or one that another source made with its number."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """What is done to the rows of one data set. longest: tokens of the longest row that is kept.

    Example: Task(name="general", spec=FileData(...), longest=32768)
    """

    name: str
    spec: Data
    longest: int


@dataclass(frozen=True, kw_only=True, slots=True)
class EncodedPortion:
    """What became of some rows. faults: {"data", "row", "reason"} of those set aside and left out, in order; shortest:
    tokens of the shortest row that is too long; turns as in TurnCounts, of the rows that are kept."""

    rows: TokenisedRows
    faults: tuple[dict[str, Any], ...] = ()
    faulty: int = 0
    too_long: int = 0
    first_fault: Fault | None = None
    shortest: int | None = None
    trained_turns: int = 0
    untrained: Mapping[str, int] = field(default_factory=dict)
    other_context: int = 0


def portions_of(
    name: str, spec: Data, recipe_dir: Path, stage_folders: Mapping[str, Path]
) -> Iterator[Sequence[Entry]]:
    """The rows of a data set in pieces that depend on the rows alone. Those of files are never held all at once."""
    rows: Iterable[Entry]
    if isinstance(spec, FileData | HubData):
        rows = raw_rows(spec, recipe_dir, parse=False)
    else:
        made = load_conversations(name, spec, recipe_dir, stage_folders)
        rows = zip(made.numbers, made.items, strict=True)
    portion: list[Entry] = []
    size = 0
    for row in rows:
        portion.append(row)
        size += _size_of(row)
        if len(portion) >= PORTION_ROWS or size >= PORTION_BYTES:
            yield portion
            portion, size = [], 0
    if portion:
        yield portion


def _size_of(row: Entry) -> int:
    value = row.value if isinstance(row, RawRow) else row[1].messages
    return len(value) if isinstance(value, bytes) else len(repr(value))


def encode_portion(task: Task, entries: Sequence[Entry], template: ChatTemplate) -> EncodedPortion:
    """Every row of a portion: as tokens, set aside with its reason, or left out for its length."""
    reader = RowReader(task.name, task.spec, Conversation) if isinstance(task.spec, FileData | HubData) else None
    numbers, ids, lengths = array("q"), array("i"), array("i")
    spans, num_spans = array("i"), array("i")
    left_out: list[dict[str, Any]] = []
    untrained: Counter[str] = Counter()
    faulty = trained = other = 0
    first: Fault | None = None
    too_long: list[int] = []
    for entry in entries:
        number = entry.number if isinstance(entry, RawRow) else entry[0]
        found: Any = entry[1] if isinstance(entry, tuple) else reader.read(entry) if reader else None
        if not isinstance(found, Fault):
            try:
                found = template.encode_conversation(found.messages, found.tools)
            except DataError as error:
                found = Fault(row=number, reason=f"{error.what}: {error.remedy}" if error.remedy else error.what)
        if isinstance(found, Fault):
            first, faulty = first or found, faulty + 1
            left_out.append({"data": task.name, "row": number, "reason": found.reason})
            continue
        if len(found.ids) > task.longest:
            reason = f"{len(found.ids)} tokens, longer than max_tokens {task.longest}"
            left_out.append({"data": task.name, "row": number, "reason": reason})
            too_long.append(len(found.ids))
            continue
        numbers.append(number)
        ids.extend(found.ids)
        lengths.append(len(found.ids))
        for span in found.spans:
            spans.extend(span)
        num_spans.append(2 * len(found.spans))
        untrained.update(map(str, found.untrained))
        trained, other = trained + found.trained_turns, other + found.other_context
    rows = TokenisedRows(
        numbers=np.asarray(numbers, dtype=np.int64),
        ids=Ragged(values=np.asarray(ids, dtype=np.int32), lengths=np.asarray(lengths, dtype=np.int32)),
        spans=Ragged(values=np.asarray(spans, dtype=np.int32), lengths=np.asarray(num_spans, dtype=np.int32)),
    )
    return EncodedPortion(
        rows=rows,
        faults=tuple(left_out),
        faulty=faulty,
        too_long=len(too_long),
        first_fault=first,
        shortest=min(too_long, default=None),
        trained_turns=trained,
        untrained=dict(untrained),
        other_context=other,
    )


def tokens_key(template: ChatTemplate) -> str:
    """What tokens hang on of a tokenizer: its vocabulary and its chat template. Equal for two checkpoints that may
    train on the same files."""
    words = sorted(template.tokenizer.get_vocab().items())
    return hashlib.sha256(json.dumps([words, template.tokenizer.chat_template]).encode()).hexdigest()


# ---------------------------------------------------------------- processes

_TEMPLATE: list[ChatTemplate] = []  # of this process, once it has been started as a worker


def _start_worker(model: Path, chat: Chat, recipe_dir: Path) -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None, "only called in a child"
    threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()
    _TEMPLATE.append(ChatTemplate.load(model, chat, recipe_dir))


def _end_with(parent: int) -> None:
    """A killed parent closes no queue: its workers would wait for work for ever."""
    multiprocessing.connection.wait([parent])
    os._exit(1)


def _encode_in_worker(task: Task, entries: Sequence[Entry]) -> EncodedPortion:
    return encode_portion(task, entries, _TEMPLATE[0])


class Encoders:
    """This process and, where there is much to do, as many others as are asked for. Context manager."""

    def __init__(self, model: Path, chat: Chat, recipe_dir: Path, *, processes: int) -> None:
        self.template = ChatTemplate.load(model, chat, recipe_dir)
        self._loaded = (model, chat, recipe_dir)
        self._processes = processes
        self._pool: ProcessPoolExecutor | None = None
        self._spent = 0.0

    def run(self, task: Task, portions: Iterable[Sequence[Entry]]) -> Iterator[EncodedPortion]:
        """Each portion encoded, in order. At most two portions a process are under way."""
        waiting: deque[Future[EncodedPortion]] = deque()
        try:
            for portion in portions:
                if self._pool is None and (self._processes == 1 or self._spent < PATIENCE_SECONDS):
                    began = time.monotonic()
                    yield encode_portion(task, portion, self.template)
                    self._spent += time.monotonic() - began
                    continue
                if self._pool is None:
                    self._pool = self._start()
                waiting.append(self._pool.submit(_encode_in_worker, task, portion))
                if len(waiting) >= 2 * self._processes:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool:
            raise StageError(
                f"a process that turns rows of '{task.name}' into tokens died",
                remedy="out of memory? The same command goes on where it was",
            ) from None

    def _start(self) -> ProcessPoolExecutor:
        # Not forked: this process may hold threads of torch or Ray.
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(self._processes, context, _start_worker, self._loaded)

    def __enter__(self) -> Encoders:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

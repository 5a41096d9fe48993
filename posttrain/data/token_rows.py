"""Tokens of rows in files that processes map into memory: one Arrow stream a data set, and one of the order in which
the rows are trained on. Nothing here grows with the number of rows but arrays of a few bytes a row.

    <data>.arrow       a row of the data set each: row (its number, from 1), ids [T], spans ([start, end) of trained)
    sequences.arrow    a training sequence each: rows (numbers over all data sets in the order of tokens.json, from 0)

A stream may grow while it is written: `<data>.journal` has a line for each batch, so that a killed writer's file is cut
to the last whole one and goes on. Knows nothing of templates, mixtures or training.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from posttrain.data.source import Fault
from posttrain.records.codec import as_json, from_json
from posttrain.store.failpoints import failpoint

Numbers = np.ndarray[Any, np.dtype[np.int64]]
Tokens = np.ndarray[Any, np.dtype[np.int32]]

BATCH_TOKENS = 1 << 22  # a batch is what a kill may cost
ROWS = pa.schema([("row", pa.int64()), ("ids", pa.list_(pa.int32())), ("spans", pa.list_(pa.int32()))])
SEQUENCES = pa.schema([("rows", pa.list_(pa.int64()))])
BATCH_SEQUENCES = 1 << 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Ragged:
    """Lists of numbers behind each other. values: all of them; lengths [N]: of each list.

    Example: Ragged(values=np.array([5, 6, 7]), lengths=np.array([1, 2]))
    """

    values: np.ndarray[Any, Any]
    lengths: Tokens

    @classmethod
    def of(cls, parts: Sequence[Ragged]) -> Ragged:
        return cls(
            values=np.concatenate([part.values for part in parts]),
            lengths=np.concatenate([part.lengths for part in parts]),
        )

    def as_arrow(self) -> pa.Array:
        """A list array over the same numbers."""
        ends = np.concatenate([[0], np.cumsum(self.lengths, dtype=np.int64)])
        assert ends[-1] < 2**31, "a batch is closed long before its places need 64 bits"
        return pa.ListArray.from_arrays(pa.array(ends.astype(np.int32)), pa.array(self.values))


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenisedRows:
    """Rows [N] of a data set as tokens, on the way from a worker to the file."""

    numbers: Numbers
    ids: Ragged
    spans: Ragged


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """What a data set's file holds up to a batch: `size` bytes, made of the first `portions` portions of the data.

    faulty: rows set aside; too_long: rows left out; turns of the assistant as in TurnCounts. size_of_faults: bytes of
    the file of both kinds.

    Example: Written(size=81920, portions=3, rows=300, faulty=1, too_long=4, trained_turns=310)
    """

    size: int = 0
    portions: int = 0
    rows: int = 0
    faulty: int = 0
    too_long: int = 0
    first_fault: Fault | None = None
    shortest: int | None = None  # tokens of the shortest row that is too long
    trained_turns: int = 0
    untrained: dict[str, int] = field(default_factory=dict)  # by reason
    other_context: int = 0
    size_of_faults: int = 0


class TokenFile:
    """A data set's file while it is written: batches, faults and the journal. Context manager; goes on from the files
    of an earlier attempt, which stay as they are."""

    def __init__(self, folder: Path, name: str, previous: Iterable[Path] = ()) -> None:
        self.path, self.faults = folder / f"{name}.arrow", folder / f"{name}.faults.jsonl"
        self._journal = folder / f"{name}.journal"
        self.written = Written()
        whole = [old for old in previous if (old / self.path.name).is_file()]
        found = [(self._last(old / self._journal.name), old) for old in whole]
        known = [(last, old) for last, old in found if last is not None]
        if known:
            self.written, old = max(known, key=lambda pair: pair[0].portions)
            _copy_start(old / self.path.name, self.path, self.written.size)
            _copy_start(old / self.faults.name, self.faults, self.written.size_of_faults)
            self._journal.write_bytes(_line(self.written))
        else:
            self.path.write_bytes(bytes(ROWS.serialize()))
            self.faults.touch()
            self._journal.touch()

    @staticmethod
    def _last(journal: Path) -> Written | None:
        lines = journal.read_bytes().splitlines(keepends=True) if journal.is_file() else []
        whole = [line for line in lines if line.endswith(b"\n")]  # the last may be torn by a kill
        return from_json(Written, json.loads(whole[-1]), str(journal)) if whole else None

    def append(self, parts: Sequence[TokenisedRows], faults: Sequence[dict[str, Any]], after: Written) -> None:
        """One batch of rows, then its line in the journal. after: what the file will hold, sizes aside."""
        failpoint("tokens.batch.before")
        with self.path.open("ab") as out:
            if parts:
                out.write(_batch_message(parts))
            _sync(out)
        with self.faults.open("ab") as out:
            out.writelines(json.dumps(fault, ensure_ascii=False).encode() + b"\n" for fault in faults)
            _sync(out)
        self.written = replace(after, size=self.path.stat().st_size, size_of_faults=self.faults.stat().st_size)
        failpoint("tokens.batch.written")
        with self._journal.open("ab") as out:
            out.write(_line(self.written))
            _sync(out)
        failpoint("tokens.batch.after")

    def publish(self, output: Path) -> None:
        """Move the file to where it is published, and end its stream."""
        os.replace(self.path, output / self.path.name)
        with (output / self.path.name).open("ab") as out:
            out.write(_END)


_END = b"\xff\xff\xff\xff\x00\x00\x00\x00"  # of an Arrow stream


def _batch_message(parts: Sequence[TokenisedRows]) -> bytes:
    columns = [
        pa.array(np.concatenate([part.numbers for part in parts])),
        Ragged.of([part.ids for part in parts]).as_arrow(),
        Ragged.of([part.spans for part in parts]).as_arrow(),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=ROWS).serialize()


def _line(written: Written) -> bytes:
    return json.dumps(as_json(written)).encode() + b"\n"


def _sync(out: Any) -> None:
    out.flush()
    os.fsync(out.fileno())


def _copy_start(source: Path, target: Path, size: int) -> None:
    with source.open("rb") as read, target.open("wb") as write:
        shutil.copyfileobj(read, write, 1 << 24)
        write.truncate(size)


# ---------------------------------------------------------------- reading


class Mapped:
    """A list column of an Arrow stream in memory that the file itself backs: [n] is the n-th list, by no copy."""

    def __init__(self, batches: Sequence[pa.RecordBatch], column: str) -> None:
        lists = [batch.column(column) for batch in batches]
        self._values = [one.values.to_numpy() for one in lists]
        self._ends = [one.offsets.to_numpy() for one in lists]
        self._starts = np.cumsum([0, *map(len, lists)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, place: int) -> np.ndarray[Any, Any]:
        batch = int(np.searchsorted(self._starts, place, side="right")) - 1
        at = place - int(self._starts[batch])
        ends = self._ends[batch]
        return self._values[batch][ends[at] : ends[at + 1]]

    def lengths(self) -> Tokens:
        """[N] of all lists."""
        return np.concatenate([np.zeros(0, np.int32), *(np.diff(ends) for ends in self._ends)]).astype(np.int32)

    def chunks(self) -> Iterator[Ragged]:
        """The lists of each batch."""
        for values, ends in zip(self._values, self._ends, strict=True):
            yield Ragged(values=values[ends[0] : ends[-1]], lengths=np.diff(ends))


def batches_of(path: Path) -> list[pa.RecordBatch]:
    """The batches of a stream, mapped into memory."""
    with pa.ipc.open_stream(pa.memory_map(str(path))) as stream:
        return list(stream)


class MappedRows:
    """The rows of a data set's file."""

    def __init__(self, path: Path) -> None:
        batches = batches_of(path)
        self.ids, self.spans = Mapped(batches, "ids"), Mapped(batches, "spans")
        self._numbers = [batch.column("row").to_numpy() for batch in batches]
        self._starts = np.cumsum([0, *map(len, self._numbers)])

    def __len__(self) -> int:
        return len(self.ids)

    def number(self, place: int) -> int:
        """The row's number in its data set."""
        batch = int(np.searchsorted(self._starts, place, side="right")) - 1
        return int(self._numbers[batch][place - int(self._starts[batch])])

    def trained(self) -> Tokens:
        """Trained tokens of each row [N]."""
        counts: list[Numbers] = [np.zeros(0, np.int64)]
        for part in self.spans.chunks():
            sums = np.concatenate([[0], np.cumsum(part.values[1::2] - part.values[::2], dtype=np.int64)])
            ends = np.concatenate([[0], np.cumsum(part.lengths // 2)])
            counts.append(sums[ends[1:]] - sums[ends[:-1]])
        return np.concatenate(counts).astype(np.int32)


def write_sequences(path: Path, parts: Iterable[Ragged]) -> int:
    """The order of training, in batches; returns how many sequences."""
    count = 0
    failpoint("tokens.sequences.before")
    with path.open("wb") as out, pa.ipc.new_stream(out, SEQUENCES) as stream:
        for part in parts:
            stream.write_batch(pa.RecordBatch.from_arrays([part.as_arrow()], schema=SEQUENCES))
            count += len(part.lengths)
    failpoint("tokens.sequences.after")
    return count

"""`clean`: which rows of a file should not be trained on, and a file of the others, unchanged and in order.

Three passes over the file: lines are counted; worker processes look at each row by itself (posttrain.factory.examine);
rows that are left are compared with each other. Then both files are written, each whole or not at all. What is removed
and why does not depend on the number of processes. Holds arrays of about 0.9 KB a row, never the rows.
"""

from __future__ import annotations

import json
import multiprocessing
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from posttrain.errors import DataError, InputError, StageError
from posttrain.factory.contamination import Hit, Suites, load_suites
from posttrain.factory.duplicates import PERMUTATIONS, Numbers, Signatures, find_near
from posttrain.factory.examine import (
    PAIR_RULES,
    RULES,
    CleanOptions,
    Examined,
    Portion,
    compared_texts,
    examine,
    start_worker,
)
from posttrain.factory.texts import Flags, Hashes, fields_of, parse_row, take_apart
from posttrain.store.atomic import fsync_path
from posttrain.store.failpoints import failpoint

Rows = np.ndarray[Any, np.dtype[np.int64]]

PORTION_BYTES = 1 << 20
SAMPLES = 3  # a rule, in the report
SAMPLE_CHARS = 160
_HIDDEN = {"secret", "personal_data"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Cleaned:
    """What `clean` found. removed: rule -> rows; suspects: the same of rows that were kept; verdicts: suite -> one
    sentence for data cards and scores."""

    rows: int
    kept: int
    removed: dict[str, int]
    suspects: dict[str, int]
    verdicts: dict[str, str]
    notes: tuple[str, ...]


class _Rows:
    """Arrays [N] over all rows of the file, filled portion by portion."""

    def __init__(self, count: int) -> None:
        self.count = 0
        self.lines: Rows = np.empty(count, dtype=np.int64)
        self.offsets: Rows = np.empty(count, dtype=np.int64)
        self.sizes: Numbers = np.empty(count, dtype=np.int32)
        self.exact: Hashes = np.empty((count, 2), dtype=np.uint64)
        self.signatures: Signatures = np.empty((count, PERMUTATIONS), dtype=np.uint32)
        self.bits: Hashes = np.empty(count, dtype=np.uint64)
        self.rule: np.ndarray[Any, np.dtype[np.int8]] = np.full(count, -1, dtype=np.int8)  # place in RULES
        self.twin: Rows = np.full(count, -1, dtype=np.int64)  # the row that it repeats
        self.seen: dict[int, str] = {}
        self.suspects: dict[int, Hit] = {}

    def take(self, part: Examined) -> None:
        """Append a portion's rows."""
        start, end = self.count, self.count + len(part.lines)
        for name in ("lines", "offsets", "sizes", "exact", "signatures", "bits"):
            getattr(self, name)[start:end] = getattr(part, name)
        for place, (rule, seen) in part.faults.items():
            self.rule[start + place], self.seen[start + place] = RULES.index(rule), seen
        self.suspects.update({start + place: hit for place, hit in part.suspects.items()})
        self.count = end

    def of(self, row: int) -> int | str:
        """What a removed row repeats or shows: the number of a row, or a name."""
        return self.seen[row] if row in self.seen else int(self.lines[self.twin[row]])


def clean_file(
    rows: Path,
    against: Sequence[Path],
    *,
    out: Path,
    report: Path,
    options: CleanOptions | None = None,
    processes: int | None = None,
    names: Mapping[Path, str] | None = None,
) -> Cleaned:
    """Clean a file of JSON lines. names: how the report calls a file, in place of its path. Raises DataError: a file is
    missing or a row malformed; InputError: an output would overwrite what is read."""
    options = options or CleanOptions()
    _check_paths(rows, against, out, report)
    suites = load_suites(against, names)
    portions = list(portions_of(rows))
    found = _Rows(sum(portion.lines for portion in portions))
    for part in _examined(rows, suites, options, portions=portions, processes=processes or os.cpu_count() or 1):
        found.take(part)
    if not found.count:
        raise DataError("no rows", where=str(rows), remedy="give a file with at least one row")
    if "exact_duplicate" not in options.skip:
        _mark_exact(found)
    notes = _mark_near(rows, found, options.near) if "near_duplicate" not in options.skip else []
    cleaned = _summary(found, suites, options, notes)
    # The report first: where KEPT stands, what was removed from it is on record.
    _write(report, _report_lines(rows, found, cleaned, options, (names or {}).get(rows, str(rows))))
    _write(out, _kept_lines(rows, found))
    return cleaned


def _check_paths(rows: Path, against: Sequence[Path], out: Path, report: Path) -> None:
    if not rows.is_file():
        raise DataError(f"no file '{rows}'", where=str(rows), remedy="give a file of JSON lines")
    taken = {path.resolve() for path in (rows, *against)}
    for name, path in (("--out", out), ("--report", report)):
        if path.resolve() in taken:
            raise InputError(f"{name} {path} is read or written already", where=name, remedy="name another file")
        if not path.parent.is_dir():
            raise InputError(f"no folder '{path.parent}'", where=name, remedy="make it first")
        taken.add(path.resolve())


def portions_of(rows: Path) -> Iterator[Portion]:
    """The file in pieces of whole lines, about PORTION_BYTES each."""
    offset, line = 0, 1
    with rows.open("rb") as stream:
        while block := stream.read(PORTION_BYTES):
            block += stream.readline()
            lines = block.count(b"\n") + (not block.endswith(b"\n"))
            yield Portion(offset=offset, size=len(block), lines=lines, line=line)
            offset, line = offset + len(block), line + lines


def _examined(
    rows: Path, suites: Suites, options: CleanOptions, *, portions: Sequence[Portion], processes: int
) -> Iterator[Examined]:
    processes = min(processes, len(portions))
    if processes <= 1:
        start_worker(rows, suites, options)
        yield from map(examine, portions)
        return
    # Forked workers share the suites' arrays; where there is no fork, each gets a copy.
    method = "fork" if "fork" in multiprocessing.get_all_start_methods() else "spawn"
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(processes, context, start_worker, (rows, suites, options)) as pool:
        try:
            yield from pool.map(examine, portions)
        except BrokenProcessPool:
            remedy = "out of memory? Give fewer --processes; nothing was written"
            raise StageError("a worker process died", where=str(rows), remedy=remedy) from None


def _mark_exact(found: _Rows) -> None:
    alive = np.flatnonzero(found.rule[: found.count] < 0)
    keys = found.exact[alive]
    order = np.lexsort((alive, keys[:, 1], keys[:, 0]))
    ordered = keys[order]
    head: Flags = np.ones(len(ordered), dtype=bool)
    head[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    firsts = alive[order][head][np.cumsum(head) - 1]
    again = alive[order][~head]
    found.rule[again] = RULES.index("exact_duplicate")
    found.twin[again] = firsts[~head]


def _mark_near(rows: Path, found: _Rows, near: float) -> list[str]:
    with rows.open("rb") as stream:

        def read(row: int) -> list[str]:
            texts = take_apart(fields_of(_row_at(stream, rows, found, row)))
            return [word for text in compared_texts(texts) for word in text.words]

        count = found.count
        alive = found.rule[:count] < 0
        result = find_near(found.signatures[:count], found.bits[:count], alive, read, near)
    for row, other in result.of.items():
        found.rule[row], found.twin[row] = RULES.index("near_duplicate"), other
    told = {
        "{:,} rows are like an earlier one but for their numbers, and stay": result.templates,
        "{:,} rows share a passage with at least five others and differ in one other passage, and stay": (
            result.boilerplate
        ),
        "{:,} rows share too much with too many to be compared with all of them": result.cut,
    }
    return [sentence.format(number) for sentence, number in told.items() if number]


def _row_at(stream: BinaryIO, rows: Path, found: _Rows, row: int) -> dict[str, Any]:
    stream.seek(int(found.offsets[row]))
    return parse_row(stream.read(int(found.sizes[row])), f"{rows}:{found.lines[row]}")


def _summary(found: _Rows, suites: Suites, options: CleanOptions, notes: Iterable[str]) -> Cleaned:
    codes = Counter(found.rule[: found.count].tolist())
    hits = Counter(
        suite
        for row, seen in found.seen.items()
        if RULES[found.rule[row]] == "contamination"
        for suite in {seen.rpartition(":")[0]} | suites.shared.get(seen, set())
    )
    verdicts = {
        suite: f"contamination: checked against {problems:,} rows, {hits[suite]:,} hits removed"
        for suite, problems in suites.rows.items()
        if "contamination" not in options.skip
    }
    if suites.unseen:
        notes = [*notes, f"{suites.unseen:,} questions of suites are too short to be looked for"]
    return Cleaned(
        rows=found.count,
        kept=codes[-1],
        removed={rule: codes[code] for code, rule in enumerate(RULES) if codes[code]},
        suspects=dict(sorted(Counter(hit.rule for hit in found.suspects.values()).items())),
        verdicts=verdicts,
        notes=tuple(notes),
    )


def _report_lines(rows: Path, found: _Rows, cleaned: Cleaned, options: CleanOptions, name: str) -> Iterator[bytes]:
    """The report, a removed row a line: a million of them are never held at once."""
    head = {
        "file": name,
        "rows": cleaned.rows,
        "kept": cleaned.kept,
        "by_rule": cleaned.removed,
        "suspects_by_rule": cleaned.suspects,
        "verdicts": cleaned.verdicts,
        "notes": list(cleaned.notes),
        "options": {
            "languages": list(options.languages),
            "min_words": options.min_words,
            "max_words": options.max_words,
            "max_repetition": options.max_repetition,
            "near": options.near,
            "skip": sorted(options.skip),
            "remove_numbers_changed": options.remove_numbers_changed,
        },
        "samples": _samples(rows, found),
    }
    yield json.dumps(head, indent=1, ensure_ascii=False)[:-2].encode("utf-8", "backslashreplace")
    removed = (
        {"row": int(found.lines[row]), "rule": RULES[found.rule[row]], "of": found.of(row)}
        for row in np.flatnonzero(found.rule[: found.count] >= 0).tolist()
    )
    suspects = (
        {"row": int(found.lines[row]), "rule": hit.rule, "of": hit.of, "covered": hit.covered}
        for row, hit in sorted(found.suspects.items())
    )
    for name, entries in (("removed", removed), ("suspects", suspects)):
        yield f',\n "{name}": ['.encode()
        for place, entry in enumerate(entries):
            yield (",\n  " if place else "\n  ").encode() + json.dumps(entry).encode()
        yield b"]"
    yield b"\n}\n"


def _samples(rows: Path, found: _Rows) -> dict[str, list[dict[str, Any]]]:
    """The first rows of each rule, with how they begin; nothing of rows with secrets or data of people."""
    samples: dict[str, list[dict[str, Any]]] = {}
    with rows.open("rb") as stream:
        for code, rule in enumerate(RULES):
            for row in np.flatnonzero(found.rule[: found.count] == code)[:SAMPLES].tolist():
                shown: dict[str, Any] = {"row": int(found.lines[row]), "of": found.of(row)}
                if rule not in _HIDDEN:
                    shown["text"] = _start_of(_row_at(stream, rows, found, row))
                    if rule in PAIR_RULES:
                        shown["of_text"] = _start_of(_row_at(stream, rows, found, int(found.twin[row])))
                samples.setdefault(rule, []).append(shown)
    return samples


def _start_of(row: dict[str, Any]) -> str:
    return " | ".join(" ".join(field.text[: 2 * SAMPLE_CHARS].split()) for field in fields_of(row))[:SAMPLE_CHARS]


def _kept_lines(rows: Path, found: _Rows) -> Iterator[bytes]:
    with rows.open("rb") as stream:
        for row in np.flatnonzero(found.rule[: found.count] < 0).tolist():
            stream.seek(int(found.offsets[row]))
            yield stream.read(int(found.sizes[row]))


def _write(path: Path, parts: Iterable[bytes]) -> None:
    """A file that is there whole or not at all, too large to be held at once."""
    temporary = path.with_name(f".{path.name}.tmp")
    failpoint("clean.before_write")
    try:
        with temporary.open("wb") as stream:
            stream.writelines(parts)
            stream.flush()
            os.fsync(stream.fileno())
    except BaseException:
        temporary.unlink(missing_ok=True)  # a full disk must not keep half a file
        raise
    failpoint("clean.before_rename")
    os.replace(temporary, path)
    failpoint("clean.after_rename")
    fsync_path(path.parent)

"""One portion of a file of rows, looked at by itself: what each row breaks, and what is needed to compare it with
others.

Runs in a worker process, which reads its own bytes of the file. Knows nothing of other portions.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from posttrain.errors import DataError
from posttrain.factory.bounds import language_fault, length_fault, repetition_fault
from posttrain.factory.contamination import Hit, Suites
from posttrain.factory.duplicates import WORDS_ALIKE, Signatures, number_bits, signatures, tokens_of
from posttrain.factory.patterns import personal_data_in, refusal_in, secret_in, self_naming_in
from posttrain.factory.texts import (
    ANSWER,
    OTHER,
    QUESTION,
    SYSTEM,
    Hashes,
    Text,
    exact_hash,
    fields_of,
    parse_row,
    take_apart,
)

CONTENT_RULES = (
    "contamination",
    "numbers_changed",
    "secret",
    "personal_data",
    "refusal",
    "self_naming",
    "length",
    "language",
    "repetition",
)
PAIR_RULES = ("exact_duplicate", "near_duplicate")
RULES = (*CONTENT_RULES, *PAIR_RULES)
REPORTED_ONLY = "numbers_changed"
"""Found, and kept unless asked: see posttrain.factory.contamination."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CleanOptions:
    """What is looked for. languages: codes that may stand, () all; max_words: None, no bound; skip: rules left out."""

    languages: tuple[str, ...] = ()
    min_words: int = 1
    max_words: int | None = None
    max_repetition: float = 0.5
    near: float = WORDS_ALIKE
    skip: frozenset[str] = frozenset()
    remove_numbers_changed: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Portion:
    """Whole lines of a file: `size` bytes from `offset`; `line` is the number of the first, from 1."""

    offset: int
    size: int
    lines: int
    line: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Examined:
    """What a portion holds. lines [R]: number of each row's line; offsets, sizes [R]: its bytes; exact [R, 2];
    signatures [R, PERMUTATIONS]; bits [R]; faults: place in R -> rule and what it saw; suspects: the same, kept."""

    lines: np.ndarray[Any, np.dtype[np.int64]]
    offsets: np.ndarray[Any, np.dtype[np.int64]]
    sizes: np.ndarray[Any, np.dtype[np.int32]]
    exact: Hashes
    signatures: Signatures
    bits: Hashes
    faults: dict[int, tuple[str, str]]
    suspects: dict[int, Hit]


_state: tuple[Path, Suites, CleanOptions] | None = None


def start_worker(rows: Path, suites: Suites, options: CleanOptions) -> None:
    """What each worker process holds. rensa's own threads are kept to one: the processes share the cores."""
    global _state
    os.environ["RAYON_NUM_THREADS"] = "1"
    _state = (rows, suites, options)


def examine(portion: Portion) -> Examined:
    """Look at each row of a portion. Raises DataError for a malformed one."""
    assert _state is not None, "start_worker comes first"
    path, suites, options = _state
    lines: list[int] = []
    offsets: list[int] = []
    sizes: list[int] = []
    exact: list[bytes] = []
    tokens: list[Hashes] = []
    bits: list[int] = []
    faults: dict[int, tuple[str, str]] = {}
    suspects: dict[int, Hit] = {}
    for number, offset, line in lines_of(path, portion):
        row = parse_row(line, f"{path}:{number}")
        texts = take_apart(fields_of(row))
        fault, suspect = look(texts, suites, options)
        if fault is not None:
            faults[len(lines)] = fault
        if suspect is not None:
            suspects[len(lines)] = suspect
        compared = compared_texts(texts)
        lines.append(number)
        offsets.append(offset)
        sizes.append(len(line))
        exact.append(exact_hash(texts))
        tokens.append(tokens_of(compared))
        bits.append(number_bits(compared))
    return Examined(
        lines=np.array(lines, dtype=np.int64),
        offsets=np.array(offsets, dtype=np.int64),
        sizes=np.array(sizes, dtype=np.int32),
        exact=np.frombuffer(b"".join(exact), dtype=np.uint64).reshape(-1, 2),
        signatures=signatures(tokens),
        bits=np.array(bits, dtype=np.uint64),
        faults=faults,
        suspects=suspects,
    )


def lines_of(path: Path, portion: Portion) -> Iterator[tuple[int, int, bytes]]:
    """(number, offset, line with its end) of each line that is not blank."""
    offset = portion.offset
    with path.open("rb") as stream:
        stream.seek(offset)
        for number in range(portion.line, portion.line + portion.lines):
            line = stream.readline()
            if line.strip():
                yield number, offset, line
            offset += len(line)
    if offset != portion.offset + portion.size:
        raise DataError(
            "the file changed while it was read", where=str(path), remedy="run again when nothing writes to it"
        )


def look(texts: Sequence[Text], suites: Suites, options: CleanOptions) -> tuple[tuple[str, str] | None, Hit | None]:
    """The first rule that a row breaks, with what it saw; and what of a suite stands in it that breaks none."""
    rules = [rule for rule in CONTENT_RULES if rule not in options.skip]
    hit = suites.look(texts) if suites.texts and "contamination" in rules else None
    prose = [text for text in texts if text.role in (QUESTION, ANSWER, OTHER)]

    def first_in_texts(rule: str) -> str | None:
        find = secret_in if rule == "secret" else personal_data_in
        return next((found for text in texts if (found := find(text.text))), None)

    for rule in rules:
        seen: str | None = None
        if rule == "contamination":
            seen = hit.of if hit is not None and hit.rule == rule else None
        elif rule == REPORTED_ONLY:
            seen = hit.of if options.remove_numbers_changed and hit is not None and hit.rule == rule else None
        elif rule in ("secret", "personal_data"):
            seen = first_in_texts(rule)
        elif rule == "refusal":
            seen = refusal_in(texts)
        elif rule == "self_naming":
            seen = self_naming_in(texts)
        elif rule == "length":
            seen = length_fault(sum(len(text.words) for text in texts), options.min_words, options.max_words)
        elif rule == "language":
            seen = language_fault(prose, frozenset(options.languages)) if options.languages else None
        else:
            seen = repetition_fault(texts, options.max_repetition)
        if seen is not None:
            return (rule, seen), None
    return None, hit if hit is not None and hit.rule != "contamination" else None


def compared_texts(texts: Sequence[Text]) -> Sequence[Text]:
    """What near duplicates are compared by: all texts but the system's; those too where there is nothing else."""
    return [text for text in texts if text.role != SYSTEM and text.words] or texts

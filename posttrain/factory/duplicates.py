"""Near duplicates: MinHash signatures of a row's word pairs (rensa), LSH buckets by sorting, and each candidate
compared in full.

Signatures only propose. Two rows are near duplicates when, text against text,

- 0.7 of their distinct words are shared (Jaccard), and 0.45 of their distinct pairs of neighbouring words;
- in rows under 30 words instead 0.8 of their runs of three words: there one other word is another question;
- not each has a number that the other lacks (in rows under 30 words: numbers and signs in the same order), for that
  is a template with other numbers;
- not all that differs is one passage, while five rows or more share the rest, for that is boilerplate around another
  text.

The first of such rows stays. Rows are held as arrays, about 0.9 KB a row; texts are read again from the file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from posttrain.factory.texts import Flags, Hashes, Text, hashes_of, windows

PERMUTATIONS = 128
BANDS = 32  # of 4: word pairs alike at 0.6 meet in a bucket with 0.99, at 0.2 with 0.05
SEED = 1
WORDS_ALIKE = 0.7
PAIRS_ALIKE = 0.45
SHORT_WORDS = 30
SHORT_ALIKE = 0.8
FAMILY = 5  # rows that share a passage before it counts as boilerplate
NUMBERS_LOOSE = 20  # so many distinct numbers a conflicting one: long texts with a date or page number changed
WORTH_READING = PAIRS_ALIKE - 0.1  # estimated by the signatures, whose standard deviation there is 0.044
MOST_READ = 32  # candidates of a row that are read again
BUCKET_FIRST, BUCKET_LAST = 16, 48  # members of a bucket that are looked at: its first, and the last before the row

Signatures = np.ndarray[Any, np.dtype[np.uint32]]
Numbers = np.ndarray[Any, np.dtype[np.int32]]


def tokens_of(texts: Sequence[Text]) -> Hashes:
    """What a row's signature is made of [T]: its distinct pairs of neighbouring words; the word of a row of one."""
    hashes = np.concatenate([np.empty(0, dtype=np.uint64), *(text.hashes for text in texts)])
    return np.unique(windows(hashes, min(2, len(hashes))))


def signatures(rows: Sequence[Hashes]) -> Signatures:
    """MinHash signatures [R, PERMUTATIONS] of rows of tokens [R]."""
    from rensa import RMinHash

    ends = np.cumsum([0, *(len(row) for row in rows)])
    flat = np.concatenate([np.empty(0, dtype=np.uint64), *rows])
    matrix = RMinHash.digest_matrix_from_flat_token_hashes(flat, ends, num_perm=PERMUTATIONS, seed=SEED)
    return np.array(matrix.to_rows(), dtype=np.uint32).reshape(len(rows), PERMUTATIONS)


def number_bits(texts: Sequence[Text]) -> int:
    """64 bits, one a number: two texts with conflicting numbers show it here without being read again. 0 where there
    are too many numbers to tell."""
    numbers = {word for text in texts for word in text.numbers() if not _is_sign(word)}
    if len(numbers) > NUMBERS_LOOSE:
        return 0
    bits = 0
    for value in hashes_of(sorted(numbers)).tolist():
        bits |= 1 << (value >> 58)
    return bits


def _is_sign(word: str) -> bool:
    return len(word) == 1 and not word.isalnum()


class Buckets:
    """Rows that share a band of their signatures. bucket_of: [N, BANDS], -1 where a row is alone in its bucket."""

    def __init__(self, found: Signatures, alive: Flags) -> None:
        rows, width = np.flatnonzero(alive), found.shape[1] // BANDS
        self.bucket_of: Numbers = np.full((len(found), BANDS), -1, dtype=np.int32)
        starts: list[Any] = [np.zeros(1, dtype=np.int64)]
        members: list[Numbers] = []
        opened = 0
        for band in range(BANDS):
            keys = windows_of_columns(found, rows, band * width, width)
            order = np.argsort(keys, kind="stable")
            ordered = keys[order]
            head: Flags = np.ones(len(ordered), dtype=bool)
            head[1:] = ordered[1:] != ordered[:-1]
            sizes = np.diff(np.append(np.flatnonzero(head), len(ordered)))
            shared: Flags = np.repeat(sizes > 1, sizes)
            numbers = np.cumsum(sizes > 1) - 1 + opened
            self.bucket_of[rows[order[shared]], band] = np.repeat(numbers, sizes)[shared]
            members.append(rows[order[shared]].astype(np.int32))
            starts.append(np.cumsum(sizes[sizes > 1]) + sum(map(len, members[:-1])))
            opened += int((sizes > 1).sum())
        self.starts = np.concatenate(starts)
        self.members = np.concatenate(members)

    def near(self, row: int) -> tuple[Numbers, bool]:
        """Other rows that share a bucket with it, and whether some were left out of buckets that are too full."""
        parts, cut = [], False
        for bucket in self.bucket_of[row].tolist():
            if bucket < 0:
                continue
            members = self.members[self.starts[bucket] : self.starts[bucket + 1]]
            if len(members) > BUCKET_FIRST + BUCKET_LAST:
                place = int(np.searchsorted(members, row))
                last = members[max(BUCKET_FIRST, place - BUCKET_LAST) : place + 1]
                members, cut = np.concatenate([members[:BUCKET_FIRST], last]), True
            parts.append(members)
        found = np.unique(np.concatenate(parts)) if parts else np.empty(0, dtype=np.int32)
        return found[found != row], cut


def windows_of_columns(found: Signatures, rows: Any, start: int, width: int) -> Hashes:
    """One number of 64 bits a row for a band of its signature."""
    key: Hashes = np.zeros(len(rows), dtype=np.uint64)
    for column in range(start, start + width):
        key = key * np.uint64(0xD6E8FEB86659FD93) + found[rows, column] + np.uint64(1)
        key ^= key >> np.uint64(29)
    return key


@dataclass(frozen=True, kw_only=True, slots=True)
class NearDuplicates:
    """of: row -> the kept row that it repeats. templates: pairs kept because their numbers differ; boilerplate: because
    one passage does; cut: rows whose buckets were too full to look at whole."""

    of: dict[int, int]
    templates: int
    boilerplate: int
    cut: int


def find_near(
    found: Signatures,
    bits: Hashes,
    alive: Flags,
    read: Callable[[int], Sequence[str]],
    words_alike: float = WORDS_ALIKE,
) -> NearDuplicates:
    """Go through rows in order; each that repeats an earlier kept one is named with it. read: row -> its words."""
    look = lru_cache(maxsize=512)(lambda row: Words(read(row)))
    buckets = Buckets(found, alive)
    of: dict[int, int] = {}
    verdicts: Counter[str] = Counter()
    for row in np.flatnonzero((buckets.bucket_of >= 0).any(axis=1)).tolist():
        near, cut = buckets.near(row)
        verdicts["cut"] += cut
        alike = (found[near] == found[row]).mean(axis=1)
        family = int((alike >= WORTH_READING).sum()) + 1
        mine = bits[row]
        clash = ((bits[near] & ~mine) != 0) & ((mine & ~bits[near]) != 0) & (bits[near] != 0) & (mine != 0)
        verdicts["template"] += int((clash & (alike >= WORDS_ALIKE) & (near < row)).sum() > 0)
        worth = (alike >= WORTH_READING) & ~clash & (near < row)
        order = np.lexsort((near[worth], -alike[worth]))
        candidates = [other for other in near[worth][order].tolist() if other not in of][:MOST_READ]
        for other in candidates:
            verdict = compare(look(other), look(row), family, words_alike)
            verdicts[verdict] += 1
            if verdict == "near":
                of[row] = other
                break
    return NearDuplicates(
        of=of, templates=verdicts["template"], boilerplate=verdicts["boilerplate"], cut=verdicts["cut"]
    )


class Words:
    """A row's words, and the sets that two rows are compared by."""

    def __init__(self, words: Sequence[str]) -> None:
        self.words = words
        self.distinct = frozenset(words)
        self.sequence = [word for word in words if not word.isalpha()]
        self.numbers = frozenset(word for word in self.sequence if not _is_sign(word))

    def runs(self, size: int) -> frozenset[tuple[str, ...]]:
        return frozenset(zip(*(self.words[start:] for start in range(size)), strict=False)) or frozenset(
            [tuple(self.words)]
        )


def compare(a: Words, b: Words, family: int, words_alike: float = WORDS_ALIKE) -> str:
    """`near`, or why not: `other`, `template` (other numbers), `boilerplate` (another passage). family: rows that are
    about as alike as these two, themselves among them."""
    if not a.words or not b.words:
        return "other"
    short = min(len(a.words), len(b.words)) < SHORT_WORDS
    if short:
        if jaccard(a.runs(3), b.runs(3)) < SHORT_ALIKE:
            return "other"
    elif jaccard(a.distinct, b.distinct) < words_alike or jaccard(a.runs(2), b.runs(2)) < PAIRS_ALIKE:
        return "other"
    if short and a.sequence != b.sequence:
        return "template"
    conflicts = min(len(a.numbers - b.numbers), len(b.numbers - a.numbers))
    if conflicts and conflicts * NUMBERS_LOOSE >= min(len(a.numbers), len(b.numbers)):
        return "template"
    if family > FAMILY and one_passage_differs(a.words, b.words):
        return "boilerplate"
    return "near"


def jaccard(a: frozenset[Any], b: frozenset[Any]) -> float:
    """Shared among all; 1 for two empty sets."""
    union = len(a | b)
    return len(a & b) / union if union else 1.0


def one_passage_differs(a: Sequence[str], b: Sequence[str]) -> bool:
    """Whether the texts begin alike and end alike, and what lies between is other text in each."""
    shorter = min(len(a), len(b))
    begin = 0
    while begin < shorter and a[begin] == b[begin]:
        begin += 1
    end = 0
    while end < shorter - begin and a[-1 - end] == b[-1 - end]:
        end += 1
    middle_a, middle_b = a[begin : len(a) - end], b[begin : len(b) - end]
    return bool(middle_a) and bool(middle_b) and jaccard(frozenset(middle_a), frozenset(middle_b)) < 0.5

"""Does a row hold a problem or an answer of a suite? 13-grams of words, 50-grams of characters, and short texts whole.

A suite's texts are its questions (all turns of a problem together, system turns aside) and its answers, each looked for
anywhere in a row:

- A text of 13 words or more is found when 13-grams of it that stand in the row cover 50 words of it, or half of it and
  the row has all its numbers. 50-grams of characters without blanks do the same where blanks were put in or left out.
- A text of 8 to 12 words is found when all of it stands in the row.
- A question of 3 to 7 words is found when it is a whole turn or line of a row. Shorter questions, and answers under 8
  words ("42"), are not looked for: they stand everywhere.
- Grams that four or more texts of the suites share are a template's words and count for nothing.
- A row that has a question's words, nine tenths of them, but not its numbers is not counted as contamination but
  reported on its own: nothing in it tells a copy with other numbers from another problem of the same template.

What was translated or paraphrased is not found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from posttrain.errors import DataError
from posttrain.factory.texts import (
    ANSWER,
    GOLD,
    REJECTED,
    SYSTEM,
    Field,
    Flags,
    Hashes,
    Text,
    characters_of,
    fields_of,
    parse_row,
    text_of,
    whole_hash,
    windows,
    words_of,
)

GRAM_WORDS = 13
GRAM_CHARACTERS = 50
SHORTEST_GRAM = 8  # words: a shorter text is compared whole
SHORTEST_QUESTION = 3  # words
COVERED_SHARE = 0.5
COVERED_WORDS = 50
TEMPLATE_TEXTS = 4
MASKED_SHARE = 0.9
_PERHAPS_BITS = 24
_PERHAPS_SHIFT = np.uint64(64 - _PERHAPS_BITS)


@dataclass(frozen=True, kw_only=True, slots=True)
class SuiteText:
    """One text of a suite. Example: SuiteText(of="aime.jsonl:12", question=True, words=61, numbers={"17", "25"})"""

    of: str
    question: bool
    words: int
    numbers: frozenset[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Hit:
    """What of a suite stands in a row. covered: share of the text's words, 0 to 1; rule: `contamination`,
    `numbers_changed` or `overlap` (some grams, too few)."""

    of: str
    rule: str
    covered: float


class GramIndex:
    """Runs of `size` units of all texts: which text, and where in it. Texts shorter than `size` and at least `shortest`
    are one run of their own length."""

    def __init__(self, size: int, shortest: int) -> None:
        self.size, self.shortest = size, shortest
        self._parts: list[tuple[Hashes, int, int]] = []  # runs, text, length of a run
        self.lengths: list[int] = []

    def add(self, text: int, units: Hashes) -> None:
        """Take in one text. Too short a text adds nothing."""
        length = min(self.size, len(units))
        if length >= self.shortest:
            self._parts.append((windows(units, length), text, length))

    def freeze(self) -> None:
        """Sort, and leave out runs that TEMPLATE_TEXTS texts share. Call once, after all texts."""
        self.lengths = sorted({length for _, _, length in self._parts})
        empty: Hashes = np.empty(0, dtype=np.uint64)
        keys = np.concatenate([empty, *(runs for runs, _, _ in self._parts)])
        texts = np.concatenate([empty, *(np.full(len(runs), text) for runs, text, _ in self._parts)]).astype(np.int32)
        starts = np.concatenate([empty, *(np.arange(len(runs)) for runs, _, _ in self._parts)]).astype(np.int32)
        ends = np.concatenate([empty, *(np.full(len(runs), size) for runs, _, size in self._parts)]).astype(np.int32)
        order = np.lexsort((texts, keys))
        keys, texts, starts, ends = keys[order], texts[order], starts[order], ends[order] + starts[order]
        first_of_pair: Flags = np.ones(len(keys), dtype=bool)
        first_of_pair[1:] = (keys[1:] != keys[:-1]) | (texts[1:] != texts[:-1])
        _, group, counts = np.unique(keys, return_inverse=True, return_counts=True)
        distinct = np.bincount(group[first_of_pair], minlength=len(counts))
        kept = distinct[group] < TEMPLATE_TEXTS
        self.keys, self.texts, self.starts, self.ends = keys[kept], texts[kept], starts[kept], ends[kept]
        # One look instead of a search for nearly all runs of a row that stand in no suite.
        self._perhaps: Flags = np.zeros(1 << _PERHAPS_BITS, dtype=bool)
        self._perhaps[self.keys >> _PERHAPS_SHIFT] = True
        self.distinctive = self._covered(np.arange(len(self.keys)))
        self._parts = []

    def covered(self, units: Hashes) -> dict[int, int]:
        """text -> how many of its units are covered by runs that stand in `units`."""
        hits = [found for length in self.lengths if len(found := self._find(windows(units, length)))]
        return self._covered(np.concatenate(hits)) if hits else {}

    def _find(self, runs: Hashes) -> np.ndarray[Any, np.dtype[np.int64]]:
        if not len(self.keys) or not len(runs):
            return np.empty(0, dtype=np.int64)
        runs = runs[self._perhaps[runs >> _PERHAPS_SHIFT]]
        if not len(runs):
            return np.empty(0, dtype=np.int64)
        runs = np.unique(runs)
        left, right = np.searchsorted(self.keys, runs), np.searchsorted(self.keys, runs, side="right")
        counts = right - left
        ends = np.cumsum(counts)
        return np.arange(ends[-1]) + np.repeat(left - (ends - counts), counts)

    def _covered(self, entries: np.ndarray[Any, np.dtype[np.int64]]) -> dict[int, int]:
        """Union of the runs by text: sorted by place, each adds what reaches beyond those before it."""
        order = entries[np.lexsort((self.starts[entries], self.texts[entries]))]
        covered: dict[int, int] = {}
        text_before, reach = -1, 0
        for text, start, end in zip(
            self.texts[order].tolist(), self.starts[order].tolist(), self.ends[order].tolist(), strict=True
        ):
            if text != text_before:
                text_before, reach = text, 0
            covered[text] = covered.get(text, 0) + max(0, end - max(start, reach))
            reach = max(reach, end)
        return covered


@dataclass(kw_only=True, slots=True)
class Suites:
    """All texts of the suites, ready to be looked for. rows: suite -> problems read; unseen: questions too short to
    look for; wholes: hash of a text -> its place; shared: where a text stands -> other suites that have it too."""

    texts: list[SuiteText] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)
    unseen: int = 0
    words: GramIndex = field(default_factory=lambda: GramIndex(GRAM_WORDS, SHORTEST_GRAM))
    characters: GramIndex = field(default_factory=lambda: GramIndex(GRAM_CHARACTERS, GRAM_CHARACTERS))
    masked: GramIndex = field(default_factory=lambda: GramIndex(GRAM_WORDS, SHORTEST_GRAM))
    wholes: dict[int, int] = field(default_factory=dict)
    shared: dict[str, set[str]] = field(default_factory=dict)

    def add(self, suite: str, number: int, fields: Sequence[Field]) -> None:
        """Take in one problem of a suite."""
        self.rows[suite] = self.rows.get(suite, 0) + 1
        question = [one.text for one in fields if one.role not in (ANSWER, GOLD, REJECTED, SYSTEM)]
        answers = [one.text for one in fields if one.role in (ANSWER, GOLD)]
        self._add_text(f"{suite}:{number}", "\n".join(question), question=True)
        for answer in answers:
            self._add_text(f"{suite}:{number}", answer, question=False)

    def _add_text(self, of: str, text: str, *, question: bool) -> None:
        read = text_of("", text)
        words = read.words
        if len(words) < (SHORTEST_QUESTION if question else SHORTEST_GRAM):
            self.unseen += question
            return
        whole = whole_hash(words)
        if whole in self.wholes:  # the same text again adds nothing, and would look like a template
            self.shared.setdefault(self.texts[self.wholes[whole]].of, set()).add(of.rpartition(":")[0])
            return
        number = len(self.texts)
        self.wholes[whole] = number
        self.texts.append(SuiteText(of=of, question=question, words=len(words), numbers=frozenset(read.numbers())))
        self.words.add(number, read.hashes)
        self.characters.add(number, characters_of(words))
        if question and any(word.isdigit() for word in words):
            self.masked.add(number, read.masked())

    def freeze(self) -> None:
        """Call once, after the last problem."""
        for index in (self.words, self.characters, self.masked):
            index.freeze()

    def look(self, texts: Sequence[Text]) -> Hit | None:
        """What of the suites stands in a row, the surest first."""
        hits = [hit for hit in (self._whole(texts), *self._grams(texts)) if hit is not None]
        order = ("contamination", "numbers_changed", "overlap")
        return min(hits, key=lambda hit: (order.index(hit.rule), -hit.covered, hit.of), default=None)

    def _whole(self, texts: Sequence[Text]) -> Hit | None:
        """A turn, or a line of one, that is a text of a suite."""
        for turn in texts:
            lines = (words_of(line) for line in turn.text.splitlines()) if "\n" in turn.text else ()
            for part in (turn.words, *lines):
                found = self.wholes.get(whole_hash(part)) if part else None
                if found is not None:
                    return Hit(of=self.texts[found].of, rule="contamination", covered=1.0)
        return None

    def _grams(self, texts: Sequence[Text]) -> list[Hit]:
        shares: dict[int, tuple[float, float]] = {}  # text -> share of its distinctive units, words covered
        by_words = self.words.covered(joined([turn.hashes for turn in texts]))
        for text, covered in by_words.items():
            shares[text] = (covered / self.words.distinctive[text], covered)
        by_characters = self.characters.covered(joined([characters_of(turn.words) for turn in texts]))
        for text, covered in by_characters.items():
            share = covered / self.characters.distinctive[text]
            shares[text] = max(shares.get(text, (0.0, 0.0)), (share, share * self.texts[text].words))
        changed = self._other_numbers(texts)
        turns = [frozenset(turn.numbers()) for turn in texts] if shares else []
        hits = []
        for text in shares.keys() | changed.keys():
            share, covered_words = shares.get(text, (0.0, 0.0))
            if text in changed:
                rule, share = "numbers_changed", changed[text]
            else:
                whole = any(self.texts[text].numbers <= turn for turn in turns)
                enough = covered_words >= COVERED_WORDS or (share >= COVERED_SHARE and whole)
                rule = "contamination" if enough else "overlap"
            hits.append(Hit(of=self.texts[text].of, rule=rule, covered=round(share, 3)))
        return hits

    def _other_numbers(self, texts: Sequence[Text]) -> dict[int, float]:
        """question -> share of it, numbers aside, that stands in turns none of which has all its numbers."""
        found: dict[int, float] = {}
        copied: set[int] = set()
        for turn in texts:
            for text, covered in self.masked.covered(turn.masked()).items():
                share = covered / self.masked.distinctive[text]
                if share >= MASKED_SHARE:
                    found[text] = share
                    if self.texts[text].numbers <= frozenset(turn.numbers()):
                        copied.add(text)
        return {text: share for text, share in found.items() if text not in copied}


def joined(parts: Sequence[Hashes]) -> Hashes:
    """The parts behind each other, a unit that stands in no text between them: no run reaches over two turns."""
    wall = np.array([0x5851F42D4C957F2D], dtype=np.uint64)
    return np.concatenate([piece for part in parts for piece in (part, wall)]) if parts else wall


def load_suites(paths: Sequence[Path], names: Mapping[Path, str] | None = None) -> Suites:
    """Read suites, JSON lines of any shape. names: how verdicts call them, in place of their paths. Raises DataError
    for a missing file, a malformed row or no rows."""
    suites = Suites()
    for path in paths:
        name = (names or {}).get(path, str(path))
        if not path.is_file():
            raise DataError(f"no suite '{path}'", where=str(path), remedy="give a file of JSON lines")
        with path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    suites.add(name, number, fields_of(parse_row(line, f"{path}:{number}")))
        if not suites.rows.get(name):
            raise DataError("the suite has no rows", where=str(path), remedy="give a file with at least one row")
    suites.freeze()
    return suites

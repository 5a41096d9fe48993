"""A teacher's token distributions on disk: the likeliest tokens of every position of every answer, and the mass of the
others in one bucket.

    cache.json                what it holds (CacheFacts)
    shard-00000.words         per answer: one 32-bit word a token (count 8 bits, log of the rest 24), then one word for
                              each kept token in their order (id 20 bits, log-probability below the likeliest 12)
    shard-00000.index.npy     [pairs, 2 sides, 3]: first word, tokens, CRC-32 of the answer's ids

A position keeps the tokens of at least LEAST probability, top_k at most: a sure teacher costs two words, and the room
goes where it saves most of the tail. Words are mapped into memory and read answer by answer. A shard is written whole,
its index last. Knows no model.
"""

from __future__ import annotations

import functools
import io
import math
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from posttrain.errors import CheckpointError, DataError
from posttrain.records.codec import as_json, from_json
from posttrain.store.atomic import write_bytes
from posttrain.store.jsonl import read_lines, write_lines
from posttrain.train.losses.sparse import SparseTargets
from posttrain.train.pairs import SIDES, PairRow

FACTS = "cache.jsonl"
LEAST = 3e-5
"""Probability below which a token goes to the bucket although top_k would allow it."""
_ID_BITS, _CODE_BITS, _COUNT_BITS = 20, 12, 8
_SPREAD = 11.0  # nats below the likeliest token that a code reaches, past LEAST; 0.0027 nats a step
_DEEPEST = 32.0  # nats: the smallest rest is e^-32
_CODES, _RESTS, _COUNTS = 2**_CODE_BITS - 1, 2 ** (32 - _COUNT_BITS) - 1, 2**_COUNT_BITS - 1


@dataclass(frozen=True, kw_only=True, slots=True)
class CacheFacts:
    """What a cache holds. temperature: that both sides are softened by; vocabulary: ids that teacher and student both
    have.

    Example: CacheFacts(top_k=64, temperature=1.0, vocabulary=166144, pairs=310, pairs_a_shard=64)
    """

    top_k: int
    temperature: float
    vocabulary: int
    pairs: int
    pairs_a_shard: int

    @property
    def shards(self) -> int:
        return math.ceil(self.pairs / self.pairs_a_shard)

    def numbers(self, shard: int) -> range:
        """Numbers of the pairs of a shard."""
        first = shard * self.pairs_a_shard
        return range(first, min(self.pairs, first + self.pairs_a_shard))


@dataclass(frozen=True, kw_only=True, slots=True)
class Packed:
    """N positions on the CPU: headers [N], entries [sum of counts], counts [N]. Example: Packed(headers=[..., ...],
    entries=[..., ..., ...], counts=[1, 2])"""

    headers: Any
    entries: Any
    counts: Any


def check_size(vocabulary: int, where: str) -> None:
    """Raises CheckpointError for ids that a word does not hold."""
    if vocabulary > 2**_ID_BITS:
        raise CheckpointError(
            f"a vocabulary of {vocabulary:,} has ids of more than {_ID_BITS} bits, which the cache does not hold",
            where=where,
            remedy="leave teacher.cache out",
        )


def pack(logits_NV: torch.Tensor, facts: CacheFacts) -> Packed:
    """The positions of a tile of the teacher's logits."""
    scaled = logits_NV[:, : facts.vocabulary] / facts.temperature
    log_p = torch.log_softmax(scaled, dim=-1, dtype=torch.float32)
    best, ids = log_p.topk(min(facts.top_k, facts.vocabulary), dim=1)
    masses = best.exp()
    counts = (masses >= LEAST).sum(dim=1).clamp_min(1)
    kept = torch.arange(best.shape[1], device=best.device) < counts.unsqueeze(1)
    # the mass of the others is summed: 1 minus the kept ones would be rounding where it is small
    rest = log_p.exp_().scatter_(1, ids, 0.0).sum(dim=1) + masses.where(~kept, 0.0).sum(dim=1)
    deep = (-rest.clamp_min(math.exp(-_DEEPEST)).log() / _DEEPEST).clamp(0.0, 1.0)
    below = ((best[:, :1] - best) / _SPREAD).clamp(0.0, 1.0)
    words = (ids << _CODE_BITS) | (below * _CODES).round().long()
    headers = ((deep.double() * _RESTS).round().long() << _COUNT_BITS) | counts
    return Packed(
        headers=headers.cpu().numpy().astype("<u4"),
        entries=words[kept].cpu().numpy().astype("<u4"),
        counts=counts.cpu().numpy(),
    )


def unpack(headers_N: Any, entries: Any, vocabulary: int) -> SparseTargets:
    """The positions of some answers, on the CPU."""
    counts, rest = (headers_N & _COUNTS).astype(np.int64), _log_rest(headers_N)
    kept = np.arange(counts.max(initial=1)) < counts[:, None]
    words = np.zeros(kept.shape, dtype="<u4")
    words[kept] = entries
    words = np.where(kept, words, words[:, :1])
    below = np.where(kept, (words & _CODES).astype(np.float64) * (_SPREAD / _CODES), np.inf)
    # the codes give proportions; kept tokens and rest have all the mass
    whole = np.log1p(-np.exp(rest).clip(max=1.0 - 1e-12)) - np.log(np.exp(-below).sum(axis=1))
    return SparseTargets(
        ids_NK=torch.from_numpy((words >> _CODE_BITS).astype(np.int64)),
        logprobs_NK=torch.from_numpy((whole[:, None] - below).astype(np.float32)),
        rest_N=torch.from_numpy(rest.astype(np.float32)),
        vocabulary=vocabulary,
    )


def write_shard(folder: Path, shard: int, rows: Sequence[PairRow], answers: Sequence[Packed]) -> None:
    """One shard, whole or not at all. answers: good and bad one of the first pair, of the second, ..."""
    folder.mkdir(parents=True, exist_ok=True)
    index: Any = np.zeros((len(rows), len(SIDES), 3), dtype=np.int64)
    words, start = [], 0
    asked = [(place, side, ids) for place, row in enumerate(rows) for side, ids in enumerate(row.answers())]
    for (place, side, ids), one in zip(asked, answers, strict=True):
        assert len(one.headers) == len(ids), "a header for every token of the answer"
        index[place, side] = (start, len(ids), _crc(ids))
        words += [one.headers, one.entries]
        start += len(one.headers) + len(one.entries)
    write_bytes(_words(folder, shard), np.concatenate(words).tobytes(), point="teacher_cache.words")
    with io.BytesIO() as out:
        np.save(out, index)
        write_bytes(_index(folder, shard), out.getvalue(), point="teacher_cache.index")


def is_whole(folder: Path, shard: int, rows: Sequence[PairRow]) -> bool:
    """Whether a shard of these pairs is there; one torn by a loss of power is not."""
    try:
        index = np.load(_index(folder, shard), allow_pickle=False)
        words: Any = np.memmap(_words(folder, shard), dtype="<u4", mode="r")
    except (OSError, ValueError, EOFError):
        return False
    ids = [[(len(answer), _crc(answer)) for answer in row.answers()] for row in rows]
    if index.shape != (len(rows), len(SIDES), 3) or index[..., 1:].tolist() != np.array(ids).tolist():
        return False
    start, tokens = index[-1, -1, :2]
    last = words[start : start + tokens]
    return len(last) == tokens and len(words) == start + tokens + int((last & _COUNTS).sum())


def covered_masses(folder: Path, shard: int) -> Any:
    """Mass of the kept tokens at every position of a shard."""
    words, index = (_words(folder, shard), np.load(_index(folder, shard), allow_pickle=False))
    mapped: Any = np.memmap(words, dtype="<u4", mode="r")
    headers = [mapped[start : start + tokens] for start, tokens, _ in index.reshape(-1, 3).tolist()]
    return 1.0 - np.exp(_log_rest(np.concatenate(headers)))


def shard_files(folder: Path, shard: int) -> tuple[Path, Path]:
    """Words and index."""
    return _words(folder, shard), _index(folder, shard)


def write_facts(folder: Path, facts: CacheFacts) -> None:
    """Beside the shards of a cache that is complete."""
    write_lines(folder / FACTS, [as_json(facts)])


class Cache:
    """A published cache, opened for reading. Raises DataError where it is not that of these pairs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.facts = from_json(CacheFacts, read_lines(folder / FACTS)[0], str(folder / FACTS))
        self._opened = functools.lru_cache(maxsize=64)(self._open)

    def read(self, answers: Iterable[tuple[PairRow, int]]) -> SparseTargets:
        """What the teacher says of answers given as (pair, side), one behind the other."""
        headers, entries = [], []
        for row, side in answers:
            shard, place = divmod(row.number, self.facts.pairs_a_shard)
            words, index = self._opened(shard)
            start, tokens, crc = (int(value) for value in index[place, side])
            if (tokens, crc) != (len(row.answers()[side]), _crc(row.answers()[side])):
                raise DataError(
                    f"the teacher's cache holds another {SIDES[side]} answer of {row.name}",
                    where=str(_index(self._folder, shard)),
                    remedy="remove the cached step (posttrain store gc) and run again",
                )
            headers.append(np.asarray(words[start : start + tokens]))
            kept = int((headers[-1] & _COUNTS).sum())
            entries.append(words[start + tokens : start + tokens + kept])
        return unpack(np.concatenate(headers), np.concatenate(entries), self.facts.vocabulary)

    def _open(self, shard: int) -> tuple[Any, Any]:
        words, index = shard_files(self._folder, shard)
        return np.memmap(words, dtype="<u4", mode="r"), np.load(index, allow_pickle=False)


def _log_rest(headers_N: Any) -> Any:
    return -_DEEPEST * (headers_N >> _COUNT_BITS).astype(np.float64) / _RESTS


def _words(folder: Path, shard: int) -> Path:
    return folder / f"shard-{shard:05d}.words"


def _index(folder: Path, shard: int) -> Path:
    return folder / f"shard-{shard:05d}.index.npy"


def _crc(ids: Sequence[int]) -> int:
    return zlib.crc32(np.asarray(ids, dtype="<u4").tobytes())

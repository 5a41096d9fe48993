"""Draw an exact order of rows from a weighted mixture, and count which rows it holds. Pure: same rows, weights and seed
give the same order, whatever else runs.

A data set is passed over whole before any row of it comes again; each pass is a new shuffle. Knows nothing of what a
row is.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """How often the rows of the data sets come. drawn = rows - not_seen + again.

    Example: Seen(rows=63, drawn=96, not_seen=0, again=33)
    """

    rows: int  # that the data sets have
    drawn: int
    not_seen: int
    again: int  # drawn rows that came before

    def said(self) -> str:
        """One line. Example: "96 rows drawn of 63: 0 not seen, 33 seen again"."""
        return f"{self.drawn:,} rows drawn of {self.rows:,}: {self.not_seen:,} not seen, {self.again:,} seen again"


def draw(rows: Mapping[str, Sequence[T]], weights: Mapping[str, float], total: int, seed: int) -> list[T]:
    """`total` rows, each data set giving its share, interleaved at random; the passes of a data set keep their order.

    Example: draw({"a": [1, 2], "b": [3]}, {"a": 0.5, "b": 0.5}, 4, 0) holds 1, 2 and twice 3.
    """
    counts = shares(weights, total)
    generator = random.Random(f"mix/{seed}")
    pools: dict[str, list[T]] = {}
    for name in counts:
        pool: list[T] = []
        while len(pool) < counts[name]:
            again = list(rows[name])
            generator.shuffle(again)
            pool += again
        pools[name] = pool
    # Shuffled are the turns, not the rows: a row of the second pass never comes before one of the first.
    turns = [name for name in counts for _ in range(counts[name])]
    generator.shuffle(turns)
    order = {name: iter(pool) for name, pool in pools.items()}
    return [next(order[name]) for name in turns]


def shares(weights: Mapping[str, float], total: int) -> dict[str, int]:
    """Data set, by name -> its rows of `total` (largest remainder)."""
    names = sorted(weights)
    scale = sum(weights.values())
    exact = {name: total * weights[name] / scale for name in names}
    counts = {name: int(exact[name]) for name in names}
    for name in sorted(names, key=lambda name: (counts[name] - exact[name], name))[: total - sum(counts.values())]:
        counts[name] += 1
    return counts


def num_rows(sizes: Mapping[str, int], weights: Mapping[str, float], epochs: float) -> int:
    """Rows of `epochs` passes: the mixture is as long as lets its scarcest data set (by weight) be seen that often."""
    scale = sum(weights.values())
    return max(1, round(epochs * min(sizes[name] * scale / weights[name] for name in weights)))


def seen_of_total(sizes: Mapping[str, int], weights: Mapping[str, float], total: int) -> Seen:
    """What `draw` of `total` rows holds, from the sizes of the same data sets alone."""
    counts = shares(weights, total)
    missed = sum(max(0, size - counts[name]) for name, size in sizes.items())
    rows = sum(sizes.values())
    return Seen(rows=rows, drawn=total, not_seen=missed, again=total - rows + missed)


def seen_of_drawn(num_all: int, drawn: Sequence[Hashable]) -> Seen:
    """The same, counted over what was drawn: an entry a row, equal entries for the same row."""
    different = len(Counter(drawn))
    return Seen(rows=num_all, drawn=len(drawn), not_seen=num_all - different, again=len(drawn) - different)

"""Draw an exact order of rows from a weighted mixture, and count which rows it holds. Pure: same rows, weights and seed
give the same order, whatever else runs.

A data set is passed over whole before any row of it comes again; each pass is a new shuffle. Knows nothing of what a
row is.
"""

from __future__ import annotations

import random
from array import array
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
    drawn = draw_numbers({name: len(rows[name]) for name in weights}, weights, total, seed)
    pools = [rows[name] for name in drawn.names]
    return [pools[source][number] for source, number in zip(drawn.sources, drawn.numbers, strict=True)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Drawn:
    """An order of rows in a dozen bytes each. names: data sets; sources [N]: places in `names`; numbers [N]: of rows in
    their data set, from 0.

    Example: Drawn(names=("a", "b"), sources=array("H", [0, 1]), numbers=array("q", [1, 0]))
    """

    names: tuple[str, ...]
    sources: array[int]
    numbers: array[int]


def draw_numbers(
    sizes: Mapping[str, int],
    weights: Mapping[str, float],
    total: int,
    seed: int,
    first: Mapping[str, Sequence[int]] | None = None,
) -> Drawn:
    """The same over rows known by their numbers. first: of a data set, the rows that its first pass holds, where that
    is not all of them."""
    counts = shares(weights, total)
    generator = random.Random(f"mix/{seed}")
    pools: list[array[int]] = []
    for name, count in counts.items():
        pool = array("q")
        begin = (first or {}).get(name)
        while len(pool) < count:
            again = array("q", range(sizes[name]) if begin is None or len(pool) else begin)
            if not again:
                again, begin = array("q", range(sizes[name])), None
            generator.shuffle(again)
            pool += again
        pools.append(pool)
    # Shuffled are the turns, not the rows: a row of the second pass never comes before one of the first.
    sources = array("H")
    for source, count in enumerate(counts.values()):
        sources += array("H", [source]) * count
    generator.shuffle(sources)
    order = [iter(pool) for pool in pools]
    return Drawn(names=tuple(counts), sources=sources, numbers=array("q", (next(order[source]) for source in sources)))


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

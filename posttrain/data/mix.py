"""Draw an exact order of rows from a weighted mixture. Pure: same rows, weights and seed give the same order, whatever
else runs.

A data set smaller than its share is passed over again in a new shuffle. Knows nothing of what a row is.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import TypeVar

T = TypeVar("T")


def draw(rows: Mapping[str, Sequence[T]], weights: Mapping[str, float], total: int, seed: int) -> list[T]:
    """`total` rows, each data set giving its share (largest remainder), interleaved at random.

    Example: draw({"a": [1, 2], "b": [3]}, {"a": 0.5, "b": 0.5}, 4, 0) holds 1, 2 and twice 3.
    """
    names = sorted(weights)
    scale = sum(weights.values())
    exact = {name: total * weights[name] / scale for name in names}
    counts = {name: int(exact[name]) for name in names}
    for name in sorted(names, key=lambda name: (counts[name] - exact[name], name))[: total - sum(counts.values())]:
        counts[name] += 1
    generator = random.Random(f"mix/{seed}")
    drawn: list[T] = []
    for name in names:
        pool: list[T] = []
        while len(pool) < counts[name]:
            again = list(rows[name])
            generator.shuffle(again)
            pool += again
        drawn += pool[: counts[name]]
    generator.shuffle(drawn)
    return drawn


def num_rows(sizes: Mapping[str, int], weights: Mapping[str, float], epochs: float) -> int:
    """Rows of `epochs` passes: the mixture is as long as lets its scarcest data set (by weight) be seen that often."""
    scale = sum(weights.values())
    return max(1, round(epochs * min(sizes[name] * scale / weights[name] for name in weights)))

"""Put rows into sequences of a given length, whole: every row is in exactly one. Pure and repeatable.

Best fit, longest first, over one window of rows after the other, so that early rows stay early. Knows nothing of what a
row is but its length.
"""

from __future__ import annotations

import bisect
import random
from collections.abc import Sequence

WINDOW = 10_000


def pack(lengths: Sequence[int], room: int, seed: int, *, window: int = WINDOW) -> list[list[int]]:
    """Sequences as lists of row numbers; no sequence is longer than `room`. The order of a window's sequences is
    shuffled: packed longest first, the last steps would see only short rows.

    Example: pack([5, 3, 4, 2], 8, 0) -> [[0, 1], [2, 3]], or the other way round.
    """
    generator = random.Random(f"pack/{seed}")
    packed: list[list[int]] = []
    for start in range(0, len(lengths), window):
        made: list[list[int]] = []
        space: list[tuple[int, int]] = []  # (room left, number of the sequence), sorted
        for row in sorted(range(start, min(start + window, len(lengths))), key=lambda row: (-lengths[row], row)):
            if lengths[row] > room:
                raise ValueError(f"row {row} has {lengths[row]} tokens, more than {room}")
            at = bisect.bisect_left(space, (lengths[row], -1))
            if at == len(space):
                left, number = room, len(made)
                made.append([])
            else:
                left, number = space.pop(at)
            made[number].append(row)
            bisect.insort(space, (left - lengths[row], number))
        generator.shuffle(made)
        packed += made
    return packed

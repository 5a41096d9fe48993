"""Put rows into sequences of a given length, whole: every row is in exactly one. Pure and repeatable.

Best fit, longest first, over one window of rows after the other, so that early rows stay early. Knows nothing of what a
row is but its length.
"""

from __future__ import annotations

import bisect
import random
from collections.abc import Iterator, Sequence

WINDOW = 10_000


def pack(lengths: Sequence[int], room: int, seed: int, *, window: int = WINDOW) -> list[list[int]]:
    """Sequences as lists of row numbers; no sequence is longer than `room`. The order of a window's sequences is
    shuffled: packed longest first, the last steps would see only short rows.

    Example: pack([5, 3, 4, 2], 8, 0) -> [[0, 1], [2, 3]], or the other way round.
    """
    return [rows for packed in pack_windows(lengths, room, seed, window=window) for rows in packed]


def pack_windows(lengths: Sequence[int], room: int, seed: int, *, window: int = WINDOW) -> Iterator[list[list[int]]]:
    """The same, the sequences of one window after the other."""
    generator = random.Random(f"pack/{seed}")
    for start in range(0, len(lengths), window):
        own = list(lengths[start : start + window])
        made: list[list[int]] = []
        space: list[tuple[int, int]] = []  # (room left, number of the sequence), sorted
        for place in sorted(range(len(own)), key=lambda place: (-own[place], place)):
            length = own[place]
            if length > room:
                raise ValueError(f"row {start + place} has {length} tokens, more than {room}")
            at = bisect.bisect_left(space, (length, -1))
            if at == len(space):
                left, number = room, len(made)
                made.append([])
            else:
                left, number = space.pop(at)
            made[number].append(start + place)
            bisect.insort(space, (left - length, number))
        generator.shuffle(made)
        yield made

"""Packing puts every row into exactly one sequence, none too long, and says the same each time."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from posttrain.data.packing import pack


@pytest.mark.parametrize("window", [10_000, 50])
@pytest.mark.parametrize(("count", "room"), [(1, 9), (63, 64), (700, 128)])
def test_every_row_is_in_exactly_one_sequence(count: int, room: int, window: int) -> None:
    lengths = [random.Random(number).randint(1, room) for number in range(count)]
    packed = pack(lengths, room, seed=3, window=window)
    assert Counter(row for rows in packed for row in rows) == Counter(range(count))
    assert all(0 < sum(lengths[row] for row in rows) <= room for rows in packed)
    assert pack(lengths, room, seed=3, window=window) == packed
    firsts = [min(rows) // window for rows in packed]
    assert firsts == sorted(firsts)  # early rows stay early


def test_little_room_is_lost_and_long_rows_do_not_all_come_first() -> None:
    lengths = [random.Random(f"row/{number}").randint(20, 400) for number in range(2000)]
    packed = pack(lengths, 1024, seed=0)
    assert len(packed) <= 1.02 * sum(lengths) / 1024 + 1
    longest = [max(lengths[row] for row in rows) for rows in packed]
    assert longest != sorted(longest, reverse=True)
    assert packed != pack(lengths, 1024, seed=1)


def test_a_row_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(ValueError, match="row 1 has 9 tokens, more than 8"):
        pack([3, 9], 8, seed=0)

"""Checksums: what they must see, and that they hang on nothing but the values."""

from __future__ import annotations

import pytest
import torch

from posttrain.rollout import identity
from posttrain.rollout.identity import Held, checksum, differing, held_of


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_every_single_element_counts(dtype: torch.dtype) -> None:
    tensor = torch.randn(7, 33, generator=torch.Generator().manual_seed(1)).to(dtype)
    sound = checksum(tensor)
    for place in range(tensor.numel()):
        other = tensor.clone()
        value = other.view(-1)[place : place + 1]
        value.view(torch.int32 if dtype is torch.float32 else torch.int16).add_(1)  # the last bit
        assert checksum(other) != sound


def test_order_counts_and_layout_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    tensor = torch.randn(64, 48)
    sound = checksum(tensor)
    assert checksum(tensor.t().contiguous().t()) == sound  # another layout in memory
    assert checksum(tensor[[1, 0, *range(2, 64)]]) != sound and checksum(tensor.t()) != sound
    assert checksum(torch.where(tensor == 0, -tensor, tensor)) == sound
    assert checksum(torch.tensor([0.0, 1.0])) == checksum(torch.tensor([-0.0, 1.0]))
    monkeypatch.setattr(identity, "_ELEMENTS", 100)  # a piece at a time
    assert checksum(tensor) == sound


def test_the_sum_is_the_one_that_is_stated() -> None:
    """Once more, in whole numbers of any length: no overflow of torch's is part of the definition."""

    def odd(number: int, salt: int) -> int:
        mixed = (number * 0x9E3779B97F4A7C15 + salt) % 2**64
        mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB % 2**64
        return (mixed ^ mixed >> 31) | 1

    tensor = torch.randn(5, 9)
    bits = tensor.view(torch.int32).tolist()
    total = sum(
        odd(row + 1, 2) * odd(column + 1, 1) * value
        for row, line in enumerate(bits)
        for column, value in enumerate(line)
    )
    assert checksum(tensor) % 2**64 == total % 2**64


def test_weights_are_cast_as_the_engine_holds_them() -> None:
    weights = {"a": torch.randn(4, 4), "b": torch.randn(3)}
    found = held_of((name, tensor.bfloat16()) for name, tensor in weights.items())
    assert found["a"].dtype == "bfloat16" and differing(found, weights.items()) == ([], [])
    assert differing(found | {"a": Held(dtype="bfloat16", checksum=1)}, weights.items()) == (["a"], [])
    assert differing({"b": found["b"]}, weights.items()) == ([], ["a"])


def test_a_tied_head_must_be_a_tensor_of_the_weights() -> None:
    weights = {"embed": torch.randn(4, 4)}
    found = held_of({**weights, "lm_head.weight": weights["embed"]}.items())
    assert differing(found, weights.items()) == ([], [])
    stale = held_of({**weights, "lm_head.weight": weights["embed"] + 1}.items())
    assert differing(stale, weights.items()) == (["lm_head.weight"], [])

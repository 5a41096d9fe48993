"""Weights in memory that processes share: another process reads the same bytes, and a step writes no second copy."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from posttrain.rollout.identity import checksum
from posttrain.rollout.shared_weights import WeightMemory, WeightsAt

READ = """
import sys
from posttrain.rollout.identity import checksum
from posttrain.rollout.shared_weights import WeightsAt
for name, tensor in WeightsAt(sys.argv[1]).items():
    print(name, str(tensor.dtype), *tensor.shape, checksum(tensor))
"""


def tensors(seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    sizes = {"embed": (50, 8), "norm": (8,), "scale": (), "empty": (0, 3)}
    return {name: torch.randn(size, generator=generator) for name, size in sizes.items()}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_another_process_reads_them_in_the_engines_dtype(dtype: str) -> None:
    given = tensors(0)
    shared = WeightMemory().filled(given, dict, dtype)
    child = subprocess.run([sys.executable, "-c", READ, shared.path], capture_output=True, text=True, check=True)
    kind = getattr(torch, dtype)
    expected = {
        f"{name} {kind} {' '.join(map(str, (*tensor.shape, checksum(tensor.to(kind)))))}"
        for name, tensor in given.items()
    }
    assert set(child.stdout.splitlines()) == expected


def test_the_next_step_writes_to_the_same_memory_and_another_shape_to_its_own() -> None:
    memory = WeightMemory()
    first = memory.filled(tensors(0), dict, "float32")
    assert memory.filled(tensors(1), dict, "float32") is first
    assert torch.equal(WeightsAt(first.path)["embed"], tensors(1)["embed"])
    assert set(memory.filled({"embed": torch.zeros(3)}, dict, "bfloat16")) == {"embed"}


def test_what_the_engine_keeps_wider_and_whole_numbers_lose_nothing() -> None:
    """Such as the biases of a router in float32 beside weights in bfloat16."""
    given = tensors(0) | {"position_ids": torch.arange(7)}
    shared = WeightMemory().filled(given, lambda: {"norm": "float32"}, "bfloat16")
    read = WeightsAt(shared.path)
    assert torch.equal(read["norm"], given["norm"]) and torch.equal(read["position_ids"], given["position_ids"])
    assert torch.equal(read["embed"], given["embed"].bfloat16()) and torch.equal(
        read["scale"], given["scale"].bfloat16()
    )


def test_a_message_holds_the_tensors_themselves() -> None:
    shared = WeightMemory().filled(tensors(0), dict, "float32")
    sent = pickle.loads(pickle.dumps(shared))
    assert type(sent) is dict and all(torch.equal(sent[name], tensor) for name, tensor in tensors(0).items())


def test_the_memory_ends_with_who_holds_it() -> None:
    shared = WeightMemory().filled(tensors(0), dict, "float32")
    path = Path(shared.path)
    assert path.exists() and not path.resolve().exists(), "no name in any folder"
    open_before = len(os.listdir("/proc/self/fd"))
    del shared
    assert len(os.listdir("/proc/self/fd")) < open_before

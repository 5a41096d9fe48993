"""A trainer that gives up its GPU while engines work on it (`cluster.share: time`): its models and optimiser go to
main memory and come back. Knows nothing of who works meanwhile.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import torch


@contextlib.contextmanager
def parked(models: Sequence[Any], optimizer: Any) -> Iterator[None]:
    """While open, nothing of them is on the GPU; a trainer on a CPU stays where it is. Sharded models, too: each worker
    moves its shares."""
    device = next(models[0].parameters()).device
    if device.type == "cpu":
        yield
        return
    states = [
        (state, name)
        for state in optimizer.state.values()
        for name, value in state.items()
        if torch.is_tensor(value) and value.device.type == device.type  # counters may be on the CPU, and stay there
    ]
    _move(models, states, torch.device("cpu"))
    torch.cuda.empty_cache()
    try:
        yield
    finally:
        _move(models, states, device)


def _move(models: Sequence[Any], states: list[tuple[dict[str, Any], str]], device: torch.device) -> None:
    for model in models:
        model.to(device)
    for state, name in states:
        state[name] = state[name].to(device)

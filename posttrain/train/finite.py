"""An update whose loss or gradient is not finite would end the model: it is skipped, at most one in a hundred of a
stage, and the next one stops the stage and names the rows.

Knows nothing of losses. The answer is the same on all workers, also where each holds a share of the gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.distributed.tensor import DTensor

from posttrain.errors import StageError
from posttrain.machine.ranks import world_size

STEPS_A_SKIP = 100
SHOWN = 8
RowsOf = Callable[[int], Sequence[str]]
"""What an optimiser step (from 0) trains on, in words: one entry a row."""


def all_finite(model: Any, *, loss_is: bool) -> bool:
    """Whether every number of the gradient is, on all workers, and `loss_is` on each."""
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    mine = [gradient.to_local() if isinstance(gradient, DTensor) else gradient for gradient in gradients]
    device = next(model.parameters()).device
    bad = torch.full((), float(not loss_is), device=device)
    for gradient in mine:
        bad += (~torch.isfinite(gradient)).any()
    if world_size() > 1:
        torch.distributed.all_reduce(bad)
    return float(bad) == 0.0


def not_finite(step: int, name: str, rows_of: RowsOf | None) -> StageError:
    """The error that stops the stage `name` at this step (from 0)."""
    rows = list(rows_of(step)) if rows_of is not None else []
    more = f" and {len(rows) - SHOWN} more" if len(rows) > SHOWN else ""
    among = f"; it trained on {', '.join(rows[:SHOWN])}{more}" if rows else ""
    return StageError(
        f"loss or gradient is not finite at step {step + 1} of {name}{among}",
        where=name,
        remedy="look at the rows and at the model it starts from, or lower learning_rate",
    )

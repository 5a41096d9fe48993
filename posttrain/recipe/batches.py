"""How an optimiser step is split over workers and forward passes. Knows nothing of trainers."""

from __future__ import annotations

from posttrain.recipe.schema import Grpo, Supervised


def rows_a_pass(stage: Supervised | Grpo, workers: int) -> int:
    """Rows a forward pass on a worker: the largest divisor of a worker's rows of a step that is at most
    micro_batch_size. Of a grpo stage at most: its answers with a gradient are as many as they are.

    Example: rows_a_pass(stage of micro_batch_size 8 and batch_size 12, 1) == 6
    """
    if isinstance(stage, Grpo):
        return min(stage.micro_batch_size, stage.prompts_per_step * stage.group)
    share = stage.batch_size // workers
    return next(rows for rows in range(min(stage.micro_batch_size, share), 0, -1) if share % rows == 0)

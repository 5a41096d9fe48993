"""How an optimiser step is split over workers and forward passes. Knows nothing of trainers."""

from __future__ import annotations

import math

from posttrain.recipe.schema import Grpo, Supervised


def rows_a_pass(stage: Supervised | Grpo, workers: int) -> int:
    """Rows a forward pass on a worker: micro_batch_size, or the largest part below it into which a worker's rows of a
    step divide. Of a grpo stage at most: its answers with a gradient are as many as they are."""
    if isinstance(stage, Grpo):
        return min(stage.micro_batch_size, stage.prompts_per_step * stage.group)
    share = stage.batch_size // workers
    return math.gcd(share, min(stage.micro_batch_size, share))

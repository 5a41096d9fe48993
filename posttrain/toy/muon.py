"""Muon: momentum whose matrix is made orthogonal before it is applied; for the matrices of a toy model.

After Keller Jordan's description (2024): five Newton-Schulz steps with tuned coefficients; the step's size is matched
to AdamW's (0.2 times the root of the longer side). float32 throughout: torch.optim.Muon works in bfloat16, which some
CPUs cannot run. Knows nothing of models.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
NEWTON_SCHULZ_STEPS = 5


class Muon(torch.optim.Optimizer):
    """For matrices only; embeddings, heads and vectors belong to AdamW."""

    def __init__(
        self, parameters: Iterable[torch.nn.Parameter], *, learning_rate: float, momentum: float = 0.95
    ) -> None:
        super().__init__(parameters, {"lr": learning_rate, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                momentum = self.state[parameter].setdefault("momentum", torch.zeros_like(parameter))
                momentum.lerp_(parameter.grad, 1 - group["momentum"])
                ahead = parameter.grad.lerp(momentum, group["momentum"])  # Nesterov
                size = 0.2 * max(parameter.shape) ** 0.5
                parameter.add_(orthogonal(ahead), alpha=-group["lr"] * size)


def orthogonal(matrix: torch.Tensor) -> torch.Tensor:
    """The nearest matrix [R, C] with singular values near 1, by Newton-Schulz iteration."""
    a, b, c = COEFFICIENTS
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / (x.norm() + 1e-7)
    for _ in range(NEWTON_SCHULZ_STEPS):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if tall else x

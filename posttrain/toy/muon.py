"""Muon: momentum whose matrix is made orthogonal before it is applied; for the matrices of a toy model.

After Keller Jordan's description (2024): five Newton-Schulz steps with tuned coefficients; the step's size is matched
to AdamW's (0.2 times the root of the longer side). Matrices of one shape are worked on as one stack: on a small model
most of the time is the number of calls. float32 throughout: torch.optim.Muon works in bfloat16, which some CPUs cannot
run. Knows nothing of models.
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
            ahead: dict[torch.Size, list[tuple[torch.nn.Parameter, torch.Tensor]]] = {}
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                momentum = self.state[parameter].setdefault("momentum", torch.zeros_like(parameter))
                momentum.lerp_(parameter.grad, 1 - group["momentum"])
                nesterov = parameter.grad.lerp(momentum, group["momentum"])
                ahead.setdefault(parameter.shape, []).append((parameter, nesterov))
            for shape, alike in ahead.items():
                size = 0.2 * max(shape) ** 0.5
                stack = orthogonal(torch.stack([matrix for _, matrix in alike]))
                for (parameter, _), matrix in zip(alike, stack, strict=True):
                    parameter.add_(matrix, alpha=-group["lr"] * size)


def orthogonal(stack: torch.Tensor) -> torch.Tensor:
    """The nearest matrices [N, R, C] with singular values near 1, by Newton-Schulz iteration."""
    a, b, c = COEFFICIENTS
    tall = stack.shape[1] > stack.shape[2]
    x = stack.mT if tall else stack
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(NEWTON_SCHULZ_STEPS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x

"""The divergence from a teacher of which only the likeliest tokens are known, and the mass of all others together.

Teacher and student are compared over K + 1 events: each kept token, and "another one". That never exceeds the full
divergence (data processing), and its gradient moves the other tokens together. Shapes: N tokens, K kept ones, V the
vocabulary compared over, b tokens of a block. The full divergence is tiled.py's and losses/dpd.py's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch

_TINY = 1e-30  # below any mass that float32 tells from 0: logarithms stay finite


@dataclass(frozen=True, kw_only=True, slots=True)
class SparseTargets:
    """What a teacher says before N tokens, nats, at a temperature of its own. Rows with fewer than K kept tokens repeat
    their first id with a log-probability of -inf. vocabulary: ids that teacher and student both have.

    Example: SparseTargets(ids_NK=[[4, 9]], logprobs_NK=[[-0.1, -3.0]], rest_N=[-3.1], vocabulary=166144)
    """

    ids_NK: torch.Tensor
    logprobs_NK: torch.Tensor
    rest_N: torch.Tensor
    vocabulary: int

    def to(self, device: Any) -> SparseTargets:
        """On another device."""
        return SparseTargets(
            ids_NK=self.ids_NK.to(device),
            logprobs_NK=self.logprobs_NK.to(device),
            rest_N=self.rest_N.to(device),
            vocabulary=self.vocabulary,
        )

    def __getitem__(self, tokens: slice) -> SparseTargets:
        """Those of some of the tokens."""
        return SparseTargets(
            ids_NK=self.ids_NK[tokens],
            logprobs_NK=self.logprobs_NK[tokens],
            rest_N=self.rest_N[tokens],
            vocabulary=self.vocabulary,
        )


def sparse_divergence(
    student_bV: torch.Tensor, teacher: SparseTargets, *, kind: str, jsd_beta: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Divergences [b], and their gradients [b, V] on the logits whose log-softmax is `student_bV`; kinds as in
    losses/dpd.py::token_divergence."""
    probabilities = student_bV.exp()
    kept = teacher.logprobs_NK > -math.inf
    others = probabilities.scatter(1, teacher.ids_NK, 0.0)
    # summed, not 1 minus the kept ones: that would lose a small rest to rounding
    rest = others.sum(dim=1, keepdim=True)
    q = torch.cat([probabilities.gather(1, teacher.ids_NK).where(kept, 0.0), rest], dim=1)
    log_q = torch.cat([student_bV.gather(1, teacher.ids_NK), rest.clamp_min(_TINY).log()], dim=1)
    log_p = torch.cat([teacher.logprobs_NK, teacher.rest_N.unsqueeze(1)], dim=1).to(q.dtype)
    there = log_p > -math.inf
    p = log_p.exp()
    log_p, log_q = log_p.where(there, 0.0), log_q.where(there, 0.0)
    if kind == "forward_kl":
        values, slopes = p * (log_p - log_q), -p
    elif kind == "reverse_kl":
        values = slopes = q * (log_q - log_p)
    elif kind == "jsd":
        mixture = torch.logaddexp(log_p + math.log(jsd_beta), log_q + math.log1p(-jsd_beta))
        slopes = (1.0 - jsd_beta) * q * (log_q - mixture)
        values = jsd_beta * p * (log_p - mixture) + slopes
    else:
        raise ValueError(f"divergence is {kind!r}, not forward_kl, reverse_kl or jsd")
    gradient = others.mul_(slopes[:, -1:] / rest.clamp_min(_TINY))
    # what fills up a row writes what its first token writes: one place, one value
    of_kept = slopes[:, :-1].where(kept, slopes[:, :1])
    gradient.scatter_(1, teacher.ids_NK, of_kept)
    return values.sum(dim=1), gradient.sub_(probabilities.mul_(slopes.sum(dim=1, keepdim=True)))

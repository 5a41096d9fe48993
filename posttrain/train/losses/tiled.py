"""The vocabulary-sized part of the losses: log-probabilities of given tokens, functions of them, and the divergence
from a teacher, over hidden states and heads in tiles.

    logprob_loss:       L = f(log p(targets))                                    policy training, DPO alone
    distillation_loss:  L = sum over tokens of weight * D(teacher, student) + f(log p(targets))            DPD

`f` is any differentiable function of the N log-probabilities; it sees no vocabulary. The oracles in float64 over full
logits are token_divergence (losses/dpd.py) and torch's own log_softmax. Shapes: N tokens, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch

from posttrain.train.losses.head import Projection, States, blocks, loss_with_gradients, tiles
from posttrain.train.losses.sparse import SparseTargets, sparse_divergence

OfLogprobs = Callable[[torch.Tensor], torch.Tensor]
"""From log-probabilities [N] to a scalar."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Divergence:
    """How far the student is from the teacher; kinds and directions as in losses/dpd.py::token_divergence.

    Example: Divergence(kind="jsd", jsd_beta=0.5, temperature=1.0)
    """

    kind: str
    jsd_beta: float = 0.5
    temperature: float = 1.0


class LogprobLoss(NamedTuple):
    """What logprob_loss finds, nats; only the loss has a gradient. A tuple, since sharding looks for a model's tensors
    in tuples and not in dataclasses.

    Example: LogprobLoss(loss=0.3, logprobs_N=[-1.2, -0.1], entropies_N=[0.9, 0.2])
    """

    loss: torch.Tensor
    logprobs_N: torch.Tensor
    entropies_N: torch.Tensor


def token_logprobs(states: States, targets_N: torch.Tensor) -> torch.Tensor:
    """Log-probabilities [N] of the targets, nats, without gradient."""
    found: list[torch.Tensor] = []

    def work(projection: Projection) -> torch.Tensor:
        found.append(_first_pass(projection, targets_N, 1.0))
        return found[0].sum()

    with torch.no_grad():
        loss_with_gradients(states, work)
    return found[0]


def logprob_loss(
    states: States,
    targets_N: torch.Tensor,
    of_logprobs: OfLogprobs,
    *,
    temperature: float = 1.0,
    by_token: bool = False,
) -> LogprobLoss:
    """of_logprobs(log p(targets)), differentiable, and figures of each token.

    by_token: `of_logprobs` is a sum of functions of one token each, as the losses with a ratio a token are. Then one
    projection serves values and gradients; else a first pass finds the values. A wrong promise raises.
    """
    found: list[torch.Tensor] = []

    def work(projection: Projection) -> torch.Tensor:
        logprobs, entropies, slopes = (_zeros(projection) for _ in range(3))
        at_once = by_token or len(list(tiles(projection))) == 1
        if projection.wants_gradient and not at_once:
            slopes = _slopes(of_logprobs, _first_pass(projection, targets_N, temperature))
        for tokens in tiles(projection):
            tile, targets = projection.logits(tokens), targets_N[tokens]
            for rows in blocks(tile):
                here = slice(tokens.start + rows.start, tokens.start + rows.stop)
                scaled = tile[rows] if temperature == 1.0 else tile[rows] / temperature
                log_p = torch.log_softmax(scaled, dim=-1)
                logprobs[here] = _at(log_p, targets_N[here])
                torch.exp(log_p, out=tile[rows])
                entropies[here] = -log_p.mul_(tile[rows]).sum(dim=-1)
            if projection.wants_gradient:
                if at_once:
                    slopes[tokens] = _slopes(of_logprobs, logprobs)[tokens]
                tile.mul_((slopes[tokens] / -temperature).unsqueeze(1))
                _add_at(tile, targets, slopes[tokens] / temperature)
                projection.take_gradient(tokens, tile)
        if projection.wants_gradient and by_token:
            complete = _slopes(of_logprobs, logprobs)
            right = torch.allclose(slopes, complete, rtol=1e-4, atol=1e-8, equal_nan=True)
            assert right, "of_logprobs is not a sum over tokens: call without by_token"
        found.extend((logprobs, entropies))
        return of_logprobs(logprobs)

    loss = loss_with_gradients(states, work)
    return LogprobLoss(loss, *found)


def distillation_loss(
    student: States,
    teacher: States | SparseTargets,
    targets_N: torch.Tensor,
    *,
    divergence: Divergence,
    weights_N: torch.Tensor,
    of_logprobs: OfLogprobs | None = None,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(loss, divergences [N], the student's log-probabilities [N]); only the loss has a gradient, for the student.

    Vocabularies padded to different sizes are compared over the ids that both have. Without `of_logprobs` the loss is
    the weighted divergence; with it, a first pass over the student's logits finds the log-probabilities, since the
    slope at each token depends on all of them. A teacher of which the likeliest tokens are known is compared over
    those and one bucket (losses/sparse.py); its temperature must be that of `divergence`.
    """
    its = teacher if isinstance(teacher, SparseTargets) else Projection(teacher)
    found: list[torch.Tensor] = []

    def work(projection: Projection) -> torch.Tensor:
        divergences, logprobs = _zeros(projection), _zeros(projection)
        slopes: torch.Tensor | None = None
        if projection.wants_gradient and of_logprobs is not None:
            slopes = _slopes(of_logprobs, _first_pass(projection, targets_N, 1.0))
        for tokens in tiles(projection, *([its] if isinstance(its, Projection) else [])):
            tile, targets = projection.logits(tokens), targets_N[tokens]
            teachers = its.logits(tokens) if isinstance(its, Projection) else its[tokens]
            for rows in blocks(tile):
                here = slice(tokens.start + rows.start, tokens.start + rows.stop)
                log_p = torch.log_softmax(tile[rows], dim=-1)
                logprobs[here] = _at(log_p, targets[rows])
                divergences[here], gradient = _block_divergence(tile[rows], teachers[rows], log_p, divergence)
                if not projection.wants_gradient:
                    continue
                gradient.mul_((weights_N[here] / divergence.temperature).unsqueeze(1))
                if slopes is None:
                    tile[rows] = 0.0
                else:
                    torch.mul(log_p.exp_(), -slopes[here].unsqueeze(1), out=tile[rows])
                    _add_at(tile[rows], targets[rows], slopes[here])
                tile[rows, : gradient.shape[1]] += gradient
            if projection.wants_gradient:
                projection.take_gradient(tokens, tile)
        found.extend((divergences, logprobs))
        total = (weights_N * divergences).sum()
        return total if of_logprobs is None else total + of_logprobs(logprobs)

    loss = loss_with_gradients(student, work)
    return loss, found[0], found[1]


def _block_divergence(
    student_bV: torch.Tensor, teacher_bV: torch.Tensor | SparseTargets, log_p_bV: torch.Tensor, how: Divergence
) -> tuple[torch.Tensor, torch.Tensor]:
    """Divergences [b], and their gradients [b, V] on the student's logits / temperature. log_p: of the student, at
    temperature 1. V: the smaller vocabulary."""
    its = teacher_bV.vocabulary if isinstance(teacher_bV, SparseTargets) else teacher_bV.shape[1]
    vocabulary = min(student_bV.shape[1], its)
    if how.temperature == 1.0 and vocabulary == student_bV.shape[1]:
        student = log_p_bV
    else:
        student = torch.log_softmax(student_bV[:, :vocabulary] / how.temperature, dim=-1)
    if isinstance(teacher_bV, SparseTargets):
        return sparse_divergence(student, teacher_bV, kind=how.kind, jsd_beta=how.jsd_beta)
    teacher = torch.log_softmax(teacher_bV[:, :vocabulary].to(student.dtype) / how.temperature, dim=-1)
    probabilities = student.exp()
    if how.kind == "forward_kl":
        its = teacher.exp()
        return (its * teacher.sub_(student)).sum(dim=-1), probabilities.sub_(its)
    if how.kind == "reverse_kl":
        gap = torch.sub(student, teacher, out=teacher)
        value = (probabilities * gap).sum(dim=-1)
        return value, probabilities.mul_(gap.sub_(value.unsqueeze(1)))
    if how.kind == "jsd":
        beta = how.jsd_beta
        mixture = torch.logaddexp(teacher + math.log(beta), student + math.log1p(-beta))
        gap = student - mixture
        of_student = (probabilities * gap).sum(dim=-1)
        value = beta * (teacher.exp() * teacher.sub(mixture)).sum(dim=-1) + (1.0 - beta) * of_student
        return value, probabilities.mul_(gap.sub_(of_student.unsqueeze(1))).mul_(1.0 - beta)
    raise ValueError(f"divergence is {how.kind!r}, not forward_kl, reverse_kl or jsd")


def _first_pass(projection: Projection, targets_N: torch.Tensor, temperature: float) -> torch.Tensor:
    """Log-probabilities [N] alone."""
    logprobs = _zeros(projection)
    for tokens in tiles(projection):
        tile = projection.logits(tokens)
        for rows in blocks(tile):
            here = slice(tokens.start + rows.start, tokens.start + rows.stop)
            scaled = tile[rows] if temperature == 1.0 else tile[rows] / temperature
            logprobs[here] = _at(scaled, targets_N[here]) - torch.logsumexp(scaled, dim=-1)
    return logprobs


def _slopes(of_logprobs: OfLogprobs, logprobs_N: torch.Tensor) -> torch.Tensor:
    with torch.enable_grad():
        leaf = logprobs_N.detach().requires_grad_()
        return torch.autograd.grad(of_logprobs(leaf), leaf)[0]


def _zeros(projection: Projection) -> torch.Tensor:
    return torch.zeros(projection.num_tokens, dtype=projection.sum_dtype, device=projection.hidden_NH.device)


def _at(values_bV: torch.Tensor, targets_b: torch.Tensor) -> torch.Tensor:
    return values_bV.gather(1, targets_b.unsqueeze(1)).squeeze(1)


def _add_at(values_bV: torch.Tensor, targets_b: torch.Tensor, what_b: torch.Tensor) -> None:
    # not scatter_add_, whose order of sums a GPU does not promise; here each row has one target
    at = targets_b.unsqueeze(1)
    values_bV.scatter_(1, at, values_bV.gather(1, at) + what_b.unsqueeze(1).to(values_bV.dtype))

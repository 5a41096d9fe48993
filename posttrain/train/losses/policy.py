"""Policy-gradient losses over scored groups: group advantages, clipped ratios, four ways to aggregate tokens.

GRPO (arXiv 2402.03300), DAPO (2503.14476), Dr. GRPO (2503.20783), GSPO (2507.18071); names and divisors as in TRL. No
KL term: the report has none. Shapes: B answers, T tokens (right-padded), mask 1.0 where a token is trained. Knows
nothing of prompts, rewards' origin or models.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

EPSILON = 1e-4  # as in TRL: keeps the division finite; groups without spread have been dropped before


def group_advantages(rewards: list[float | None], *, scale: str) -> list[float | None]:
    """Reward minus the group's mean, divided by the sample standard deviation for scale "group". A member without a
    reward has none and does not count in mean or spread.

    Example: rewards 1,1,0,0,0,0,0,1 with scale "none" give +0.625 and -0.375.
    """
    present = [reward for reward in rewards if reward is not None]
    if not present:
        return [None] * len(rewards)
    mean = sum(present) / len(present)
    divisor = 1.0
    if scale == "group":
        spread = (sum((reward - mean) ** 2 for reward in present) / max(1, len(present) - 1)) ** 0.5
        divisor = spread + EPSILON
    return [None if reward is None else (reward - mean) / divisor for reward in rewards]


def has_signal(rewards: list[float | None]) -> bool:
    """Whether a group teaches anything: at least two rewards that differ."""
    present = [reward for reward in rewards if reward is not None]
    return len(present) >= 2 and max(present) - min(present) > 1e-8


@dataclass(frozen=True, kw_only=True, slots=True)
class Clip:
    """How far the ratio may leave 1 before an answer's tokens give no more gradient.

    Example: Clip(low=0.2, high=0.28)
    """

    low: float
    high: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Divisor:
    """What a step's token losses are divided by. kind: grpo, dapo, dr_grpo or gspo.

    Both counts are over all workers and over every scored answer of the step, also those that give no gradient: one of
    a group without signal counts, as in the papers and in TRL, or the update would grow as the model gets better.

    Example: Divisor(kind="dapo", num_answers=128, num_tokens=51200.0, max_tokens=1024)
    """

    kind: str
    num_answers: int  # truncated ones too
    num_tokens: float  # of the answers that are not masked as truncated
    max_tokens: int  # the longest answer that may be sampled


@dataclass(frozen=True, kw_only=True, slots=True)
class Importance:
    """How answers of older weights (or of an engine that rounds otherwise) are weighed: by the probability that the
    trainer gives them over that which they were sampled with. Modes and cap as TRL's vllm_importance_sampling_mode and
    _clip_max: truncate takes the ratio, at most `cap`; mask drops what is above it; by token or by whole answer.

    Example: Importance(mode="sequence_mask", cap=3.0)
    """

    mode: str  # none, token_truncate, token_mask, sequence_truncate or sequence_mask
    cap: float

    def weights(self, logprobs_BT: torch.Tensor, behaviour_BT: torch.Tensor, mask_BT: torch.Tensor) -> torch.Tensor:
        """[B, T] for token modes, [B, 1] for sequence modes. No gradient flows through them."""
        log_ratio = (logprobs_BT.detach() - behaviour_BT) * mask_BT
        if self.mode.startswith("sequence"):
            log_ratio = log_ratio.sum(dim=1, keepdim=True)
        ratio = torch.exp(log_ratio)
        if self.mode.endswith("truncate"):
            return ratio.clamp(max=self.cap)
        return ratio.masked_fill(ratio > self.cap, 0.0)


def policy_loss(
    logprobs_BT: torch.Tensor,
    old_logprobs_BT: torch.Tensor,
    advantages_B: torch.Tensor,
    mask_BT: torch.Tensor,
    clip: Clip,
    divisor: Divisor,
    weights: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """This micro-batch's share of the step's loss, and how many of its tokens the clip stops.

    The divisor counts the whole step over all workers, so that splitting a step into micro-batches or workers changes
    nothing: grpo divides each answer by its own length, dapo by num_tokens, dr_grpo by num_answers * max_tokens.
    weights: of tokens [B, T] or answers [B, 1], see Importance.
    """
    log_ratio = (logprobs_BT - old_logprobs_BT) * mask_BT
    lengths = mask_BT.sum(dim=1).clamp(min=1.0)
    advantages = advantages_B.unsqueeze(1)
    sequence_ratio = torch.exp(log_ratio.sum(dim=1) / lengths).unsqueeze(1).expand_as(logprobs_BT)
    ratio = sequence_ratio if divisor.kind == "gspo" else torch.exp(log_ratio)
    clipped = ratio.clamp(1.0 - clip.low, 1.0 + clip.high)
    token_loss = -torch.minimum(ratio * advantages, clipped * advantages) * mask_BT
    if weights is not None:
        token_loss = token_loss * weights
    if divisor.kind in ("grpo", "gspo"):
        loss = (token_loss.sum(dim=1) / lengths).sum() / divisor.num_answers
    elif divisor.kind == "dapo":
        loss = token_loss.sum() / divisor.num_tokens
    elif divisor.kind == "dr_grpo":
        loss = token_loss.sum() / (divisor.num_answers * divisor.max_tokens)
    else:
        raise ValueError(f"loss is {divisor.kind!r}, not grpo, dapo, dr_grpo or gspo")
    with torch.no_grad():
        outside = ((ratio < 1.0 - clip.low) & (advantages < 0)) | ((ratio > 1.0 + clip.high) & (advantages > 0))
        num_clipped = (outside * mask_BT).sum()
    return loss, num_clipped

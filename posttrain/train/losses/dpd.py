"""Dual-Level Preference Distillation: teacher token-KL on good and bad answers, plus DPO on the pair.

    L = w_sequence * DPO(y+, y-) + w_chosen * KD(y+) + w_rejected * KD(y-)
    KD(y) = sum over trained tokens of D(teacher, student) / number of trained tokens

After Nanbeige4-3B (arXiv 2512.06266, section 3.3), which publishes neither the direction of the divergence nor the
weights; DPO is Rafailov et al. 2023 (arXiv 2305.18290), the generalised JSD is GKD (arXiv 2306.13649). Shapes: N
trained tokens, V vocabulary, B pairs. Knows nothing of models or batches.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F


def token_divergence(
    student_logits_NV: torch.Tensor,
    teacher_logits_NV: torch.Tensor,
    *,
    kind: str,
    jsd_beta: float = 0.5,
    temperature: float = 1.0,
) -> torch.Tensor:
    """D(teacher, student) at each token [N], natural log, float. No gradient flows to the teacher. The definition, over
    full logits; training computes the same in tiles (tiled.py::distillation_loss).

    forward_kl: KL(teacher || student); reverse_kl: KL(student || teacher); jsd: beta KL(teacher || M) + (1 - beta)
    KL(student || M) with M = beta teacher + (1 - beta) student. Both sides are softened by `temperature`; the result is
    not multiplied by its square.
    """
    student = F.log_softmax(student_logits_NV / temperature, dim=-1)
    teacher = F.log_softmax(teacher_logits_NV.detach() / temperature, dim=-1)
    if kind == "forward_kl":
        return _kl(teacher, student)
    if kind == "reverse_kl":
        return _kl(student, teacher)
    if kind == "jsd":
        mixture = torch.logsumexp(torch.stack([teacher + math.log(jsd_beta), student + math.log1p(-jsd_beta)]), dim=0)
        return jsd_beta * _kl(teacher, mixture) + (1.0 - jsd_beta) * _kl(student, mixture)
    raise ValueError(f"divergence is {kind!r}, not forward_kl, reverse_kl or jsd")


def _kl(p_log: torch.Tensor, q_log: torch.Tensor) -> torch.Tensor:
    return (p_log.exp() * (p_log - q_log)).sum(dim=-1)


def dpo_loss(
    chosen_B: torch.Tensor,
    rejected_B: torch.Tensor,
    reference_chosen_B: torch.Tensor,
    reference_rejected_B: torch.Tensor,
    *,
    beta: float,
) -> torch.Tensor:
    """-log sigmoid(beta * margin) a pair [B], from summed log-probabilities of the answers."""
    return -F.logsigmoid(beta * dpo_margin(chosen_B, rejected_B, reference_chosen_B, reference_rejected_B))


def dpo_margin(
    chosen_B: torch.Tensor,
    rejected_B: torch.Tensor,
    reference_chosen_B: torch.Tensor,
    reference_rejected_B: torch.Tensor,
) -> torch.Tensor:
    """How much more than the reference the student prefers the good answer [B], nats."""
    return (chosen_B - reference_chosen_B) - (rejected_B - reference_rejected_B)


def dpd_loss(
    dpo_B: torch.Tensor,
    kd_chosen: torch.Tensor,
    kd_rejected: torch.Tensor,
    *,
    sequence: float,
    chosen: float,
    rejected: float,
) -> torch.Tensor:
    """The weighted sum: mean of the DPO terms [B] and the two token means (scalars)."""
    return sequence * dpo_B.mean() + chosen * kd_chosen + rejected * kd_rejected

"""Losses against hand-computed vectors (double precision), invariants, and TRL's own functions on the same batch."""

import math

import pytest
import torch

from posttrain.train.losses.dpd import dpd_loss, dpo_loss, token_divergence
from posttrain.train.losses.policy import Clip, Divisor, group_advantages, has_signal, policy_loss

TEACHER = torch.tensor([[2.0, 1.0, 0.0]], dtype=torch.float64)
STUDENT = torch.zeros((1, 3), dtype=torch.float64)


@pytest.mark.parametrize(
    ("kind", "beta", "temperature", "expected"),
    [
        ("forward_kl", 0.5, 1.0, 0.266216707),
        ("reverse_kl", 0.5, 1.0, 0.308993676),
        ("jsd", 0.1, 1.0, 0.023992307),
        ("jsd", 0.5, 1.0, 0.068711600),
        ("jsd", 0.9, 1.0, 0.026872832),
        ("forward_kl", 0.5, 2.0, 0.078420952),
    ],
)
def test_divergence_vectors(kind, beta, temperature, expected):
    value = token_divergence(STUDENT, TEACHER, kind=kind, jsd_beta=beta, temperature=temperature)
    assert value.item() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("forward_kl", [1 / 3 - 0.665240956, 1 / 3 - 0.244728471, 1 / 3 - 0.090030573]),
        ("reverse_kl", [-1 / 3, 0.0, 1 / 3]),
    ],
)
def test_divergence_gradient_on_student_logits(kind, expected):
    student = STUDENT.clone().requires_grad_()
    token_divergence(student, TEACHER, kind=kind).sum().backward()
    assert student.grad[0].tolist() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("kind", ["forward_kl", "reverse_kl", "jsd"])
def test_student_equal_to_teacher_has_no_divergence_and_no_gradient(kind):
    student = TEACHER.clone().requires_grad_()
    value = token_divergence(student, TEACHER, kind=kind).sum()
    value.backward()
    assert value.item() == pytest.approx(0.0, abs=1e-12)
    assert student.grad.abs().max().item() < 1e-12


def test_divergence_gives_the_teacher_no_gradient():
    teacher = TEACHER.clone().requires_grad_()
    token_divergence(STUDENT.clone().requires_grad_(), teacher, kind="forward_kl").sum().backward()
    assert teacher.grad is None


def test_kd_on_a_bad_answer_raises_a_token_the_teacher_prefers():
    # the sampled (bad) token is id 0, which the teacher rates above the student: KD must lift it, not push it down
    student = STUDENT.clone().requires_grad_()
    token_divergence(student, TEACHER, kind="forward_kl").sum().backward()
    assert student.grad[0, 0] < 0


@pytest.mark.parametrize(("margin", "expected"), [(0.0, 0.693147181), (2.0, 0.598138869), (-2.0, 0.798138869)])
def test_dpo_vectors(margin, expected):
    zero = torch.zeros(1, dtype=torch.float64)
    assert dpo_loss(zero + margin, zero, zero, zero, beta=0.1).item() == pytest.approx(expected, abs=1e-9)


def test_dpd_sum_vector():
    dpo = dpo_loss(torch.tensor([2.0]).double(), *[torch.zeros(1).double()] * 3, beta=0.1)
    kd = token_divergence(STUDENT, TEACHER, kind="forward_kl").mean()
    assert dpd_loss(dpo, kd, kd, sequence=1.0, chosen=1.0, rejected=1.0).item() == pytest.approx(1.130572283, abs=1e-9)


def test_advantage_vectors():
    rewards = [1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]
    scaled = group_advantages(rewards, scale="group")
    assert scaled[0] == pytest.approx(1.20738144, abs=1e-6)
    assert scaled[2] == pytest.approx(-0.72442886, abs=1e-6)
    plain = group_advantages(rewards, scale="none")
    assert plain[0] == pytest.approx(0.625)
    assert plain[2] == pytest.approx(-0.375)


def test_a_member_without_reward_leaves_the_group():
    assert group_advantages([1.0, None, 0.0], scale="none") == [0.5, None, -0.5]
    assert group_advantages([None, None], scale="group") == [None, None]


def test_groups_without_spread_have_no_signal():
    assert not has_signal([1.0, 1.0, None])
    assert not has_signal([1.0, None])
    assert has_signal([1.0, 0.0, None])


def _loss(ratio, advantage, kind="grpo", high=0.2):
    logprobs = torch.tensor([[math.log(ratio)]], dtype=torch.float64)
    return policy_loss(
        logprobs, torch.zeros_like(logprobs), torch.tensor([advantage], dtype=torch.float64), torch.ones_like(logprobs),
        Clip(low=0.2, high=high), Divisor(kind=kind, num_answers=1, num_tokens=1.0, max_tokens=8),
    )[0].item()  # fmt: skip


@pytest.mark.parametrize(
    ("ratio", "advantage", "expected"), [(1.5, 1.0, -1.2), (1.5, -1.0, 1.5), (0.5, 1.0, -0.5), (0.5, -1.0, 0.8)]
)
def test_clip_vectors(ratio, advantage, expected):
    assert _loss(ratio, advantage) == pytest.approx(expected)


def test_clip_higher():
    assert _loss(1.5, 1.0, high=0.28) == pytest.approx(-1.28)


@pytest.mark.parametrize(("kind", "expected"), [("grpo", -0.375), ("dapo", -1 / 6), ("dr_grpo", -0.0625)])
def test_aggregation_vectors(kind, expected):
    logprobs = torch.zeros((2, 4), dtype=torch.float64)
    mask = torch.tensor([[1.0, 1, 0, 0], [1, 1, 1, 1]], dtype=torch.float64)
    loss, _ = policy_loss(
        logprobs, logprobs, torch.tensor([1.0, -0.25], dtype=torch.float64), mask,
        Clip(low=0.2, high=0.2), Divisor(kind=kind, num_answers=2, num_tokens=6.0, max_tokens=8),
    )  # fmt: skip
    assert loss.item() == pytest.approx(expected)


def test_gspo_uses_one_ratio_a_sequence():
    logprobs = torch.tensor([[0.3, -0.1, 0.1]], dtype=torch.float64)
    loss, _ = policy_loss(
        logprobs, torch.zeros_like(logprobs), torch.ones(1, dtype=torch.float64), torch.ones_like(logprobs),
        Clip(low=0.2, high=0.2), Divisor(kind="gspo", num_answers=1, num_tokens=3.0, max_tokens=8),
    )  # fmt: skip
    assert loss.item() == pytest.approx(-1.105170918, abs=1e-9)


@pytest.mark.parametrize("kind", ["grpo", "dapo", "dr_grpo", "gspo"])
def test_splitting_a_step_into_micro_batches_changes_nothing(kind):
    generator = torch.Generator().manual_seed(0)
    logprobs = torch.randn((6, 5), generator=generator, dtype=torch.float64) * 0.1
    old = torch.zeros_like(logprobs)
    mask = (torch.rand((6, 5), generator=generator) > 0.3).double()
    mask[:, 0] = 1.0
    advantages = torch.randn(6, generator=generator, dtype=torch.float64)
    common = (
        Clip(low=0.2, high=0.28),
        Divisor(kind=kind, num_answers=6, num_tokens=mask.sum().item(), max_tokens=5),
    )
    whole, _ = policy_loss(logprobs, old, advantages, mask, *common)
    parts = [
        policy_loss(logprobs[i : i + 2], old[i : i + 2], advantages[i : i + 2], mask[i : i + 2], *common)[0]
        for i in (0, 2, 4)
    ]
    assert sum(part.item() for part in parts) == pytest.approx(whole.item(), abs=1e-12)


def test_padding_contributes_nothing():
    logprobs = torch.tensor([[0.1, 9.0]], dtype=torch.float64, requires_grad=True)
    loss, _ = policy_loss(
        logprobs, torch.zeros((1, 2), dtype=torch.float64), torch.ones(1, dtype=torch.float64),
        torch.tensor([[1.0, 0.0]], dtype=torch.float64),
        Clip(low=0.2, high=0.28), Divisor(kind="dapo", num_answers=1, num_tokens=1.0, max_tokens=2),
    )  # fmt: skip
    loss.backward()
    assert logprobs.grad[0, 1].item() == 0.0

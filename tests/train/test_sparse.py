"""The divergence from a teacher's likeliest tokens and a bucket: against worked numbers, full logits in float64, and
what the disk keeps of a distribution like a language model's."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from posttrain.errors import CheckpointError
from posttrain.train.losses.dpd import token_divergence
from posttrain.train.losses.head import Head, States
from posttrain.train.losses.sparse import SparseTargets, sparse_divergence
from posttrain.train.losses.tiled import Divergence, distillation_loss
from posttrain.train.teacher_cache import CacheFacts, check_size, pack, unpack

KINDS = ("forward_kl", "reverse_kl", "jsd")


def kept(teacher_NV: torch.Tensor, count: int) -> SparseTargets:
    """The likeliest tokens of log-probabilities, exactly, the rows filled up by one."""
    best, ids = teacher_NV.topk(count, dim=1)
    rest = (1.0 - best.exp().sum(dim=1)).clamp_min(1e-14).log()
    return SparseTargets(
        ids_NK=torch.cat([ids, ids[:, :1]], dim=1),
        logprobs_NK=torch.cat([best, torch.full_like(best[:, :1], -math.inf)], dim=1),
        rest_N=rest,
        vocabulary=teacher_NV.shape[1],
    )


def facts(**changes: Any) -> CacheFacts:
    return CacheFacts(
        **({"top_k": 192, "temperature": 1.0, "vocabulary": 32000, "pairs": 1, "pairs_a_shard": 1} | changes)
    )


def test_one_token_and_the_rest_give_the_worked_value() -> None:
    teacher = torch.log_softmax(torch.tensor([[2.0, 1.0, 0.0]], dtype=torch.float64), dim=-1)
    student = torch.full((1, 3), -math.log(3), dtype=torch.float64)
    value, _ = sparse_divergence(student, kept(teacher, 1), kind="forward_kl", jsd_beta=0.5)
    assert value.item() == pytest.approx(0.229077181, abs=1e-8)


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_is_that_of_the_bucketed_divergence(kind: str) -> None:
    torch.manual_seed(1)
    teacher = torch.log_softmax(2 * torch.randn(6, 40, dtype=torch.float64), dim=-1)
    logits = (2 * torch.randn(6, 40, dtype=torch.float64)).requires_grad_()
    targets = kept(teacher, 5)
    value, gradient = sparse_divergence(torch.log_softmax(logits, -1).detach(), targets, kind=kind, jsd_beta=0.3)

    def bucketed(log_p: torch.Tensor) -> torch.Tensor:
        ids = targets.ids_NK[:, :5]
        others = log_p.scatter(1, ids, -math.inf).logsumexp(dim=1, keepdim=True)
        return torch.cat([log_p.gather(1, ids), others], dim=1)

    full = token_divergence(bucketed(torch.log_softmax(logits, -1)), bucketed(teacher), kind=kind, jsd_beta=0.3)
    assert value.tolist() == pytest.approx(full.tolist(), rel=1e-9)
    (wanted,) = torch.autograd.grad(full.sum(), logits)
    assert torch.allclose(gradient, wanted, atol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_it_never_exceeds_the_full_divergence_and_is_it_where_all_tokens_are_kept(kind: str) -> None:
    torch.manual_seed(2)
    teacher, student = (torch.log_softmax(3 * torch.randn(50, 60, dtype=torch.float64), dim=-1) for _ in range(2))
    full = token_divergence(student, teacher, kind=kind, jsd_beta=0.5)
    for count in (1, 8, 32):
        value, _ = sparse_divergence(student, kept(teacher, count), kind=kind, jsd_beta=0.5)
        assert (value <= full + 1e-9).all()
    value, gradient = sparse_divergence(student, kept(teacher, 60), kind=kind, jsd_beta=0.5)
    assert value.tolist() == pytest.approx(full.tolist(), abs=1e-9) and torch.isfinite(gradient).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("padded", [0, 5])
def test_in_tiles_with_the_rest_of_the_loss_it_is_the_live_teacher_where_all_tokens_are_kept(
    kind: str, padded: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from posttrain.train.losses import head

    monkeypatch.setitem(head.TILE_BYTES, "cpu", 4 * 30 * 6)
    monkeypatch.setitem(head.BLOCK_BYTES, "cpu", 4 * 30 * 2)
    torch.manual_seed(3)
    hidden, weight = torch.randn(20, 8).requires_grad_(), torch.randn(30 + padded, 8).requires_grad_()
    its = States(hidden_NH=torch.randn(20, 8), head=Head(weight_VH=torch.randn(30, 8)))
    targets, weights = torch.randint(0, 30, (20,)), torch.rand(20)
    how = Divergence(kind=kind, jsd_beta=0.3, temperature=1.7)
    softened = torch.log_softmax(its.logits() / 1.7, dim=-1)
    found = []
    for teacher in (its, kept(softened, 30)):
        student = States(hidden_NH=hidden, head=Head(weight_VH=weight))
        loss, each, _ = distillation_loss(
            student, teacher, targets, divergence=how, weights_N=weights,
            of_logprobs=lambda logprobs: logprobs.square().mean(),
        )  # fmt: skip
        found.append((loss.item(), each, *torch.autograd.grad(loss, (hidden, weight))))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-5)
    for live, sparse in zip(found[0][1:], found[1][1:], strict=True):
        assert torch.allclose(live, sparse, atol=1e-4)


def language_like(tokens: int, vocabulary: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits of a teacher and of a student some way off it. Entropies as arXiv 2506.01939 found them in a reasoner's
    answers: half of the tokens below 0.01 nats, a fifth above 0.67; tails as those of Zipf's law."""
    torch.manual_seed(0)
    share, place = torch.rand(2, tokens)
    sharp = torch.where(share < 0.5, 10 + 4 * place, torch.where(share < 0.8, 3 + 7 * place, 1.6 + 1.4 * place))
    teacher = sharp.unsqueeze(1) * -torch.arange(1, vocabulary + 1).float().log()
    teacher += 0.3 * torch.randn(tokens, vocabulary)
    return teacher, teacher + torch.randn(tokens, vocabulary)


def test_on_language_like_distributions_a_token_takes_120_bytes_and_the_kl_is_off_by_one_percent_at_most() -> None:
    teacher, student = language_like(200, 32000)
    log_p = torch.log_softmax(teacher, dim=-1)
    entropies = -(log_p.exp() * log_p).sum(dim=1)
    assert entropies.median() < 0.02 and 0.5 < entropies.quantile(0.8) < 0.8
    packed = pack(teacher, facts())
    assert (packed.headers.nbytes + packed.entries.nbytes) / 200 <= 120
    targets = unpack(packed.headers, packed.entries, 32000)
    log_q = torch.log_softmax(student, dim=-1)
    value, gradient = sparse_divergence(log_q, targets, kind="forward_kl", jsd_beta=0.5)
    full = token_divergence(student, teacher, kind="forward_kl")
    assert value.mean() == pytest.approx(full.mean().item(), rel=0.01)
    wanted = log_q.exp() - log_p.exp()
    assert (gradient - wanted).norm() < 0.01 * wanted.norm()


@pytest.mark.parametrize("temperature", [1.0, 1.6])
def test_what_comes_back_from_words_has_all_the_mass_and_the_tokens_it_went_in_with(temperature: float) -> None:
    torch.manual_seed(5)
    logits = torch.cat([4 * torch.randn(8, 300), torch.zeros(1, 300)])
    logits[0, 7] = 60.0  # sure of itself
    log_p = torch.log_softmax(logits[:, :290] / temperature, dim=-1)
    packed = pack(logits, facts(vocabulary=290, temperature=temperature, top_k=32))
    found = unpack(packed.headers, packed.entries, 290)
    assert packed.counts[0] == 1 and found.ids_NK[0].tolist() == [7] * found.ids_NK.shape[1]
    mass = found.logprobs_NK.exp().sum(dim=1) + found.rest_N.exp()
    assert mass.tolist() == pytest.approx([1.0] * 9, abs=1e-6)
    for row, count in enumerate(packed.counts.tolist()):
        ids, logprobs = found.ids_NK[row, :count], found.logprobs_NK[row, :count]
        assert len(set(ids.tolist())) == count and set(found.ids_NK[row, count:].tolist()) <= {int(ids[0])}
        assert torch.allclose(logprobs, log_p[row, ids], atol=5e-3)
        assert (found.logprobs_NK[row, count:] == -math.inf).all()


def test_fewer_ids_than_may_be_kept_leave_an_empty_bucket() -> None:
    torch.manual_seed(6)
    teacher, student = 2 * torch.randn(5, 20), torch.log_softmax(torch.randn(5, 20), dim=-1)
    packed = pack(teacher, facts(vocabulary=20))
    found = unpack(packed.headers, packed.entries, 20)
    for kind in KINDS:
        value, gradient = sparse_divergence(student, found, kind=kind, jsd_beta=0.5)
        assert value.tolist() == pytest.approx(
            token_divergence(student, teacher, kind=kind).tolist(), rel=0.02, abs=1e-3
        )
        assert torch.isfinite(gradient).all()


def test_a_vocabulary_that_no_word_holds_is_refused() -> None:
    check_size(2**20, "here")
    with pytest.raises(CheckpointError, match="ids of more than 20 bits"):
        check_size(2**20 + 1, "here")

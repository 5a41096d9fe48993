"""Losses over hidden states in tiles, against the same over full logits in float64, and against TRL's kernels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from posttrain.train.losses import head as head_file
from posttrain.train.losses.dpd import dpo_loss, token_divergence
from posttrain.train.losses.head import Head, States
from posttrain.train.losses.tiled import Divergence, distillation_loss, logprob_loss, token_logprobs

N, H, V = 23, 12, 37
KINDS = ("forward_kl", "reverse_kl", "jsd")


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five tokens a tile and two a block in float64, so that every loop turns several times and the last is partial."""
    monkeypatch.setitem(head_file.TILE_BYTES, "cpu", 5 * V * 8)
    monkeypatch.setitem(head_file.BLOCK_BYTES, "cpu", 2 * V * 8)


def states(
    seed: int, *, dtype: torch.dtype = torch.float64, vocabulary: int = V, hidden: int = H, **head: Any
) -> States:
    generator = torch.Generator().manual_seed(seed)

    def made(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()

    bias = made(vocabulary) if head.pop("bias", False) else None
    return States(hidden_NH=made(N, hidden), head=Head(weight_VH=made(vocabulary, hidden), bias_V=bias, **head))


HEADS = {
    "plain": {},
    "bias": {"bias": True},
    "scale": {"scale": 0.3},
    "softcap": {"softcap": 2.0},
    "all": {"bias": True, "scale": 1.7, "softcap": 3.0},
}
TARGETS = torch.randint(0, V - 4, (N,), generator=torch.Generator().manual_seed(9))
WEIGHTS = torch.linspace(0.0, 0.5, N, dtype=torch.float64)
ROWS = torch.arange(N) * 4 // N


def full_logprobs(given: States, temperature: float = 1.0) -> torch.Tensor:
    logits = given.logits() / temperature
    return torch.log_softmax(logits, dim=-1).gather(1, TARGETS.unsqueeze(1)).squeeze(1)


def pair_loss(logprobs: torch.Tensor) -> torch.Tensor:
    """A loss that couples the tokens, as DPO does: answers 0 and 1 are chosen, 2 and 3 rejected."""
    sums = torch.zeros(4, dtype=logprobs.dtype).index_add(0, ROWS, logprobs)
    reference = torch.tensor([-20.0, -21.0], dtype=logprobs.dtype)
    return dpo_loss(sums[:2], sums[2:], reference, reference - 1.0, beta=0.1).mean()


def clipped(logprobs: torch.Tensor) -> torch.Tensor:
    """A loss of each token by itself: ratios to fixed values, some clipped."""
    ratio = torch.exp(logprobs + 3.0)
    advantage = torch.linspace(-1.0, 1.0, N, dtype=logprobs.dtype)
    return -torch.minimum(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage).sum() / N


def gradients(loss: torch.Tensor, given: States) -> list[torch.Tensor]:
    leaves = [x for x in (given.hidden_NH, given.head.weight_VH, given.head.bias_V) if x is not None]
    return list(torch.autograd.grad(loss * 3.0, leaves))  # 3: what comes from above must be heeded


def same(ours: list[torch.Tensor], theirs: list[torch.Tensor], **tolerance: float) -> None:
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, **({"rtol": 1e-9, "atol": 1e-11} | tolerance))


def near(ours: list[torch.Tensor], theirs: list[torch.Tensor], *, share: float) -> None:
    """share: of the norm, which the difference may have."""
    for one, other in zip(ours, theirs, strict=True):
        assert (one - other).norm() < share * other.norm()


@pytest.mark.parametrize("options", HEADS.values(), ids=HEADS.keys())
@pytest.mark.parametrize("temperature", [1.0, 0.7])
@pytest.mark.parametrize(("of_logprobs", "by_token"), [(pair_loss, False), (clipped, False), (clipped, True)])
def test_a_loss_of_logprobs_is_the_one_over_full_logits(
    options: dict[str, Any], temperature: float, of_logprobs: Any, by_token: bool
) -> None:
    given = states(1, **options)
    loss, logprobs, entropies = logprob_loss(given, TARGETS, of_logprobs, temperature=temperature, by_token=by_token)
    expected = full_logprobs(given, temperature)
    log_p = torch.log_softmax(given.logits() / temperature, dim=-1)
    same([loss, logprobs, entropies], [of_logprobs(expected), expected, -(log_p.exp() * log_p).sum(dim=-1)])
    same([token_logprobs(given, TARGETS)], [full_logprobs(given)])
    same(gradients(loss, given), gradients(of_logprobs(expected), given))


def test_a_loss_that_couples_tokens_cannot_be_passed_off_as_a_sum_over_tokens() -> None:
    with pytest.raises(AssertionError, match="not a sum over tokens"):
        logprob_loss(states(1), TARGETS, pair_loss, by_token=True)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("temperature", [1.0, 2.0])
@pytest.mark.parametrize("vocabularies", [(V, V), (V, V - 3), (V - 3, V)], ids=["same", "smaller", "larger"])
@pytest.mark.parametrize("of_logprobs", [None, pair_loss], ids=["alone", "with_dpo"])
def test_distillation_is_the_one_over_full_logits(
    kind: str, temperature: float, vocabularies: tuple[int, int], of_logprobs: Any
) -> None:
    student = states(1, vocabulary=vocabularies[0], bias=True)
    teacher = states(2, vocabulary=vocabularies[1], hidden=H + 3, softcap=5.0)
    how = Divergence(kind=kind, jsd_beta=0.3, temperature=temperature)
    loss, divergences, logprobs = distillation_loss(
        student, teacher, TARGETS, divergence=how, weights_N=WEIGHTS, of_logprobs=of_logprobs
    )
    shared = min(vocabularies)
    each = token_divergence(
        student.logits()[:, :shared], teacher.logits()[:, :shared], kind=kind, jsd_beta=0.3, temperature=temperature
    )
    expected = full_logprobs(student)
    whole = (WEIGHTS * each).sum() + (of_logprobs(expected) if of_logprobs else 0.0)
    same([loss, divergences, logprobs], [whole, each, expected])
    same(gradients(loss, student), gradients(whole, student))


@pytest.mark.parametrize("kind", KINDS)
def test_float32_stays_within_a_millionth_of_float64_full_logits(kind: str) -> None:
    student, teacher = states(1, dtype=torch.float32), states(2, dtype=torch.float32)
    loss, _, _ = distillation_loss(
        student, teacher, TARGETS, divergence=Divergence(kind=kind), weights_N=WEIGHTS.float(), of_logprobs=pair_loss
    )
    exact = [
        States(hidden_NH=s.hidden_NH.double(), head=Head(weight_VH=s.head.weight_VH.double()))
        for s in (student, teacher)
    ]
    each = token_divergence(exact[0].logits(), exact[1].logits(), kind=kind)
    whole = (WEIGHTS * each).sum() + pair_loss(full_logprobs(exact[0]))
    assert loss.item() == pytest.approx(whole.item(), rel=1e-6)
    near(gradients(loss, student), gradients(whole, student), share=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_under_bf16_only_the_operands_are_rounded_and_the_sums_are_float32(kind: str) -> None:
    student, teacher = states(1, dtype=torch.float32), states(2, dtype=torch.float32)
    how = Divergence(kind=kind)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss, each, logprobs = distillation_loss(
            student, teacher, TARGETS, divergence=how, weights_N=WEIGHTS.float(), of_logprobs=pair_loss
        )
        first = token_logprobs(student, TARGETS)
        ours = gradients(loss, student)
    rounded = [
        States(hidden_NH=s.hidden_NH.bfloat16().double(), head=Head(weight_VH=s.head.weight_VH.bfloat16().double()))
        for s in (student, teacher)
    ]
    wanted = token_divergence(rounded[0].logits(), rounded[1].logits(), kind=kind)
    assert loss.dtype == each.dtype == logprobs.dtype == torch.float32
    same([each.double(), logprobs.double()], [wanted, full_logprobs(rounded[0])], rtol=1e-5, atol=1e-5)
    same([first], [logprobs], rtol=0.0, atol=1e-5)
    near(ours, gradients((WEIGHTS * wanted).sum() + pair_loss(full_logprobs(rounded[0])), student), share=1e-2)


def test_one_tile_and_many_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    given = states(1)
    many = gradients(logprob_loss(given, TARGETS, pair_loss).loss, given)
    monkeypatch.setitem(head_file.TILE_BYTES, "cpu", 2**20)
    same(gradients(logprob_loss(given, TARGETS, pair_loss).loss, given), many)


def test_the_teacher_and_a_frozen_head_get_no_gradient() -> None:
    student, teacher = states(1), states(2)
    student.head.weight_VH.requires_grad_(False)
    loss, _, _ = distillation_loss(
        student, teacher, TARGETS, divergence=Divergence(kind="forward_kl"), weights_N=WEIGHTS, of_logprobs=pair_loss
    )
    loss.backward()
    assert teacher.hidden_NH.grad is None and teacher.head.weight_VH.grad is None
    assert student.head.weight_VH.grad is None and student.hidden_NH.grad is not None


def test_without_gradients_the_value_is_the_same_and_a_second_backward_is_refused() -> None:
    given = states(1)
    loss = logprob_loss(given, TARGETS, pair_loss).loss
    with torch.no_grad():
        assert logprob_loss(given, TARGETS, pair_loss).loss.item() == pytest.approx(loss.item(), rel=1e-12)
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="differentiated once"):
        loss.backward()


def test_no_tokens_give_a_differentiable_zero() -> None:
    given = states(1)
    none = States(hidden_NH=given.hidden_NH[:0], head=given.head)
    loss = logprob_loss(none, TARGETS[:0], lambda logprobs: logprobs.sum(), by_token=True).loss
    loss.backward()
    assert loss.item() == 0.0 and given.head.weight_VH.grad is not None and not given.head.weight_VH.grad.any()


@pytest.fixture
def trl_tiles(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    from trl.kernels import chunked_divergence, chunked_logprob

    monkeypatch.setattr(chunked_divergence, "TOKEN_CHUNK_SIZE", 5)
    monkeypatch.setattr(chunked_divergence, "VOCAB_CHUNK_SIZE", 16)
    monkeypatch.setattr(chunked_logprob, "TOKEN_CHUNK_SIZE", 5)
    yield chunked_divergence.ChunkedDivergenceFunction, chunked_logprob.ChunkedLogProbFunction


@pytest.mark.parametrize(("kind", "beta"), [("forward_kl", 0.0), ("reverse_kl", 1.0), ("jsd", 0.5), ("jsd", 0.1)])
@pytest.mark.parametrize("options", [{}, {"scale": 0.5, "softcap": 4.0}], ids=["plain", "capped"])
def test_trls_chunked_divergence_agrees(trl_tiles: Any, kind: str, beta: float, options: dict[str, Any]) -> None:
    student, teacher = (states(seed, dtype=torch.float32, bias=True, **options) for seed in (1, 2))
    how = Divergence(kind=kind, jsd_beta=beta, temperature=1.3)
    loss, each, _ = distillation_loss(student, teacher, TARGETS, divergence=how, weights_N=WEIGHTS.float())
    scale, softcap = options.get("scale", 1.0), options.get("softcap")
    theirs, _ = trl_tiles[0].apply(
        student.hidden_NH, student.head.weight_VH, student.head.bias_V,
        teacher.hidden_NH, teacher.head.weight_VH, teacher.head.bias_V,
        beta, 1.3, scale, softcap, scale, softcap,
    )  # fmt: skip
    same([each], [theirs], rtol=2e-5, atol=1e-6)
    same(gradients(loss, student), gradients((WEIGHTS.float() * theirs).sum(), student), rtol=1e-4, atol=1e-5)


def test_trls_chunked_logprobs_agree(trl_tiles: Any) -> None:
    given = states(1, dtype=torch.float32, bias=True, scale=0.5, softcap=4.0)
    theirs, entropies, *_ = trl_tiles[1].apply(
        given.hidden_NH, given.head.weight_VH, given.head.bias_V, TARGETS, 0.9, 16, 4.0, 0.5, ("entropy",)
    )
    loss, logprobs, ours = logprob_loss(given, TARGETS, clipped, temperature=0.9, by_token=True)
    same([logprobs, ours], [theirs, entropies], rtol=1e-5, atol=1e-5)
    same(gradients(loss, given), gradients(clipped(theirs), given), rtol=1e-4, atol=1e-5)

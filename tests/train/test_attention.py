"""Packed documents do not see each other with any attention that runs here; what this machine or a GPU's kernels cannot
do is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from posttrain.errors import RecipeError, StageError
from posttrain.train.attention import SDPA_TOKENS, exact_attention, refuse_long_mask, training_attention
from posttrain.train.model import load_model


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_a_packed_document_does_not_see_the_one_before_it(tiny: Callable[..., Path], implementation: str) -> None:
    """As SFTTrainer gives them: one row, positions that start anew, no mask."""
    model = load_model(tiny()).eval()
    model.set_attn_implementation(implementation)
    assert model.config._attn_implementation == implementation
    first, second = [40, 41, 42, 43, 44], [50, 51, 52, 53]
    positions = torch.tensor([[*range(5), *range(4)]])

    def logprobs(ids: list[int]) -> torch.Tensor:
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([ids]), position_ids=positions, use_cache=False).logits
        return torch.log_softmax(logits[0], dim=-1)

    one, other = logprobs(first + second), logprobs([70, *first[1:], *second])
    assert float((one[:5] - other[:5]).abs().max()) > 1e-2
    assert torch.equal(one[5:], other[5:])
    with torch.no_grad():
        alone = torch.log_softmax(model(input_ids=torch.tensor([second]), use_cache=False).logits[0], dim=-1)
    assert torch.allclose(one[5:], alone, atol=1e-5)


def test_what_a_cpu_cannot_train_with_is_refused_and_the_models_own_comes_back(tiny: Callable[..., Path]) -> None:
    model = load_model(tiny())
    for asked, why in (("flash", "no GPU trains here"), ("flex", "no backward pass on a CPU")):
        with pytest.raises(RecipeError, match=why) as caught, training_attention(model, asked, "cpu"):
            pass
        assert caught.value.where == "attention"
    model.set_attn_implementation("eager")
    with training_attention(model, "sdpa", "cpu"):
        assert model.config._attn_implementation == "sdpa"
    with training_attention(model, "auto", "cpu"), exact_attention(model):
        assert model.config._attn_implementation == "eager"
    assert model.config._attn_implementation == "eager"
    assert not model._forward_pre_hooks


def test_sdpa_under_a_mask_is_refused_beyond_the_length_it_is_right_for() -> None:
    long, at_most = SDPA_TOKENS + 1, SDPA_TOKENS
    whole, padded = torch.ones(1, long), torch.ones(2, long)
    padded[1, -1] = 0
    straight, packed = torch.arange(long)[None], torch.cat([torch.arange(9), torch.arange(long - 9)])[None]
    for tokens, mask, positions in ((long, whole, straight), (long, None, None), (at_most, padded[:, 1:], packed)):
        refuse_long_mask("sdpa", tokens, mask, positions)
    refuse_long_mask("flash_attention_2", long, padded, packed)
    for mask, positions, what in ((padded, None, "padded"), (None, packed, "packed")):
        with pytest.raises(StageError, match=f"a {what} row of {long} tokens"):
            refuse_long_mask("sdpa", long, mask, positions)

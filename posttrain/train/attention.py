"""Which attention a stage trains with, and what is refused: an implementation that this machine lacks, and SDPA under a
mask at lengths where its kernels for GPUs give wrong numbers without a word.

It holds for what trains, its reference and its teacher. The check of a hand-over and the proof of a merge run in
float32, which flash attention does not take: there the model's own is back.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from posttrain.errors import RecipeError, StageError

SDPA_TOKENS = 32_768
"""Longest masked row for SDPA on a GPU: memory-efficient kernels index a mask with 32 bits (pytorch issue 187227), and
backward failures are reported from 46K up (147585, 145040)."""
_NAMES = {"sdpa": "sdpa", "flash": "flash_attention_2", "flex": "flex_attention"}
_WHERE = "attention"


@contextmanager
def training_attention(model: Any, asked: str, device: str) -> Iterator[None]:
    """The attention of the recipe in the block, and the guard against long masks. device: "cuda" or "cpu", where the
    model trains: one that will be sharded is not there yet. Raises RecipeError where the machine or the model does not
    have it."""
    before = model.config._attn_implementation
    wanted = _choose(model, asked, device)
    guard = model.register_forward_pre_hook(_look, prepend=True, with_kwargs=True)
    try:
        _switch(model, wanted)
        yield
    finally:
        guard.remove()
        _switch(model, before)


@contextmanager
def exact_attention(model: Any) -> Iterator[None]:
    """Flash attention is off in the block, for what is computed in float32."""
    before = model.config._attn_implementation
    try:
        if before == _NAMES["flash"]:
            _switch(model, _NAMES["sdpa"])
        yield
    finally:
        _switch(model, before)


def _choose(model: Any, asked: str, device: str) -> str:
    """transformers' name of what `attention` comes to for this model on this device."""
    from transformers.utils import is_flash_attn_2_available

    its: str = model.config._attn_implementation
    capped = getattr(model.config.get_text_config(), "attn_logit_softcapping", None) is not None
    there = device == "cuda" and is_flash_attn_2_available()
    if asked == "auto":
        return _NAMES["flash"] if there and not capped and getattr(model, "_supports_flash_attn", False) else its
    if asked == "flash" and not there:
        what = "no GPU trains here" if device != "cuda" else "the package flash-attn is not installed"
        raise RecipeError(
            f"flash attention was asked for, and {what}", where=_WHERE, remedy="set attention: auto, or install it"
        )
    if asked == "flex" and device != "cuda":
        raise RecipeError(
            "flex attention has no backward pass on a CPU", where=_WHERE, remedy="set attention: auto or sdpa"
        )
    if asked == "sdpa" and capped:
        raise RecipeError(
            "SDPA leaves out the soft cap of this model's attention", where=_WHERE, remedy="set attention: auto"
        )
    return _NAMES[asked]


def _switch(model: Any, name: str) -> None:
    if model.config._attn_implementation == name:
        return
    model.set_attn_implementation(name)
    if model.config._attn_implementation != name:  # the library only warns
        raise RecipeError(f"{type(model).__name__} cannot run with {name}", where=_WHERE, remedy="set attention: auto")


def _look(model: Any, _: Any, given: dict[str, Any]) -> None:
    ids = given.get("input_ids")
    if ids is not None and ids.is_cuda:
        refuse_long_mask(
            model.config._attn_implementation, ids.shape[1], given.get("attention_mask"), given.get("position_ids")
        )


def refuse_long_mask(
    implementation: str, tokens: int, mask: torch.Tensor | None, positions: torch.Tensor | None
) -> None:
    """Raises StageError for a row that is too long for SDPA and needs a mask: it is padded, or packed (its positions
    start anew)."""
    if implementation != _NAMES["sdpa"] or tokens <= SDPA_TOKENS:
        return
    padded = mask is not None and (mask.dim() != 2 or not bool(mask.bool().all()))
    packed = positions is not None and bool((positions.diff(dim=-1) != 1).any())
    if padded or packed:
        raise StageError(
            f"a {'packed' if packed else 'padded'} row of {tokens} tokens: SDPA under a mask is not to be trusted on a "
            f"GPU beyond {SDPA_TOKENS}",
            where=_WHERE,
            remedy="install flash-attn and set attention: flash, or lower micro_batch_size or max_tokens (a packed "
            "micro-batch is one row)",
        )

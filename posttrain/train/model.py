"""Load and save models for training: full or LoRA, float32 on the CPU and bfloat16 autocast on a GPU, always
safetensors.

Knows nothing of losses, data or engines.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch

from posttrain.recipe.schema import Chat, Lora
from posttrain.rollout.causal import load_causal
from posttrain.store.failpoints import failpoint
from posttrain.train.adapter import add_adapter, is_adapted, merged, merged_for_good, prove_merge
from posttrain.train.published import write_config, write_generation_config

SHARD = "5GB"  # of a published model: what is written of it is in memory twice
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
    "added_tokens.json",
)


def load_model(folder: Path, *, adapter: Lora | str = "full", seed: int = 0) -> Any:
    """A causal language model in float32, with a fresh LoRA (made from the seed) where the recipe asks. Raises
    CheckpointError when it cannot be read, or lacks what the LoRA is to be put on."""
    model = load_causal(folder)
    model.config.use_cache = False
    return add_adapter(model, adapter, seed) if isinstance(adapter, Lora) else model


def finished(model: Any, dtype: str) -> Any:
    """The plain model, where nothing is trained any more: LoRA is merged and weights are cast where they are, so that
    beside them there is no copy."""
    plain = _unwrap(model)
    if is_adapted(plain):
        plain = merged_for_good(plain)
    _cast(plain, dtype, in_place=True)
    return plain


def save_model(
    model: Any,
    out: Path,
    *,
    source: Path,
    chat: Chat,
    stop_ids: tuple[int, ...],
    recipe_dir: Path | None = None,
    dtype: str = "float32",
) -> None:
    """Write config, safetensors, tokenizer, template and generation settings. LoRA is merged into a copy of the
    weights, which is held against the adapted model. What is not trained is the source's own: see published.py."""
    from posttrain.data.template import template_text

    plain = _unwrap(model)
    if is_adapted(plain):
        plain = merged(plain)
        prove_merge(_unwrap(model), plain)
    out.mkdir(parents=True, exist_ok=True)
    failpoint("model.save.before")
    weights = _cast(plain, dtype, in_place=is_peft(model))
    plain.save_pretrained(str(out), state_dict=weights, safe_serialization=True, max_shard_size=SHARD)
    failpoint("model.save.after")
    write_config(source, out, plain, dtype)
    write_generation_config(source, out, stop_ids)
    copy_tokenizer(source, out)
    text = template_text(chat, recipe_dir)
    if text is not None:
        (out / "chat_template.jinja").write_text(text, encoding="utf-8")


@torch.no_grad()
def _cast(model: Any, dtype: str, *, in_place: bool) -> dict[str, torch.Tensor] | None:
    """The parameters in a dtype: those of the model itself, one after the other, or else a copy of them; None where
    the model's own are to be saved. What shares a tensor goes on sharing it; buffers stay what they are."""
    wanted = getattr(torch, dtype)
    parameters = {id(one): one for one in model.parameters() if one.is_floating_point() and one.dtype != wanted}
    if not parameters:
        return None
    if in_place:
        for one in parameters.values():
            one.data = one.data.to(wanted)
        return None
    copies = {one.data_ptr(): one.to(wanted) for one in parameters.values()}
    return {name: copies.get(one.data_ptr(), one) for name, one in model.state_dict().items()}


def copy_tokenizer(source: Path, out: Path) -> None:
    """The tokenizer travels unchanged, byte for byte."""
    failpoint("tokenizer.copy.before")
    for name in (*TOKENIZER_FILES, "chat_template.jinja"):
        if (source / name).is_file():
            shutil.copyfile(source / name, out / name)
    failpoint("tokenizer.copy.after")


def _unwrap(model: Any) -> Any:
    return model.module if hasattr(model, "module") else model


def is_peft(model: Any) -> bool:
    """Whether a LoRA is on it."""
    return is_adapted(_unwrap(model))


def checkpoint_model(model: Any) -> Any:
    """The model as a checkpoint holds it: for LoRA a merged copy, so that training may go on."""
    plain = _unwrap(model)
    return merged(plain) if is_adapted(plain) else plain


def num_parameters(model: Any) -> int:
    return sum(parameter.numel() for parameter in _unwrap(model).parameters())

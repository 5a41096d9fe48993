"""Load and save models for training: full or LoRA, float32 on the CPU and bfloat16 autocast on a GPU, always
safetensors.

Knows nothing of losses, data or engines.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, PreTrainedModel
from transformers.utils import logging

from posttrain.errors import CheckpointError
from posttrain.recipe.schema import Chat, Lora
from posttrain.store.failpoints import failpoint

logging.disable_progress_bar()  # workers write to log files

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
    "added_tokens.json",
)


def load_model(folder: Path, *, adapter: Lora | str = "full") -> Any:
    """A causal language model in float32, with a fresh LoRA where the recipe asks. Raises CheckpointError when it
    cannot be read."""
    try:
        model = AutoModelForCausalLM.from_pretrained(
            str(folder), dtype=torch.float32, local_files_only=True, use_safetensors=True
        )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise CheckpointError(
            f"the model cannot be loaded: {error}", where=str(folder), remedy="check config.json and the safetensors"
        ) from error
    model.config.use_cache = False
    if isinstance(adapter, Lora):
        from peft import LoraConfig, get_peft_model

        targets: Any = adapter.targets
        settings = LoraConfig(
            r=adapter.rank,
            lora_alpha=adapter.alpha,
            lora_dropout=adapter.dropout,
            target_modules=targets,
            task_type="CAUSAL_LM",
        )
        return get_peft_model(model, settings)
    return model


def save_model(
    model: Any, out: Path, *, source: Path, chat: Chat, stop_ids: tuple[int, ...], recipe_dir: Path | None = None
) -> None:
    """Write config, safetensors, tokenizer, template and generation settings. LoRA is merged into the weights.

    config.json keeps the source's eos (a trainer may have reset it); generation_config.json names the recipe's stop
    ids.
    """
    from posttrain.data.template import template_text

    plain = checkpoint_model(model)
    out.mkdir(parents=True, exist_ok=True)
    original = json.loads((source / "config.json").read_text(encoding="utf-8"))
    for key in ("bos_token_id", "eos_token_id", "pad_token_id"):
        setattr(plain.config, key, original.get(key))
    plain.config.use_cache = True
    plain.generation_config.eos_token_id = list(stop_ids)
    plain.generation_config.pad_token_id = original.get("pad_token_id")
    failpoint("model.save.before")
    plain.save_pretrained(str(out), safe_serialization=True)
    failpoint("model.save.after")
    plain.config.use_cache = False
    copy_tokenizer(source, out)
    text = template_text(chat, recipe_dir)
    if text is not None:
        (out / "chat_template.jinja").write_text(text, encoding="utf-8")


def copy_tokenizer(source: Path, out: Path) -> None:
    """The tokenizer travels unchanged, byte for byte."""
    failpoint("tokenizer.copy.before")
    for name in (*TOKENIZER_FILES, "chat_template.jinja"):
        if (source / name).is_file():
            shutil.copyfile(source / name, out / name)
    failpoint("tokenizer.copy.after")


def _unwrap(model: Any) -> PreTrainedModel:
    return model.module if hasattr(model, "module") else model


def is_peft(model: Any) -> bool:
    """Whether a LoRA is on it."""
    return hasattr(_unwrap(model), "merge_adapter")


def checkpoint_model(model: Any) -> Any:
    """The model as a checkpoint holds it: for LoRA a merged copy, so that training may go on."""
    plain = _unwrap(model)
    if not is_peft(plain):
        return plain
    import copy

    return copy.deepcopy(plain).merge_and_unload()


def num_parameters(model: Any) -> int:
    return sum(parameter.numel() for parameter in _unwrap(model).parameters())

"""A random model of a few thousand parameters with a tokenizer beside it: what the engine probe and the engine's tests
generate from.

It knows nothing of language: weights are random, the vocabulary is single bytes. Heavy imports happen in the functions,
so that `posttrain doctor` may import this file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

END = "<|im_end|>"
SPECIAL = ("<|pad|>", "<|im_start|>", END, "<think>", "</think>")

Architecture = Literal["qwen3", "llama", "mixtral"]


def tiny_model(
    folder: Path,
    *,
    architecture: Architecture = "qwen3",
    tied: bool = False,
    hidden_size: int = 64,
    layers: int = 2,
    seed: int = 0,
    sharpness: float = 4.0,
) -> Path:
    """Write config, safetensors and tokenizer into `folder` and return it.

    `sharpness` scales the output head (or the tied embedding), so that the next-token distribution is peaked enough to
    tell weights apart.
    """
    config = _config(architecture, hidden_size=hidden_size, layers=layers, tied=tied)
    return tiny_from_config(folder, config, seed=seed, sharpness=sharpness)


def tiny_from_config(folder: Path, config: Any, *, seed: int = 0, sharpness: float = 4.0) -> Path:
    """The same of any configuration of transformers, whose vocabulary becomes the tokenizer's."""
    import torch
    from transformers import AutoModelForCausalLM

    tokenizer = _byte_tokenizer()
    config.vocab_size = len(tokenizer)
    config.bos_token_id = None  # the library's default may lie beyond so small a vocabulary
    config.eos_token_id = tokenizer.convert_tokens_to_ids(END)
    config.pad_token_id = tokenizer.convert_tokens_to_ids(SPECIAL[0])
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        with torch.no_grad():
            model.get_output_embeddings().weight.mul_(sharpness)
            for name, parameter in model.named_parameters():
                if "norm" not in name and "embed" not in name and "lm_head" not in name:
                    parameter.mul_(sharpness)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _byte_tokenizer() -> Any:
    """A byte-level tokenizer without merges: 256 bytes and the special tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(models.BPE(vocab={symbol: index for index, symbol in enumerate(alphabet)}, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    core.add_special_tokens(list(SPECIAL))
    return PreTrainedTokenizerFast(tokenizer_object=core, eos_token=END, pad_token=SPECIAL[0])


def _config(architecture: Architecture, *, hidden_size: int, layers: int, tied: bool) -> Any:
    from transformers import LlamaConfig, MixtralConfig, Qwen3Config

    shared: dict[str, Any] = {
        "hidden_size": hidden_size,
        "intermediate_size": 2 * hidden_size,
        "num_hidden_layers": layers,
        "num_attention_heads": max(1, hidden_size // 32),
        "num_key_value_heads": max(1, hidden_size // 64),
        "head_dim": 32,
        "max_position_embeddings": 2048,
        "tie_word_embeddings": tied,
    }
    if architecture == "qwen3":
        return Qwen3Config(**shared)
    if architecture == "llama":
        return LlamaConfig(**shared)
    return MixtralConfig(**shared, num_local_experts=4, num_experts_per_tok=2, sliding_window=None)

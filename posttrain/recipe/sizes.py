"""What a model and its training weigh, from its config alone: parameters, bytes on disk, positions. Knows nothing of
plans or of torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from posttrain.errors import CheckpointError
from posttrain.recipe.schema import Lora, Training

FLOAT_BYTES = 4  # trained and published in float32
# Widths of attention heads that vLLM 0.31 has kernels for on the CPU (CPUAttentionBackend.get_supported_head_sizes).
CPU_HEADS = (32, 64, 80, 96, 112, 128, 160, 192, 224, 256, 512)
OPTIMISER_BYTES = 8  # two moments of Adam in float32
_SIZES = ("hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size", "intermediate_size")


def num_parameters(config: Mapping[str, Any]) -> int | None:
    """Parameters of a decoder of the Llama family (Qwen, Mistral, Mixtral too) from its config; None for a config that
    does not state the sizes of such a decoder."""
    sizes = [_count(config, key) for key in _SIZES]
    if None in sizes:
        return None
    hidden, layers, heads, vocabulary, feed_forward = (size or 0 for size in sizes)
    head = _count(config, "head_dim") or hidden // heads
    attention = 2 * hidden * heads * head + 2 * hidden * (_count(config, "num_key_value_heads") or heads) * head
    experts = _count(config, "num_local_experts") or _count(config, "num_experts") or 1
    router = hidden * experts if experts > 1 else 0
    embeddings = vocabulary * hidden * (1 if config.get("tie_word_embeddings") else 2)
    return embeddings + layers * (attention + 3 * hidden * feed_forward * experts + router + 2 * hidden) + hidden


def _count(config: Mapping[str, Any], key: str) -> int | None:
    value = config.get(key)
    return value if isinstance(value, int) and value > 0 else None


def training_disk_bytes(stage: Training, size: int) -> int:
    """What a stage publishes of a model of `size` parameters, and two resume checkpoints."""
    return int(size * FLOAT_BYTES + 2 * size * trained_share(stage) * (FLOAT_BYTES + OPTIMISER_BYTES))


def trained_share(stage: Training) -> float:
    """The share of a model's parameters that a stage trains. For LoRA a rough guess, rank / 256: right for matrices 512
    wide, too much for wider ones."""
    return min(1.0, stage.adapter.rank / 256) if isinstance(stage.adapter, Lora) else 1.0


def num_positions(config: Mapping[str, Any]) -> int | None:
    """Positions that a model knows, those included that a scaled rotary embedding adds; None where the config states no
    limit."""
    limit = config.get("max_position_embeddings")
    if not isinstance(limit, int):
        return None
    rope = config.get("rope_scaling") or config.get("rope_parameters") or {}
    if not isinstance(rope, Mapping):
        return limit
    kind, factor = rope.get("rope_type") or rope.get("type"), rope.get("factor")
    if kind not in ("yarn", "linear", "dynamic") or not isinstance(factor, int | float):
        return limit
    return max(limit, int((rope.get("original_max_position_embeddings") or limit) * factor))


def check_heads(config: Mapping[str, Any], whose: str) -> None:
    """vLLM without a GPU has kernels for some widths of attention heads only; others fail in the engine. Raises
    CheckpointError."""
    hidden, heads = config.get("hidden_size"), config.get("num_attention_heads")
    width = config.get("head_dim") or (
        hidden // heads if isinstance(hidden, int) and isinstance(heads, int) and heads else None
    )
    if isinstance(width, int) and width not in CPU_HEADS:
        raise CheckpointError(
            f"attention heads of {whose} are {width} wide; vLLM on the CPU takes {', '.join(map(str, CPU_HEADS))}",
            where="engine.backend",
            remedy="set engine.backend: hf (slower), or give a model with such heads",
        )


def check_positions(config: Mapping[str, Any], wanted: Mapping[str, int], whose: str) -> str:
    """No row and no answer may be longer than the positions that a model knows. wanted: key -> tokens. Raises
    CheckpointError.

    Example: check_positions({"max_position_embeddings": 2048}, {"engine.context_tokens": 512}, "the base") -> "up to
    512 of 2048 positions"
    """
    limit = num_positions(config)
    if limit is None:
        return "the model's config states no limit of positions"
    for key, tokens in wanted.items():
        if tokens > limit:
            raise CheckpointError(
                f"{key} is {tokens}, but {whose} knows {limit} positions (max_position_embeddings)",
                where=key,
                remedy="lower it, or give a model whose positions were extended",
            )
    return f"up to {max(wanted.values())} of {limit} positions"

"""What a model and its training weigh, from its config alone: parameters, bytes on disk, positions. Knows nothing of
plans or of torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from posttrain.errors import CheckpointError
from posttrain.recipe.schema import Lora, Training

FLOAT_BYTES = 4  # trained and published in float32
# Widths of attention heads that vLLM 0.31 has kernels for on the CPU (CPUAttentionBackend.get_supported_head_sizes).
CPU_HEADS = (32, 64, 80, 96, 112, 128, 160, 192, 224, 256, 512)
OPTIMISER_BYTES = 8  # two moments of Adam in float32
_SIZES = ("hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size", "intermediate_size")


@dataclass(frozen=True, kw_only=True, slots=True)
class Decoder:
    """The sizes of a decoder of the Llama family. Widths in numbers, `head` one attention head, `expert` one expert.

    Example: Decoder(hidden=2560, layers=32, heads=20, kv_heads=4, head=128, feed_forward=10496, experts=1,
    experts_used=1, vocabulary=166144, tied=False, query_norms=False, small=5120)
    """

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head: int
    feed_forward: int
    experts: int
    experts_used: int
    vocabulary: int
    tied: bool
    query_norms: bool  # queries and keys are normalised by head
    small: int  # norms and biases of a layer

    @property
    def attention(self) -> int:
        """Weights of a layer's projections of queries, keys, values and of its output."""
        return 2 * self.hidden * self.heads * self.head + 2 * self.hidden * self.kv_heads * self.head

    @property
    def layer(self) -> int:
        """Parameters of a layer."""
        router = self.hidden * self.experts if self.experts > 1 else 0
        return self.attention + 3 * self.hidden * self.feed_forward * self.experts + router + self.small

    @property
    def embeddings(self) -> int:
        """Parameters of the embedding and of the output head."""
        return self.vocabulary * self.hidden * (1 if self.tied else 2)

    @property
    def parameters(self) -> int:
        return self.embeddings + self.layers * self.layer + self.hidden

    @property
    def active(self) -> int:
        """Weights that one token is multiplied with: the experts that it goes through, and the output head."""
        feed_forward = 3 * self.hidden * self.feed_forward * self.experts_used
        return self.layers * (self.attention + feed_forward) + self.vocabulary * self.hidden

    @property
    def kv_bytes(self) -> int:
        """Keys and values of one token in a cache of 2 bytes a number."""
        return 4 * self.layers * self.kv_heads * self.head


def decoder(config: Mapping[str, Any]) -> Decoder | None:
    """The sizes that a config states; None for one that does not state those of a decoder of the Llama family (Qwen,
    Mistral, Mixtral too). The small weights are those of transformers' classes for `model_type`."""
    sizes = [_count(config, key) for key in _SIZES]
    if None in sizes:
        return None
    hidden, layers, heads, vocabulary, feed_forward = (size or 0 for size in sizes)
    head = _count(config, "head_dim") or hidden // heads
    kv_heads = _count(config, "num_key_value_heads") or heads
    experts = _count(config, "num_local_experts") or _count(config, "num_experts") or 1
    family, small = config.get("model_type"), 2 * hidden
    query_norms = family in ("qwen3", "qwen3_moe")
    if query_norms:
        small += 2 * head
    if family in ("qwen2", "qwen2_moe") or config.get("attention_bias") is True:
        small += (heads + 2 * kv_heads) * head + (hidden if family not in ("qwen2", "qwen2_moe") else 0)
    if experts > 1:
        feed_forward = _count(config, "moe_intermediate_size") or feed_forward
    return Decoder(
        hidden=hidden,
        layers=layers,
        heads=heads,
        kv_heads=kv_heads,
        head=head,
        feed_forward=feed_forward,
        experts=experts,
        experts_used=min(experts, _count(config, "num_experts_per_tok") or 1),
        vocabulary=vocabulary,
        tied=bool(config.get("tie_word_embeddings")),
        query_norms=query_norms,
        small=small,
    )


def num_parameters(config: Mapping[str, Any]) -> int | None:
    """Parameters of a decoder, exact for the families that `decoder` knows; None for a config that states no such
    sizes."""
    sizes = decoder(config)
    return None if sizes is None else sizes.parameters


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
    return f"up to {max(wanted.values(), default=0)} of {limit} positions"

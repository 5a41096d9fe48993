"""Keys of a recipe about models: a base or teacher, its shape, and how it is spoken to."""

from __future__ import annotations

import datetime
from typing import Literal

from pydantic import Field, field_validator

from posttrain.recipe.schema_base import Positive, Share, Strict


class ToyModel(Strict):
    """A small model made on this machine from the toy world (`posttrain/toy/`)."""

    architecture: Literal["qwen3", "llama", "mixtral"] = Field("qwen3", description="Shape of the decoder.")
    hidden_size: int = Field(128, ge=32, le=1024, description="Width; a multiple of 32.")
    layers: int = Field(4, ge=1, le=24, description="Decoder layers.")
    tied: bool = Field(False, description="Share the embedding with the output head.")
    experts: int = Field(4, ge=2, le=16, description="Experts a layer (mixtral only).")
    steps: int = Field(300, ge=1, description="Optimiser steps of pre-training.")
    skill: Literal["base", "teacher", "writer"] = Field(
        "base",
        description=(
            "base: raw text, no chat. teacher: worked answers. writer: chains that lead to a known answer. Both go on "
            "from a toy base of the same shape."
        ),
    )


class Shape(Strict):
    """Sizes of a decoder by their names in config.json: what `plan` reckons with where no config.json is here yet."""

    model_type: str | None = Field(
        None, description="Family, such as llama, qwen2, qwen3, mixtral: small weights differ."
    )
    hidden_size: Positive = Field(description="Width.")
    num_hidden_layers: Positive = Field(description="Decoder layers.")
    num_attention_heads: Positive = Field(description="Heads of the queries.")
    num_key_value_heads: int | None = Field(None, ge=1, description="Heads of keys and values; null: as the queries.")
    head_dim: int | None = Field(None, ge=1, description="Width of a head; null: hidden_size / num_attention_heads.")
    intermediate_size: Positive = Field(description="Width of the feed-forward layer.")
    vocab_size: Positive = Field(description="Rows of the embedding.")
    tie_word_embeddings: bool = Field(False, description="Embedding and output head are one tensor.")
    num_local_experts: int | None = Field(None, ge=1, description="Experts a layer (Mixtral).")
    num_experts: int | None = Field(None, ge=1, description="Experts a layer (Qwen).")
    num_experts_per_tok: int | None = Field(None, ge=1, description="Experts that a token goes through.")
    moe_intermediate_size: int | None = Field(None, ge=1, description="Width of an expert; null: intermediate_size.")
    attention_bias: bool = Field(False, description="Biases on the attention's projections.")
    max_position_embeddings: int | None = Field(None, ge=1, description="Positions that the model knows.")


class ModelRef(Strict):
    """A checkpoint made elsewhere: a local folder, a hub id with a pinned revision, or `toy`."""

    path: str = Field(
        "", description="Local folder, hub id (owner/name), or toy; left out only where `plan` has a shape."
    )
    revision: str | None = Field(None, pattern=r"^[0-9a-f]{40}$", description="40 hex digits; required for a hub id.")
    toy: ToyModel | None = Field(None, description="Shape of the toy; only with path: toy.")
    shape: Shape | None = Field(
        None, description="Sizes, for `plan` before the model is here; then its config.json counts."
    )


class Chat(Strict):
    """How messages become text."""

    template: str | None = Field(
        None,
        description=(
            "A Jinja file beside the recipe, or a preset (chatml_think, nanbeige4, neo3, qwen2.5, qwen3, llama3, "
            "gemma, mistral); null: the tokenizer's own."
        ),
    )
    think: tuple[str, str] = Field(
        ("<think>", "</think>"), description="Tags around the reasoning; may be plain text (<scratchpad>)."
    )
    stop: list[str] = Field(
        default_factory=list,
        description="Tokens that end a turn; empty: the tokenizer's eos. Never taken from config.eos_token_id.",
    )
    date: str | None = Field(
        None, description="The day that a template which prints today's date is given, as 2026-01-31."
    )
    add_tokens: bool = Field(
        False, description="Add the preset's tokens that the base lacks; the first stage, an sft, grows its embedding."
    )
    max_untrained_share: Share = Field(
        0.5,
        description=(
            "Share of the assistant's turns of a data set that may give no loss, because the template drops or "
            "rewrites them; above it the run stops."
        ),
    )

    @field_validator("date")
    @classmethod
    def _a_day(cls, value: str | None) -> str | None:
        if value is not None:
            datetime.date.fromisoformat(value)
        return value

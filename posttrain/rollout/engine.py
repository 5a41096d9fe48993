"""The rollout engine as everything else sees it: vLLM, transformers, or a proxy to either in a Ray actor.

Token ids in, token ids out; no text, no templates, no verifiers. Imports neither torch nor vllm.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from posttrain.rollout.dispatch import Sample
from posttrain.rollout.identity import Held
from posttrain.types import Completion, GenerationRequest, SamplingParams


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineOptions:
    """How an engine runs. dtype "auto" is float32 on the CPU and bfloat16 on a GPU; device "auto" takes a GPU if any.

    Example: EngineOptions(context_tokens=4096, gpu_memory_share=0.5)
    """

    dtype: str = "auto"
    context_tokens: int = 512
    kv_cache_gb: float = 1.0  # vLLM on the CPU: an upper bound on the cache
    gpu_memory_share: float = 0.5  # vLLM on a GPU
    seed: int = 0  # vLLM's own; each sample brings a seed of its own
    device: str = "auto"
    sleeps: bool = False  # takes turns with others on its GPU: gives up its memory while it sleeps
    vllm: Mapping[str, Any] = field(default_factory=dict)  # vLLM's own arguments, over ours


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineHealth:
    """What an engine says of itself. Example: EngineHealth(backend="vllm", version="step-12", device="cpu",
    dtype="float32", pid=4711)."""

    backend: str
    version: str
    device: str
    dtype: str
    pid: int


class Engine(Protocol):
    """One model that samples. Same weights, requests and seeds give the same tokens."""

    on_step: Callable[..., None]
    """Called after each step: a token of every sample under way, or a sequence that was scored; with True where the
    next step reads prompts."""

    def generate(self, requests: Sequence[GenerationRequest], sampling: SamplingParams) -> list[list[Completion]]:
        """Sample len(request.seeds) completions of each request, in order. logprobs are those of the sampling
        distribution at temperature 1 and top_p 1 (the raw policy), so that trainers can compare them."""
        ...

    def advance(
        self, new: Sequence[Sample], sampling: SamplingParams, *, fresh: bool, at_least: int
    ) -> list[tuple[int, Completion]]:
        """Take these samples to those under way and decode until `at_least` are done; (place, completion) of each that
        is. fresh: drop what is under way first (an earlier caller gave it up). For `dispatch`."""
        ...

    def score(self, sequences: Sequence[Sequence[int]], starts: Sequence[int]) -> list[list[float]]:
        """log p(token_t | tokens_<t) for t >= starts[i] of each sequence."""
        ...

    def next_token_logprobs(self, prompts: Sequence[Sequence[int]], token_ids: Sequence[int]) -> list[list[float]]:
        """log p(token | prompt) for each prompt [B] and each of the given ids [L]."""
        ...

    def load(self, model_dir: str, version: str) -> None:
        """Take the weights of a checkpoint of the same shape; prefix cache reset; parity is the caller's to check."""
        ...

    def update_weights(self, weights: Mapping[str, Any], version: str) -> None:
        """Take (checkpoint name -> torch tensor); prefix cache reset; rebuilds itself where in-place update is known to
        be wrong."""
        ...

    def rebuild(self, model_dir: str, version: str) -> None:
        """Throw the engine away and start one from the checkpoint (the remedy where parity fails)."""
        ...

    def checksums(self) -> dict[str, Held]:
        """Of the tensors that it computes with, by their checkpoint names; those it cannot show are left out."""
        ...

    def sleep(self) -> None:
        """Give up memory and work until `wake`; the weights are kept. Asleep already: nothing."""
        ...

    def wake(self) -> None:
        """Be as before `sleep`. Awake already: nothing."""
        ...

    def abandon(self) -> None:
        """End, or sleep, whatever it is at: who asked it has gone."""
        ...

    def health(self) -> EngineHealth: ...

    def close(self) -> None: ...

"""Prompts to groups of answers: encode, give every sample a seed of its own, ask the engine.

A seed is a hash of the run's seed, the step and its number, the prompt and the sample's index: a rerun samples the
same, and a change in the order or the number of prompts changes nothing for the others. Knows no verifier and no
engine's kind.

Shapes: P prompts, G answers a prompt.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from typing import Any, Protocol

from posttrain.errors import DataError
from posttrain.rollout.engine import Engine
from posttrain.types import GenerationRequest, Message, Prompt, RolloutGroup, SamplingParams

_SEED_BITS = 52  # survives a JSON reader that holds numbers as doubles


class PromptEncoder(Protocol):
    """What the sampler needs of a chat template."""

    def prompt_ids(self, messages: Sequence[Message]) -> list[int]: ...


def sample_seed(seed_parts: Sequence[Any], prompt: Prompt, occurrence: int, index: int) -> int:
    """The seed of answer `index` of the occurrence-th appearance of a prompt. seed_parts: (run seed, step name, step
    number).

    Example: sample_seed((0, "stem", 12), prompt, 0, 3) -> a number of 52 bits
    """
    parts = json.dumps([*seed_parts, prompt.source, prompt.id, occurrence, index], ensure_ascii=False, default=str)
    return int.from_bytes(hashlib.sha256(parts.encode()).digest()[:8], "big") >> (64 - _SEED_BITS)


def refusals(prompts: Sequence[Prompt], encoder: PromptEncoder, context_tokens: int) -> list[str | None]:
    """Why a prompt [P] cannot be asked, or None: the template refuses it, or it leaves no room for an answer in the
    context."""
    return [_refusal(prompt, encoder, context_tokens) for prompt in prompts]


def _refusal(prompt: Prompt, encoder: PromptEncoder, context_tokens: int) -> str | None:
    try:
        tokens = len(encoder.prompt_ids(prompt.messages))
    except DataError as error:
        return error.what
    if tokens == 0:
        return "the prompt is empty once encoded"
    return (
        None
        if tokens < context_tokens
        else f"{tokens} tokens leave no room for an answer in engine.context_tokens: {context_tokens}"
    )


def sample(
    engine: Engine, prompts: Sequence[Prompt], encoder: PromptEncoder, group: int, sampling: SamplingParams,
    seed_parts: Sequence[Any],
    seen: Counter[tuple[str, str]] | None = None,
) -> list[RolloutGroup]:  # fmt: skip
    """`group` answers of each prompt, in the order of the prompts. One call, since engines are fastest when they see
    everything at once.

    seen: how often each (source, id) was asked before under these seed_parts; counted on here.
    Raises DataError naming the prompt that is empty once encoded.
    """
    seen = Counter() if seen is None else seen
    requests = []
    for prompt in prompts:
        key = (prompt.source, prompt.id)
        prompt_ids = tuple(encoder.prompt_ids(prompt.messages))
        if not prompt_ids:
            raise DataError(
                "the prompt is empty once encoded",
                where=f"{prompt.source}, row {prompt.id}",
                remedy="give it some text",
            )
        seeds = tuple(sample_seed(seed_parts, prompt, seen[key], index) for index in range(group))
        seen[key] += 1
        requests.append(GenerationRequest(prompt_ids=prompt_ids, seeds=seeds))
    answers = engine.generate(requests, sampling)
    return [
        RolloutGroup(prompt=prompt, prompt_ids=request.prompt_ids, completions=tuple(completions))
        for prompt, request, completions in zip(prompts, requests, answers, strict=True)
    ]

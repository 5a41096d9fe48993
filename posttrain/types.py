"""The records that flow from room to room. Frozen, standard library only; changed by `dataclasses.replace`.

    data.source       -> Conversation | Prompt | PreferencePair
    sampling.prompts  -> EncodedPrompt                  a prompt with its token ids, made once
    sampling.sampler  -> RolloutGroup                   G completions of one prompt
    machine.scorer    -> RolloutGroup with verdicts

Knows nothing of files, models or recipes. `Verdict` lives in `rewards.types`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from posttrain.errors import InputError
from rewards.types import Verdict

Message = dict[str, Any]
"""One chat turn: {"role": "user", "content": "2+2?"}. An assistant turn may carry "reasoning_content", "tool_calls"
([{"type": "function", "function": {"name": "add", "arguments": {"a": 1}}}], arguments as an object) and "train": False
(context, not to be imitated); a tool's turn "name" and "tool_call_id"."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Conversation:
    """A row to imitate (SFT); `tools`: JSON schemas of the functions that the template prints as callable.

    Example: Conversation(id="toy-stem/17", source="warmup", messages=({"role": "user", ...}, {"role": "assistant",
    ...}))
    """

    id: str
    source: str
    messages: tuple[Message, ...]
    tools: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Prompt:
    """A question to sample answers for. `gold` is what the verifier compares with (any JSON value); `reference` an
    answer to beat; `tools` are what the template prints as callable (JSON schemas of functions).

    Example: Prompt(id="toy-stem/3", source="stem_prompts", messages=({"role": "user", "content": "17+25?"},),
    gold="42")
    """

    id: str
    source: str
    messages: tuple[Message, ...]
    gold: Any = None
    reference: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    tools: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class EncodedPrompt:
    """A prompt with the token ids [P] that the template makes of it, made once. `opened` is what it opens of the
    reasoning for the answer ("<think>\\n"), "" where it opens none.

    Example: EncodedPrompt(prompt=Prompt(...), ids=(151644, 872, 198, ...))
    """

    prompt: Prompt
    ids: tuple[int, ...]
    opened: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class PreferencePair:
    """One prompt, a better and a worse answer (assistant text, thinking included). `provenance` says who wrote which.

    Example: PreferencePair(id="p/9", source="distil.pairs", messages=(...), chosen="<think>..</think>42",
    rejected="<think>..</think>41", provenance={"chosen": "teacher:ab12", "rejected": "student:cd34"})
    """

    id: str
    source: str
    messages: tuple[Message, ...]
    chosen: str
    rejected: str
    provenance: dict[str, Any] = field(default_factory=dict)
    tools: tuple[dict[str, Any], ...] = ()


class StopReason(StrEnum):
    """Why a completion ended."""

    STOP = "stop"  # the model ended its turn with a stop token (which is the last token id)
    LENGTH = "length"  # the token budget ran out: truncated


@dataclass(frozen=True, kw_only=True, slots=True)
class Segment:
    """A run of tokens by one author. token_ids: [T]; logprobs: [T], natural logarithms under the policy that sampled
    them, at its temperature, [] where the environment wrote the tokens."""

    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    from_policy: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Completion:
    """One sampled answer. A single answer is one segment; tools and turns add more.

    `text` is decoded with special tokens kept (so `<think>` is seen) and without the stop token. Where the prompt
    itself opened the reasoning, that opening stands before it: judges and readers see the answer whole.
    """

    segments: tuple[Segment, ...]
    text: str
    stop_reason: StopReason
    policy_version: str
    seed: int

    @property
    def token_ids(self) -> tuple[int, ...]:
        return tuple(token for segment in self.segments for token in segment.token_ids)

    @property
    def num_tokens(self) -> int:
        return sum(len(segment.token_ids) for segment in self.segments)


@dataclass(frozen=True, kw_only=True, slots=True)
class RolloutGroup:
    """G answers of one prompt. prompt_ids: [P]; completions: [G]; verdicts: [G] once scored, () before."""

    prompt: Prompt
    prompt_ids: tuple[int, ...]
    completions: tuple[Completion, ...]
    verdicts: tuple[Verdict, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class SamplingParams:
    """How to sample. temperature 0 is greedy; top_p 1.0 keeps all; max_tokens counts generated tokens, the stop token
    included.

    Raises InputError for a number outside its range.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int = 256
    stop_token_ids: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < math.inf:
            raise InputError(f"temperature is {self.temperature}", remedy="0 (greedy) or above")
        if not 0 < self.top_p <= 1:
            raise InputError(f"top_p is {self.top_p}", remedy="above 0, up to 1 (which keeps all)")
        if self.max_tokens < 1:
            raise InputError(f"max_tokens is {self.max_tokens}", remedy="1 or more")


@dataclass(frozen=True, kw_only=True, slots=True)
class GenerationRequest:
    """One prompt and one seed per wanted completion. prompt_ids: [P]; seeds: [G]."""

    prompt_ids: tuple[int, ...]
    seeds: tuple[int, ...]

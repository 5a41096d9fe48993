"""Encoded prompts to groups of answers: give every sample a seed of its own, ask the engine.

A seed is a hash of the run's seed, the step and its number, the prompt and the sample's index: a rerun samples the
same, and a change in the order or the number of prompts changes nothing for the others. Knows no verifier, no template
and no engine's kind.

Shapes: P prompts, G answers a prompt.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from posttrain.errors import StageError
from posttrain.rollout.engine import Engine
from posttrain.types import Completion, EncodedPrompt, GenerationRequest, Prompt, RolloutGroup, SamplingParams

_SEED_BITS = 52  # survives a JSON reader that holds numbers as doubles


def sample_seed(seed_parts: Sequence[Any], prompt: Prompt, occurrence: int, index: int) -> int:
    """The seed of answer `index` of the occurrence-th appearance of a prompt. seed_parts: (run seed, step name, step
    number).

    Example: sample_seed((0, "stem", 12), prompt, 0, 3) -> a number of 52 bits
    """
    parts = json.dumps([*seed_parts, prompt.source, prompt.id, occurrence, index], ensure_ascii=False, default=str)
    return int.from_bytes(hashlib.sha256(parts.encode()).digest()[:8], "big") >> (64 - _SEED_BITS)


def sample(
    engine: Engine,
    prompts: Sequence[EncodedPrompt],
    samples: int,
    sampling: SamplingParams,
    seed_parts: Sequence[Any],
    seen: Counter[tuple[str, str]] | None = None,
) -> list[RolloutGroup]:
    """`samples` answers of each prompt [P], in order. One call, since engines are fastest when they see everything at
    once.

    seen: how often each (source, id) was asked before under these seed_parts; counted on here.
    """
    occurrences = count_occurrences(prompts, Counter() if seen is None else seen)
    asked = [
        Asked(prompt=one, occurrence=occurrence, indices=range(samples))
        for one, occurrence in zip(prompts, occurrences, strict=True)
    ]
    answers = sample_range(engine, asked, sampling, seed_parts)
    return [
        RolloutGroup(prompt=encoded.prompt, prompt_ids=encoded.ids, completions=completions)
        for encoded, completions in zip(prompts, answers, strict=True)
    ]


def _whole(completion: Completion, opened: str) -> Completion:
    """The answer with what its prompt opened before it: else its reasoning would be taken for the answer."""
    return dataclasses.replace(completion, text=opened + completion.text) if opened else completion


def count_occurrences(prompts: Sequence[EncodedPrompt], seen: Counter[tuple[str, str]]) -> list[int]:
    """How often each prompt [P] was asked before it is now; `seen` is counted on."""
    found = []
    for encoded in prompts:
        key = (encoded.prompt.source, encoded.prompt.id)
        found.append(seen[key])
        seen[key] += 1
    return found


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """Answers that are wanted of a prompt: which, of its occurrence-th appearance.

    Example: Asked(prompt=EncodedPrompt(...), occurrence=0, indices=range(4, 16))
    """

    prompt: EncodedPrompt
    occurrence: int
    indices: Sequence[int]


def sample_range(
    engine: Engine, asked: Sequence[Asked], sampling: SamplingParams, seed_parts: Sequence[Any]
) -> list[tuple[Completion, ...]]:
    """The answers of these indices to each prompt, under the seeds that they always have. Raises StageError: the engine
    gave more or fewer."""
    requests = [
        GenerationRequest(
            prompt_ids=one.prompt.ids,
            seeds=tuple(sample_seed(seed_parts, one.prompt.prompt, one.occurrence, index) for index in one.indices),
        )
        for one in asked
        if one.indices
    ]
    given = engine.generate(requests, sampling) if requests else []
    wanted, found = [len(request.seeds) for request in requests], list(map(len, given))
    if found != wanted:
        raise StageError(
            f"the engine gave {sum(found)} answers to {len(found)} prompts where {sum(wanted)} to {len(wanted)} were "
            "asked, or not as many to each",
            where=str(seed_parts[1]),
            remedy="run the same command again; if it stays, the engine's version does not keep to what is asked",
        )
    made = iter(given)
    return [
        tuple(_whole(completion, one.prompt.opened) for completion in next(made)) if one.indices else ()
        for one in asked
    ]

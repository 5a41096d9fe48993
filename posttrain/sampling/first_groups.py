"""The first groups of an RL stage begin with the answers by which its filter kept the prompts.

    first = FirstGroups(answers, prompts)          what the filter has of these prompts
    first.sample(engine, prompts, 16, sampling)    groups: the filter's answers 0 to n - 1, and n to 15 from the engine

An answer is known by its index, under the seed that the filter gives it or would have given it: a group is the one that
a filter would have asked without stopping early. Which answers were done first, or how long they are, has no say.
Knows no verifier: groups are judged whole by who asks.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Sequence
from dataclasses import replace

from posttrain.errors import StageError
from posttrain.rollout.engine import Engine
from posttrain.sampling.job import FilterAnswers
from posttrain.sampling.rollout_files import read_answers
from posttrain.sampling.sampler import Asked, count_occurrences, sample_range
from posttrain.types import Completion, EncodedPrompt, RolloutGroup, SamplingParams

FILTER = "filter"  # who asks, in the seeds of a filter's answers


class FirstGroups:
    """What a filter has of some prompts. Mutable: each of its answers is given once."""

    def __init__(self, answers: FilterAnswers, prompts: Sequence[EncodedPrompt]) -> None:
        """Raises StageError: the answers are of another model."""
        wanted = set(map(_key, prompts))
        self._seed_parts = (answers.seed, FILTER, 0)
        self._seen: Counter[tuple[str, str]] = Counter()
        self._held: defaultdict[tuple[str, str, str], deque[tuple[Completion, ...]]] = defaultdict(deque)
        for key, completions in read_answers(answers.path):
            if key in wanted:
                self._held[key].append(completions)
                _refuse_others(completions, answers, key)

    def sample(
        self, engine: Engine, prompts: Sequence[EncodedPrompt], samples: int, sampling: SamplingParams
    ) -> list[RolloutGroup]:
        """`samples` answers of each prompt [P], in order; those that the filter had keep its version."""
        occurrences = count_occurrences(prompts, self._seen)
        groups = [self._begun(one, samples) for one in prompts]
        asked = [
            Asked(prompt=one, occurrence=number, indices=range(len(group.completions), samples))
            for one, number, group in zip(prompts, occurrences, groups, strict=True)
        ]
        more = sample_range(engine, asked, sampling, self._seed_parts)
        return [
            replace(group, completions=(*group.completions, *missing))
            for group, missing in zip(groups, more, strict=True)
        ]

    def _begun(self, encoded: EncodedPrompt, samples: int) -> RolloutGroup:
        held = self._held.get(_key(encoded))
        begun = held.popleft()[:samples] if held else ()
        return RolloutGroup(prompt=encoded.prompt, prompt_ids=encoded.ids, completions=begun)


def _key(encoded: EncodedPrompt) -> tuple[str, str, str]:
    """As the filter's file has it: rows may share an id, and then differ in what they ask."""
    return encoded.prompt.source, encoded.prompt.id, encoded.prompt.messages[-1]["content"]


def _refuse_others(completions: Sequence[Completion], answers: FilterAnswers, key: Sequence[str]) -> None:
    versions = {one.policy_version for one in completions}
    if versions != {answers.version}:
        raise StageError(
            f"the filter's answers to {key[0]}/{key[1]} are of {', '.join(sorted(versions))}, and the stage starts "
            f"from {answers.version}",
            where=str(answers.path),
            remedy="set filter.reuse: false, or run the filter anew",
        )

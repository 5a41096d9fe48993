"""How long right answers to each prompt have been, and the rewards that a step trains on: scores, less what length
costs.

The lengths are those of the record on disk, so that a resumed stage knows what it knew. Knows no model.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from posttrain.recipe.schema import Grpo
from posttrain.records.codec import from_json
from posttrain.records.rollouts import PromptRow
from posttrain.store.jsonl import read_lines
from posttrain.train.losses.lengths import length_control, overlong_penalty
from posttrain.types import RolloutGroup
from rewards.types import Outcome

Key = tuple[str, str]
"""(source, id) of a prompt."""


class Successes:
    """Lengths of the right answers to each prompt, of the steps so far."""

    def __init__(self, recorded: Iterable[Path] = ()) -> None:
        self._lengths: defaultdict[Key, list[int]] = defaultdict(list)
        for path in recorded:
            for value in read_lines(path):
                row = from_json(PromptRow, value, str(path))
                self._lengths[row.source, row.prompt_id] += [
                    answer.num_tokens
                    for answer in row.completions
                    if answer.verdict is not None and answer.verdict.outcome == str(Outcome.CORRECT)
                ]

    def usual(self, groups: Sequence[RolloutGroup]) -> dict[Key, float]:
        """The median length for the prompt of each group that has one."""
        keys = [(group.prompt.source, group.prompt.id) for group in groups]
        return {key: statistics.median(self._lengths[key]) for key in keys if self._lengths.get(key)}

    def add(self, groups: Sequence[RolloutGroup]) -> None:
        """Count the step's right answers."""
        for group in groups:
            self._lengths[group.prompt.source, group.prompt.id] += [
                completion.num_tokens
                for completion, verdict in zip(group.completions, group.verdicts, strict=True)
                if verdict.passed
            ]


def rewards_of(group: RolloutGroup, stage: Grpo, usual: Mapping[Key, float]) -> list[float | None]:
    """What each answer of a group is worth: its score, less what its length costs. Without a score there is none."""
    passed = sum(verdict.passed for verdict in group.verdicts) / max(1, len(group.verdicts))
    typical = usual.get((group.prompt.source, group.prompt.id))
    return [
        None
        if verdict.score is None
        else verdict.score
        + overlong_penalty(completion.num_tokens, stage.max_tokens, stage.soft_punish_cache)
        + length_control(
            completion.num_tokens, stage.max_tokens, typical, alpha=stage.length_control, passed_share=passed
        )
        for completion, verdict in zip(group.completions, group.verdicts, strict=True)
    ]

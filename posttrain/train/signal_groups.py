"""What a step trains on: its groups, those without signal replaced up to a stated cap (dynamic sampling), and an end
where too many verdicts are faults of ours.

Knows neither engine nor verifier: asks through a function. Truncated answers are not drawn again: survivors of a second
draw would be short ones.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from posttrain.errors import StageError
from posttrain.train.losses.policy import has_signal
from posttrain.types import EncodedPrompt, RolloutGroup
from rewards.types import Outcome

Ask = Callable[[Sequence[EncodedPrompt]], list[RolloutGroup]]


def spare_prompts(
    prompts: Sequence[EncodedPrompt], chosen: Sequence[EncodedPrompt], step: int, seed: int
) -> list[EncodedPrompt]:
    """The prompts that may replace others in this step: those that it has not asked, in an order of its own."""
    asked = {(encoded.prompt.source, encoded.prompt.id) for encoded in chosen}
    spare = [encoded for encoded in prompts if (encoded.prompt.source, encoded.prompt.id) not in asked]
    random.Random(f"spare/{seed}/{step}").shuffle(spare)
    return spare


def groups_with_signal(
    ask: Ask, chosen: Sequence[EncodedPrompt], spare: Sequence[EncodedPrompt], most: int
) -> tuple[list[RolloutGroup], list[RolloutGroup]]:
    """(the step's groups, those that were replaced). As many groups as chosen: of those with signal all, of the others
    what is left to fill it, in the order they were asked. most: groups that may be sampled beyond the chosen."""
    groups = ask(chosen)
    left = list(spare[:most])
    while left and (missing := len(chosen) - sum(map(_teaches, groups))) > 0:
        groups += ask(left[:missing])
        left = left[missing:]
    if len(groups) == len(chosen):
        return groups, []
    order = sorted(range(len(groups)), key=lambda place: not _teaches(groups[place]))  # stable
    kept = set(order[: len(chosen)])
    return (
        [group for place, group in enumerate(groups) if place in kept],
        [group for place, group in enumerate(groups) if place not in kept],
    )


def _teaches(group: RolloutGroup) -> bool:
    return has_signal([verdict.score for verdict in group.verdicts])


def refuse_faults(groups: Sequence[RolloutGroup], allowed: float, *, step: int, where: str) -> None:
    """Raise StageError where more than the allowed share of the whole step's verdicts are faults. step: from 0."""
    verdicts = [verdict for group in groups for verdict in group.verdicts]
    faults = [verdict for verdict in verdicts if verdict.outcome is Outcome.ERROR]
    share = len(faults) / max(1, len(verdicts))
    if share > allowed:
        reasons = sorted({verdict.reason for verdict in faults})
        raise StageError(
            f"{share:.1%} of the verdicts of step {step + 1} are faults (allowed {allowed:.1%}): "
            f"{'; '.join(reasons[:3])}",
            where=where,
            remedy="mend the verifier or its sandbox and run the same command again",
        )

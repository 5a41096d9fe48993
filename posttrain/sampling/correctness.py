"""From verdicts to right and not right, as scores, filters and pairs count them, and whether an answer is well formed.

Pure. Knows no engine and no file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from posttrain.types import Completion, RolloutGroup, StopReason
from rewards.prose.visible import visible_text
from rewards.types import Outcome, Verdict


def is_right(verdict: Verdict) -> bool | None:
    """Right, not right (wrong, abstained, timed out), or None for a fault of ours, which counts as neither."""
    return None if verdict.outcome is Outcome.ERROR else verdict.passed


def is_well_formed(completion: Completion, think: tuple[str, ...]) -> bool:
    """One think block, closed, an answer after it, and the turn ended by the model."""
    text = completion.text
    return (
        completion.stop_reason is StopReason.STOP
        and text.count(think[0]) == 1
        and text.count(think[1]) == 1
        and text.index(think[0]) < text.index(think[1])
        and bool(visible_text(text, (think[0], think[1])).strip())
    )


def answers_judged(group: RolloutGroup, *, right: bool) -> list[Completion]:
    """The answers that ended by themselves and are right (or wrong, judged so: a fault of ours is neither)."""
    return [
        completion
        for completion, verdict in zip(group.completions, group.verdicts, strict=True)
        if is_right(verdict) is right and completion.stop_reason is StopReason.STOP
    ]


def right_share(groups: Sequence[RolloutGroup]) -> float:
    """Right answers over judged ones, 0 to 1, rounded to six digits."""
    verdicts = [verdict for group in groups for verdict in group.verdicts if is_right(verdict) is not None]
    return round(sum(verdict.passed for verdict in verdicts) / max(1, len(verdicts)), 6)


def tally(groups: Sequence[RolloutGroup]) -> str:
    """Example: "3 of 80 right, 75 cut off"."""
    right = sum(bool(is_right(verdict)) for group in groups for verdict in group.verdicts)
    stops = [completion.stop_reason for group in groups for completion in group.completions]
    return f"{right} of {len(stops)} right, {stops.count(StopReason.LENGTH)} cut off"


def generated_tokens(groups: Sequence[RolloutGroup]) -> int:
    """Tokens of all answers, stop tokens included."""
    return sum(completion.num_tokens for group in groups for completion in group.completions)


def count_outcomes(groups: Sequence[RolloutGroup]) -> dict[str, int]:
    """Verdicts by outcome, sorted by name."""
    outcomes = Counter(str(verdict.outcome) for group in groups for verdict in group.verdicts)
    return dict(sorted(outcomes.items()))

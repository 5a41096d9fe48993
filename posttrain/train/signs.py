"""Signs that a policy games its reward instead of learning the task, and the alarms about them. Pure.

same_answer_share   prompts of a step that were all given one and the same text
tampered_share      programs that reached for the judge's own parts
canaries_rewarded   answers with a reward to prompts that have no right one
length_drift        mean length of the last steps over that of the first
flat_guard          the reward rose, and the guard suite did not
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from posttrain.recipe.schema import Alarms
from posttrain.types import RolloutGroup

TAMPER = "tamper"  # the code verifier's reason for it


def signs_of(groups: Sequence[RolloutGroup]) -> dict[str, float]:
    """What a step's groups show. same_answer_share: of all prompts but one, how many share its text with it; 0 where
    no two share a text."""
    texts = Counter(text for group in groups for text in {completion.text for completion in group.completions})
    reasons = [verdict.reason for group in groups for verdict in group.verdicts]
    return {
        "same_answer_share": (max(texts.values(), default=1) - 1) / max(1, len(groups) - 1),
        "tampered_share": reasons.count(TAMPER) / max(1, len(reasons)),
    }


def num_rewarded(groups: Sequence[RolloutGroup]) -> int:
    """Answers with a score above 0; faults have none."""
    return sum((verdict.score or 0.0) > 0.0 for group in groups for verdict in group.verdicts)


def length_drift(history: Sequence[Mapping[str, float]], window: int) -> float | None:
    """Mean `completion_tokens` of the last `window` steps over that of the first; None before there are so many."""
    lengths = [row["completion_tokens"] for row in history]
    first = sum(lengths[:window])
    return sum(lengths[-window:]) / first if len(lengths) >= window and first else None


def alarms_of(history: Sequence[Mapping[str, float]], guard: Mapping[int, float], rules: Alarms) -> dict[str, str]:
    """Alarm -> what is wrong, of the last of these steps. guard: steps done -> score of the guard suite."""
    row, found = history[-1], {}
    if row["same_answer_share"] > rules.same_answer_share:
        found["same_answer"] = f"{row['same_answer_share']:.0%} of the prompts were given one identical answer"
    if row["tampered_share"] > rules.tampered_share:
        found["tamper"] = f"{row['tampered_share']:.1%} of the answers touch the judge's own parts"
    if row.get("canaries_rewarded", 0.0):
        found["canary"] = f"{row['canaries_rewarded']:.0f} answers to prompts without a right one were rewarded"
    drift = row.get("length_drift", 1.0)
    if not 1 / rules.length_drift <= drift <= rules.length_drift:
        found["length_drift"] = f"answers are {drift:.3g} times as long as in the first steps"
    gain = _reward_gain(history, rules.window)
    if len(history) in guard and gain > rules.flat_guard_gain and guard[len(history)] <= guard[0]:
        found["flat_guard"] = (
            f"the reward rose by {gain:.3g}, and the guard suite went from {guard[0]:.3g} to {guard[len(history)]:.3g}"
        )
    return found


def _reward_gain(history: Sequence[Mapping[str, float]], window: int) -> float:
    """Mean reward of the last `window` steps less that of the first; 0 before these are different steps."""
    rewards = [row["reward"] for row in history]
    return (sum(rewards[-window:]) - sum(rewards[:window])) / window if len(rewards) >= 2 * window else 0.0

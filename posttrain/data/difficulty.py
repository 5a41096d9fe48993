"""The avg@k band: which prompts are neither trivial nor impossible for the newest checkpoint. Pure, in integers.

After the report (arXiv 2512.06266, section 3.4.1): 16 answers a prompt, kept when strictly between 10 % and 90 % are
right: 2 to 14.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from posttrain.records.metrics import Decision


def in_band(right: int, k: int, low: float, high: float) -> bool:
    """low < right/k < high, both strict, exact: 0.1 is one tenth, not its nearest binary fraction."""
    share = Fraction(right, k)
    return Fraction(str(low)) < share < Fraction(str(high))


def decide(prompt_id: str, passed: Sequence[bool | None], k: int, low: float, high: float) -> Decision:
    """Decide on k verdicts; None is a fault of ours and never counts as wrong: such a prompt is set aside (kept False,
    none > 0)."""
    if len(passed) != k:
        raise ValueError(f"{len(passed)} verdicts for prompt {prompt_id}, not {k}")
    right = sum(value is True for value in passed)
    none = sum(value is None for value in passed)
    return Decision(
        id=prompt_id, right=right, wrong=k - right - none, none=none, kept=none == 0 and in_band(right, k, low, high)
    )


def histogram(decisions: Sequence[Decision], k: int) -> list[int]:
    """Prompts by number of right answers, 0 to k: [k + 1]. Prompts with faults are left out."""
    bars = [0] * (k + 1)
    for decision in decisions:
        if decision.none == 0:
            bars[decision.right] += 1
    return bars

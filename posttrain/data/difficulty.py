"""The avg@k band: which prompts are neither trivial nor impossible for the newest checkpoint. Pure, in integers.

After the report (arXiv 2512.06266, section 3.4.1): 16 answers a prompt, kept when strictly between 10 % and 90 % are
right: 2 to 14. A prompt is settled as soon as the answers still to come cannot change that: at 2 right and 2 wrong, or
at 15 alike.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

from posttrain.records.metrics import Decision


def in_band(right: int, k: int, low: float, high: float) -> bool:
    """low < right/k < high, both strict, exact: 0.1 is one tenth, not its nearest binary fraction."""
    share = Fraction(right, k)
    return Fraction(str(low)) < share < Fraction(str(high))


def settled(passed: Sequence[bool | None], k: int, low: float, high: float) -> bool | None:
    """Kept (True) or not (False), where the verdicts so far [N, N <= k] allow no other end after k of them; None where
    they do. What is not judged yet, or at fault (None), could have been either.

    Example: settled([True, True, False, False], 16, 0.1, 0.9) is True: 2 to 14 of 16 will be right.
    """
    least = sum(value is True for value in passed)
    most = k - sum(value is False for value in passed)
    ends = [in_band(right, k, low, high) for right in (least, most)]
    if all(ends):  # the band has no hole
        return True
    if any(in_band(right, k, low, high) for right in range(least, most + 1)):
        return None
    return False


def decide(prompt_id: str, passed: Sequence[bool | None], k: int, low: float, high: float) -> Decision:
    """Decide on the verdicts of one prompt, up to k: as many as it took. None is a fault of ours and never counts as
    wrong: a prompt that cannot be decided without it is set aside (`undecided`). Raises ValueError for verdicts that
    could still be followed by others."""
    decision = settled(passed, k, low, high)
    if len(passed) > k or (decision is None and len(passed) < k):
        raise ValueError(f"{len(passed)} verdicts for prompt {prompt_id}, not {k}, and they do not decide")
    right = sum(value is True for value in passed)
    none = sum(value is None for value in passed)
    return Decision(
        id=prompt_id,
        right=right,
        wrong=len(passed) - right - none,
        none=none,
        kept=decision is True,
        undecided=decision is None,
    )


def histogram(decisions: Sequence[Decision], k: int) -> list[int]:
    """Prompts by their share of right answers among those judged, in k-ths, 0 to k: [k + 1]. Undecided prompts are left
    out."""
    bars = [0] * (k + 1)
    for decision in decisions:
        if not decision.undecided:
            bars[bar_of(decision, k)] += 1
    return bars


def bar_of(decision: Decision, k: int) -> int:
    """Where a decided prompt stands in the histogram: of all k answers those right, as many as the judged ones let
    expect."""
    return round(Fraction(decision.right * k, decision.right + decision.wrong))


def expected_answers(k: int, wave: int, low: float, high: float, chance: float) -> float:
    """Mean number of answers that a prompt takes until it is settled, asked `wave` at a time, if each is right with
    this chance: exact, by dynamic programming over (right, wrong)."""
    total, weights = 0.0, {(0, 0): 1.0}
    while weights:
        after: dict[tuple[int, int], float] = {}
        for (right, wrong), weight in weights.items():
            asked = min(wave, k - right - wrong)
            total += weight * asked
            for more in range(asked + 1):
                odds = math.comb(asked, more) * chance**more * (1 - chance) ** (asked - more)
                state = (right + more, wrong + asked - more)
                if odds and settled([True] * state[0] + [False] * state[1], k, low, high) is None:
                    after[state] = after.get(state, 0.0) + weight * odds
        weights = after
    return total

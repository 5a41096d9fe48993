"""Rewards that know how long an answer is: the soft overlong punishment of DAPO (arXiv 2503.14476, equation 13), and a
length control by past successes (Nanbeige 4.2, arXiv 2607.22083).

Pure; the verdict's own score stays on record. Truncated answers that are masked give no gradient, yet count in their
group's mean.
"""

from __future__ import annotations


def overlong_penalty(num_tokens: int, max_tokens: int, cache: int) -> float:
    """0 up to max_tokens - cache, then falling in a line to -1 at max_tokens; as in DAPO and TRL. cache 0: none.

    Example: overlong_penalty(90, 100, 20) is -0.5
    """
    if cache == 0:
        return 0.0
    return max(-1.0, min(0.0, (max_tokens - cache - num_tokens) / cache))


def length_control(
    num_tokens: int, max_tokens: int, usual: float | None, *, alpha: float, passed_share: float
) -> float:
    """-alpha * p * clip((L - b) / (Lmax - b), 0, 1): what is longer than past successes costs, the more the surer the
    group is. usual: b, the median length of past successes; None where there are none yet.

    Example: length_control(75, 100, 50.0, alpha=0.5, passed_share=0.8) is -0.2
    """
    if usual is None or usual >= max_tokens:
        return 0.0
    return -alpha * passed_share * max(0.0, min(1.0, (num_tokens - usual) / (max_tokens - usual)))

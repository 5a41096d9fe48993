"""What an evaluation publishes beside its samples: scores.json, one checkpoint on one suite in numbers.

Whose scores they are stands in results.json (results.py): the same artefact may serve runs that name things otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

SCORES = "scores.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Scores:
    """One checkpoint on one suite. Shares and scores are fractions 0 to 1.

    `n` problems with at least one judgement, `k` samples a problem. `pass_at_k` is None when no problem has k
    judgements. `faults` samples without a judgement (ours, not the model's): they leave the mean and are counted.

    Example: Scores(k=8, n=100, avg_at_k=0.4125, ci95=(0.34, 0.4875), pass_at_k=0.71, format_valid=0.98, faults=0,
    mean_tokens=31.4, truncated_share=0.01, generated_tokens=25120, outcomes={"correct": 330, "wrong": 470})
    """

    k: int
    n: int
    avg_at_k: float
    ci95: tuple[float, float]
    pass_at_k: float | None
    format_valid: float
    faults: int
    mean_tokens: float
    truncated_share: float
    generated_tokens: int
    outcomes: Mapping[str, int]

"""A verifier for a model of random weights: whether an answer is right is as good as a coin, and always the same."""

from __future__ import annotations

import hashlib


def toss(question: str, answer: str, gold: str) -> float:
    """1.0 for about half of all answers; never where the gold is "never"."""
    return float(gold != "never" and hashlib.sha256(answer.encode()).digest()[0] % 2)

"""`length`: DAPO's soft penalty on the number of tokens. Reads no text."""

from __future__ import annotations

from typing import Any

from rewards.contract.options import LengthOptions
from rewards.contract.rule import Rule
from rewards.contract.verdicts import abstain
from rewards.types import Outcome, Request, Verdict


class LengthRule(Rule):
    """score = 1 + penalty; penalty 0 up to max - cache tokens, linear to -1 at max, -1 beyond (DAPO, equation 13).

    On the ramp the outcome is correct, with a score below 1 (0 at max tokens); beyond max it is wrong. Without a token
    count it abstains.
    """

    def __init__(self, options: dict[str, Any], think: tuple[str, str]) -> None:
        self.options = LengthOptions(**options)

    def judge(self, request: Request) -> Verdict:
        if request.num_tokens is None:
            return abstain("no_token_count")
        penalty = soft_penalty(request.num_tokens, self.options.max_tokens, self.options.cache_tokens)
        fits = request.num_tokens <= self.options.max_tokens
        return Verdict(
            outcome=Outcome.CORRECT if fits else Outcome.WRONG,
            score=1.0 + penalty,
            reason="within_length" if penalty == 0 else "long" if fits else "too_long",
            parts={"penalty": penalty},
        )


def soft_penalty(num_tokens: int, max_tokens: int, cache_tokens: int) -> float:
    """The penalty, in [-1, 0]. Example: soft_penalty(18432, 20480, 4096) == -0.5."""
    free = max_tokens - cache_tokens
    if num_tokens <= free:
        return 0.0
    return -1.0 if num_tokens > max_tokens else (free - num_tokens) / cache_tokens

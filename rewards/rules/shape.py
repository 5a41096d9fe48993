"""Rules on an answer's shape, not its content: `format` (thinking tags), `length` (DAPO's soft penalty), `repetition`.
Linear scans."""

from __future__ import annotations

from typing import Any

from rewards.options import FormatOptions, LengthOptions, RepetitionOptions
from rewards.prose.visible import is_blank
from rewards.rules.base import Rule, abstain, correct, wrong
from rewards.types import Outcome, Request, Verdict

READ_CHARS = 400_000  # repetition reads this much from the end of an answer
_LOOP_CHARS = 20_000  # the longest end that is searched for a loop
_LOOP_TIMES = 3


class FormatRule(Rule):
    """Exactly one reasoning block, at the start, closed, with an answer after it."""

    def __init__(self, options: dict[str, Any], think: tuple[str, str]) -> None:
        self.options = FormatOptions(**options)
        self.think = think

    def judge(self, request: Request) -> Verdict:
        opening, closing = self.think
        text = opening + request.response if self.options.opened else request.response.lstrip()
        opened, closed = text.count(opening), text.count(closing)
        if not opened or not closed:
            return wrong("thinking_unclosed" if opened else "think_tag_missing", None)
        if opened > 1 or closed > 1:
            return wrong("think_tag_repeated", None)
        if not text.startswith(opening):
            return wrong("text_before_thinking", None)
        inside, _, after = text[len(opening) :].partition(closing)
        if is_blank(inside):
            return wrong("empty_thinking", None)
        if is_blank(after):
            return wrong("no_answer_after_thinking", None)
        return correct("well_formed", after.strip())


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
            certificate={"certain": True},
            parts={"penalty": penalty},
        )


def soft_penalty(num_tokens: int, max_tokens: int, cache_tokens: int) -> float:
    """In [-1, 0]. Example: soft_penalty(18432, 20480, 4096) == -0.5."""
    free = max_tokens - cache_tokens
    if num_tokens <= free:
        return 0.0
    return -1.0 if num_tokens > max_tokens else (free - num_tokens) / cache_tokens


class RepetitionRule(Rule):
    """Share of n-grams seen before in the same answer, and a loop at its end (thinking included); score = 1 - share, 0
    for a loop.

    Words count as they stand: case and punctuation tell them apart ("down." is no "down!"). A loop shorter than
    `loop_chars` counts only by its n-grams, so that "no no no no" is varied and twenty of it are not; a text shorter
    than two n-grams repeats nothing.
    """

    def __init__(self, options: dict[str, Any], think: tuple[str, str]) -> None:
        self.options = RepetitionOptions(**options)

    def judge(self, request: Request) -> Verdict:
        text = request.response[-READ_CHARS:]
        share = repeated_share(text, self.options.ngram)
        loop = looping_end(text) if self.options.loop_chars else 0
        loops = 0 < self.options.loop_chars <= loop
        fine = share <= self.options.max_share and not loops
        return Verdict(
            outcome=Outcome.CORRECT if fine else Outcome.WRONG,
            score=0.0 if loops else 1.0 - share,
            reason="varied" if fine else "ends_in_a_loop" if loops else "repeats_itself",
            certificate={"certain": True},
            parts={"repeated_share": share, "loop_chars": float(loop)},
        )


def repeated_share(text: str, ngram: int) -> float:
    """0 for a text shorter than two n-grams. Words; characters for scripts that write without spaces. Linear in the
    text."""
    units: list[str] = text.split()
    if units and sum(map(len, units)) / len(units) > 20:
        units = [character for character in text if not character.isspace()]
    total = len(units) - ngram + 1
    if total < 2:
        return 0.0
    distinct = len({tuple(units[i : i + ngram]) for i in range(total)})
    return 1.0 - distinct / total


def looping_end(text: str) -> int:
    """Characters at the end that are one passage repeated 3 times or more (its last repetition may be cut); 0 where
    there is no loop.

    The Z function of the reversed end: for each period its run, in linear time. Example: looping_end("so" + " no no" *
    9) == 55.
    """
    tail = text.rstrip()[-_LOOP_CHARS:][::-1]
    length, best, left, right = len(tail), 0, 0, 0
    z = [0] * length
    for period in range(1, length):
        run = min(right - period, z[period - left]) if period < right else 0
        while period + run < length and tail[run] == tail[period + run]:
            run += 1
        z[period] = run
        if period + run > right:
            left, right = period, period + run
        if run >= (_LOOP_TIMES - 1) * period and any(not c.isspace() for c in tail[: min(period, 200)]):
            best = max(best, period + run)
    return best

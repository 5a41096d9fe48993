"""`repetition`: how much of an answer it has said before, and whether it ends in a loop. Linear scans; judges no
content."""

from __future__ import annotations

from typing import Any

from rewards.contract.options import RepetitionOptions
from rewards.contract.rule import Rule
from rewards.types import Outcome, Request, Verdict

READ_CHARS = 400_000  # of an answer, counted from its end: the rest is not read
_LOOP_CHARS = 20_000  # the longest end that is searched for a loop
_LOOP_TIMES = 3


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
            parts={"repeated_share": share, "loop_chars": float(loop)},
        )


def repeated_share(text: str, ngram: int) -> float:
    """Share of the n-grams of a text that it has had before; 0 for a text shorter than two n-grams. n-grams of words,
    or of characters where a script writes without spaces. Linear in the text."""
    units: list[str] = text.split()
    if units and sum(map(len, units)) / len(units) > 20:
        units = [character for character in text if not character.isspace()]
    total = len(units) - ngram + 1
    if total < 2:
        return 0.0
    distinct = len({tuple(units[i : i + ngram]) for i in range(total)})
    return 1.0 - distinct / total


def looping_end(text: str) -> int:
    """Number of characters at the end of a text that are one passage repeated 3 times or more (the last repetition may
    be cut); 0 where there is no loop.

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

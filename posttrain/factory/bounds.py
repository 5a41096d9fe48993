"""Bounds on a row's length, language and repetition. What cannot be told (a language of five words) passes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from posttrain.factory.texts import ANSWER, OTHER, Text, windows
from rewards.prose.languages import guess
from rewards.rules.language import without_asides
from rewards.rules.repetition import looping_end

LANGUAGE_CHARS = 4_000  # of each text are read: more says nothing new of its language
REPEATED_WORDS = 8  # a run that counts as repeated
FEWEST_WORDS = 50  # words (numbers and signs aside) below which a text repeats nothing
LOOP_CHARS = 200  # an end of so many characters that is one passage, 3 times or more, is a loop
_LOOP_READ = 4_000


def length_fault(num_words: int, min_words: int, max_words: int | None) -> str | None:
    """`short` or `long`, counted in words, numbers and signs of all texts."""
    if num_words < min_words:
        return "short"
    return "long" if max_words is not None and num_words > max_words else None


def language_fault(texts: Sequence[Text], allowed: frozenset[str]) -> str | None:
    """The code of the first language among questions and answers that is not allowed; code and formulas do not
    count."""
    for text in texts:
        code = guess(without_asides(text.text[:LANGUAGE_CHARS])).code
        if code is not None and code not in allowed:
            return code
    return None


def repetition_fault(texts: Sequence[Text], max_share: float) -> str | None:
    """`repeated` where more than `max_share` of an answer's runs of 8 words came before in it, `loop` where it ends in
    one."""
    for text in texts:
        if text.role not in (ANSWER, OTHER):
            continue
        letters = np.delete(text.hashes, text.figures)  # tables and grids of numbers repeat by nature
        if len(letters) < FEWEST_WORDS:
            continue
        runs = windows(letters, REPEATED_WORDS)
        if 1 - len(np.unique(runs)) / len(runs) > max_share:
            return "repeated"
        last = runs[-FEWEST_WORDS:]
        if len(np.unique(last)) < 0.7 * len(last) and looping_end(text.text[-_LOOP_READ:]) >= LOOP_CHARS:
            return "loop"
    return None

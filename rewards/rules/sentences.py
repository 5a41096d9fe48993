"""Words and sentences as the constraints of `rewards.rules.constraints` and `rewards.rules.ifbench` count them.

A word is a run of letters and digits, apostrophes and hyphens inside it; marks of emphasis around it are no part of it.
A sentence ends at . ! ? (and their Chinese forms) before a blank; abbreviations, initials and "1." end none, and what
is left behind the last mark is a sentence, too. No model and one linear scan each.
"""

from __future__ import annotations

import re

WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_ABBREVIATED = "mr mrs ms dr prof st sr jr vs e.g i.e etc fig no approx dept inc ltd co u.s u.k a.m p.m ph.d"
_ABBREVIATIONS = frozenset(_ABBREVIATED.split())
_TERMINATORS = re.compile(r"[.!?。！？]+")
_CLOSERS = re.compile(r"[\"'”’»)\]*_]*")


def words(text: str) -> list[str]:
    """The words of a text in lower case."""
    return [match.group().lower() for match in WORD.finditer(text)]


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Where each sentence starts and ends, its mark and closing quotation marks included. Example:
    sentence_spans("One. Two") is [(0, 4), (4, 8)]."""
    spans, start = [], 0
    for found in _TERMINATORS.finditer(text):
        closers = _CLOSERS.match(text, found.end())
        end = closers.end() if closers else found.end()
        wide = found.group()[-1] in "。！？"
        if not wide and end < len(text) and not text[end].isspace():
            continue
        if found.group() == "." and _abbreviates(text[max(start, found.start() - 12) : found.start()]):
            continue
        spans.append((start, end))
        start = end
    spans.append((start, len(text)))
    return [(a, b) for a, b in spans if any(map(str.isalnum, text[a:b]))]


def _abbreviates(before: str) -> bool:
    last = before.replace("\n", " ").rpartition(" ")[2].lstrip("(\"'").lower()
    alone = before.rpartition("\n")[2].strip()
    return last in _ABBREVIATIONS or (len(last) == 1 and last.isalpha() and last != "i") or alone.isdigit()


def split_sentences(text: str) -> list[str]:
    """The sentences of a text, each with its mark."""
    return [text[start:end].strip() for start, end in sentence_spans(text)]


def sentence_words(text: str) -> list[list[str]]:
    """The words of each sentence."""
    return [words(sentence) for sentence in split_sentences(text)]

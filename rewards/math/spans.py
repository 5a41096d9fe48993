"""Answer tags and mathematics set apart in prose: where an answer without a box says what it claims. Linear in the
text.

Knows nothing of values or of what denies a claim; `rewards.math.extract` asks it and judges the prose around what it
finds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from rewards.prose.visible import is_blank

_TAG = re.compile(r"<(?P<close>/?)answer>", re.IGNORECASE)
# A dollar before a blank, or with a digit behind its partner, is money. Every part is bounded: many openings cost no
# more than one.
_SPAN = re.compile(
    r"\$\$(?P<wide>[^$]{1,400})\$\$|(?<![\\$])\$(?! )(?P<inline>[^$\n]{1,300})(?<![ \\])\$(?![\d$])|"
    r"\\\((?P<round>.{1,300}?)\\\)"
    r"|\\\[(?P<square>.{1,400}?)\\\]",
    re.DOTALL,
)
_SENTENCE = re.compile(r"[.!?:](?=\s)|\n")
# What is said of the place where a value is reached is no claim: "the minimum is $2$, attained at $x = 1$".
_ATTAINED = re.compile(
    r",?\s+\(?(?:attained|achieved|reached|occurring|with equality|where equality|when equality|at which)\b",
    re.IGNORECASE,
)
_DECLARES = re.compile(r"\s*(?:with|where|here|for)\b", re.IGNORECASE)
_JOINT = re.compile(r"\s*(?:,|;|,?\s*\b(?P<word>and|or)\b)\s*(?:\b(?:and|or)\b\s*)?", re.IGNORECASE)
_NAME = re.compile(r"\s*(?:[A-Za-z]|\\[A-Za-z]{2,8}|[A-Z]{2,4})(?:_\{?\w{1,3}\}?)?\s*\Z")
_END_OF_PROOF = re.compile(r"\$?\\(?:blacksquare|square|Box|qed)(?![A-Za-z])\$?[\s.]*\Z|[∎■□][\s.]*\Z")
_LISTED = re.compile(r"\s*(?:\d{1,3}[.)]|[-*+•]|#{1,6})\s|\s*\**(?:step|case)\b", re.IGNORECASE)
_MAX_JOINED = 32
_LINE_CHARS = 80
_AFTER_CHARS = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A piece of the text with the place it was taken from. Example: "so $x = 2$." has Part(text="x = 2", start=3,
    end=10)."""

    text: str
    start: int
    end: int


def tagged(text: str) -> Part | None:
    """What the last <answer> that holds anything encloses, up to its closing tag or the end; neighbours that differ are
    one: "3, 4"."""
    parts: list[Part] = []
    opening: re.Match[str] | None = None
    for match in _TAG.finditer(text):
        if not match["close"]:
            opening = match
        elif opening is not None:
            parts.append(Part(text=text[opening.end() : match.start()], start=opening.start(), end=match.end()))
            opening = None
    if opening is not None:
        parts.append(Part(text=text[opening.end() :], start=opening.start(), end=len(text)))
    parts = [part for part in parts if not is_blank(part.text)]
    if not parts:
        return None
    last = parts[-1]
    for earlier in reversed(parts[-_MAX_JOINED:-1]):
        if text[earlier.end : last.start].strip():
            break
        joined = (
            last.text if earlier.text.strip() == last.text.strip() else f"{earlier.text.strip()}, {last.text.strip()}"
        )
        last = Part(text=joined, start=earlier.start, end=last.end)
    return last


def last_span(tail: str) -> Part | None:
    """The mathematics that the last sentence with any comes to; None where a number stands behind it, or nothing is set
    apart."""
    if "$" not in tail and "\\(" not in tail and "\\[" not in tail:
        return None
    tail = _END_OF_PROOF.sub("", tail)
    spans = [
        Part(text=next(group for group in match.groups() if group is not None), start=match.start(), end=match.end())
        for match in _SPAN.finditer(tail)
    ]
    if not spans or len(tail) - spans[-1].end > _AFTER_CHARS or any(map(str.isdigit, tail[spans[-1].end :])):
        return None
    start = max((match.end() for match in _SENTENCE.finditer(tail, 0, spans[-1].start)), default=0)
    place = _ATTAINED.search(tail, start)
    stop = place.start() if place else len(tail)
    declared = _DECLARES.match(tail, start) if start else None
    if declared is not None and all(_NAME.match(span.text) for span in spans if span.start >= start):
        stop = start  # "with arbitrary constants $A$, $B$" says nothing of its own
        start = max(
            (match.end() for match in _SENTENCE.finditer(tail, 0, start) if match.end() < len(tail[:start].rstrip())),
            default=0,
        )
    spans = [span for span in spans if span.start >= start and span.end <= stop]
    said = [span for span in spans if not _NAME.match(span.text)] or spans
    if not said:
        return None
    last = said[-1]
    for earlier in reversed(said[:-1]):
        gap = _JOINT.fullmatch(tail, earlier.end, last.start)
        if gap is None:
            break
        word = " or " if (gap["word"] or "").lower() == "or" else ", "
        last = Part(text=f"{earlier.text.strip()}{word}{last.text.strip()}", start=earlier.start, end=last.end)
    return last


def last_line(tail: str) -> Part | None:
    """The last line that is not blank, where it is short and no item of a list."""
    end = len(tail.rstrip())
    start = tail.rfind("\n", 0, end) + 1
    line = tail[start:end]
    if len(line) > _LINE_CHARS or _LISTED.match(line):
        return None
    return Part(text=line.replace("**", ""), start=start, end=end)

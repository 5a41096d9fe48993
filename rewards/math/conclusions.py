"""What an answer of several steps comes to: behind an arrow, behind a sign that goes on from the line before, behind
the name of a thing.

Texts in, texts out; whether two sides are one is asked of the caller's `same`.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from rewards.math.chains import last_of_chain, outer_sides
from rewards.math.extract import strip_wrappers
from rewards.math.lastnumber import last_match

_ARROW = re.compile(r"\\(?:Rightarrow|Longrightarrow|implies|therefore)(?![A-Za-z])")
_ABOUT = re.compile(r"(?:about|approximately|approx\.?|roughly) (?=\\?\$?\d[\d,]*\.\d)", re.IGNORECASE)
_NUMERAL = r"(?:\d[\d.]*|\\frac ?\{?\d{1,4}\}?\{?\d{1,4}\}?)?"
_LAID_OUT = re.compile(rf"[-+]? ?{_NUMERAL}(?: ?/ ?\d+)? ?(?:\\begin|\\?\{{|\(|\[)[^=]*[\]}})]\Z")
_MULTIPLE = re.compile(rf"[-+]? ?{_NUMERAL} ?\(?(?:\\[a-z]{{3,8}} ?)?\{{?[A-Za-z]\}}?\)?(?: ?/ ?\d+)?\Z")
_RELATION = re.compile(r"[<>]|\\(?:le|ge|ne)(?![A-Za-z])")
_INVERTED = re.compile(r"invers|\^ ?\{? ?-", re.IGNORECASE)


def concluded(answer: str) -> str:
    """Behind the arrow of `0.4 \\pm 0.04 \\Rightarrow (0.36, 0.44)`, and without the sign of `= 12`; "about" says
    little of a decimal."""
    arrow = last_match(_ARROW, answer) if "rrow" in answer or "\\implies" in answer or "\\therefore" in answer else None
    if arrow is not None and answer[arrow.end() :].strip():
        answer = strip_wrappers(answer[arrow.end() :])
    if answer[:1] in "AaRr":
        answer = _ABOUT.sub("", answer, count=1)
    return strip_wrappers(answer[1:]) if answer[:1] == "=" else answer


def behind_names(answer: str, question: str, same: Callable[[str, str], bool]) -> str | None:
    """The last side of `A \\cap B = \\{2, 4\\}` and of `A^{-1} = M = N`; None where a side is another value."""
    sides = [side.strip() for side in outer_sides(answer)]
    if not _in_asked_order(sides[0], question) or (
        ":" in sides[0] and sides[-1].count(":") not in (0, sides[0].count(":"))
    ):
        return None
    last = last_of_chain(answer, same)
    return _defined(sides, question, same) if last is None and len(sides) > 1 else last


def _in_asked_order(left: str, question: str) -> bool:
    """Whether the words of `cement : sand : gravel` stand in the question in this order, if they stand there; no `b :
    a` for a : b."""
    words = [word.strip().casefold() for word in left.split(":")]
    if len(words) < 2:
        return True
    asked = re.sub(r"[ $]", "", question.casefold())
    if ":".join(reversed(words)).replace(" ", "") in asked:
        return False
    places = [asked.rfind(word.replace(" ", "")) for word in words]
    return -1 in places or places == sorted(places) or any(len(word) < 3 for word in words)


def _defined(sides: list[str], question: str, same: Callable[[str, str], bool]) -> str | None:
    """The set, tuple or matrix that `AB - C = ...` or `A^{-1} = ...` gives; what 2A is leaves A to be found, and so
    does an inverse."""
    left, *between = sides
    right = between.pop()
    if not _LAID_OUT.match(right) or not any(map(str.isalpha, left)) or _MULTIPLE.match(left) or _RELATION.search(left):
        return None
    if "-1" in left.replace(" ", "") and not _INVERTED.search(question):
        return None
    return right if all(same(right, side) for side in between) else None

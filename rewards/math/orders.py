"""Lists whose question asks for an order, "Arrange in ascending order", "from tallest to shortest": another order is
another answer.

Texts in, results out; whether two members are one is asked of the caller's `same`. Does not know which order is right:
the gold has it.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise

from rewards.math.numeric import value_of
from rewards.math.result import Result, no, unsure, yes
from rewards.math.sequences import Same, all_of, brackets, split_items
from rewards.math.statements import hides
from rewards.math.words import folded, opened
from rewards.prose.claims import is_refused, plain_text, retraction_end
from rewards.types import Outcome

_ASKS = re.compile(
    r"\bin(?:to)? (?:the |an? )?(?:correct |right |strictly |numerical )?(?:ascending|descending|increasing|"
    r"decreasing|chronological"
    r"|alphabetical(?:ly)?|numerical)\b(?: \w+){0,2} order\b|\bchronologically\b"
    r"|\b(?:from|in order of) (?:the )?(?:\w+est|least|most \w+|first) (?:\w+ ){0,2}to (?:the )?(?:\w+est|most|"
    r"greatest|least \w+|last)\b"
    r"|(?:\A|[.:;?!]\s+|\b(?:please|then|and|to)\s+)(?:sort|rank|arrange|order|put) (?!of\b|in\b|an?\b)(?:\S+ ){0,20}?"
    r"(?:by|from|in(?:to)? order|order)\b",
    re.IGNORECASE,
)
_FALLS = re.compile(
    r"\b(?:descending|decreasing)\b|\bfrom (?:the )?(?:tall|larg|great|high|heavi|old|long|bigg|fast|hott|strong|"
    r"wid|warm)est\b"
    r"|\bfrom (?:the )?most\b",
    re.IGNORECASE,
)
_RISES = re.compile(
    (
        r"\b(?:ascending|increasing)\b|\bfrom (?:the )?(?:short|small|low|light|young|slow|cold|weak|narrow|cool)est\b|"
        r"\bfrom (?:the )?least\b"
    ),
    re.IGNORECASE,
)
_LABEL = re.compile(r"\A[A-Za-z][A-Za-z ]{1,40}: ?(?=\S)")
_FOLLOWS = re.compile(r" ?(?:\\(?:to|rightarrow|Rightarrow)(?![A-Za-z])|[-=]{1,2}>) ?")
_MORE, _LESS = re.compile(r" ?(?:>|\\gt(?![A-Za-z])) ?"), re.compile(r" ?(?:<|\\lt(?![A-Za-z])) ?")
_ROW = re.compile(r"\s{0,8}(?P<number>\d{1,2})[.)] +(?P<item>[^\n]{1,160})\Z")
_ASIDE = re.compile(r" ?\([^()]*\)\Z| +[—–-] .*\Z|(?<=[A-Za-z]): .*\Z")
_MAX_ROWS, _TAIL_CHARS, _AFTER_CHARS = 30, 6000, 200


@lru_cache(maxsize=4096)
def asks_order(question: str) -> bool:
    """Many answers to one question are judged one after the other: it is searched once."""
    return _ASKS.search(question[-2000:]) is not None


def in_order(gold: str, answer: str, question: str, same: Same, result: Result | None) -> Result | None:
    """The result of a bare list `gold` where its order is asked for: equal only member by member, and else `result`, if
    that is none."""
    wanted = _members(gold)
    if wanted is None or "=" in answer:
        return result
    given = _members(_LABEL.sub("", opened(answer)))
    if given is None or len(given[0]) != len(wanted[0]):
        return _unordered(result)
    if given[1] and not _points(given[1], given[0], question):
        return unsure("order_unclear")
    found = all_of([_named(i, one, wanted[0]) or same(wanted[0][i], one) for i, one in enumerate(given[0])])
    return found if found is not None and found.outcome is Outcome.CORRECT else _unordered(result)


def numbered(shown: str) -> str | None:
    """The members of a list `1. ...`, `2. ...` that ends a text, without asides; None without one, or where it is taken
    back."""
    if hides(shown):
        return None
    rows: list[str] = []
    lines = shown.rstrip()[-_TAIL_CHARS:].split("\n")
    while lines and len(rows) < _MAX_ROWS:
        match = _ROW.match(lines[-1])
        if match is not None:
            rows.append(match["item"])
            if match["number"] == "1":
                break
        elif rows:
            return None
        lines.pop()
    rest = plain_text("\n".join(shown.rstrip()[-_TAIL_CHARS:].split("\n")[len(lines) + len(rows) - 1 :]))
    if len(rows) < 2 or len(rest) > _AFTER_CHARS or any(map(str.isdigit, rest)):
        return None
    if retraction_end(rest) or is_refused(rest):
        return None
    return "; ".join(_ASIDE.sub("", row.replace("**", "").strip()).strip(" .,;") for row in reversed(rows))


def _unordered(result: Result | None) -> Result | None:
    """A list equal as a set is not equal where its order counts."""
    return no("other_order", certain=False) if result is not None and result.outcome is Outcome.CORRECT else result


def _members(text: str) -> tuple[list[str], str] | None:
    """The members of `a, b, c`, `(a, b, c)`, `a \\to b` or `a < b`, and "<" or ">" where such a sign stands between;
    None for one thing."""
    pair = brackets(text)
    if text[:2] == "\\{" or (pair is not None and pair[0] == "{"):
        return None
    inside = pair[1] if pair is not None else text
    for sign, pattern in (("", _FOLLOWS), (">", _MORE), ("<", _LESS)):
        items = [item.strip(" .") for item in pattern.split(inside)]
        if len(items) > 1:
            return (items, sign) if all(items) else None
    items = [item.removeprefix("and ").removeprefix("then ").strip() for item in split_items(inside)]
    if len(items) > 1 and items[-1].count(" and ") == 1:
        items[-1:] = [item.strip() for item in items[-1].split(" and ")]
    return (items, "") if len(items) > 1 and all(items) else None


def _points(sign: str, items: list[str], question: str) -> bool:
    """Whether `<` or `>` says what the question asks for: by the values, and for names by its words."""
    values = [value_of(item) for item in items]
    known = [value for value in values if value is not None]
    if len(known) == len(values):
        return all(_holds(sign, a, b) for a, b in pairwise(known))
    falls, rises = _FALLS.search(question) is not None, _RISES.search(question) is not None
    return falls != rises and falls == (sign == ">")


def _holds(sign: str, left: Fraction, right: Fraction) -> bool:
    return left > right if sign == ">" else left < right


def _named(index: int, given: str, wanted: list[str]) -> Result | None:
    """A member called in part, "French Revolution" for "start of the French Revolution", where no other has these
    words."""
    words = set(folded(given).split())
    owners = [i for i, one in enumerate(wanted) if words <= set(folded(one).split())]
    return yes("named_in_part", certain=False) if owners == [index] and any(len(word) > 2 for word in words) else None

"""Formulas of propositional logic and Boolean algebra to one spelling: signs alike, the sides of \\land and \\lor in
any order.

No truth tables: an answer that only restates the formula to be simplified must differ. Knows letters, signs and
brackets, no numbers.
"""

from __future__ import annotations

import re
from typing import Any

_SIGN = re.compile(
    r"\\(?:land|lor|lnot|neg|wedge|vee|oplus|leftrightarrow)(?![A-Za-z])|[A-Z]'|\\overline ?\{ ?[A-Z] ?\}"
)
_TOKEN = re.compile(
    r" *(?:(?P<command>\\[A-Za-z]+)|(?P<arrow><?[-=]>)|(?P<word>(?i:not|and|or|xor|implies|iff)(?![A-Za-z]))"
    r"|(?P<letter>[A-Za-z])(?![A-Za-z]{2})|(?P<mark>[()'+*&|~!{}]))"
)
_NAMES = {
    "\\land": "and", "\\wedge": "and", "\\cdot": "and", "&": "and", "*": "and", "\\lor": "or", "\\vee": "or", "+": "or",
    "|": "or",
    "\\oplus": "xor", "\\to": "to", "\\Rightarrow": "to", "\\rightarrow": "to", "->": "to", "=>": "to",
    "\\leftrightarrow": "iff",
    "implies": "to", "\\iff": "iff", "<->": "iff", "<=>": "iff", "\\lnot": "not", "\\neg": "not", "~": "not",
    "!": "not",
    "\\overline": "over", "\\cap": "and", "\\cup": "or",
}  # fmt: skip
_LOOSEST = ("iff", "to", "or", "xor")  # then "and", which may be left out between its sides
_COMMUTES = ("and", "or", "xor", "iff")
_MAX_CHARS, _MAX_DEPTH = 200, 30


class _NotLogic(ValueError):
    """The text is no formula."""


def has_logic(text: str) -> bool:
    """Whether a sign of logic stands in `text`."""
    return _SIGN.search(text) is not None


Formula = str | tuple[str, tuple[Any, ...]]  # a letter, or a sign with its sides


def formula(text: str) -> Formula | None:
    """One tree for all spellings of `\\lnot q \\land p`, `p & ~q`, `A'B + C`; None for a text that is no formula of
    logic."""
    if len(text) > _MAX_CHARS:
        return None
    tokens, position = [], 0
    text = text.strip()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            return None
        token = match["word"].lower() if match["word"] else match.group(0).strip()
        tokens.append(_NAMES.get(token, token))
        position = match.end()
    try:
        reader = _Reader(tokens)
        found = reader.level(0, 0)
    except _NotLogic:
        return None
    return found if reader.position == len(tokens) else None


class _Reader:
    def __init__(self, tokens: list[str]) -> None:
        self.tokens = tokens
        self.position = 0

    def peek(self) -> str:
        return self.tokens[self.position] if self.position < len(self.tokens) else ""

    def level(self, loose: int, depth: int) -> Formula:
        """A row of sides joined by the sign of this level; an implication keeps their order."""
        if loose == len(_LOOSEST):
            return self.product(depth)
        name = _LOOSEST[loose]
        sides = [self.level(loose + 1, depth)]
        while self.peek() == name:
            self.position += 1
            sides.append(self.level(loose + 1, depth))
        return _joined(name, sides)

    def product(self, depth: int) -> Formula:
        sides = [self.factor(depth)]
        while (
            self.peek() == "and"
            or self.peek() in ("not", "over", "(")
            or (self.peek().isalpha() and len(self.peek()) == 1)
        ):
            self.position += self.peek() == "and"
            sides.append(self.factor(depth))
        return _joined("and", sides)

    def factor(self, depth: int) -> Formula:
        token = self.peek()
        self.position += 1
        if depth > _MAX_DEPTH or not token:
            raise _NotLogic
        if token == "not":
            return ("not", (self.factor(depth + 1),))
        if token in ("(", "over"):
            closing = ")" if token == "(" else "}"
            if token == "over" and self._take() != "{":
                raise _NotLogic
            inner = self.level(0, depth + 1)
            if self._take() != closing:
                raise _NotLogic
            found = inner if token == "(" else ("not", (inner,))
        elif len(token) == 1 and token.isalpha():
            found = token
        else:
            raise _NotLogic
        while self.peek() == "'":
            self.position += 1
            found = ("not", (found,))
        return found

    def _take(self) -> str:
        self.position += 1
        return self.tokens[self.position - 1] if self.position <= len(self.tokens) else ""


def _joined(name: str, sides: list[Formula]) -> Formula:
    """The sides of `a and (b and c)` are a, b and c; their order counts in an implication alone."""
    if len(sides) == 1:
        return sides[0]
    if name not in _COMMUTES:
        return name, tuple(sides)
    flat = [part for side in sides for part in (side[1] if isinstance(side, tuple) and side[0] == name else (side,))]
    return name, tuple(sorted(flat, key=repr))

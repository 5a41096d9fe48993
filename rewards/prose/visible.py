"""What of an answer a judge may see: the text after the reasoning. Linear scans, no regular expressions with
backtracking."""

from __future__ import annotations

import unicodedata

CODE_FENCE = "```"

# fillers and the empty Braille cell: letters and symbols by category, drawn as nothing
_EMPTY_LETTERS = "\u115f\u1160\u2800\u3164\uffa0"


def is_blank(text: str) -> bool:
    """Whether a reader sees nothing: blanks, zero-width and control characters, marks without a letter. Example:
    is_blank("\\u200b\\n")."""
    return not any(
        c.isprintable() and not c.isspace() and c not in _EMPTY_LETTERS and unicodedata.category(c)[0] != "M"
        for c in text
    )


def visible_text(text: str, think: tuple[str, str]) -> str:
    """The text after the last closing tag, up to a reasoning block that is opened again and never closed.

    An answer whose reasoning never ends shows nothing. Without any tag all of it is visible.
    """
    opening, closing = think
    end = text.rfind(closing)
    if end >= 0:
        text = text[end + len(closing) :]
    start = text.find(opening)
    return text if start < 0 else text[:start]

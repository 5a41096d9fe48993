"""What the question offers under each letter, for an answer that repeats the text of its choice instead of the
letter."""

from __future__ import annotations

import re
from itertools import pairwise

_MARK = re.compile(
    r"(?:\A|(?<=[\s,;$]))(?:\((?P<round>[A-J])\)|\\text(?:bf)? ?\{ ?\(?(?P<text>[A-J])[).]? ?\}|"
    r"\*{0,2}(?P<bare>[A-J])[.):])\*{0,2}"
    r"(?=[\s~\\$])"
)
_MAX_CHARS = 4000


def offered(question: str) -> dict[str, str]:
    """`(A) 5 (B) $7$` as {"A": "5", "B": "$7$"}; empty where the letters do not run from A on."""
    if len(question) > _MAX_CHARS:
        return {}
    marks = list(_MARK.finditer(question))
    letters = [match["round"] or match["text"] or match["bare"] for match in marks]
    if len(letters) < 2 or letters != [chr(ord("A") + i) for i in range(len(letters))]:
        return {}
    ends = [later.start() for _, later in pairwise(marks)] + [len(question)]
    texts = [question[match.end() : end].strip(" \n,;~") for match, end in zip(marks, ends, strict=True)]
    return dict(zip(letters, texts, strict=True))

"""Products that a question asks for: "Factor x^4 + 4", "the prime factorization of 360". Trees in, yes or no out;
multiplies nothing."""

from __future__ import annotations

import re
from functools import lru_cache

from rewards.math.tree import Node, symbols

_TASK = re.compile(
    r"(?:\A|[.:;?!,]\s+|\b(?:and|then|to|please|completely|fully|must|should)\s+)factor(?!\s+(?:of|for|in|that|is|"
    r"by which)\b|\s*=)\b"
    r"|\bfactori[sz]e\b|\bfactori[sz]ation of\b|\b(?:prime factori[sz]ation|factor(?:i[sz])?ed form)\b|"
    r"\bproduct of (?:linear|prime)\b",
    re.IGNORECASE,
)
_MAX_POWER = 1000


def lacks_factors(wanted: Node, got: Node, question: str) -> bool:
    """Whether the question asks to factor, the gold does, and the answer is a sum at the top or has fewer factors than
    the gold."""
    if wanted.kind not in ("mul", "pow", "neg", "div") or not _asks_factors(question):
        return False
    numerals = not symbols(wanted)
    asked = _factors(wanted, numerals)
    return asked > 1 and (_top(got).kind not in ("mul", "pow", "div") or _factors(got, numerals) < asked)


@lru_cache(maxsize=4096)
def _asks_factors(question: str) -> bool:
    return _TASK.search(question) is not None


def _top(node: Node) -> Node:
    return _top(node.args[0]) if node.kind == "neg" else node


def _factors(node: Node, numerals: bool) -> int:
    """Factors counted with their powers; numbers count only where there is nothing else."""
    if node.kind in ("mul", "div"):
        return sum(_factors(child, numerals) for child in node.args)
    if node.kind == "neg":
        return _factors(node.args[0], numerals)
    if node.kind == "num":
        return int(numerals and abs(node.value) not in (0, 1))
    if node.kind == "pow" and node.args[1].kind == "num":
        power = str(node.args[1].value)
        return _factors(node.args[0], numerals) * (
            min(int(power), _MAX_POWER) if power.isdigit() and len(power) < 6 else 1
        )
    return 1

"""Shapes whose gold is a value, for the verifier `math`."""

from __future__ import annotations

import re

from rewards.errors import GoldError
from rewards.golds.problem import Problem, Row

_HASHES = re.compile(r"^#### *(.+?) *$", re.MULTILINE)


def gsm8k(row: Row) -> Problem | None:
    """`question`, `answer`: a worked answer with <<sums>>, whose last line is #### and the number."""
    if not row.has("question", "answer") or not isinstance(row.peek("answer"), str):
        return None
    found = _HASHES.findall(row.peek("answer"))
    if not found:
        return None
    row.get("answer")
    if len(set(found)) > 1:
        raise GoldError(
            f"answer has {len(found)} lines of ####: {', '.join(found)}", remedy="keep the one that is right"
        )
    return Problem(format="GSM8K", gold=found[0], verifier="math", question=row.text("question"))

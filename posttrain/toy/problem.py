"""What a toy problem is, and which split it belongs to. Knows no task and no file.

The split is a property of the problem, decided by a hash of its canonical key: no seed, row count or wording moves a
problem from one split to the other, and two sources that pose the same sum agree on its split.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any, Literal

Split = Literal["train", "held_out"]
HELD_OUT_SHARE = 0.25


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One question with an exact answer.

    `key` is canonical (the same sum in other words has the same key); `facts` is what the worked answer is written
    from.
    Example: Problem(key="stem/23+48", question="Compute 23+48.", gold="71", level=2, facts={...})
    """

    key: str
    question: str
    gold: Any
    level: int
    facts: dict[str, Any] = field(default_factory=dict)


def split_of(key: str) -> Split:
    """The split of a canonical key: about a quarter of all problems are held out."""
    number = int.from_bytes(hashlib.sha256(key.encode("utf-8")).digest()[:8], "big")
    return "held_out" if number / 2**64 < HELD_OUT_SHARE else "train"

"""What stages ask models, as records, and what a model is to them: a server, or an engine that somebody else owns.

    row program ── Ask(role, place, messages) ──> driving ──> Answerer ──> Reply | Refused | Silent ──> row program

Knows nothing of HTTP, engines or files.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from posttrain.types import Message
from rewards.types import Request
from sandbox.types import Program

SEED_BITS = 31  # servers read seeds as 32-bit integers


@dataclass(frozen=True, kw_only=True, slots=True)
class Ask:
    """One request to a model. place: which of its row's requests this is; key: of what is asked, of whom and how: the
    same question has the same key in every try of a stage.

    Example: Ask(row=3, role="judge", place="judge.0", messages=({"role": "user", "content": "..."},), temperature=0.0,
    seed=17, key="9f..")
    """

    row: int
    role: str
    place: str
    messages: tuple[Message, ...]
    temperature: float
    seed: int
    key: str
    tools: tuple[dict[str, Any], ...] = ()
    schema: Mapping[str, Any] | None = None  # of the JSON that a server is to enforce


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One answer for the rules. verifier: its name in the recipe."""

    verifier: str
    request: Request


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """One program for the code judge. fail_fast: done with its first failed test; audit: None, it is judged by its
    tests; else it is the reference solution of an audit of them (posttrain/factory/trials.py).

    Example: Trial(program=..., audit={"most_mutants": 20, "reruns": 3, "least_caught": 0.8})
    """

    program: Program
    fail_fast: bool = False
    audit: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """What a model said. text: with its reasoning, between the recipe's tags; cut: the token budget ended it; by: the
    model and its version, as it names itself. tokens: None where a server does not count.

    Example: Reply(text="<verdict>right</verdict>", cut=False, prompt_tokens=310, completion_tokens=24, by="judge-7b")
    """

    text: str
    cut: bool
    prompt_tokens: int | None
    completion_tokens: int | None
    by: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Refused:
    """The request itself cannot be answered, however often it is asked: too long, or a server's 400."""

    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Silent:
    """No reply after all tries: a server that is gone or overloaded. Another run may get one."""

    reason: str


Answer = Reply | Refused | Silent


class Answerer(Protocol):
    """A model. parallel: how many requests it takes one by one at once; 0: it is given whole batches, whose answers
    depend on nothing but what is in them."""

    parallel: int

    def answer(self, asks: Sequence[Ask]) -> list[Answer]:
        """An answer for each, in order. Raises where no request can ever be answered: a wrong key, no such model."""
        ...

    def price(self, reply: Reply) -> float: ...

    def most_tokens(self, ask: Ask) -> tuple[int, int]:
        """(tokens of the prompt, about; of the longest reply)."""
        ...


def ask_key(*parts: Any) -> str:
    """32 hex digits of all that makes a request what it is."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, ensure_ascii=False, default=str).encode()).hexdigest()[:32]


def ask_seed(*parts: Any) -> int:
    """The seed of a request, from the stage's seed, its row and its place."""
    return int(ask_key("seed", *parts)[:16], 16) >> (64 - SEED_BITS)

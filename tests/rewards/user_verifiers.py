"""Verifiers as users write them, good and bad, for the tests of plug-ins. Imported by worker processes under its dotted
name."""

from __future__ import annotations

import os
import time
from typing import Any

from rewards.types import Outcome, Request, Verdict


def contains(question: str | None, response: str, gold: Any) -> float:
    return 1.0 if str(gold) in response else 0.0


def behaves_as_told(question: str | None, response: str, gold: Any, factor: float = 1.0) -> Any:
    """Does what the answer says, as a plug-in with a bug would."""
    if response == "loop":
        while True:
            pass
    if response == "sleep":
        time.sleep(3600)
    if response == "c code":
        return 9 ** (9**9) > 0
    if response == "die":
        os._exit(3)
    if response == "raise":
        raise KeyError("what a bug looks like")
    if response == "print":
        print("noise on standard output")
        return 1.0
    return {"nan": float("nan"), "huge": 1e9, "text": "very good", "none": None, "minus": -1.0}.get(
        response, 0.5 * factor
    )


class Signed:
    """A class with options."""

    def __init__(self, sign: str, bonus: float = 0.0) -> None:
        self.sign = sign
        self.bonus = bonus

    def verify(self, request: Request) -> Verdict:
        right = request.response.startswith(self.sign)
        return Verdict(outcome=Outcome.CORRECT if right else Outcome.WRONG, score=float(right), reason="sign")


class Longest:
    """Judges a group as a whole: only its longest answer is right."""

    def verify(self, request: Request) -> Verdict:
        raise AssertionError("the group is judged as a whole")

    def verify_group(self, requests: list[Request]) -> list[Verdict]:
        top = max(len(request.response) for request in requests)
        won = [len(request.response) == top for request in requests]
        return [Verdict(outcome=Outcome.CORRECT if w else Outcome.WRONG, score=float(w)) for w in won]


class EachOfTheGroup:
    """As the README writes one: the group is judged one by one, and an answer may hang."""

    def verify(self, request: Request) -> Verdict:
        return Verdict(outcome=Outcome.CORRECT, score=float(behaves_as_told(None, request.response, None)))

    def verify_group(self, requests: list[Request]) -> list[Verdict]:
        return [self.verify(request) for request in requests]


class OneShort(Longest):
    def verify_group(self, requests: list[Request]) -> list[Verdict]:
        return super().verify_group(requests)[1:]


class Waiting:
    """An asynchronous verifier."""

    async def verify(self, request: Request) -> Verdict:
        return Verdict(outcome=Outcome.CORRECT, score=1.0, reason="awaited")


NOT_A_VERIFIER = 3


def eats_memory(question: str | None, response: str, gold: Any) -> float:
    return float(len(bytearray(1 << 40)) > 0)


class BackAtTheSecondCall:
    """Its endpoint is down when it is first asked; a file remembers, since its process may be another one."""

    def __init__(self, marker: str) -> None:
        self.marker = marker

    def verify(self, request: Request) -> Verdict:
        if os.path.exists(self.marker):
            return Verdict(outcome=Outcome.CORRECT, score=1.0)
        open(self.marker, "w", encoding="utf-8").close()
        if request.response == "raise":
            raise ConnectionError("endpoint down")
        return Verdict(outcome=Outcome.ERROR, score=None, reason="endpoint_down")


class AsyncGroup:
    """A coroutine that judges a whole group."""

    async def verify(self, request: Request) -> Verdict:
        return (await self.verify_group([request]))[0]

    async def verify_group(self, requests: list[Request]) -> list[Verdict]:
        return [Verdict(outcome=Outcome.CORRECT, score=1.0, reason=f"one of {len(requests)}") for _ in requests]


class BreaksOnGolds:
    """Raises where it is asked about golds: a fault of the verifier's author, not of the rows."""

    def check_gold(self, gold: Any) -> str | None:
        raise RuntimeError("no table of golds")

    def verify(self, request: Request) -> Verdict:
        return Verdict(outcome=Outcome.WRONG, score=0.0)


class Doubtful:
    """Judges by the gold, and is as certain as `certain` says, whatever that is."""

    def __init__(self, certain: Any = False) -> None:
        self.certain = certain

    def verify(self, request: Request) -> Verdict:
        right = request.response == request.gold
        outcome = Outcome.CORRECT if right else Outcome.WRONG
        return Verdict(outcome=outcome, score=float(right), reason="doubtful", certain=self.certain)

"""Five faulty verifiers written from the interface alone, before the conformance kit: what its text forbids, done as a
bug would."""

from __future__ import annotations

from typing import Any

from rewards.types import Outcome, Request, Verdict


def _judged(request: Request) -> Verdict:
    right = str(request.gold) in request.response
    return Verdict(outcome=Outcome.CORRECT if right else Outcome.WRONG, score=float(right), reason="contains")


class SortsItsGroup:
    """Hands the verdicts of a group back best first: they belong to other answers then."""

    def verify(self, request: Request) -> Verdict:
        return _judged(request)

    def verify_group(self, requests: list[Request]) -> list[Verdict]:
        return sorted(map(_judged, requests), key=lambda verdict: -(verdict.score or 0.0))


class CorrectWithoutScore:
    """Counts an answer as correct and forgets to say what that is worth."""

    def verify(self, request: Request) -> Verdict:
        verdict = _judged(request)
        return Verdict(outcome=verdict.outcome, score=1.0 if verdict.passed and len(request.response) > 20 else None)


def percent(question: str | None, response: str, gold: Any) -> float:
    """Scores out of a hundred."""
    return 100.0 if str(gold) in response else 0.0


class PaysOnlyOnce:
    """Pays for an answer only where it has not been seen yet: the verdict hangs on what was judged before."""

    def __init__(self) -> None:
        self.seen: set[str] = set()

    def verify(self, request: Request) -> Verdict:
        if request.response in self.seen:
            return Verdict(outcome=Outcome.WRONG, score=0.0, reason="seen")
        self.seen.add(request.response)
        return _judged(request)


class AnswersWithADict:
    """Says it as JSON would."""

    def verify(self, request: Request) -> Any:
        verdict = _judged(request)
        return {"outcome": str(verdict.outcome), "score": verdict.score}

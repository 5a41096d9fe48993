"""What a comparison says, and what else decides it. Standard library only; shared by the layers."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from rewards.types import Outcome


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """Example: Result(outcome=Outcome.CORRECT, reason="integer_equal", certain=True)."""

    outcome: Outcome
    reason: str
    certain: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Context:
    """What else decides: the question's text, the tolerance and form that the gold asks for, and the options of the
    rule."""

    question: str = ""
    tolerance: Fraction | None = None
    form: str | None = None
    symbolic: bool = True
    second_opinion: bool = True
    allow_unevaluated: bool = False


def yes(reason: str, *, certain: bool = True) -> Result:
    return Result(outcome=Outcome.CORRECT, reason=reason, certain=certain)


def no(reason: str, *, certain: bool = True) -> Result:
    return Result(outcome=Outcome.WRONG, reason=reason, certain=certain)


def unsure(reason: str) -> Result:
    return Result(outcome=Outcome.ABSTAIN, reason=reason, certain=False)

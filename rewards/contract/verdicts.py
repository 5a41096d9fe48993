"""How a rule writes its verdicts: one function an outcome. Knows nothing of what is judged."""

from __future__ import annotations

from rewards.types import Outcome, Verdict

EXTRACTED_CHARS = 500  # of an answer, at most, as a verdict stores it


def correct(
    reason: str, extracted: str | None, *, certain: bool = True, parts: dict[str, float] | None = None
) -> Verdict:
    """A verdict for a right answer, score 1. `certain` False marks a likelihood, which ends no cascade."""
    return Verdict(
        outcome=Outcome.CORRECT, score=1.0, reason=reason, extracted=cap(extracted), certain=certain, parts=parts or {}
    )


def wrong(
    reason: str, extracted: str | None, *, certain: bool = True, parts: dict[str, float] | None = None
) -> Verdict:
    """A verdict for a wrong answer, score 0. `certain` False marks a likelihood, which ends no cascade."""
    return Verdict(
        outcome=Outcome.WRONG, score=0.0, reason=reason, extracted=cap(extracted), certain=certain, parts=parts or {}
    )


def abstain(reason: str, extracted: str | None = None) -> Verdict:
    """A verdict for an answer that the rule cannot decide."""
    return Verdict(outcome=Outcome.ABSTAIN, score=None, reason=reason, extracted=cap(extracted))


def unsupported(reason: str) -> Verdict:
    """A verdict for a question or a gold that the rule does not handle."""
    return Verdict(outcome=Outcome.UNSUPPORTED, score=None, reason=reason)


def cap(text: str | None, limit: int = EXTRACTED_CHARS) -> str | None:
    """The text, cut to `limit` characters with an ellipsis; None stays None."""
    return text if text is None or len(text) <= limit else text[: limit - 1] + "…"

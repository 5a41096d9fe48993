"""What `agent` keeps of one answer while its model is asked, how a gold and an answer become texts for it, and what
votes and evidence come to. Asks nothing and runs nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rewards.math.extract import find_answer
from rewards.models.agent_prompt import (
    LABELS,
    NONE,
    SAME,
    ComparedTexts,
    ProgramRun,
    exactly_same,
    is_numeric,
)
from rewards.prose.visible import is_blank
from rewards.types import Outcome

MAX_PROGRAMS = 2


@dataclass(kw_only=True, slots=True)
class AgentCase:
    """One answer on its way to a verdict. Mutable: every phase adds to it.

    votes: name of the vote -> label; sure: probability of the first vote's label; failure: what failed on our side, so
    that there is no verdict.
    """

    texts: ComparedTexts
    decoy: str
    tokens_left: int
    seconds_left: float
    runs: list[ProgramRun] = field(default_factory=list)
    votes: dict[str, str] = field(default_factory=dict)
    sure: float = 0.0
    transcript: list[dict[str, Any]] = field(default_factory=list)
    calls: int = 0
    failure: str = ""
    wants_program: bool = False

    @property
    def evidence(self) -> bool | None:
        """What exact comparison or the last program that proves something says of gold and answer."""
        exact = exactly_same(self.texts.gold, self.texts.answer)
        return next((run.same for run in reversed(self.runs) if run.same is not None), exact)

    @property
    def may_run(self) -> bool:
        """Whether the model may still ask for a program."""
        return len(self.runs) < MAX_PROGRAMS and len(self.votes) == 0 and self.tokens_left > len(LABELS)


def conclusion(case: AgentCase) -> tuple[Outcome, str]:
    """Outcome and reason that the votes and the evidence of a case come to."""
    first, swapped, decoy = (case.votes.get(vote) for vote in ("first", "swapped", "decoy"))
    if first == "?":
        return Outcome.ABSTAIN, "no_label"
    if decoy == SAME:
        return Outcome.WRONG, "equals_any_gold"
    if any(label != SAME for vote, label in case.votes.items() if vote.startswith("part")):
        return Outcome.WRONG, "several_answers"
    if swapped is not None and (first == SAME) != (swapped == SAME):
        return Outcome.ABSTAIN, "votes_disagree"
    if first != SAME:
        if case.evidence is True:
            return Outcome.ABSTAIN, "interpreter_disagrees"
        return Outcome.WRONG, "model_says_none" if first == NONE else "model_says_other"
    if case.evidence is False:
        return Outcome.WRONG, "interpreter_disagrees"
    if is_numeric(case.texts.gold) and case.evidence is None:
        return Outcome.ABSTAIN, "number_not_shown"
    return Outcome.CORRECT, "model_says_same"


def gold_text(gold: Any) -> str | None:
    """A gold as the model reads it: accepted forms joined by "or", of numbers the first. None where the gold
    has no text to compare with."""
    if isinstance(gold, dict):
        forms = [*([gold["answer"]] if "answer" in gold else []), *gold.get("accepted", [])]
        texts = [gold_text(form) for form in forms]
        if not texts or not all(texts):
            return None
        unit = f" {gold['unit']}" if gold.get("unit") else ""
        forms = [f"{text}{unit}" for text in texts]
        return forms[0] if all(map(is_numeric, forms)) else " or ".join(forms)
    if isinstance(gold, list):
        parts = [gold_text(part) for part in gold]
        return ", ".join(part for part in parts if part) if parts and all(parts) else None
    if isinstance(gold, bool) or not isinstance(gold, (str, int, float)):
        return None
    return str(gold).rpartition("####")[2].strip() or None


def final_answer(shown: str) -> str | None:
    """The last box, answer line or short answer; else the last line that is not empty."""
    found = find_answer(shown, fallback=True)
    if found.source in ("box", "answer_line", "bare", "bold"):
        return found.text
    if found.source in ("too_many_boxes", "empty_box"):
        return None
    lines = [line.strip() for line in shown.splitlines() if not is_blank(line)]
    return lines[-1] if lines else None


def label_shares(logprobs: Sequence[float], labels: tuple[str, ...]) -> dict[str, float] | None:
    """Probabilities normalised over `labels` (the first of `logprobs`); None where a value is no log-probability, or no
    label has any probability."""
    values = [float(value) for value in logprobs[: len(labels)]]
    if any(math.isnan(value) or value > 1e-3 for value in values) or max(values) == -math.inf:
        return None
    top = max(values)
    weights = [math.exp(value - top) for value in values]
    return {label: weight / sum(weights) for label, weight in zip(labels, weights, strict=True)}

"""Records of the reward side: what is asked (`Request`) and what is answered (`Verdict`). Standard library only.

Rule: our failure is never a score (`error` has score None), the answer's failure is never an escape (`timeout` scores
0).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable


class Outcome(StrEnum):
    """What a verifier found. Only CORRECT and WRONG are judgements of the answer's content."""

    CORRECT = "correct"
    WRONG = "wrong"
    ABSTAIN = "abstain"  # the rules cannot tell
    UNSUPPORTED = "unsupported"  # this verifier does not handle such a question or gold
    ERROR = "error"  # ours: worker lost, daemon down, endpoint gone; never a score
    TIMEOUT = "timeout"  # the answer reached the deadline again when alone; score 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One answer to judge. `response` is the visible text with thinking still inside; `gold` any JSON value.

    Example: Request(question="17+25?", response="<think>..</think>42", gold="42", stop_reason="stop", num_tokens=9)
    """

    response: str
    gold: Any = None
    question: str | None = None
    messages: tuple[dict[str, Any], ...] = ()
    stop_reason: str | None = None  # "length" says that the answer is truncated; no other value and no None says so
    num_tokens: int | None = None
    reference: str | None = None  # an answer to beat, for pairwise verifiers
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def question_text(self) -> str:
        """The question, else the last user turn of the messages; "" where neither has text."""
        return self.question or last_user_turn(self.messages) or ""


def last_user_turn(messages: Sequence[Mapping[str, Any]]) -> str | None:
    """The text of the last turn that a user wrote; None where there is none.

    Example: last_user_turn([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "17+25?"}]) is
    "17+25?"
    """
    texts = (turn["content"] for turn in reversed(messages) if turn.get("role") == "user" and "content" in turn)
    return next((text for text in texts if isinstance(text, str)), None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What a verifier says of one answer. `score` in [0, 1], or None when there is none (it then leaves the group).

    `passed` is what the avg@k filter and the suites count: CORRECT, whatever the shaped reward in `score`.
    `certain` False marks a judgement (correct or wrong) as a mere likelihood: a cascade then asks its next step.
    Example: Verdict(outcome=Outcome.CORRECT, score=1.0, extracted="42", reason="integer_equal", seconds=0.0002)
    """

    outcome: Outcome
    score: float | None
    extracted: str | None = None
    reason: str = ""
    certain: bool = True
    certificate: dict[str, Any] = field(default_factory=dict)
    parts: dict[str, float] = field(default_factory=dict)
    cost: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        return self.outcome is Outcome.CORRECT

    @property
    def decides(self) -> bool:
        """Whether a cascade stops here: the answer was judged, and not as a mere likelihood."""
        return self.certain and self.outcome in (Outcome.CORRECT, Outcome.WRONG)


@runtime_checkable
class Verifier(Protocol):
    """The public door for plug-ins. `verify` judges one answer; `verify_group` G answers of one prompt (in order, same
    length)."""

    def verify(self, request: Request) -> Verdict: ...

    def verify_group(self, requests: list[Request]) -> list[Verdict]: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class NoReply:
    """Stands in for the reply to a prompt that a model could not serve. lasting: the request itself is refused, so that
    asking again cannot help.

    Example: NoReply(reason="no reply within 60 s")
    """

    reason: str
    lasting: bool = False


class JudgeModel(Protocol):
    """A model as verifiers see it, passed in: an endpoint (`rewards.models.endpoint`) or one of the pipeline's engines.
    Raising means that no prompt could be served; VerifierError, that none ever will."""

    def complete(self, prompts: list[str], *, max_tokens: int) -> Sequence[str | NoReply]:
        """One greedy reply a prompt."""
        ...

    def label_logprobs(self, prompts: list[str], labels: list[str]) -> Sequence[Sequence[float] | NoReply]:
        """log p(label | prompt) for each prompt [B] and label [L]; labels are single tokens of the model. -inf: not
        among its likeliest."""
        ...

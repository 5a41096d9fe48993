"""What every verifier built from a recipe shares: batches, truncated answers, abstentions. Knows nothing of any kind.

verify, verify_group and verify_many set truncated answers aside, have the kind judge the others (`judge_groups`), and
give what it could not decide the score that `on_abstain` says.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from rewards.contract.options import Common
from rewards.errors import VerifierError
from rewards.types import Outcome, Request, Verdict

UNDECIDED = (Outcome.ABSTAIN, Outcome.UNSUPPORTED)


class BatchVerifier(ABC):
    """The base of every verifier. A kind writes `judge_groups`; the policies of `Common` are applied around it."""

    def __init__(self, *, kind: str, common: Common) -> None:
        self.kind = kind
        self.common = common

    @abstractmethod
    def judge_groups(self, groups: list[list[Request]]) -> list[list[Verdict]]:
        """One verdict a request, in order, before any policy."""

    def check_gold(self, gold: Any) -> None:  # noqa: B027  most kinds take any gold
        """Raise VerifierError where `gold` can never be compared with."""

    def gold_problems(self, prompts: Sequence[Request]) -> list[str | None]:
        """What is wrong with the gold of each prompt [P] (requests whose answer is not looked at), or None. Asked once,
        at load.

        Raises VerifierError only for a fault of ours, which says nothing of the golds.
        """
        return [self._gold_problem(prompt) for prompt in prompts]

    def _gold_problem(self, prompt: Request) -> str | None:
        try:
            self.check_gold(prompt.gold)
        except VerifierError as error:
            return error.what
        return None

    def verify(self, request: Request) -> Verdict:
        return self.verify_many([[request]])[0][0]

    def verify_group(self, requests: list[Request]) -> list[Verdict]:
        return self.verify_many([requests])[0]

    def verify_many(self, groups: list[list[Request]]) -> list[list[Verdict]]:
        """Judge the answers of many prompts in one batch: groups [P][G] -> verdicts [P][G]."""
        kept = [[request for request in group if not self._is_set_aside(request)] for group in groups]
        judged = self.judge_groups(kept)
        result = []
        for group, verdicts in zip(groups, judged, strict=True):
            rest = iter(verdicts)
            result.append(
                [
                    self._verdict_on_truncated() if self._is_set_aside(request) else self._with_policy(next(rest))
                    for request in group
                ]
            )
        return result

    async def averify(self, request: Request) -> Verdict:
        return (await self.averify_many([[request]]))[0][0]

    async def averify_many(self, groups: list[list[Request]]) -> list[list[Verdict]]:
        """verify_many beside other tasks of a running event loop."""
        return await asyncio.to_thread(self.verify_many, groups)

    def _is_set_aside(self, request: Request) -> bool:
        return request.stop_reason == "length" and self.common.on_truncated != "judge"

    def _verdict_on_truncated(self) -> Verdict:
        if self.common.on_truncated == "skip":
            return Verdict(outcome=Outcome.ABSTAIN, score=None, reason="truncated")
        return Verdict(outcome=Outcome.WRONG, score=0.0, reason="truncated")

    def _with_policy(self, verdict: Verdict) -> Verdict:
        """Errors have no score; what cannot be decided follows on_abstain."""
        if verdict.outcome is Outcome.ERROR:
            return verdict if verdict.score is None else replace(verdict, score=None)
        if verdict.outcome in UNDECIDED:
            return replace(verdict, score=0.0 if self.common.on_abstain == "zero" else None)
        return verdict

"""The base of every rule: requests in, verdicts out.

A rule knows nothing of deadlines, pools, policies or models. Imported by every worker: keep it light.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, TypedDict

from rewards.types import Request, Verdict


class RuleSpec(TypedDict):
    """What a worker builds a rule from. kind: a shipped one or module:Name; options: its record as a mapping; think:
    the tags around the reasoning."""

    kind: str
    options: dict[str, Any]
    think: list[str]


class Rule(ABC):
    """One rule, built from its options record and the thinking tags."""

    @abstractmethod
    def judge(self, request: Request) -> Verdict: ...

    def judge_group(self, requests: list[Request]) -> list[Verdict]:
        return [self.judge(request) for request in requests]

    def check_gold(self, gold: Any) -> str | None:
        """What is wrong with a gold answer, or None."""
        return None

    def check_prompt(self, prompt: Request) -> str | None:
        """What is wrong with the gold of a prompt, or None: for kinds that read more of a prompt than its gold."""
        return self.check_gold(prompt.gold)

"""What runs inside a worker: the base of every rule, and the visible dict from kind to rule.

A rule sees requests and gives verdicts. It knows nothing of deadlines, pools, policies or models. Imported by workers:
keep it light.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from typing import Any

from rewards.types import Outcome, Request, Verdict

RULES = {
    "math": "rewards.math.rule:MathRule",
    "choice": "rewards.rules.choice:ChoiceRule",
    "format": "rewards.rules.shape:FormatRule",
    "length": "rewards.rules.shape:LengthRule",
    "repetition": "rewards.rules.shape:RepetitionRule",
    "language": "rewards.rules.language:LanguageRule",
    "instructions": "rewards.rules.instructions:InstructionsRule",
    "tool_call": "rewards.tools.tool_call:ToolCallRule",
    "exact": "rewards.rules.exact:ExactRule",
}


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
        """check_gold for kinds that read more of a prompt than its gold."""
        return self.check_gold(prompt.gold)


def build_rule(spec: dict[str, Any]) -> Rule:
    """spec: {"kind", "options", "think"}; a kind with a colon is a plug-in."""
    kind = spec["kind"]
    think = (spec["think"][0], spec["think"][1])
    if ":" in kind:
        from rewards.plugins.plugin import PluginRule

        return PluginRule(kind, spec["options"])
    rule: Rule = load_name(RULES[kind])(spec["options"], think)
    return rule


def load_name(target: str) -> Any:
    """The object that `module:Name` names. Raises ImportError or AttributeError."""
    module, _, name = target.partition(":")
    value: Any = importlib.import_module(module)
    for part in name.split("."):
        value = getattr(value, part)
    return value


def correct(reason: str, extracted: str | None, *, certain: bool = True, **more: Any) -> Verdict:
    """A verdict for a right answer, score 1. `certain` ends a cascade."""
    return Verdict(
        outcome=Outcome.CORRECT,
        score=1.0,
        reason=reason,
        extracted=cap(extracted),
        certificate={"certain": certain},
        **more,
    )


def wrong(reason: str, extracted: str | None, *, certain: bool = True, **more: Any) -> Verdict:
    """A verdict for a wrong answer, score 0. `certain` ends a cascade."""
    return Verdict(
        outcome=Outcome.WRONG,
        score=0.0,
        reason=reason,
        extracted=cap(extracted),
        certificate={"certain": certain},
        **more,
    )


def abstain(reason: str, extracted: str | None = None) -> Verdict:
    return Verdict(outcome=Outcome.ABSTAIN, score=None, reason=reason, extracted=cap(extracted))


def unsupported(reason: str) -> Verdict:
    return Verdict(outcome=Outcome.UNSUPPORTED, score=None, reason=reason)


def cap(text: str | None, limit: int = 500) -> str | None:
    """What is stored of an answer stays short."""
    return text if text is None or len(text) <= limit else text[: limit - 1] + "…"

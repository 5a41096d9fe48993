"""Rules of the preference task as verifiers: `posttrain.toy.rules:NoteFacts` and `posttrain.toy.rules:StyleRule` (rule
B).

Training may ask for the facts: they pick good and bad notes for distillation. Only suites may name B.
Knows nothing of reward models or of where answers come from.
"""

from __future__ import annotations

from typing import Any

from posttrain.toy.style import facts_right, rule_b
from rewards.types import Outcome, Request, Verdict

END_OF_THINKING = "</think>"


class _Rule:
    """Reads the note behind the thinking. Gold: {"style": str, "name": str, "place": str, "number": int}. Truncated is
    wrong."""

    def verify(self, request: Request) -> Verdict:
        if not isinstance(request.gold, dict) or not {"style", "name", "place", "number"} <= request.gold.keys():
            return Verdict(
                outcome=Outcome.UNSUPPORTED, score=None, reason="gold is not a style, a name, a place and a number"
            )
        if request.stop_reason == "length":
            return Verdict(outcome=Outcome.WRONG, score=0.0, reason="truncated")
        _, closed, after = request.response.rpartition(END_OF_THINKING)
        if "<think>" in request.response and not closed:
            return Verdict(outcome=Outcome.WRONG, score=0.0, reason="thinking never ends")
        note = after.strip()
        passed, score, reason = self._judge(note, request.gold)
        return Verdict(outcome=Outcome.CORRECT if passed else Outcome.WRONG, score=score, extracted=note, reason=reason)

    def verify_group(self, requests: list[Request]) -> list[Verdict]:
        return [self.verify(request) for request in requests]

    def _judge(self, note: str, gold: dict[str, Any]) -> tuple[bool, float, str]:
        """(as wanted, score, reason)."""
        raise TypeError(f"{type(self).__name__} is no rule")


class StyleRule(_Rule):
    """Right or wrong by rule B."""

    def _judge(self, note: str, gold: dict[str, Any]) -> tuple[bool, float, str]:
        passed, reason = rule_b(note, gold)
        return passed, float(passed), reason


class NoteFacts(_Rule):
    """Right where name, place and number of things are as asked, whatever the style."""

    def _judge(self, note: str, gold: dict[str, Any]) -> tuple[bool, float, str]:
        passed = facts_right(note, gold)
        return passed, float(passed), "the facts are right" if passed else "a fact is wrong"

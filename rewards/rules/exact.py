"""`exact`: the visible answer equals the gold (or one of a list of golds) after stripping white space. Nothing
cleverer."""

from __future__ import annotations

from typing import Any

from rewards.contract.options import ExactOptions
from rewards.contract.rule import Rule
from rewards.contract.verdicts import correct, unsupported, wrong
from rewards.prose.visible import visible_text
from rewards.types import Request, Verdict


class ExactRule(Rule):
    def __init__(self, options: dict[str, Any], think: tuple[str, str]) -> None:
        self.options = ExactOptions(**options)
        self.think = think

    def judge(self, request: Request) -> Verdict:
        if self.check_gold(request.gold):
            return unsupported("gold_is_no_text")
        answer = visible_text(request.response, self.think).strip()
        golds = request.gold if isinstance(request.gold, list) else [request.gold]
        if self._fold(answer) in {self._fold(str(gold).strip()) for gold in golds}:
            return correct("equal", answer)
        return wrong("not_equal", answer)

    def check_gold(self, gold: Any) -> str | None:
        golds = gold if isinstance(gold, list) else [gold]
        fine = golds and all(
            isinstance(g, (str, int, float)) and not isinstance(g, bool) and str(g).strip() for g in golds
        )
        return None if fine else "expected text or a list of texts"

    def _fold(self, text: str) -> str:
        return text.casefold() if self.options.ignore_case else text

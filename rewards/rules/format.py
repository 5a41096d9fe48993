"""`format`: one reasoning block at the start of the answer, closed, with an answer after it. Judges no content."""

from __future__ import annotations

from typing import Any

from rewards.contract.options import FormatOptions
from rewards.contract.rule import Rule
from rewards.contract.verdicts import correct, wrong
from rewards.prose.visible import is_blank
from rewards.types import Request, Verdict


class FormatRule(Rule):
    """Correct is an answer with exactly one reasoning block, at its start and closed, and text after it."""

    def __init__(self, options: dict[str, Any], think: tuple[str, str]) -> None:
        self.options = FormatOptions(**options)
        self.think = think

    def judge(self, request: Request) -> Verdict:
        opening, closing = self.think
        text = request.response.lstrip()
        if self.options.opened and not text.startswith(opening):  # answers of a run come with what the prompt opened
            text = opening + request.response
        opened, closed = text.count(opening), text.count(closing)
        if not opened or not closed:
            return wrong("thinking_unclosed" if opened else "think_tag_missing", None)
        if opened > 1 or closed > 1:
            return wrong("think_tag_repeated", None)
        if not text.startswith(opening):
            return wrong("text_before_thinking", None)
        inside, _, after = text[len(opening) :].partition(closing)
        if is_blank(inside):
            return wrong("empty_thinking", None)
        if is_blank(after):
            return wrong("no_answer_after_thinking", None)
        return correct("well_formed", after.strip())

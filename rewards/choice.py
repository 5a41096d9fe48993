"""`choice`: multiple choice by letter or by the text of an option. Linear scans; knows nothing of mathematics.

Options come in metadata["options"], a list (A, B, ...) or a mapping from letter to text. Without them only letters can match.
"""

from __future__ import annotations

import re
from typing import Any

from rewards.letters import claimed_letter, denied_around, names_an_answer
from rewards.math.extract import last_box, strip_wrappers
from rewards.options import ChoiceOptions
from rewards.rules import Rule, abstain, correct, unsupported, wrong
from rewards.types import Request, Verdict
from rewards.visible import visible

_LEADING = re.compile(r"^[(\[]?([A-Z])[)\].:]?(?:\s|$)")
_STANDALONE = re.compile(r"(?<![A-Za-z])([A-Z])(?![A-Za-z'’])")
_DENIED = re.compile(r"\b(?:not|isn't|never|except|neither|nor|or)\b", re.IGNORECASE)
_TAIL_CHARS = 2000
_MOST_MENTIONS = 8


class ChoiceRule(Rule):
    def __init__(self, options: dict[str, Any], think: tuple[str, str]) -> None:
        self.options = ChoiceOptions(**options)
        self.think = think

    def check_gold(self, gold: Any) -> str | None:
        return None if isinstance(gold, str) and gold.strip() else "expected a letter, or the text of an option"

    def judge(self, request: Request) -> Verdict:
        if self.check_gold(request.gold):
            return unsupported("gold_is_no_choice")
        texts = self._texts(request.metadata.get("options"))
        gold = self._letter_of(request.gold.strip(), texts)
        if gold is None:
            return unsupported("gold_is_no_choice")
        shown = visible(request.response, self.think)
        box = last_box(shown)
        answer = strip_wrappers(box) if box is not None else shown.strip()
        letter = self._letter_of(answer, texts) if len(answer) <= _TAIL_CHARS else None
        if letter is None:
            letter = self._scan(answer, boxed=box is not None)
        if letter is None:
            return abstain("no_single_choice", answer) if answer else wrong("no_answer", None)
        return correct("choice_equal", letter) if letter == gold else wrong("other_choice", letter)

    def _texts(self, given: Any) -> dict[str, str]:
        if isinstance(given, list):
            return dict(zip(self.options.letters, map(str, given), strict=False))
        return {str(k).strip().upper(): str(v) for k, v in given.items()} if isinstance(given, dict) else {}

    def _letter_of(self, answer: str, texts: dict[str, str]) -> str | None:
        """A bare letter, a letter with its option's text, or the text of exactly one option."""
        bare = answer.strip().strip("()[].:*$ ")
        if len(bare) == 1 and bare.upper() in self.options.letters:
            return bare.upper()
        same = [letter for letter, text in texts.items() if _fold(text) == _fold(answer)]
        if len(same) == 1:
            return same[0]
        lead = _LEADING.match(answer.strip())
        if lead and lead.group(1) in self.options.letters:
            rest = answer.strip()[lead.end() :]
            expected = texts.get(lead.group(1))
            if expected is not None and _fold(rest) == _fold(expected):
                return lead.group(1)
        return None

    def _scan(self, answer: str, *, boxed: bool) -> str | None:
        """The letter that the text claims; where it names none, the only letter standing alone. None where it denies or lists several."""
        tail = answer[-_TAIL_CHARS:]
        letters = self.options.letters
        if not boxed and names_an_answer(tail, letters):
            return claimed_letter(tail, letters)
        alone = [m for m in _STANDALONE.finditer(tail) if m.group(1) in letters]
        if len({m.group(1) for m in alone}) != 1 or _DENIED.search(tail) or (not boxed and len(tail) > 40):
            return None
        denied = any(denied_around(tail[: m.start()], tail[m.end() :]) for m in alone[:_MOST_MENTIONS])
        return None if denied else alone[0].group(1)


def _fold(text: str) -> str:
    return " ".join(strip_wrappers(text).casefold().strip(" .()$").split())

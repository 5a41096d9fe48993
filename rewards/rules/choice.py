"""`choice`: multiple choice by letter or by the text of an option. Linear scans; options that are mathematics are
compared by value.

Options come in metadata["options"], a list (A, B, ...) or a mapping from letter to text. Without them only letters can
match. A letter beside the text of another option ("(B) 5" where 5 is C) is not decided, whichever of the two the gold
is: the rule abstains. One letter is right: a gold of several ("ACD") is unsupported; for such questions `math` takes
the gold "ACD" and the letters in any order.
"""

from __future__ import annotations

import re
from typing import Any

from rewards.contract.options import ChoiceOptions
from rewards.contract.rule import Rule
from rewards.contract.verdicts import abstain, correct, unsupported, wrong
from rewards.math.compare import compare
from rewards.math.extract import boxed_answer, strip_wrappers
from rewards.math.normal import normalise
from rewards.math.result import Context
from rewards.math.spans import tagged
from rewards.math.words import core
from rewards.prose.claims import is_denied, plain_text
from rewards.prose.letters import TAIL_CHARS, claimed_letter, stands_first
from rewards.prose.visible import is_blank, visible_text
from rewards.types import Outcome, Request, Verdict

_LEADING = re.compile(r"^[(\[]?([A-Z])[)\].:]?(?:\s|$)")
_LABEL = re.compile(r"(?:\A|\n)([^\n]{0,200}?)\banswer(?: is)?[ :*]{1,5}([^\n]{1,200})\Z", re.IGNORECASE)
_NAMED_TEXT = re.compile(r"(?<![A-Za-z'])[(\[]?([A-Z])(?:[)\].:]{1,2}|\*\*)[ *]{0,4}([^\n]{1,300})\Z")
_ARTICLE = re.compile(r"\A(?:[Tt]he|[Aa]n|a) (?=\w)")
_SHORT = 200  # characters, at most, of an answer that is read as one statement


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
        shown = visible_text(request.response, self.think)
        tag = tagged(shown) if "<" in shown else None
        if tag is not None and is_blank(shown[tag.end :]):
            shown = tag.text
        box = boxed_answer(shown)
        if box and box.text is None:
            return abstain(box.source)
        answer = strip_wrappers(box.text) if box and box.text else shown.strip()
        letter = self._letter_of(answer, texts) if len(answer) <= TAIL_CHARS else None
        alone_chars = TAIL_CHARS if box or tag else 40
        letter = (
            letter
            or claimed_letter(answer, self.options.letters, alone_chars=alone_chars)
            or self._letter_on_answer_line(answer, texts)
            or self._letter_of_statement(answer, texts)
            or self._letter_of_first_line(answer, texts)
        )
        if letter is not None and self._names_other_text(answer, letter, texts):
            return abstain("letter_and_text_differ", answer)
        if letter is None:
            return abstain("no_single_choice", answer) if not is_blank(answer) else wrong("no_answer", None)
        return correct("choice_equal", letter) if letter == gold else wrong("other_choice", letter)

    def _letter_on_answer_line(self, answer: str, texts: dict[str, str]) -> str | None:
        """The letter of an option whose text is all that the last line names: "Answer: 12"."""
        label = _LABEL.search(answer[-TAIL_CHARS:].rstrip())
        return None if label is None or is_denied(plain_text(label[1])) else self._letter_of(label[2], texts)

    def _letter_of_statement(self, answer: str, texts: dict[str, str]) -> str | None:
        """The letter of the one option that a short answer comes to: "The process is photosynthesis.", 1/2 for
        $\\frac{1}{2}$."""
        if not texts or len(answer) > _SHORT or "\n" in answer.strip():
            return None
        claim = strip_wrappers(core(plain_text(strip_wrappers(answer)).rstrip(".!"))[0])
        found = self._letter_of(claim, texts)
        if found is not None or not any(c.isdigit() for c in claim):
            return found
        value = normalise(claim)
        golds = {letter: normalise(strip_wrappers(text)) for letter, text in texts.items()}
        same = [letter for letter, gold in golds.items() if gold and value and _equal(gold, value)]
        return same[0] if len(same) == 1 else None

    def _letter_of_first_line(self, answer: str, texts: dict[str, str]) -> str | None:
        """The letter that the first line is, or whose option it is, where only an explanation follows: "**B.
        Venus**\\n\\nIt is hot."."""
        first, _, rest = answer[:TAIL_CHARS].strip().partition("\n")
        letter = self._letter_of(first.strip("* "), texts) if rest.strip() else None
        if letter is None or any(_fold(text) in _fold(rest) for other, text in texts.items() if other != letter):
            return None
        return letter if stands_first(letter, rest, self.options.letters) else None

    def _names_other_text(self, answer: str, letter: str, texts: dict[str, str]) -> bool:
        """Whether the text of another option stands behind the letter: "(B) 5" where 5 is C."""
        line = answer[-TAIL_CHARS:].strip().rpartition("\n")[2]
        named = _NAMED_TEXT.search(line)
        if named is None or named[1] != letter or letter not in texts:
            return False
        rest = _fold(named[2])
        return rest != _fold(texts[letter]) and any(
            rest == _fold(text) for other, text in texts.items() if other != letter
        )

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


def _equal(gold: str, answer: str) -> bool:
    result = compare(gold, answer, Context(second_opinion=False))
    return result is not None and result.outcome is Outcome.CORRECT


def _fold(text: str) -> str:
    return " ".join(_ARTICLE.sub("", strip_wrappers(text).strip(" *")).casefold().strip(" .()$*!").split())

"""`language`: the visible answer is written in the language asked for. Code, formulas and links do not count; a second
language does.

The language: the gold (a code such as "fr", a name such as "French", or a list of either), else the option `language`.
What can be told apart, and what cannot, is said in `rewards.prose.languages`; where it cannot tell the rule abstains:
on no letters, on a word or two, and on a short sentence whose common words are few or shared with a neighbour ("Le
marché ouvre à huit heures du matin."). `max_other_share` counts letters, those of lines of 40 characters or more in
another language, as a share of all letters.
"""

from __future__ import annotations

import re
from typing import Any

from rewards.contract.options import LanguageOptions, closest_names
from rewards.contract.rule import Rule
from rewards.contract.verdicts import abstain, correct, unsupported, wrong
from rewards.prose.languages import NAMES, guess, language_code
from rewards.prose.visible import CODE_FENCE, is_blank, visible_text
from rewards.types import Request, Verdict

MAX_CHARS = 200_000  # of an answer are read: more says nothing new of its language
_ASIDE = re.compile(r"`[^`\n]*`|\$[^$\n]*\$|https?://\S+|\\[A-Za-z]+|<[^<>\n]{1,80}>")
_MIN_PASSAGE = 40  # characters: the language of a shorter line is not looked for


class LanguageRule(Rule):
    def __init__(self, options: dict[str, Any], think: tuple[str, str]) -> None:
        self.options = LanguageOptions(**options)
        self.think = think

    def _names(self, gold: Any) -> list[Any]:
        wanted = self.options.language if gold is None else gold
        return wanted if isinstance(wanted, list) else [wanted]

    def check_gold(self, gold: Any) -> str | None:
        names = self._names(gold)
        if not names or not all(isinstance(name, str) for name in names):
            return "expected a language such as 'fr' or 'French' (in the gold, or as the option language)"
        unknown = next((name for name in names if language_code(name) is None), None)
        return (
            None
            if unknown is None
            else f"unknown language {unknown!r}; {closest_names(unknown.lower(), [*NAMES, *NAMES.values()])}"
        )

    def judge(self, request: Request) -> Verdict:
        if self.check_gold(request.gold):
            return unsupported("gold_is_no_language")
        codes = {language_code(name) or "" for name in self._names(request.gold)}
        text = without_asides(visible_text(request.response, self.think)[:MAX_CHARS])
        if is_blank(text):
            return wrong("no_answer", None)
        found = guess(text)
        if found.code is None:
            return abstain("language_unclear")
        if found.code not in codes:
            return wrong("other_language", found.code)
        foreign = _foreign_share(text, codes)
        if foreign > self.options.max_other_share:
            return wrong("mixed_languages", found.code, parts={"other_share": foreign})
        return correct("language_as_asked", found.code, parts={"other_share": foreign})


def without_asides(text: str) -> str:
    """The text without fenced code, inline code, formulas, tags and links. Linear: no pattern can look past its
    line."""
    kept = text.split(CODE_FENCE)[::2]  # what lies outside pairs of fences
    return _ASIDE.sub(" ", "\n".join(kept))


def _foreign_share(text: str, codes: set[str]) -> float:
    """Share of the text, by letters, that stands in lines clearly of other languages."""
    foreign = total = 0
    for line in text.splitlines():
        letters = sum(character.isalpha() for character in line)
        total += letters
        if len(line) < _MIN_PASSAGE:
            continue
        found = guess(line)
        if found.code is not None and found.code not in codes:
            foreign += letters
        elif found.code is not None:
            foreign += round(letters * (1 - found.share))
    return foreign / total if total else 0.0

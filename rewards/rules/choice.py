"""`choice`: multiple choice by letter or by the text of an option. Linear scans; options that are mathematics are
compared by value.

Options come in metadata["options"], a list (A, B, ...) or a mapping from letter to text. Without them only letters can
match. A gold is a letter, an option's text, its number counted from 0, a box, or a line ("B) zinc"). A letter beside
the text of another option ("(B) 5" where 5 is C) is not decided, whichever of the two the gold is: the rule abstains.
One letter is right: a gold of several ("ACD") is unsupported; for such questions `math` takes the gold "ACD" and the
letters in any order.
"""

from __future__ import annotations

import json
import re
from typing import Any

from rewards.contract.options import ChoiceOptions
from rewards.contract.rule import Rule
from rewards.contract.verdicts import abstain, correct, unsupported, wrong
from rewards.math.compare import compare
from rewards.math.extract import Found, boxed_answer, strip_wrappers, visible_boxes
from rewards.math.normal import normalise
from rewards.math.result import Context
from rewards.math.spans import tagged
from rewards.math.words import core
from rewards.prose.claims import is_denied, is_doubtful, is_refused, plain_text
from rewards.prose.letters import TAIL_CHARS, claimed_letter, named_letters, stands_first, with_capital_labels
from rewards.prose.visible import is_blank, visible_text
from rewards.types import Outcome, Request, Verdict

_LEADING = re.compile(r"^[(\[]?(?:([A-Z])[)\].:]?|([a-z])[)\].:])(?:\s|$)")
_LISTED = re.compile(r"\A\s*[(\[]?([A-Za-z])[)\].:]\s*(?=\S)")  # "B) zinc", as options are shown to people
_LOWER_LABEL = re.compile(r"\A[(\[]?([a-z])[)\]][^\n]{0,200}\Z")
_RELATION = re.compile(r"\(?([A-Z])\)? ?([=<>≤≥≠≈]|\\(?:[ln]eq?|geq?|[lg]t|approx|equiv|in)(?![A-Za-z]))")
_ANSWER_LINE = re.compile(r"(?:\A|\n)[\s*#>_-]{0,8}(?:(?:the|so|thus|final|correct|my),? ){0,3}answer\b", re.IGNORECASE)
_LABEL = re.compile(r"(?:\A|\n)([^\n]{0,200}?)\banswer(?: is)?[ :*]{1,5}([^\n]{1,200})\Z", re.IGNORECASE)
_NAMED_TEXT = re.compile(r"(?<![A-Za-z'])[(\[]?([A-Z])(?:[)\].:]{1,2}|\*\*)[ *]{0,4}([^\n]{1,300})\Z")
_OBJECT = re.compile(r"(?:\A|(?<=\n)|(?<=\s))\{[^{}]{1,4000}\}(?=\s*(?:```)?\s*\Z)")
_JSON_KEYS = ("answer", "final_answer", "choice")
# "**Answer:** **B**", "Answer: B. zinc": a line that names the answer and holds nothing else.
_WHOLE_LINE = re.compile(
    r"(?:\A|\n)[\s*#>_-]{0,8}(?:(?:the|final|correct|my) ){0,3}(?:answer|option|choice)(?: is)?[ :*]{1,6}"
    r"(?P<claim>[^\n]{1,200}?)[ *]*(?=\n)",
    re.IGNORECASE,
)
_SET_APART = re.compile(r"\*\*([^*\n]{1,200})\*\*|[\"“«„]([^\"“”«»„\n]{1,200})[\"”»“]")
_ARTICLE = re.compile(r"\A(?:[Tt]he|[Aa]n|a) (?=\w)")
_SHORT = 200  # characters, at most, of an answer that is read as one statement


class ChoiceRule(Rule):
    def __init__(self, options: dict[str, Any], think: tuple[str, str]) -> None:
        self.options = ChoiceOptions(**options)
        self.think = think

    def check_gold(self, gold: Any) -> str | None:
        if isinstance(gold, int) and not isinstance(gold, bool) and 0 <= gold < len(self.options.letters):
            return None
        known = isinstance(gold, str) and gold.strip()
        return None if known else "expected a letter, the text of an option, or the number of an option, counted from 0"

    def check_prompt(self, prompt: Request) -> str | None:
        problem = self.check_gold(prompt.gold)
        if problem is None and self._letter_of_gold(prompt.gold, self._texts(prompt.metadata.get("options"))) is None:
            return f"{prompt.gold!r:.80} is none of the options in metadata.options; numbers count from 0"
        return problem

    def judge(self, request: Request) -> Verdict:
        if self.check_gold(request.gold):
            return unsupported("gold_is_no_choice")
        texts = self._texts(request.metadata.get("options"))
        gold = self._letter_of_gold(request.gold, texts)
        if gold is None:
            return unsupported("gold_is_no_choice")
        shown = visible_text(request.response, self.think)
        tag = tagged(shown) if "<" in shown else None
        if tag is not None and is_blank(shown[tag.end :]):
            shown = tag.text
        letters = self._labels(texts)
        shown, box = self._box(with_capital_labels(_json_answer(shown) or shown), texts)
        if box and box.text is None:
            return abstain(box.source)
        answer = strip_wrappers(box.text) if box and box.text else shown.strip()
        lower = _LOWER_LABEL.match(answer)
        if lower is not None and not texts:
            answer = answer.replace(lower[1], lower[1].upper(), 1)
        letter = self._letter_of(answer, texts) if len(answer) <= TAIL_CHARS else None
        alone_chars = TAIL_CHARS if box or tag else 40
        letter = (
            letter
            or (self._letter_of_whole_text(answer, texts) if self._has_capitals(texts) else None)
            or claimed_letter(answer, letters, alone_chars=alone_chars)
            or self._letter_on_answer_line(answer, texts)
            or self._letter_of_statement(answer, texts)
            or self._letter_of_first_line(answer, texts)
            or self._letter_that_leads(answer, texts)
            or self._letter_that_ends(answer, texts)
            or self._letter_of_lower_line(answer, texts)
        )
        if letter is not None and self._names_other_text(answer, letter, texts):
            return abstain("letter_and_text_differ", answer)
        lead, _, said = _led(answer, texts)
        if letter is not None and lead == letter and "\n" not in answer and is_refused(said):
            return abstain("denied", answer)  # "C: Jupiter is wrong."
        if letter is None:
            return abstain("no_single_choice", answer) if not is_blank(answer) else wrong("no_answer", None)
        return correct("choice_equal", letter) if letter == gold else wrong("other_choice", letter)

    def _box(self, shown: str, texts: dict[str, str]) -> tuple[str, Found | None]:
        """The text and its last box, as far as they are the answer: an answer line behind the box takes its place, and
        a relation such as D = 4 is a step of the working, unless an option says it."""
        box = boxed_answer(shown)
        if box is None:
            return shown, None
        text, boxes = visible_boxes(shown)
        after = text[boxes[-1].end :] if boxes else ""
        line = _ANSWER_LINE.search(after)
        if line is not None and "boxed" not in after:
            return after[line.start() :], None
        inner = strip_wrappers(box.text) if box.text else ""
        relation = _RELATION.match(inner)
        if relation is not None and relation[1] not in self.options.letters:
            relation = None  # the V of a volume is no label
        if relation is None and not self._names_letter(inner, texts) and claimed_letter(after, self._labels(texts)):
            return after, None  # the box holds a value of the working: "\\boxed{x = 3}, so the answer is B"
        if relation is None or self._letter_of(inner, texts) is not None:
            return shown, box
        if relation[2] == "=" and _fold(texts.get(relation[1], "")) == _fold(inner[relation.end() :]):  # B = zinc
            return shown, Found(text=relation[1], source="box")
        return after, None

    def _names_letter(self, inner: str, texts: dict[str, str]) -> bool:
        return (
            self._letter_of(inner, texts) or claimed_letter(inner, self.options.letters, alone_chars=TAIL_CHARS)
        ) is not None or self._letter_of_statement(inner, texts) is not None

    def _letter_of_gold(self, gold: Any, texts: dict[str, str]) -> str | None:
        """Of a letter, a text, the number of an option, a box, or a line such as "B) zinc"; None where its letter and
        its text are those of two options."""
        if isinstance(gold, int):
            return self.options.letters[gold] if gold < len(texts) else None
        box = boxed_answer(gold) if "\\" in gold else None
        text = strip_wrappers(box.text) if box and box.text else gold.strip()
        listed = _LISTED.match(text)
        letter = self._letter_of(text, texts)
        if letter is None and listed is not None and listed[1] in self.options.letters and not texts:
            return listed[1]
        return letter

    def _letter_of_lower_line(self, answer: str, texts: dict[str, str]) -> str | None:
        """The letter of a last line that is an option as it is listed, with a small letter, where no other line is one:
        "The bath is of molten zinc.\n\nc) zinc"."""
        before, _, last = answer.rpartition("\n")
        label = _LOWER_LABEL.match(last.strip())
        if label is None or not before.rstrip().endswith((".", "!")) or is_denied(plain_text(before)):
            return None
        letter, listed = label[1].upper(), _LISTED.sub("", last.strip(), count=1)
        alone = not any(_LISTED.match(line) for line in before.split("\n"))
        return letter if alone and letter in texts and _fold(texts[letter]) == _fold(listed) else None

    def _letter_on_answer_line(self, answer: str, texts: dict[str, str]) -> str | None:
        """The letter of an option whose text is all that the last line names: "Answer: 12"; or of the last line that
        holds an answer alone, where only an explanation follows."""
        tail = answer[-TAIL_CHARS:].rstrip()
        label = _LABEL.search(tail)
        if label is not None:
            return None if is_denied(plain_text(label[1])) else self._letter_of(label[2], texts)
        whole = [(match, self._letter_of(match["claim"], texts)) for match in _WHOLE_LINE.finditer(tail)]
        if not whole or whole[-1][1] is None:
            return None
        match, letter = whole[-1]
        return letter if letter and stands_first(letter, tail[match.end() :], self._labels(texts)) else None

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
        return letter if stands_first(letter, rest, self._labels(texts)) else None

    def _letter_that_leads(self, answer: str, texts: dict[str, str]) -> str | None:
        """The label that a text begins with, where its option's words go on as the explanation: "C: Jupiter is the
        largest; Saturn (D) comes next."."""
        letter, behind, said = _led(answer, texts)
        if letter is None or said.startswith("?") or is_refused(said):
            return None
        return letter if stands_first(letter, behind, self._labels(texts)) else None

    def _letter_that_ends(self, answer: str, texts: dict[str, str]) -> str | None:
        """The option that the last line ends with: its letter before its text ("Hence **C. Both**."), or its text
        alone in bold or in quotation marks."""
        line = answer[-TAIL_CHARS:].rstrip().rpartition("\n")[2]
        labelled = _NAMED_TEXT.search(line)
        if labelled is not None and _fold(labelled[2]) == _fold(texts.get(labelled[1], "")):
            letter, start = labelled[1], labelled.start()
        else:
            pieces = [(match, self._letter_of(match[1] or match[2], texts)) for match in _SET_APART.finditer(line)]
            named = {letter for _, letter in pieces if letter is not None}
            if len(named) != 1 or line[pieces[-1][0].end() :].strip(" .!*"):
                return None
            letter, start = pieces[-1][1], pieces[-1][0].start()
        if letter is None or named_letters(answer, self._labels(texts)) - {letter}:
            return None  # the text names another letter first, and leaves it open
        before = plain_text(line[:start])
        return None if is_denied(before) or is_doubtful(before) else letter

    def _has_capitals(self, texts: dict[str, str]) -> bool:
        """Whether an option's text holds a capital that could be taken for a label: the C of "Vitamin C"."""
        return any(
            word in self.options.letters for text in texts.values() for word in text.split()[1:] if len(word) == 1
        )

    def _letter_of_whole_text(self, answer: str, texts: dict[str, str]) -> str | None:
        """By the text of an option as a whole, before any letter is looked for in it."""
        return self._letter_on_answer_line(answer, texts) or self._letter_of_statement(answer, texts)

    def _labels(self, texts: dict[str, str]) -> str:
        """The letters that may be labels: `I` is a numeral or a pronoun where the options known do not reach it."""
        return self.options.letters if not texts or "I" in texts else self.options.letters.replace("I", "")

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
        """Letter -> text of the option, without the letter where every option carries its own: ["A) 3", "B) 4"]."""
        texts: dict[str, str] = {}
        if isinstance(given, list):
            texts = dict(zip(self.options.letters, map(str, given), strict=False))
        elif isinstance(given, dict):
            texts = {str(k).strip().upper(): str(v) for k, v in given.items()}
        heads = {letter: _LISTED.match(text) for letter, text in texts.items()}
        if all(head is not None and head[1].upper() == letter for letter, head in heads.items()):
            return {letter: texts[letter][head.end() :] for letter, head in heads.items() if head is not None}
        return texts

    def _letter_of(self, answer: str, texts: dict[str, str]) -> str | None:
        """A bare letter, a letter with its option's text, or the text of exactly one option."""
        bare = answer.strip().strip("()[].:*$ ")
        if len(bare) == 1 and bare.upper() in self.options.letters:
            return bare.upper()
        same = [letter for letter, text in texts.items() if _fold(text) == _fold(answer)]
        if len(same) == 1:
            return same[0]
        lead = _LEADING.match(answer.strip())
        letter = (lead[1] or lead[2]).upper() if lead else ""
        if lead and letter in self.options.letters:
            rest = answer.strip()[lead.end() :]
            expected = texts.get(letter)
            if expected is not None and _fold(rest) == _fold(expected):
                return letter
        return None


def _equal(gold: str, answer: str) -> bool:
    result = compare(gold, answer, Context(second_opinion=False))
    return result is not None and result.outcome is Outcome.CORRECT


def _led(answer: str, texts: dict[str, str]) -> tuple[str | None, str, str]:
    """Of a text that begins with a label and its option's words: the letter, all behind the label, all behind the
    words. Example: "C: Jupiter is big" gives ("C", "Jupiter is big", " is big")."""
    text = answer.lstrip("* ")
    lead = _LEADING.match(text) if len(answer) <= TAIL_CHARS else None
    letter = lead[1] if lead else None
    words = texts.get(letter or "", "").strip()
    behind = text[lead.end() :].replace("**", "").strip() if lead else ""
    if lead is None or lead.end() < 3 or not words or not re.match(rf"{re.escape(words)}(?!\w)", behind, re.IGNORECASE):
        return None, "", ""
    return letter, behind, plain_text(behind[len(words) :])


def _json_answer(shown: str) -> str | None:
    """The answer of a flat JSON object that ends the text; None where there is none, or where its keys differ."""
    found = _OBJECT.search(shown) if shown.rstrip().endswith(("}", "```")) else None
    try:
        told = json.loads(found[0]) if found else None
    except ValueError:
        return None
    answers = {value for key, value in (told or {}).items() if key.lower() in _JSON_KEYS and isinstance(value, str)}
    return answers.pop() if len(answers) == 1 else None


def _fold(text: str) -> str:
    plain = strip_wrappers(text).strip(' *"“”«»„')
    return " ".join(_ARTICLE.sub("", plain).casefold().strip(" .()$*!").split())

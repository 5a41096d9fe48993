"""`math`: extraction, normalisation, the exact layer, then the symbolic layer where that is needed. One request to one
verdict.

Gold: a text or number; a list (every member is wanted, as a set); or {"answer": ..., "accepted"?: [...], "tolerance"?,
"form"?, "unit"?}.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from rewards.contract.options import MathOptions
from rewards.contract.rule import Rule
from rewards.contract.verdicts import abstain, correct, unsupported, wrong
from rewards.math.asides import without_asides
from rewards.math.compare import compare
from rewards.math.extract import MAX_ANSWER_CHARS, Found, beside, find_answer, first_sentence, strip_wrappers
from rewards.math.kinds import unreadable
from rewards.math.lastnumber import explained, last_number
from rewards.math.namedvalue import named_value
from rewards.math.normal import normalise
from rewards.math.number import parse_number
from rewards.math.numeric import value_of
from rewards.math.orders import asks_order, numbered
from rewards.math.quantities import all_stated, named
from rewards.math.result import Context, Result, no, unsure, yes
from rewards.math.spans import last_span
from rewards.prose.visible import visible_text
from rewards.types import Outcome, Request, Verdict

_GOLD_KEYS = ("answer", "accepted", "tolerance", "form", "unit")
_HEDGE = re.compile(r"\d\D{0,8} (?:or|and) \D{0,8}\d", re.IGNORECASE)  # "4 or 5": one of them is not the answer
_EITHER = re.compile(r"\d\D{0,8} or \D{0,8}\d", re.IGNORECASE)
_REASON = re.compile(r"\b(?:since|because)\b|,\s+(?=[^\W\d_])(?!(?:and|or|but)\b)")
_STRUCK = re.compile(r"\\(?:[bx]?cancel|sout|st)\s*\{|~~")
PROSE = ("answer_line", "bare", "line")  # sources that go on behind their value
GUESSED = ("last_number", "span", "line")  # sources that no word calls the answer: never certain
_CONCLUDES = re.compile(r"\b(?:so|therefore|hence|thus|but)\b[^.]{0,60}\d", re.IGNORECASE)
_HEAD = re.compile(r"\A(?:final )?answer ?[:=] ?", re.IGNORECASE)
_ABOUT = re.compile(r"\A(?:\\(?:approx|simeq|sim)(?![A-Za-z])|about(?= [\d$])|approximately(?= [\d$])) ?")
_WORD, _COMMAND = re.compile(r"[A-Za-z]{3}"), re.compile(r"\\[A-Za-z]+")
FORMS = ("reduced", "decimal", "factored", "expanded")


@dataclass(frozen=True, kw_only=True, slots=True)
class Gold:
    """forms: normalised texts, one of which the answer must equal."""

    forms: tuple[str, ...]
    tolerance: Fraction | None = None
    form: str | None = None


class MathRule(Rule):
    def __init__(self, options: dict[str, Any], think: tuple[str, str]) -> None:
        self.options = MathOptions(**options)
        self.think = think
        self._golds: dict[tuple[bool, str], Gold | str] = {}

    def check_gold(self, gold: Any) -> str | None:
        """Unreadable golds are refused at load; a gold must also be accepted as its own answer."""
        parsed = parse_gold(gold)
        if isinstance(parsed, str):
            return parsed
        for form in parsed.forms:
            if problem := unreadable(form):
                return f"{form[:200]!r}: {problem}"
            result = self._decide(parsed, form, "")
            if result.outcome is not Outcome.CORRECT and parsed.form is None:
                return f"{form[:200]!r} is not accepted as its own answer ({result.reason})"
        return None

    def judge(self, request: Request) -> Verdict:
        gold = self._gold(request.gold)
        if isinstance(gold, str):
            return unsupported("gold_unreadable")
        shown = visible_text(request.response, self.think)
        found = find_answer(shown, fallback=self.options.fallback)
        if found.text is None:
            together = None
            if found.source == "no_answer":
                together = self._together(gold, found, shown, request.question_text)
            if together is not None:
                return _verdict(*together, "line")
            return (
                abstain(found.source)
                if found.source in ("denied", "taken_back", "several_answers")
                else wrong(found.source, None)
            )
        if len(found.text) > MAX_ANSWER_CHARS:
            return wrong("answer_too_long", found.text, certain=False)
        result, text = self._first_that_reads(gold, found, shown, request.question_text)
        return _verdict(result, text, found.source)

    def _gold(self, given: Any) -> Gold | str:
        # The list [1, 2] is no text "[1, 2]"
        key = (
            isinstance(given, str),
            given if isinstance(given, str) else repr(given),
        )
        if key not in self._golds:
            if len(self._golds) > 50_000:
                self._golds.clear()
            self._golds[key] = parse_gold(given)
        return self._golds[key]

    def _first_that_reads(self, gold: Gold, found: Found, shown: str, question: str) -> tuple[Result, str]:
        """A box is taken whole. Prose is taken whole, then by its first sentence, then by that sentence's last
        number."""
        text = found.text or ""
        result = self._decide(gold, text, question)
        if (
            result.outcome is not Outcome.CORRECT
            and found.source in PROSE
            and (said := without_asides(text, cued=found.source == "answer_line")) != text
        ):
            text, result = said, self._decide(gold, said, question)
        stated = named_value(text) if found.source == "answer_line" else None
        if stated is not None and result.reason == "last_side":  # "x = 7 at y = 2" is no chain
            return self._decide(gold, stated, question), stated
        if result.outcome is not Outcome.CORRECT and not all(form.isdigit() for form in gold.forms):
            together = self._together(gold, found, shown, question)
            if together is not None:
                return together
        if found.source in ("box", "span", "last_number") or result.outcome is Outcome.CORRECT:
            return result, text
        if result.reason in ("value_differs", "unknowns_left") and not _WORD.search(_COMMAND.sub("", text)):
            return result, text  # a readable expression: a number inside it, as in |-7| and x + 8, is not its value
        if found.spare is not None:
            return self._decide(gold, found.spare, question), found.spare
        if _is_hedged(text, stated) and not _is_compound(stated or last_number(text)):
            return no("several_answers"), text
        sentence = first_sentence(text)
        # "5 \\text{ cm}": its number alone says less.
        whole = parse_number(normalise(strip_wrappers(sentence)) or "") is not None
        told = text if found.source == "bare" and not any(map(str.isdigit, sentence)) else sentence
        number = last_number(told) if not whole and any(parse_number(form) for form in gold.forms) else None
        claim = explained(told) if number and found.source != "answer_line" else None
        if claim is not None and not (self._says(gold, claim, question) and self._says(gold, told, question)):
            number, result = None, unsure("not_understood")  # it may explain the value before it, or say it again
        if found.source == "answer_line":
            number = stated
        if found.source == "bare" and _CONCLUDES.search(text, len(sentence)):  # "So x = 4. But x is odd, so x = 5."
            sentence, number = "", last_number(text)
        for candidate in (sentence, number):
            if candidate and candidate != text:
                other = self._decide(gold, candidate, question)
                if other.outcome is Outcome.CORRECT or (other.certain and candidate is number):
                    return other, candidate
        return result, text

    def _says(self, gold: Gold, clause: str, question: str) -> bool:
        """Whether a clause ends with a right value."""
        span = last_span(clause)
        value = span.text if span else last_number(clause)
        return value is not None and self._decide(gold, value, question).outcome is Outcome.CORRECT

    def _together(self, gold: Gold, found: Found, shown: str, question: str) -> tuple[Result, str] | None:
        """What several boxes, lines or pieces of bold say together, where that is right; never certain."""
        rows = numbered(shown) if found.source != "box" and asks_order(question) else None
        for text in (beside(shown, found.source), rows):
            result = self._decide(gold, text, question) if text else None
            if text and result is not None and result.outcome is Outcome.CORRECT:
                return replace(result, certain=False), text
        return self._stated(gold, found, shown, question)

    def _stated(self, gold: Gold, found: Found, shown: str, question: str) -> tuple[Result, str] | None:
        """Whether the text gives each of several named values by its name: the content of a box, or from the word
        "answer" on."""
        golds = [wanted for wanted in map(named, gold.forms) if wanted is not None]
        if not golds:
            return None
        text = (found.text or "") if found.source == "box" else shown
        claimed = found.source == "answer_line"
        if claimed:
            text = shown[max(shown.lower().rfind("answer"), shown.rfind("####"), 0) :]

        def same(value: str, given: str) -> bool:
            return self._decide(replace(gold, forms=(value,)), given, question).outcome is Outcome.CORRECT

        bold = last_number(found.text or "") if found.source == "bold" else None
        if bold is not None and not any(same(one.value, bold) for wanted in golds for one in wanted):
            return None  # "Tom = 36, Lia = 12. So their ages are **40 and 14**."
        stated = any(all_stated(wanted, text, same, throughout=claimed) for wanted in golds)
        return (yes("values_by_name", certain=False), found.text or "") if stated else None

    def _decide(self, gold: Gold, text: str, question: str) -> Result:
        answer = normalise(strip_wrappers(text))
        if answer is None:
            return no("invisible_characters")
        if _STRUCK.search(text):
            return no("struck_out")
        if not answer:
            return no("empty_answer")
        context = Context(
            question=question,
            tolerance=gold.tolerance,
            form=gold.form,
            symbolic=self.options.symbolic,
            second_opinion=self.options.second_opinion,
            allow_unevaluated=self.options.allow_unevaluated,
        )
        results = [self._one(form, answer, context) for form in gold.forms]
        return next((r for r in results if r.outcome is Outcome.CORRECT), results[0])

    def _one(self, form: str, answer: str, context: Context) -> Result:
        result = compare(form, answer, context)
        return unsure("not_understood") if result is None else result


def _is_hedged(text: str, stated: str | None) -> bool:
    """Whether two values stand side by side. Behind a stated one an explanation may name several ("legs 3 and 4"), but
    none that could take its place ("3 or 4")."""
    if stated is None:
        return bool(_HEDGE.search(text))
    head, *behind = _REASON.split(text, maxsplit=1)
    return bool(_HEDGE.search(head)) or any(map(_EITHER.search, behind))


def _is_compound(number: str | None) -> bool:
    """10 euros and 50 cents"""
    return number is not None and " and " in number and parse_number(number) is not None


def parse_gold(given: Any) -> Gold | str:
    """A gold as JSON to its accepted forms, or what is wrong with it."""
    if isinstance(given, dict):
        return _gold_from_dict(given)
    text = _gold_form(given)
    if text is None:
        return "a list with an empty or unreadable member" if isinstance(given, list) else "empty or unreadable"
    return Gold(forms=_same_forms(text) or (text,))


def _same_forms(text: str) -> tuple[str, ...] | None:
    """`\\frac{11}{2} or 5.5` is one value written twice; None for anything else."""
    parts = [part.strip() for part in text.split(" or ")]
    values = {value_of(part) for part in parts} if len(parts) > 1 else {None}
    return tuple(parts) if len(values) == 1 and None not in values else None


def _gold_form(given: Any) -> str | None:
    """A list is the set of its members."""
    if not isinstance(given, list):
        return _gold_text(given)
    parts = [_gold_text(member) for member in given]
    if not parts or any(part is None for part in parts):
        return None
    return str(parts[0]) if len(parts) == 1 else "\\{" + ", ".join(map(str, parts)) + "\\}"


def _gold_from_dict(given: dict[str, Any]) -> Gold | str:
    unknown = [key for key in given if key not in _GOLD_KEYS]
    if unknown:
        return f"unknown key {unknown[0]!r}; known: {', '.join(_GOLD_KEYS)}"
    accepted = [given["answer"]] if "answer" in given else []
    others = given.get("accepted")
    accepted += others if isinstance(others, list) else [] if others is None else [others]
    if not isinstance(given.get("unit"), str | None):
        return f"unit {given['unit']!r} is no text"
    unit = f" {given['unit']}" if given.get("unit") else ""
    forms = [_gold_form(entry) for entry in accepted]
    if not forms or any(form is None for form in forms):
        return "no answer, or an empty one"
    if given.get("form") not in (None, *FORMS):
        return f"form {given['form']!r}; known: {', '.join(FORMS)}"
    tolerance = given.get("tolerance")
    if tolerance is not None and (
        isinstance(tolerance, bool) or not isinstance(tolerance, (int, float)) or not 0 <= tolerance < float("inf")
    ):
        return f"tolerance {tolerance!r} is no number of 0 or more"
    return Gold(
        forms=tuple(f"{form}{unit}" for form in forms),
        tolerance=None if tolerance is None else Fraction(str(tolerance)),
        form=given.get("form"),
    )


def _gold_text(given: Any) -> str | None:
    """A gold's text without its working: GSM8K's line after #### and a lone box are opened."""
    if not isinstance(given, (str, int, float)):
        return None
    if isinstance(given, int) and abs(given) >= 10**MAX_ANSWER_CHARS:  # str() of it may raise
        return None
    text = repr(given) if isinstance(given, float) else str(given)
    if "####" in text:
        text = text.rpartition("####")[2]
    text = _ABOUT.sub("", _HEAD.sub("", normalise(strip_wrappers(text)) or ""))
    return text if text and len(text) <= MAX_ANSWER_CHARS else None


def _verdict(result: Result, text: str, source: str) -> Verdict:
    if result.outcome is Outcome.CORRECT:
        verdict = correct(result.reason, text, certain=result.certain and source not in GUESSED)
    elif result.outcome is Outcome.WRONG:
        verdict = wrong(result.reason, text, certain=result.certain and source not in GUESSED)
    else:
        verdict = abstain(result.reason, text)
    verdict.certificate["source"] = source
    return verdict

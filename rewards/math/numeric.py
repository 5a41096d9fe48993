"""A number as gold: exact comparison with forms, percent signs and units; chains such as 2 + 2 = 4; what rounds to
what.

Exact fractions throughout; only `value_of` may ask for the 50-digit value of an irrational constant.
"""

from __future__ import annotations

import re
from fractions import Fraction

from rewards.math.bindings import NAME
from rewards.math.chains import asked_for, derives, posed
from rewards.math.extract import strip_wrappers
from rewards.math.number import Num, parse_number
from rewards.math.residues import residue_value
from rewards.math.result import Context, Result, no, unsure, yes
from rewards.math.sequences import JOINED, split_items
from rewards.math.tree import NotReadable, parse
from rewards.math.units import canonical, factor_between, is_known
from rewards.math.words import bare, opened, spelled

_LEFT_NAME = re.compile(r"[A-Za-z]{2,20}(?: [A-Za-z]{1,20}){0,4}\Z")
_ROUNDING = re.compile(r"\bround|\bnearest\b|\bdecimal|\bsignificant|\bapproximat|\bestimate", re.IGNORECASE)
# To round is the task.
_FIGURES = re.compile(r"\b(?:correct|right|proper|appropriate) number of significant", re.IGNORECASE)
_BASE = re.compile(r"\b(?:binary|octal|hexadecimal|ternary)\b")
_TIMES = re.compile(r"(?<=[\d)]) ?x ?(?=[\d(])")
_PROPORTION = re.compile(r"(\d{1,9})(?: to | ?: ?)(\d{1,9})\Z")
_MAX_ARITHMETIC = 160
_UNITS_INSIDE = re.compile(
    r"\\(?:text|mathrm|textrm) ?(?:\{[^{}]{1,20}(?:\{[^{}]{1,4}\}[^{}]{0,8})?\}|[A-Za-z]{1,3})(?: ?\^ ?\{?-?\d\}?)?"
)


def against_number(wanted: Num, answer: str, context: Context) -> Result | None:
    """None where the answer is no number, list or text: the symbolic layer may read it."""
    if "mod" in answer:
        answer = residue_value(answer) or answer
    if "=" in answer:
        side = _last_side(answer, context.question)
        if side is None:
            return no("not_one_value")
        answer = side
    if "\\pm" in answer:
        return no("several_answers")
    if (
        wanted.form == "fraction"
        and (" to " in answer or ":" in answer)
        and (ratio := _PROPORTION.match(answer)) is not None
    ):
        answer = f"{ratio[1]}/{ratio[2]}"
    got = parse_number(answer) or parse_number(spelled(opened(answer)))
    if got is not None:
        if (
            not got.reduced
            and wanted.form != "fraction"
            and not context.allow_unevaluated
            and _restates(answer, context.question)
        ):
            return no("repeats_question", certain=False)
        return compare_numbers(wanted, got, context)
    if len(split_items(answer)) > 1 or JOINED.search(opened(answer)):
        return no("several_answers")
    words = bare(answer)
    return no("text_for_number", certain=False) if words is not None and len(words) > 1 else None


def compare_numbers(wanted: Num, got: Num, context: Context) -> Result:
    """Two numbers with their forms, percent signs and units; always a result."""
    if context.form == "reduced" and not got.reduced:
        return no("not_reduced")
    if context.form == "decimal" and got.form not in ("decimal", "integer"):
        return no("not_a_decimal")
    if wanted.percent != got.percent and wanted.value != got.value and wanted.bare == got.bare:
        return yes("percent_sign", certain=False) if _asks_percent(context.question) else unsure("percent_or_not")
    factor: Fraction | None = Fraction(1)
    if wanted.unit and got.unit:
        factor = factor_between(got.unit, wanted.unit)
        if factor is None:
            known = is_known(wanted.unit) and is_known(got.unit)
            if wanted.value != got.value:
                return no("unit_and_value_differ")
            return no("other_unit") if known else unsure("unknown_unit")
    elif got.unit and _foreign_unit(got.unit, context.question):
        return (
            unsure("unit_not_asked_for") if wanted.value == got.value else no(f"{wanted.form}_differs", certain=False)
        )
    return _values(wanted, got, got.value * (factor or 1), context)


def _values(wanted: Num, got: Num, value: Fraction, context: Context) -> Result:
    if value == wanted.value:
        return yes(f"{wanted.form}_equal")
    if got.magnitude and got.bare == wanted.bare and got.magnitude in context.question.lower():
        return yes("magnitude_word", certain=False)
    if context.tolerance is not None and abs(value - wanted.value) <= context.tolerance:
        return yes("within_tolerance")
    if wanted.form == "decimal" and got.form in ("fraction", "mixed"):
        pinned = wanted.digits >= 2 and got.value.denominator**2 <= 10**wanted.digits
        if _rounds_to(value, wanted) and (pinned or _asks_rounding(context.question)):
            return yes("rounds_to_gold", certain=False)
    if wanted.form == "decimal" and got.digits > wanted.digits and _rounds_to(value, wanted):
        if _asks_rounding(context.question) and not _FIGURES.search(context.question):
            return yes("rounds_to_gold", certain=False)
        return unsure("more_digits_than_gold")
    if (
        wanted.form in ("fraction", "mixed")
        and got.form == "decimal"
        and got.digits >= 3
        and _rounds_to(wanted.value, got)
    ):
        return yes("rounded", certain=False) if _asks_rounding(context.question) else unsure("rounded_answer")
    return no(f"{wanted.form}_differs")


def rounded(decimal: Num, value: Fraction, source: str, context: Context, *, reverse: bool = False) -> Result | None:
    """A decimal beside an irrational value written as `source`; None where the one does not round to the other.

    A decimal gold is taken for a rounding where the question asks for one, or where it has more digits than the short
    closed form:
    3.14 and \\pi, but not 156.66 and \\sqrt{24541}. `reverse`: the decimal is the answer, and only the question
    decides.
    """
    figures = len(str(abs(decimal.bare) * 10**decimal.digits))
    if figures < 3 or decimal.digits < 1 or not _rounds_to(value, decimal):
        return None
    if _asks_rounding(context.question) or (not reverse and sum(c.isdigit() for c in source) < figures):
        return yes("rounded" if reverse else "rounds_to_gold", certain=False)
    return unsure("rounded_answer")


def value_of(text: str) -> Fraction | None:
    """The value of a number or of a closed form, 50 digits where it is irrational; None for anything else."""
    number = parse_number(text)
    if number is not None:
        return number.value
    from rewards.math.symbolic import constant

    try:
        return constant(parse(text)) if len(text) <= _MAX_ARITHMETIC else None
    except NotReadable:
        return None


def _rounds_to(value: Fraction, decimal: Num) -> bool:
    """Whether `value` is within half a unit of the decimal's last digit."""
    return abs(value - decimal.value) * 2 * 10**decimal.digits <= (Fraction(1, 100) if decimal.percent else 1)


def _restates(answer: str, question: str) -> bool:
    """8/2 for the question "what is 8 / 2?": the work is still to do."""
    return bool(question) and "".join(answer.split()) in "".join(question.split())


def _asks_rounding(question: str) -> bool:
    return _ROUNDING.search(question) is not None


def _asks_percent(question: str) -> bool:
    """Whether what is asked, the last sentence, is a percentage; one that is merely given does not count."""
    asked = re.split(r"[.!?]\s", question.strip().lower())[-1]
    return re.search(r"\b(?:what|which|how many|find|as a|in|by what|the)\s+(?:\w+\s+)?percent", asked) is not None


def _foreign_unit(unit: str, question: str) -> bool:
    """A unit of which the question speaks only in another size, 1800 cents where dollars are asked for; 10 in binary is
    no ten."""
    return (canonical(unit) == "cent" and bool(question) and "cent" not in question.lower()) or _BASE.search(
        unit
    ) is not None


def _is_name(left: str, question: str) -> bool:
    """Whether a left side says what is given, and gives no value of its own."""
    return bool(
        NAME.match(left.replace(" ", "")) or _LEFT_NAME.match(opened(left)) or posed(left) or asked_for(left, question)
    )


def _last_side(answer: str, question: str) -> str | None:
    """The value of `x = 4`, or of a chain of equal numbers `2 + 2 = 4`; None for `1 = 2 = 4`, `x = 3 = 4`."""
    sides = [side.strip() for side in answer.split("=")]
    if not all(sides):
        return None
    if len(sides) > 1 and _is_name(sides[0], question):
        sides = sides[1:]
        if len(sides) > 2 and derives(sides[0], sides[-1]):  # \\sigma = F / A = 50 / 2 = 25
            sides = sides[1:]
    if len(sides) == 1:
        return sides[0]
    values = [_arithmetic(side) for side in sides]
    if values[-1] is not None and None in values:  # 120 km / 3 h = 40 km/h
        values = [
            _arithmetic(_UNITS_INSIDE.sub("", side)) if value is None else value
            for side, value in zip(sides, values, strict=True)
        ]
    return None if any(value is None or value != values[-1] for value in values) else sides[-1]


def _arithmetic(text: str) -> Fraction | None:
    """The exact value of a number, or of arithmetic on plain numbers: `16 \\times 2 - 3`, `$3 x 4`."""
    text = strip_wrappers(text)
    return (
        value_of(text)
        if parse_number(text)
        else value_of(_TIMES.sub(" \\\\times ", text.replace("\\$", "").replace("$", "")))
    )

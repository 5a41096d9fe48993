"""Gold against answer, both normalised, by the kind of the gold: one comparer a kind, then the symbolic layer where
that is needed.

    estimates and prose taken off -> comparer of the kind (exact, no sympy) -> values at random points -> math-verify's
    opinion
A result says whether it is certain: a cascade may stop there. None means that no layer could tell.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

from rewards.math import plainkinds
from rewards.math.bindings import (
    NAME,
    alternatives,
    bindings,
    both_signs,
    compare_bindings,
    renamed,
    values_of,
    with_parameter,
)
from rewards.math.chains import last_of_chain
from rewards.math.conclusions import behind_names, concluded
from rewards.math.declared import declared, named_alike
from rewards.math.extract import strip_wrappers
from rewards.math.ions import compare_formulas
from rewards.math.kinds import FORMULA, Form, Kind, letter_of, read
from rewards.math.layouts import cases, family, labelled, system, unit_vectors
from rewards.math.normal import normalise
from rewards.math.number import parse_number
from rewards.math.numeric import against_number, rounded, value_of
from rewards.math.offered_options import offered
from rewards.math.orders import asks_order, in_order
from rewards.math.progressions import same_family
from rewards.math.ranges import compare_ranges
from rewards.math.regions import compare_regions, is_builder, looks_like_region
from rewards.math.result import Context, Result, no, unsure, yes
from rewards.math.sequences import (
    JOINED,
    all_of,
    as_interval,
    brackets,
    compare_sequences,
    scaled,
    split_items,
    unit_matrix,
    unordered,
    without_member,
)
from rewards.math.units import factor_between, split_unit
from rewards.math.words import bare, compare_words, core, folded, listed, means_same, opened, with_reason
from rewards.types import Outcome

_OPTION = re.compile(r"\A(?:answer )?(?:option|choice) (?=\(?[A-J]\b)", re.IGNORECASE)
_REMAINDER = re.compile(r"(?<=\d)[, ]*\b(?:R|r|rem|remainder) ?(?=\d)|(?<=\d) ?R(?=\d)")
_POINT = re.compile(r"\A[A-Z]'? ?(?=\()")  # P(3, 4)
_RADIANS = re.compile(r" ?(?:\\(?:text|mathrm) ?\{ ?)?\brad(?:ians?)? ?\}?\Z")
# The domain of an expression, beside it: \\frac{x^2-1}{x-1}, x \\ne 1.
_DOMAIN = re.compile(
    r" ?[,;]? ?\(?(?:\\text ?\{ ?(?:for|where|with|if) ?\}|for|where|with)? ?[a-z] ?\\ne(?![A-Za-z])[^,;()]{1,20}\)?\Z"
)
# "an \\alpha particle" in words.
_GREEK = re.compile(r"\\(alpha|beta|gamma|delta|lambda|mu|pi|sigma|omega)(?![A-Za-z])")
_LETTERS, _OFFERS = re.compile(r"[A-J]{2,10}\Z"), re.compile(r"(?:\A|[\s(])A[.):]")
_CHOSEN = re.compile(r"[A-J](?:(?:[ ,;/&.]|and){1,6}[A-J]){1,9}")
_GROWTH, _ANY_LOG = (
    re.compile(r"O ?\((?!.*\^ ?[{(][^{}]*l[ogn]).+\)\Z"),
    re.compile(r"\\?(?:log|lg|ln)(?![A-Za-z])(?: ?_ ?(?:\{[^{}]{1,6}\}|\w))?"),
)
_HAS_ARROW = re.compile(r"\\(?:to|implies|lnot|neg|land|lor|wedge|vee)(?![A-Za-z])|ightarrow")
_LOOSE_ENDS = re.compile(
    r"\b(?:confidence|credible|prediction) (?:interval|limits|bounds)|\b9\d ?\\?% CI\b", re.IGNORECASE
)
_ESTIMATE = re.compile(r"\\(?:approx|simeq)(?![A-Za-z])")


def compare(gold: str, answer: str, context: Context) -> Result | None:
    """Two normalised texts; None where no layer can tell."""
    wanted = read(gold)
    answer = strip_wrappers(answer)
    last = concluded(answer)
    answer = system(last if last is answer or not _HAS_ARROW.search(wanted.text) else answer)
    if "rad" in answer and "\\pi" in answer:
        answer = _RADIANS.sub("", answer)
    answer = with_parameter(answer, wanted.text)
    result = _typed(wanted, answer, context)
    if result is not None and result.outcome is Outcome.CORRECT:
        return result
    return _without_prose(wanted, answer, context) or _behind_names(wanted, answer, context) or result


def _behind_names(wanted: Form, answer: str, context: Context) -> Result | None:
    """`A \\cap B = \\{2, 4\\}` for the set alone; never certain. None where that does not make it equal."""
    if "=" not in answer or "=" in wanted.text:
        return None
    last = behind_names(answer, context.question, lambda side, value: _is_same(value, side, context))
    return yes("last_side", certain=False) if last is not None and _is_same(wanted.text, last, context) else None


def _is_same(gold: str, answer: str, context: Context) -> bool:
    result = compare(gold, answer, context)
    return result is not None and result.outcome is Outcome.CORRECT


def _without_prose(wanted: Form, answer: str, context: Context) -> Result | None:
    """The claim without the words around it, on both sides; never certain. None where that does not make them equal."""
    families = declared(opened(wanted.text)), declared(opened(answer))
    if families[0] is not None and families[1] is not None:
        alike = named_alike(families[1], families[0])
        result = compare(families[0][0], alike, context) if alike else None
        if result is not None and result.outcome is Outcome.CORRECT:
            return replace(result, certain=False)
        if alike and families[0][2] == "Z" and same_family(families[0][0], alike, families[0][1]):
            return yes("same_family", certain=False)
        return unsure("other_condition")
    claim, said = core(answer)
    asked, condition = core(wanted.text)
    if not said and not condition:
        return None
    result = _typed(read(asked), strip_wrappers(claim), context)
    if result is None or result.outcome is not Outcome.CORRECT:
        return None
    if said and condition and folded(said) != folded(condition):
        return unsure("other_condition")
    return replace(result, certain=False)


def _typed(wanted: Form, answer: str, context: Context) -> Result | None:
    if _ESTIMATE.search(answer):
        return _estimated(wanted, answer, context)
    if wanted.number is None and wanted.text == answer:
        return yes("text_equal")
    if wanted.text[:1] == "(" and (parts := labelled(wanted.text)) is not None:
        return _parts_of(parts, answer, context)
    if wanted.kind in (Kind.TUPLE, Kind.INTERVAL) and _LOOSE_ENDS.search(context.question):
        result = compare_ranges(wanted.text, answer, context)
        if result is not None:
            return result
    result = COMPARERS[wanted.kind](wanted, answer, context)
    if wanted.kind in (Kind.SET, Kind.TEXT, Kind.OTHER, Kind.INEQUALITY) and asks_order(context.question):
        return in_order(wanted.text, answer, context.question, _same(context), result)
    return result


def _parts_of(parts: list[str], answer: str, context: Context) -> Result | None:
    """The answers to (i), (ii), ... in order, with their labels or without."""
    given = labelled(answer) or split_items(answer)
    if len(given) != len(parts):
        return no("other_length", certain=False)
    return all_of([compare(part, other, context) for part, other in zip(parts, given, strict=True)])


# ---------------------------------------------------------------- kinds of numbers


def _number(wanted: Form, answer: str, context: Context) -> Result | None:
    if wanted.number is None:
        return None
    result = against_number(wanted.number, answer, context)
    if result is None or result.reason == "unit_not_asked_for":
        result = plainkinds.digits_of(wanted.text, answer, context) or result
    if result is not None:
        return result
    if wanted.number.unit and not wanted.number.is_angle:
        return _symbolic(wanted.text, answer, context)
    result = _symbolic(wanted.number.plain(), answer, context)
    value = (
        value_of(answer)
        if result is not None and result.outcome is Outcome.WRONG and wanted.number.form == "decimal"
        else None
    )
    return result if value is None else rounded(wanted.number, value, answer, context) or result


def _estimated(wanted: Form, answer: str, context: Context) -> Result | None:
    """`7/3 \\approx 2.33`: the exact side, where the estimate rounds it; else either side must not be believed."""
    parts = [part.strip() for part in _ESTIMATE.split(answer)]
    if len(parts) != 2:
        return no("not_one_value", certain=False)
    exact, estimate = parts
    if not exact or NAME.match(exact):
        return _typed(wanted, estimate, context)
    value, shown = value_of(exact.rpartition("=")[2]), parse_number(estimate)
    if value is None or shown is None or abs(value - shown.value) > abs(value) / 50:
        return no("not_one_value", certain=False)
    result = _typed(wanted, exact, context)
    return result if result is not None and result.outcome is Outcome.CORRECT else _typed(wanted, estimate, context)


# ---------------------------------------------------------------- words


def _letter(wanted: Form, answer: str, context: Context) -> Result | None:
    """`B`, `(B)` or `(B) 12` for a gold `(B) 12`, and the text alone."""
    gold, got = letter_of(wanted.text), letter_of(_OPTION.sub("", opened(answer)))
    if gold is None:
        return None
    if got is None:
        if gold[1]:
            result = compare(gold[1], answer, context)
            return replace(result, certain=False) if result is not None else None
        if len(split_items(answer)) > 1 or JOINED.search(opened(answer)):
            return no("several_answers")
        chosen = _option_text(gold[0], answer, context)
        if chosen is not None:
            return chosen
        return _text_or_symbols(wanted, answer, context)
    if gold[0] != got[0]:
        return no("other_letter")
    return (
        yes("letter_equal", certain=not got[1] or folded(got[1]) == folded(gold[1]))
        if not (gold[1] and got[1])
        else _option(gold, got, context)
    )


def _option_text(letter: str, answer: str, context: Context) -> Result | None:
    """An answer that is what the question offers under one letter alone; None where it is none of these."""
    choices = offered(context.question)
    if letter not in choices:
        return None
    asked = replace(context, question="", allow_unevaluated=True)
    texts = {name: normalise(strip_wrappers(text)) for name, text in choices.items()}
    meant = [name for name, text in texts.items() if text and _is_same(text, answer, asked)]
    if len(meant) != 1:
        return unsure("which_option") if meant else None
    return yes("option_text", certain=False) if meant == [letter] else no("other_option", certain=False)


def _option(gold: tuple[str, str], got: tuple[str, str], context: Context) -> Result | None:
    result = compare(gold[1], got[1], context)
    return result if result is not None and result.outcome is Outcome.CORRECT else unsure("letter_and_text_differ")


def _formula(wanted: Form, answer: str, context: Context) -> Result | None:
    # 2BC may be a number, too.
    found = plainkinds.digits_of(wanted.text, answer, context) or compare_formulas(wanted.text, answer)
    return found or _text_or_symbols(wanted, answer, context)


def _cases(wanted: Form, answer: str, context: Context) -> Result | None:
    """Row by row in any order: one value where one condition holds."""
    gold, got = cases(wanted.text), cases(answer)
    if gold is None or got is None:
        return None
    return unordered(
        [" \0 ".join(row) for row in gold], [" \0 ".join(row) for row in got], lambda a, b: _row(a, b, context)
    )


def _row(gold: str, answer: str, context: Context) -> Result | None:
    (value, condition), (other, given) = gold.split(" \0 "), answer.split(" \0 ")
    if condition == given == "":
        return compare(value, other, context)
    where = compare_words(condition, given) if bare(condition) and bare(given) else compare(condition, given, context)
    return (
        all_of([compare(value, other, context), where]) if condition and given else no("other_condition", certain=False)
    )


def _text(wanted: Form, answer: str, context: Context) -> Result | None:
    if (result := plainkinds.digits_of(wanted.text, answer, context)) is not None:
        return result
    if means_same(wanted.text, answer):
        return yes("text_same", certain=False)
    gold, got = bare(wanted.text), bare(answer)
    if gold is None:
        return _other(wanted, answer, context)
    if got is None and "\\" in answer:
        got = bare(_GREEK.sub(r"\1", answer))
    if got is None:
        if opened(gold).replace(" ", "") == opened(answer).replace(" ", ""):
            return yes("text_equal")
        return (
            no("number_for_text")
            if parse_number(answer) is not None
            else with_reason(gold, answer) or _sentence(gold, answer)
        )
    if _LETTERS.match(gold) and _OFFERS.search(context.question) and (chosen := _CHOSEN.fullmatch(got)) is not None:
        return yes("letters_equal") if sorted(re.findall(r"[A-J]", chosen[0])) == sorted(gold) else no("other_letters")
    names = listed(gold), listed(got)
    if names[0] is not None and names[1] is not None and sorted(map(folded, names[0])) == sorted(map(folded, names[1])):
        return yes("names_equal", certain=False)
    if (
        len(split_items(got)) > 1
        and folded(gold) != folded(got)
        and not re.match(r"(?:yes|no|true|false)\b", got, re.IGNORECASE)
    ):
        return no("several_answers", certain=False)
    if (
        gold != got
        and gold.casefold() == got.casefold()
        and FORMULA.match(gold)
        and FORMULA.match(got)
        and gold.casefold() != "no"
    ):
        return unsure("case_differs")  # CO and Co
    return compare_words(gold, got)


def _sentence(gold: str, answer: str) -> Result:
    """Words with a name set as mathematics among them: `$n$ \\text{ is even}`, `f(x) \\text{ is odd}`."""
    words = bare(re.sub(r"\$|(?<=[a-zA-Z])\([a-z]\)", " ", opened(answer)))
    found = compare_words(gold, words) if words else None
    return found if found is not None and found.outcome is Outcome.CORRECT else unsure("text_or_not")


def _text_or_symbols(wanted: Form, answer: str, context: Context) -> Result | None:
    gold, got = bare(wanted.text), bare(answer)
    if gold is not None and got is not None and max(len(gold), len(got)) > 1:
        return compare_words(gold, got)
    return _symbolic(wanted.text, answer, context)


# ---------------------------------------------------------------- collections and relations


def _region(wanted: Form, answer: str, context: Context) -> Result | None:
    result = compare_regions(opened(wanted.text), opened(answer))
    if result is None and means_same(wanted.text, answer):
        return yes("text_same", certain=False)
    return _collection(wanted, answer, context) if result is None else result


def _collection(wanted: Form, answer: str, context: Context) -> Result | None:
    """Sets, lists and tuples, with or without names; intervals whose ends are no numbers; matrices."""
    if means_same(wanted.text, answer):
        return yes("text_same", certain=False)
    families = family(wanted.text), family(answer)
    if families[0] is not None and families[1] is not None:
        same = compare(families[0][0], families[1][0], context) if families[0][1] == families[1][1] else None
        # 2k + 1 and 2k - 1 are one set.
        return same if same is not None and same.outcome is Outcome.CORRECT else unsure("other_family")
    gold, answer = without_member(wanted.text), without_member(answer)
    if "\\pm" in gold and "=" in gold and "=" in answer and (equations := _equations(gold, answer)) is not None:
        return unordered(*equations, _same(context))
    gold, answer = _laid_out(gold), _laid_out(answer)
    if wanted.kind is Kind.TUPLE:
        answer = _POINT.sub("", answer)
    gold_names, names = bindings(gold), bindings(answer)
    if gold_names and names:
        result = compare_bindings(gold_names, names, _same(context))
        return _symbolic(gold, answer, context) if result is None else result
    gold = values_of(gold_names) if gold_names else gold
    answer = values_of(names) if names else answer
    gold, answer = scaled(gold), scaled(answer)
    answer = unit_matrix(answer, gold) if wanted.kind is Kind.MATRIX else answer
    union = wanted.kind is Kind.SET and "\\cup" in answer
    if (
        union
        or is_builder(answer)
        or (wanted.kind is Kind.TUPLE and looks_like_region(answer) and not brackets(answer))
    ):
        result = compare_regions(gold, opened(answer))
        if result is not None:
            return result
    left, right = as_interval(gold), as_interval(opened(answer))
    if left != gold or (right != answer and left[:1] in "([\\"):
        gold, answer = left, right
    gold, answer = _listed(gold), _listed(answer)
    result = compare_sequences(gold, answer, _same(context))
    return _symbolic(gold, answer, context) if result is None else result


def _equations(gold: str, answer: str) -> tuple[list[str], list[str]] | None:
    """Both sides of `y = \\pm 2x` and `2x \\pm y = 0` as two equations each; None where an item is none, or solved for
    the same letter."""
    sides = [
        [one for item in split_items(JOINED.sub(", ", opened(side))) for one in both_signs(item)]
        for side in (gold, answer)
    ]
    alike = bindings(gold) and bindings(answer)
    return None if alike or any("=" not in item for side in sides for item in side) else (sides[0], sides[1])


def _laid_out(text: str) -> str:
    """Unit vectors as a tuple, `a = 1, b = 2 or a = 3, b = 4` as two tuples; words between numbers without their
    command."""
    parts = unit_vectors(text)
    if parts is not None:
        return f"({', '.join(parts)})"
    if "=" in text:
        return alternatives(text) or text
    return opened(text) if JOINED.search(text) else text


def _listed(text: str) -> str:
    """`0, \\pm 1` as `0, 1, -1`; braces stay."""
    if "\\pm" not in text:
        return text
    pair = brackets(text)
    inside = pair[1] if pair is not None and pair[0] == "{" else text
    items = ", ".join(value for item in split_items(JOINED.sub(", ", inside)) for value in both_signs(item))
    return "\\{" + items + "\\}" if inside is not text else items


def _equation(wanted: Form, answer: str, context: Context) -> Result | None:
    """Gold `x = 3`: the same name or no name, and the same value. Other equations are the symbolic layer's."""
    answer = renamed(answer, wanted.text)
    if alternatives(wanted.text):
        return _collection(wanted, answer, context)
    gold_names, names = bindings(wanted.text), bindings(answer)
    if gold_names and names:
        result = compare_bindings(gold_names, names, _same(context))
        return _symbolic(wanted.text, answer, context) if result is None else result
    if gold_names and len(split_items(wanted.text)) > 1:
        return _collection(wanted, answer, context)
    if gold_names and not re.search(r"=|<|>|\\(?:le|ge|ne)(?![A-Za-z])", answer):
        result = compare(values_of(gold_names), answer, context)
        return replace(result, certain=False) if result is not None and result.outcome is Outcome.WRONG else result
    if answer.count("=") > 1:
        name, last = answer.partition("=")[0].strip(), last_of_chain(answer)
        if last is None or not NAME.match(name.replace(" ", "")):
            return no("not_one_value", certain=False)
        return _equation(wanted, f"{name} = {last}", context)
    return _symbolic(wanted.text, answer, context)


def _rate_law(wanted: Form, answer: str, context: Context) -> Result | None:
    return plainkinds.law_of_rate(wanted, answer, context) or _equation(wanted, answer, context)


def _expression(wanted: Form, answer: str, context: Context) -> Result | None:
    """A gold with or without unknowns; an answer that names it (`y = 2x` for `2x`) gives its value, a unit is compared
    apart."""
    if "\\pm" in answer and "\\pm" not in wanted.text:
        return no("several_answers")
    if "\\ne" in answer and (domain := _DOMAIN.search(answer)) is not None and domain.start():
        answer = answer[: domain.start()]
    # O(\\log_2 n) is O(\\log n), but n^{\\log_2 3} is no n^{\\log_4 3}.
    if _GROWTH.match(wanted.text) and _GROWTH.match(answer):
        return _text_or_symbols(
            replace(wanted, text=_ANY_LOG.sub(r"\\log", wanted.text)), _ANY_LOG.sub(r"\\log", answer), context
        )
    names = bindings(answer)
    if names is None and "=" in answer and (last := last_of_chain(answer)) is not None:
        return _expression(wanted, last, context)
    if names:
        if len(names) > 1 or len(next(iter(names.values()))) > 1:
            return no("several_answers")
        answer = values_of(names)
    power = parse_number(answer)
    if power is not None and power.form == "scientific" and not power.unit and not power.percent:
        answer = power.plain()  # 1e-3 is no 1 e - 3
    if (factor := _unit_factor(wanted.text, answer)) is not None:
        gold, answer, size = factor
        result = _symbolic(gold, answer if size == 1 else f"({answer}) * {size.numerator}/{size.denominator}", context)
        return result
    result = _text_or_symbols(wanted, answer, context)
    shown = parse_number(answer)
    if result is not None and result.outcome is Outcome.WRONG and shown is not None and shown.form == "decimal":
        value = value_of(wanted.text)
        return result if value is None else rounded(shown, value, wanted.text, context, reverse=True) or result
    return result


def _unit_factor(gold: str, answer: str) -> tuple[str, str, Fraction] | None:
    """(gold, answer, what to multiply the answer by) without their units; None where neither has one, or they are of
    two kinds."""
    (left, unit), (right, other) = split_unit(gold), split_unit(answer)
    if not unit and not other:
        return None
    factor = factor_between(other, unit) if unit and other else Fraction(1)
    return None if factor is None else (left, right, factor)


def _other(wanted: Form, answer: str, context: Context) -> Result | None:
    if _worded(wanted.text) == _worded(answer):
        return yes("text_equal")
    if "\\dots" in wanted.text and "\\dots" in answer:
        terms = [[term.strip() for term in side.split("+")] for side in (wanted.text, answer)]
        if len(terms[0]) == len(terms[1]) > 2:
            return all_of([_term(a, b, context) for a, b in zip(*terms, strict=True)])
    return _collection(wanted, answer, context)


def _term(gold: str, answer: str, context: Context) -> Result | None:
    return yes("text_equal") if gold == answer == "\\dots" else compare(gold, answer, context)


def _worded(text: str) -> str:
    """Without blanks; the names of figures as words."""
    text = _REMAINDER.sub("remainder", opened(text))
    return re.sub(r"\\(?=(?:triangle|angle)(?![A-Za-z]))| ", "", text)


def _same(context: Context) -> Callable[[str, str], Result | None]:
    """Members of a collection: arithmetic left in one of them is no way to restate the question."""
    inner = replace(context, allow_unevaluated=True)
    return lambda gold, answer: compare(gold, answer, inner)


def _symbolic(gold: str, answer: str, context: Context) -> Result | None:
    if not context.symbolic:
        return None
    from rewards.math.symbolic import equivalent  # on first need: most answers never get here

    result = equivalent(gold, answer, context)
    if result is None and context.second_opinion:
        from rewards.math.second import second_opinion

        result = second_opinion(gold, answer)
    return result


COMPARERS: dict[Kind, Callable[[Form, str, Context], Result | None]] = {
    **dict.fromkeys((Kind.INTEGER, Kind.RATIONAL, Kind.DECIMAL, Kind.PERCENT, Kind.UNIT, Kind.CURRENCY), _number),
    **dict.fromkeys((Kind.SET, Kind.TUPLE, Kind.MATRIX), _collection),
    **dict.fromkeys((Kind.INTERVAL, Kind.INEQUALITY), _region),
    **dict.fromkeys((Kind.EXPRESSION, Kind.COMPLEX), _expression),
    Kind.BASED: plainkinds.based, Kind.RATIO: plainkinds.ratio, Kind.DATE: plainkinds.date, Kind.TIME: plainkinds.time,
    Kind.LETTER: _letter, Kind.FORMULA: _formula, Kind.REACTION: plainkinds.reaction, Kind.RESIDUE: plainkinds.residue,
    Kind.ORBITALS: plainkinds.configuration, Kind.STRAND: plainkinds.nucleotides, Kind.RANGE: plainkinds.a_range,
    Kind.LOGIC: plainkinds.logic, Kind.NUCLEAR: plainkinds.nuclear, Kind.RATE_LAW: _rate_law,
    Kind.CHANGE: plainkinds.change,
    Kind.CASES: _cases, Kind.TEXT: _text, Kind.EQUATION: _equation, Kind.OTHER: _other,
}  # fmt: skip

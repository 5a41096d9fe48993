"""Shapes of checkable instructions, for the verifier `instructions`, in IFEval's own form: names with arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rewards.errors import GoldError
from rewards.golds.problem import Problem, Row, decoded
from rewards.rules.constraints import CONSTRAINTS

_Entry = tuple[str, dict[str, Any]]


def if_eval(row: Row) -> Problem | None:
    """`prompt`, `instruction_id_list`, `kwargs` (padded with nulls)."""
    return _listed(row) if _families(row) <= _IFEVAL_FAMILIES and row.has("instruction_id_list") else None


def if_bench(row: Row) -> Problem | None:
    """IFEval's columns with constraints of other names."""
    return _listed(row) if row.has("instruction_id_list") else None


def rlvr_if_eval(row: Row) -> Problem | None:
    """`ground_truth`: JSON text of func_name with its arguments padded with nulls, or a list of instruction_id with
    kwargs (the constraints of several)."""
    truth = row.peek("ground_truth")
    if (
        isinstance(truth, list)
        and truth
        and all(isinstance(entry, dict) and "instruction_id" in entry for entry in truth)
    ):
        row.get("ground_truth")
        ids = [name for entry in truth for name in _as_list(entry["instruction_id"])]
        kwargs = [
            given for entry in truth for given in _as_list(entry.get("kwargs"), len(_as_list(entry["instruction_id"])))
        ]
        return Problem(format="", gold=_gold(ids, kwargs), verifier="instructions")
    truth = truth if isinstance(truth, dict) else {name: row.peek(name) for name in row.names()}
    if not isinstance(truth.get("func_name"), str):
        return None
    row.get("ground_truth" if row.has("ground_truth") else "func_name")
    name, given = truth["func_name"], {key: value for key, value in truth.items() if value is not None}
    if name not in RLVR:
        raise GoldError(f"func_name {name!r} is not known", remedy=f"one of: {', '.join(sorted(RLVR))}")
    try:
        entries = RLVR[name](given)
    except KeyError as error:
        raise GoldError(f"{name} needs {error}; it has {', '.join(sorted(given))}", remedy="drop the row") from error
    return Problem(format="", gold=_gold([e[0] for e in entries], [e[1] for e in entries]), verifier="instructions")


_IFEVAL_FAMILIES = {name.partition(":")[0] for name in CONSTRAINTS}


def _families(row: Row) -> set[str]:
    return {str(name).partition(":")[0] for name in row.peek("instruction_id_list") or []}


def _listed(row: Row) -> Problem:
    ids, kwargs = row.json("instruction_id_list"), row.json("kwargs")
    question = row.text("prompt") if isinstance(row.peek("prompt"), str) else None
    return Problem(
        format="", gold=_gold(_as_list(ids), _as_list(kwargs, len(ids))), verifier="instructions", question=question
    )


def _gold(ids: list[Any], kwargs: list[Any]) -> dict[str, Any]:
    if len(ids) != len(kwargs):
        raise GoldError(f"{len(ids)} instructions and {len(kwargs)} kwargs", remedy="mend or drop the row")
    given = [{k: v for k, v in (decoded(entry) or {}).items() if v is not None} for entry in kwargs]
    return {"instruction_id_list": ids, "kwargs": given}


def _as_list(value: Any, length: int = 1) -> list[Any]:
    value = decoded(value)
    return value if isinstance(value, list) else [value] * length


# ---------------------------------------------------------------- RLVR-IFeval's functions, as constraints


def _named(name: str, **keys: str) -> Callable[[Mapping[str, Any]], list[_Entry]]:
    """A constraint whose arguments have other names there: ours=theirs."""
    return lambda given: [(name, {ours: given[theirs] for ours, theirs in keys.items()})]


def _exactly(name: str, count: str, relation: str, **keys: str) -> Callable[[Mapping[str, Any]], list[_Entry]]:
    """`N` is the number itself there, where the constraint has "at least" and "less than"."""

    def entries(given: Mapping[str, Any]) -> list[_Entry]:
        rest = {ours: given[theirs] for ours, theirs in keys.items()}
        return [
            (name, {**rest, count: given["N"], relation: "at least"}),
            (name, {**rest, count: given["N"] + 1, relation: "less than"}),
        ]

    return entries


def _quantified(
    name: str, count: str, relation: str, around: Callable[[int], int]
) -> Callable[[Mapping[str, Any]], list[_Entry]]:
    """`N` with a `quantifier`: at least, at most, or around (so many more or fewer)."""

    def entries(given: Mapping[str, Any]) -> list[_Entry]:
        number, quantifier = given["N"], str(given["quantifier"]).lower()
        least, most = number, number
        if quantifier == "around":
            least, most = max(0, number - around(number)), number + around(number)
        at_least = (name, {count: least, relation: "at least"})
        at_most = (name, {count: most + 1, relation: "less than"})
        kinds = {
            "at least": [at_least],
            "at most": [at_most],
            "around": [at_least, at_most],
            "exactly": [at_least, at_most],
        }
        if quantifier not in kinds:
            raise GoldError(f"quantifier is {quantifier!r}", remedy=f"one of: {', '.join(kinds)}")
        return kinds[quantifier]

    return entries


def _refused(needs: str) -> Callable[[Mapping[str, Any]], list[_Entry]]:
    def refuse(_: Mapping[str, Any]) -> list[_Entry]:
        raise GoldError(
            f"no constraint here asks for {needs}", remedy="drop the row, or judge it by a verifier of your own"
        )

    return refuse


RLVR: dict[str, Callable[[Mapping[str, Any]], list[_Entry]]] = {
    "verify_keywords": _named("keywords:existence", keywords="keyword_list"),
    "verify_keyword_frequency": _exactly("keywords:frequency", "frequency", "relation", keyword="word"),
    "validate_forbidden_words": _named("keywords:forbidden_words", forbidden_words="forbidden_words"),
    "verify_letter_frequency": _exactly("keywords:letter_frequency", "let_frequency", "let_relation", letter="letter"),
    "validate_response_language": _named("language:response_language", language="language"),
    "verify_paragraph_count": _refused("paragraphs parted by * * *"),
    "validate_word_constraint": _quantified(
        "length_constraints:number_words", "num_words", "relation", lambda n: max(round(n * 0.1), 1)
    ),
    "verify_sentence_constraint": _quantified(
        "length_constraints:number_sentences", "num_sentences", "relation", lambda _: 1
    ),
    "validate_paragraphs": _named(
        "length_constraints:nth_paragraph_first_word", num_paragraphs="N", nth_paragraph="i", first_word="first_word"
    ),
    "verify_postscript": _named("detectable_content:postscript", postscript_marker="postscript_marker"),
    "validate_placeholders": _named("detectable_content:number_placeholders", num_placeholders="N"),
    "verify_bullet_points": _named("detectable_format:number_bullet_lists", num_bullets="N"),
    "validate_title": _named("detectable_format:title"),
    "validate_choice": _refused("one of a list of options as the answer"),
    "validate_highlighted_sections": _named("detectable_format:number_highlighted_sections", num_highlights="N"),
    "validate_sections": _named(
        "detectable_format:multiple_sections", num_sections="N", section_spliter="section_splitter"
    ),
    "validate_json_format": _named("detectable_format:json_format"),
    "validate_repeat_prompt": _named("combination:repeat_prompt", prompt_to_repeat="original_prompt"),
    "validate_two_responses": _named("combination:two_responses"),
    "validate_uppercase": _named("change_case:english_capital"),
    "validate_lowercase": _named("change_case:english_lowercase"),
    "validate_frequency_capital_words": _quantified(
        "change_case:capital_word_frequency", "capital_frequency", "capital_relation", lambda n: max(round(n * 0.1), 1)
    ),
    "validate_end": _named("startend:end_checker", end_phrase="end_phrase"),
    "validate_quotation": _named("startend:quotation"),
    "validate_no_commas": _named("punctuation:no_comma"),
}

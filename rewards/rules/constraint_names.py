"""Constraints by the names of RLVR-IFeval: one {"func_name": ..., arguments} a row, as IFEval's constraints.

Written after the data set's columns: a name, and arguments that are null where another function takes them. Knows
nothing of how constraints are checked (`rewards.rules.constraints`).
"""

from __future__ import annotations

import ast
import json
from typing import Any

# func_name -> (id, its argument -> ours, arguments that the name says by itself)
FUNCTIONS: dict[str, tuple[str, dict[str, str], dict[str, Any]]] = {
    "verify_keywords": ("keywords:existence", {"keyword_list": "keywords"}, {}),
    "verify_keyword_frequency": ("keywords:word_frequency", {"word": "word", "N": "frequency"}, {}),
    "validate_forbidden_words": ("keywords:forbidden_words", {"forbidden_words": "forbidden_words"}, {}),
    "verify_letter_frequency": (
        "keywords:letter_frequency",
        {"letter": "letter", "N": "let_frequency"},
        {"let_relation": "exactly"},
    ),
    "validate_response_language": ("language:response_language", {"language": "language"}, {}),
    "verify_paragraph_count": ("length_constraints:number_paragraphs", {"N": "num_paragraphs"}, {}),
    "validate_word_constraint": ("length_constraints:number_words", {"N": "num_words", "quantifier": "relation"}, {}),
    "verify_sentence_constraint": (
        "length_constraints:number_sentences",
        {"N": "num_sentences", "quantifier": "relation"},
        {},
    ),
    "validate_paragraphs": (
        "length_constraints:nth_paragraph_first_word",
        {"N": "num_paragraphs", "i": "nth_paragraph", "first_word": "first_word"},
        {},
    ),
    "verify_postscript": ("detectable_content:postscript", {"postscript_marker": "postscript_marker"}, {}),
    "validate_placeholders": ("detectable_content:number_placeholders", {"N": "num_placeholders"}, {}),
    "verify_bullet_points": ("detectable_format:number_bullet_lists", {"N": "num_bullets"}, {}),
    "validate_title": ("detectable_format:title", {}, {}),
    "validate_choice": ("detectable_format:one_of", {"options": "options"}, {}),
    "validate_highlighted_sections": ("detectable_format:number_highlighted_sections", {"N": "num_highlights"}, {}),
    "validate_sections": (
        "detectable_format:multiple_sections",
        {"N": "num_sections", "section_splitter": "section_spliter"},
        {},
    ),
    "validate_json_format": ("detectable_format:json_format", {}, {}),
    "validate_repeat_prompt": ("combination:repeat_prompt", {"original_prompt": "prompt_to_repeat"}, {}),
    "validate_two_responses": ("combination:two_responses", {}, {}),
    "validate_uppercase": ("change_case:english_capital", {}, {}),
    "validate_lowercase": ("change_case:english_lowercase", {}, {}),
    "validate_frequency_capital_words": (
        "change_case:capital_word_frequency",
        {"N": "capital_frequency", "quantifier": "capital_relation"},
        {},
    ),
    "validate_end": ("startend:end_checker", {"end_phrase": "end_phrase"}, {}),
    "validate_quotation": ("startend:quotation", {}, {}),
    "validate_no_commas": ("punctuation:no_comma", {}, {}),
}


def as_object(gold: Any) -> Any:
    """A gold that is JSON text as what it says; anything else as it is."""
    if not isinstance(gold, str) or gold.strip()[:1] not in ("{", "["):
        return gold
    try:
        return json.loads(gold)
    except (ValueError, RecursionError):
        return gold


def translated(given: dict[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """The id and arguments of a row with `func_name`; None for a name that is none of these. What a function does not
    take keeps its name, so that it is refused by it."""
    found = FUNCTIONS.get(str(given["func_name"]))
    if found is None:
        return None
    name, renamed, said = found
    arguments = {
        renamed.get(key, key): value for key, value in given.items() if key != "func_name" and value is not None
    }
    options = arguments.get("options")
    if isinstance(options, str):
        arguments["options"] = _listed(options)
    return name, {**said, **arguments}


def _listed(text: str) -> Any:
    """Options written as a list or tuple in text; one option of plain text."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return [text]
    return list(value) if isinstance(value, list | tuple) else [text]

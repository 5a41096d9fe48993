"""Checkable constraints: each followed and broken once, strict and loose, and golds that are refused with the nearest
right name."""

from __future__ import annotations

from typing import Any

import pytest

from rewards.load import build_verifier
from rewards.rules.constraints import CONSTRAINTS, count_sentences
from rewards.services import Services
from rewards.types import Outcome, Request, Verdict

STRICT = build_verifier({"kind": "instructions"}, Services())
LOOSE = build_verifier({"kind": "instructions", "mode": "loose"}, Services())
SHARE = build_verifier({"kind": "instructions", "score": "fraction"}, Services())

ENGLISH = "the cat sat on the mat and it was not at all happy with this"
CASES: list[tuple[str, dict[str, Any], str, str]] = [  # id, arguments, followed by, broken by
    ("keywords:existence", {"keywords": ["Tea", "c++"]}, "I like tea and C++.", "I like tea and coffee."),
    ("keywords:frequency", {"keyword": "tea", "frequency": 2, "relation": "at least"}, "Tea, tea.", "Tea."),
    ("keywords:forbidden_words", {"forbidden_words": ["tea"]}, "A steamy team.", "A cup of Tea!"),
    ("keywords:letter_frequency", {"letter": "e", "let_frequency": 2, "let_relation": "less than"}, "One", "Even"),
    (
        "language:response_language",
        {"language": "de"},
        "Das ist nicht der Hund von mir, und er ist auch nicht klein.",
        ENGLISH,
    ),
    ("length_constraints:number_sentences", {"num_sentences": 2, "relation": "less than"}, "Dr. No came.", "One. Two."),
    ("length_constraints:number_paragraphs", {"num_paragraphs": 2}, "one\n***\ntwo", "one\n\ntwo"),
    ("length_constraints:number_words", {"num_words": 3, "relation": "at least"}, "one two three", "one two"),
    (
        "length_constraints:nth_paragraph_first_word",
        {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "Tea"},
        'one\n\n"Tea," she said',
        "tea\n\ncoffee",
    ),
    ("detectable_content:number_placeholders", {"num_placeholders": 2}, "Dear [name], [text]", "Dear [name]"),
    ("detectable_content:postscript", {"postscript_marker": "P.S."}, "Hello.\n\nP. S. bye", "Hello. PS bye"),
    ("detectable_format:number_bullet_lists", {"num_bullets": 2}, "* a\n  - b", "* a\n**b**"),
    ("detectable_format:constrained_response", {}, "Well. My answer is maybe.", "Maybe."),
    ("detectable_format:number_highlighted_sections", {"num_highlights": 2}, "*a* and **b**", "*a* and **"),
    (
        "detectable_format:multiple_sections",
        {"section_spliter": "Section", "num_sections": 2},
        "Section 1 a\nSection 2 b",
        "Section 1 a",
    ),
    ("detectable_format:json_format", {}, '```json\n{"a": 1}\n```', "{'a': 1}"),
    ("detectable_format:title", {}, "<<On tea>>\nIt is hot.", "<< >> On tea"),
    ("combination:two_responses", {}, "yes\n******\nno", "yes\n******\nyes"),
    (
        "combination:repeat_prompt",
        {"prompt_to_repeat": "What is tea?"},
        "what is tea? A drink.",
        "A drink. What is tea?",
    ),
    (
        "startend:end_checker",
        {"end_phrase": "Any other questions?"},
        "So. any other questions?",
        "Any other questions? No.",
    ),
    ("startend:quotation", {}, '"all of it"', '"half" of it'),
    (
        "change_case:capital_word_frequency",
        {"capital_frequency": 2, "capital_relation": "at least"},
        "NATO and WELL-DONE",
        "NATO and Me",
    ),
    ("change_case:english_capital", {}, ENGLISH.upper(), ENGLISH.title()),
    ("change_case:english_lowercase", {}, ENGLISH, ENGLISH.title()),
    ("punctuation:no_comma", {}, "no comma here", "one, two"),
]


def ifeval_row(*constraints: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    return {"instruction_id_list": [name for name, _ in constraints], "kwargs": [kwargs for _, kwargs in constraints]}


def judged(response: str, *constraints: tuple[str, dict[str, Any]]) -> Verdict:
    return STRICT.verify(Request(response=response, gold=ifeval_row(*constraints)))


def test_there_is_a_case_for_every_constraint() -> None:
    assert {name for name, *_ in CASES} == CONSTRAINTS.keys()


@pytest.mark.parametrize(("name", "kwargs", "followed", "broken"), CASES)
def test_a_constraint_tells_followed_from_broken(name: str, kwargs: dict[str, Any], followed: str, broken: str) -> None:
    assert judged(followed, (name, kwargs)).reason == "all_followed"
    verdict = judged(broken, (name, kwargs))
    assert (verdict.outcome, verdict.reason, verdict.certificate["failed"]) == (Outcome.WRONG, "not_followed", [name])


def test_all_must_hold_or_the_share_counts() -> None:
    pair = ("punctuation:no_comma", {}), ("startend:quotation", {})
    request = Request(response="no comma here", gold=ifeval_row(*pair))
    assert STRICT.verify(request).score == 0.0
    half = SHARE.verify(request)
    assert (half.score, half.passed, list(half.parts.values())) == (0.5, False, [1.0, 0.0])


def test_loose_reading_forgives_a_preface_a_closing_line_and_asterisks() -> None:
    quoted = ifeval_row(("startend:quotation", {}))
    for response in ('Here you go:\n"text"', '"text"\nAnything else?', 'Sure:\n**"text"**\nBye'):
        request = Request(response=response, gold=quoted)
        assert (STRICT.verify(request).passed, LOOSE.verify(request).passed) == (False, True)
    assert not LOOSE.verify(Request(response='Sure:\n"one" or\nthat\nBye', gold=quoted)).passed


def test_only_the_visible_answer_counts_and_an_empty_one_follows_nothing() -> None:
    assert judged("<think>a, b</think>ab", ("punctuation:no_comma", {})).passed
    assert judged("<think>ab", ("punctuation:no_comma", {})).reason == "no_answer"


def test_what_cannot_be_told_abstains_unless_something_else_is_broken() -> None:
    language = ("language:response_language", {"language": "fr"})
    assert judged("42", language).outcome is Outcome.ABSTAIN
    assert judged("4,2", language, ("punctuation:no_comma", {})).outcome is Outcome.WRONG


def test_both_forms_of_gold_say_the_same_and_nulls_are_no_arguments() -> None:
    entry = {"id": "length_constraints:number_words", "num_words": 2, "relation": "exactly"}
    assert STRICT.verify(Request(response="one two", gold=[entry])).passed
    padded = ifeval_row(("punctuation:no_comma", {"num_words": None, "keywords": None}))
    STRICT.check_gold(padded)
    assert STRICT.verify(Request(response="one two", gold=padded)).passed


@pytest.mark.parametrize(
    ("gold", "says"),
    [
        (None, "expected"),
        ([], "no constraint"),
        (
            ifeval_row(("keywords:existense", {"keywords": ["a"]})),
            "constraint 1: unknown id 'keywords:existense'; did you mean keywords:existence",
        ),
        (
            ifeval_row(("punctuation:no_comma", {}), ("keywords:existence", {"keyword": ["a"]})),
            "constraint 2: .*did you mean keywords",
        ),
        (ifeval_row(("keywords:existence", {})), "needs 'keywords'"),
        (ifeval_row(("keywords:existence", {"keywords": "tea"})), "a list of texts"),
        (ifeval_row(("length_constraints:number_words", {"num_words": 3, "relation": "around"})), "less than"),
        (ifeval_row(("length_constraints:number_words", {"num_words": 2.5, "relation": "at least"})), "whole number"),
        (ifeval_row(("language:response_language", {"language": "klingon"})), "language code"),
        ({"instruction_id_list": ["punctuation:no_comma"], "kwargs": []}, "one length"),
    ],
)
def test_a_wrong_gold_is_refused_at_load_with_its_place(gold: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        STRICT.check_gold(gold)
    assert STRICT.verify(Request(response="x", gold=gold)).outcome is Outcome.UNSUPPORTED


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("One", 1),
        ("One. Two! Three?", 3),
        ("Mr. Smith met Dr. No at 3.5 p.m. sharp. They spoke.", 2),
        ("e.g. this one... and that", 2),
        ("1. First.\n2. Second.", 2),
        ('He said "Go." Then he left.', 2),
        ("J. R. R. Tolkien wrote it.", 1),
        ("今日は。雨です！", 2),
        ("Wait?! Really!!!", 2),
    ],
)
def test_sentences_are_counted_past_abbreviations(text: str, count: int) -> None:
    assert count_sentences(text) == count

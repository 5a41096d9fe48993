"""Checkable constraints: each followed and broken once, strict and loose, and golds that are refused with the nearest
right name."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rewards.load import build_verifier
from rewards.rules.constraint_names import FUNCTIONS
from rewards.rules.constraints import CONSTRAINTS
from rewards.rules.sentences import split_sentences
from rewards.services import Services
from rewards.types import Outcome, Request, Verdict
from tests.rewards.test_ifbench import CASES as IFBENCH

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
    ("keywords:word_frequency", {"word": "tea", "frequency": 2}, "Tea, then tea.", "Tea, team."),
    ("detectable_format:one_of", {"options": ["yes", "no"]}, "Yes!", "yes or no"),
    ("count:word_count_range", {"min_words": 2, "max_words": 3}, "It's late now.", "It's late now, really."),
    ("count:unique_word_count", {"N": 3}, "red green blue red", "red green red"),
    ("count:numbers", {"N": 2}, "2 cats, 3.5 dogs", "2 cats, v3 dogs"),
    ("count:conjunctions", {"small_n": 2}, "Red and blue, but so pale", "red and blue and green"),
    ("count:pronouns", {"N": 2}, "I saw it.", "I saw red."),
    (
        "count:keywords_multiple",
        {"keyword1": "a", "keyword2": "b", "keyword3": "c", "keyword4": "d", "keyword5": "e"},
        "a b b c c c d d d d d e e e e e e e",
        "a b b c c c d d d d d e e e e e e",
    ),
    ("words:alphabet", {}, "Yes, Zoe ate bread.", "Yes, Zoe baked."),
    ("words:palindrome", {}, "level civic kayak madam radar refer rotor sagas solos tenet", "noon level civic kayak"),
    ("words:repeats", {"small_n": 2}, "red red blue", "red red Red"),
    ("words:no_consecutive", {}, "red blue red", "red Roses"),
    ("words:paragraph_last_first", {}, "Tea is tea.\n\nNo means no.", "Tea is tea.\n\nNo means yes."),
    ("words:prime_lengths", {}, "the quick ox", "the quick brown oxen"),
    ("words:words_position", {"keyword": "tea"}, "My tea is good tea now.", "My tea is good."),
    (
        "words:keywords_specific_position",
        {"keyword": "tea", "n": 2, "m": 3},
        "Hi. I like tea.",
        "I like tea. I like milk.",
    ),
    ("sentence:keyword", {"word": "tea", "N": 2}, "Hi. I like tea.", "I like tea. Hi."),
    ("sentence:increment", {"small_n": 1}, "Hi you. I like tea. I like hot tea.", "Hi. I like tea."),
    ("format:parentheses", {}, "([{(([x]))}])", "(((( x ))))("),
    ("format:newline", {}, "one\ntwo", "one two"),
    ("format:no_whitespace", {}, "one,two", "one two"),
    ("format:title_case", {}, "The Lord of the Rings", "The lord"),
    ("format:options", {"options": "yes/no/maybe"}, "Maybe.", "Maybe yes"),
    ("format:list", {"sep": "~"}, "~ one\n~ two", "- one\n~ two"),
]


def ifeval_row(*constraints: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    return {"instruction_id_list": [name for name, _ in constraints], "kwargs": [kwargs for _, kwargs in constraints]}


def judged(response: str, *constraints: tuple[str, dict[str, Any]]) -> Verdict:
    return STRICT.verify(Request(response=response, gold=ifeval_row(*constraints)))


def test_there_is_a_case_for_every_constraint() -> None:
    assert {name for name, *_ in [*CASES, *IFBENCH]} == CONSTRAINTS.keys()


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
        (ifeval_row(("length_constraints:number_words", {"num_words": 3, "relation": "nearly"})), "less than"),
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
    assert len(split_sentences(text)) == count


PARAGRAPHS = {"num_paragraphs": 3, "nth_paragraph": 2, "first_word": "then"}


@pytest.mark.parametrize(
    "response",
    [
        "<think>hm</think>\n\nOnce.\n\nThen.\n\nThe end.\n",
        "Once.\n\n\n\nThen.\n \n\nThe end.",
        "\n\n\nOnce.\n\nThen.\n\nThe end.",
    ],
)
def test_blank_lines_are_no_paragraphs(response: str) -> None:
    assert judged(response, ("length_constraints:nth_paragraph_first_word", PARAGRAPHS)).passed


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_a_constant_of_javascript_is_no_json(constant: str) -> None:
    assert not judged(f'{{"a": {constant}}}', ("detectable_format:json_format", {})).passed


RLVR: list[tuple[dict[str, Any], str, str]] = [  # as the data set names it, followed by, broken by
    ({"func_name": "verify_keywords", "keyword_list": ["tea", "milk"], "N": None}, "Tea with milk", "Tea"),
    ({"func_name": "verify_keyword_frequency", "word": "tea", "N": 2}, "tea, tea", "tea, team"),
    ({"func_name": "validate_forbidden_words", "forbidden_words": ["red"]}, "blue", "a red hat"),
    ({"func_name": "verify_letter_frequency", "letter": "a", "N": 3}, "banana", "bananas are"),
    (
        {"func_name": "validate_response_language", "language": "fr"},
        "Il fait beau et nous allons à la plage avec les enfants.",
        ENGLISH,
    ),
    ({"func_name": "verify_paragraph_count", "N": 2}, "One.\n***\nTwo.", "One.\n\nTwo."),
    ({"func_name": "validate_word_constraint", "N": 20, "quantifier": "around"}, "go " * 22, "go " * 23),
    ({"func_name": "verify_sentence_constraint", "N": 2, "quantifier": "at most"}, "One. Two.", "One. Two. Three."),
    ({"func_name": "validate_paragraphs", "N": 2, "i": 2, "first_word": "then"}, "Once.\n\nThen.", "Then.\n\nOnce."),
    ({"func_name": "verify_postscript", "postscript_marker": "P.S."}, "Hi\nP.S. bye", "Hi"),
    ({"func_name": "validate_placeholders", "N": 1}, "Dear [name]", "Dear you"),
    ({"func_name": "verify_bullet_points", "N": 2}, "- a\n- b", "- a"),
    ({"func_name": "validate_title"}, "<<Hi>>\ntext", "text"),
    ({"func_name": "validate_choice", "options": "('yes', 'no')"}, "yes", "perhaps"),
    ({"func_name": "validate_highlighted_sections", "N": 1}, "*hi* there", "hi there"),
    ({"func_name": "validate_sections", "N": 2, "section_splitter": "Part"}, "Part 1\na\nPart 2\nb", "Part 1\na"),
    ({"func_name": "validate_json_format"}, '{"a": 1}', "a: 1"),
    ({"func_name": "validate_repeat_prompt", "original_prompt": "Say hi"}, "Say hi\nhi", "hi"),
    ({"func_name": "validate_two_responses"}, "a ****** b", "a"),
    ({"func_name": "validate_uppercase"}, ENGLISH.upper(), ENGLISH),
    ({"func_name": "validate_lowercase"}, ENGLISH, ENGLISH.upper()),
    ({"func_name": "validate_frequency_capital_words", "N": 2, "quantifier": "at least"}, "WOW THAT is", "WOW that"),
    ({"func_name": "validate_end", "end_phrase": "Bye."}, "Well. Bye.", "Bye. Well."),
    ({"func_name": "validate_quotation"}, '"hi"', "hi"),
    ({"func_name": "validate_no_commas"}, "hi", "hi, you"),
]


def test_every_function_of_rlvr_ifeval_is_tried() -> None:
    assert {str(gold["func_name"]) for gold, *_ in RLVR} == FUNCTIONS.keys()


@pytest.mark.parametrize(("gold", "followed", "broken"), RLVR)
def test_rows_of_rlvr_ifeval_are_judged_as_they_are(gold: dict[str, Any], followed: str, broken: str) -> None:
    for given in (gold, json.dumps(gold)):
        STRICT.check_gold(given)
        assert STRICT.verify(Request(response=followed, gold=given)).passed
        assert STRICT.verify(Request(response=broken, gold=given)).outcome is Outcome.WRONG


@pytest.mark.parametrize(
    ("gold", "says"),
    [
        ({"func_name": "validate_no_comas"}, "unknown func_name 'validate_no_comas'; did you mean validate_no_commas"),
        ({"func_name": "validate_title", "N": 2}, "takes no 'N'"),
        (ifeval_row(("words:start_verb", {})), "words:start_verb is not checked here, as"),
        ({"instruction_id_list": [["words:vowel"]], "kwargs": [{}]}, "an id is list"),
    ],
)
def test_a_constraint_that_is_not_checked_is_refused_by_name(gold: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        STRICT.check_gold(gold)

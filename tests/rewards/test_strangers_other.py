"""The kinds beside `math` on the corpus written blind, and the styles of calls and choices that it brought."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.math_answers.strangers import other_pairs
from rewards.types import Outcome, Request, Verdict
from rewards.workers.rule_table import build_rule


def judged(
    kind: str, gold: Any, response: str, options: Any = None, num_tokens: int | None = None, **settings: Any
) -> Verdict:
    rule = build_rule({"kind": kind, "options": settings, "think": ["<think>", "</think>"]})
    metadata = {"options": options} if options is not None else {}
    return rule.judge_group([Request(response=response, gold=gold, metadata=metadata, num_tokens=num_tokens)])[0]


@pytest.mark.parametrize(
    "kind", ["choice", "exact", "format", "instructions", "tool_call", "language", "repetition", "length"]
)
def test_every_answer_written_blind_is_judged_as_labelled(kind: str) -> None:
    for name, gold, extra, response, expected in other_pairs():
        if name == kind:
            verdict = judged(
                kind, gold, response, extra.get("options"), extra.get("num_tokens"), **extra.get("set", {})
            )
            assert verdict.passed is expected, (gold, response)


WEATHER = {"calls": [{"name": "get_weather", "arguments": {"city": "Oslo", "days": 3}}]}


@pytest.mark.parametrize(
    "response",
    [
        "get_weather(city='Oslo', days=3)", "[get_weather(city=\"Oslo\", days=3)]",
        "```python\nget_weather(city='Oslo', days=3)\n```",
        "<|python_tag|>get_weather(city='Oslo', days=3)<|eom_id|>",
        "<function=get_weather>{\"city\": \"Oslo\", \"days\": 3}</function>",
        "Thought: look it up.\nAction: get_weather\nAction Input: {\"city\": \"Oslo\", \"days\": 3}\nObservation: rain",
        "{\"get_weather\": {\"city\": \"Oslo\", \"days\": 3}}",
    ],
)  # fmt: skip
def test_a_call_may_be_written_in_any_common_style(response: str) -> None:
    assert judged("tool_call", WEATHER, response).passed


@pytest.mark.parametrize(
    ("reason", "response"),
    [
        ("positional_arguments", "get_weather('Oslo', 3)"), ("not_json", "get_weather(city=Oslo, days=3)"),
        ("not_json", "get_weather(city='Oslo', days=__import__('os').getpid())"),
        ("no_call", "Call get_weather(city='Oslo', days=3)"),
        ("no_call", "x = get_weather(city='Oslo', days=3)"),
        ("tags_unbalanced", "<function=get_weather>{\"city\": \"Oslo\", \"days\": 3}"),
        ("key_given_twice",
        "<function=get_weather><parameter=city>Oslo</parameter><parameter=city>Rome</parameter></function>"),
        ("wrong_count",
        "Action: a\nAction Input: {}\nAction: get_weather\nAction Input: {\"city\": \"Oslo\", \"days\": 3}"),
        ("wrong_count", "get_weather(city='Oslo', days=3)\nget_weather(city='Oslo', days=3)"),
        ("value_error", "get_weather(city='Oslo', days='3')"), ("wrong_function", "weather.get(city='Oslo', days=3)"),
        ("no_call", "(" * 5000), ("no_call", "f(" * 3000), ("no_call", "get_weather(a=" + "9" * 9000 + ")"),
    ],
)  # fmt: skip
def test_a_call_that_is_not_clear_is_none(reason: str, response: str) -> None:
    assert judged("tool_call", WEATHER, response).reason == reason


def test_code_that_is_shown_is_no_call() -> None:
    shown = "You would write it like this:\n```python\nget_weather(city='Oslo', days=3)\n```\nBut I have no access."
    assert judged("tool_call", {"calls": []}, shown).passed
    assert not judged("tool_call", {"calls": []}, "get_weather(city='Oslo', days=3)").passed


def test_only_the_chosen_style_is_read_and_dots_count_where_texts_are_exact() -> None:
    assert not judged("tool_call", WEATHER, "get_weather(city='Oslo', days=3)", style="json").passed
    gold = {"calls": [{"math.factorial": {"number": [5]}}]}
    call = '{"name": "math_factorial", "arguments": {"number": 5}}'
    assert judged("tool_call", gold, call).passed and not judged("tool_call", gold, call, strings="exact").passed


def test_a_letter_beside_the_text_of_another_option_is_not_decided() -> None:
    options = ["3", "4", "5", "6"]
    for response in ("(B) 5", "The answer is B. 5", "So we take **B** 5"):
        assert judged("choice", "B", response, options).outcome is Outcome.ABSTAIN
    assert judged("choice", "B", "(B) 4", options).passed and judged("choice", "B", "Answer: (B) 4", options).passed


def test_an_option_may_be_named_by_its_text_or_its_value() -> None:
    options = ["$\\frac{1}{2}$", "$\\sqrt{8}$", "$2$", "0.25"]
    assert judged("choice", "A", "0.5", options).passed and judged("choice", "B", "\\boxed{2\\sqrt{2}}", options).passed
    assert judged("choice", "D", "The value is $\\frac14$.", options).passed
    assert (
        not judged("choice", "A", "\\frac{1}{3}", options).passed
        and not judged("choice", "C", "It is not 2.", options).passed
    )
    assert (
        not judged("choice", "A", "1/2", ["1/2", "0.5"]).passed
        or judged("choice", "A", "1/2", ["1/2", "0.5"]).extracted == "A"
    )


def test_the_last_answer_tag_holds_the_choice() -> None:
    long = "We compare A with C and D in turn, and each has its merits; C looks good at first. " * 3
    assert judged("choice", "B", f"{long}\n<answer>B</answer>", ["3", "4", "5"]).passed
    assert not judged("choice", "B", f"{long}\n<answer>C</answer>", ["3", "4", "5"]).passed

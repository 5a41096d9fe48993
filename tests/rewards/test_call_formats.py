"""`tool_call`: the formats in which models write calls, tags inside strings, nested lists of allowed values,
arguments by position."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from rewards.types import Request, Verdict
from rewards.workers.rule_table import build_rule

RULE = build_rule({"kind": "tool_call", "options": {}, "think": ["<think>", "</think>"]})
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}}
TOOLS = [{"name": "get_weather", "parameters": SCHEMA}]
WEATHER = {"calls": [{"name": "get_weather", "arguments": {"city": "Oslo", "days": 3}}], "tools": TOOLS}


def judged(gold: Any, response: str) -> Verdict:
    return RULE.judge_group([Request(response=response, gold=gold)])[0]


ARGUMENTS = '{"city": "CITY", "days": 3}'
CALL = '{"name": "get_weather", "arguments": ' + ARGUMENTS + "}"
CITY, DAYS = '<parameter name="city">CITY</parameter>', '<parameter name="days">3</parameter>'
INVOKED = f'<invoke name="get_weather">\n{CITY}\n{DAYS}\n</invoke>'
FORMATS = {
    "hermes": f"I look it up.\n<tool_call>\n{CALL}\n</tool_call>",
    "qwen3 coder": "<tool_call>\n<function=get_weather>\n<parameter=city>\nCITY\n</parameter>\n<parameter=days>\n3\n"
    "</parameter>\n</function>\n</tool_call>",
    "glm": "<tool_call>get_weather\n<arg_key>city</arg_key>\n<arg_value>CITY</arg_value>\n<arg_key>days</arg_key>\n"
    "<arg_value>3</arg_value>\n</tool_call>",
    "deepseek v3": "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n```json\n"
    + ARGUMENTS
    + "\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
    "deepseek v3.1": "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>"
    + ARGUMENTS
    + "<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
    "gemma, code": "```tool_code\nget_weather(city='CITY', days=3)\n```",
    "gemma, printed": "Let me see.\n```tool_code\nprint(get_weather(city='CITY', days=3))\n```",
    "function gemma": "<start_function_call>call:get_weather{city:<escape>CITY<escape>,days:3}<end_function_call>",
    "function_call": f"<function_call>{CALL}</function_call>",
    "function_call, unclosed": f"<function_call> {CALL}",
    "functioncall": f"<functioncall> {CALL} </functioncall>",
    "llama 3.1": f'<|python_tag|>{{"name": "get_weather", "parameters": {ARGUMENTS}}}',
    "pythonic": "[get_weather(city='CITY', days=3)]",
    "lfm": "<|tool_call_start|>[get_weather(city='CITY', days=3)]<|tool_call_end|>",
    "positional": "get_weather('CITY', 3)",
    "positional and named": "[get_weather('CITY', days=3)]",
    "mistral": f"[TOOL_CALLS][{CALL}]",
    "mistral, args": "[TOOL_CALLS]get_weather[ARGS]" + ARGUMENTS,
    "invoke": f"<function_calls>\n{INVOKED}\n</function_calls>",
    "minimax": f"<minimax:tool_call>\n{INVOKED}\n</minimax:tool_call>",
    "kimi": "<|tool_calls_section_begin|><|tool_call_begin|>functions.get_weather:0<|tool_call_argument_begin|>"
    + ARGUMENTS
    + "<|tool_call_end|><|tool_calls_section_end|>",
    "gpt-oss": "<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>" + ARGUMENTS + "<|call|>",
}


@pytest.mark.parametrize("name", FORMATS)
def test_a_call_is_read_in_the_format_of_each_model(name: str) -> None:
    assert judged(WEATHER, FORMATS[name].replace("CITY", "Oslo")).passed
    assert judged(WEATHER, FORMATS[name].replace("CITY", "Rome")).reason == "value_error"
    assert judged({"calls": []}, FORMATS[name].replace("CITY", "Oslo")).reason == "unexpected_call"


@pytest.mark.parametrize("text", ["use <tool_call> and </tool_call>", "a </tool_call> b", "<function_call> or [ARGS]"])
def test_a_tag_inside_a_string_is_text(text: str) -> None:
    gold = {"calls": [{"name": "write", "arguments": {"text": text}}]}
    call = json.dumps({"name": "write", "arguments": {"text": text}})
    for response in (call, f"Sure.\n<tool_call>{call}</tool_call>", f"<function_call>{call}</function_call>"):
        assert judged(gold, response).passed, response
    assert not judged(gold, f"<tool_call>{call}").passed
    twice = f"<tool_call>{call}</tool_call>\n<tool_call>{call}</tool_call>"
    assert judged(gold, twice).reason == "wrong_count"
    assert judged({"calls": gold["calls"] * 2}, twice).passed


@pytest.mark.parametrize(
    ("allowed", "value", "right"),
    [
        ({"color": ["red", "crimson"], "size": [1, 2]}, {"color": "crimson", "size": 2}, True),
        ({"color": ["red", "crimson"], "size": [1, 2]}, {"color": "blue", "size": 2}, False),
        ({"color": ["red", "crimson"], "size": [1, 2]}, {"color": "red"}, False),
        ({"color": ["red", ""], "size": [1]}, {"size": 1}, True),
        ({"color": ["red"]}, {"color": "red", "size": 1}, False),
        ({"color": ["red"]}, {"color": ["red"]}, False),
        ({"at": [{"x": [1, 2], "y": [3]}]}, {"at": {"x": 2, "y": 3}}, True),
        ({"at": [{"x": [1, 2], "y": [3]}]}, {"at": {"x": 3, "y": 3}}, False),
        ([{"to": ["Oslo"]}, {"to": ["Rome", "Roma"]}], [{"to": "Oslo"}, {"to": "Roma"}], True),
        ([{"to": ["Oslo"]}, {"to": ["Rome", "Roma"]}], [{"to": "Rome"}, {"to": "Oslo"}], False),
        ([1, 2], [1, 2], True),
    ],
)
def test_objects_among_allowed_values_hold_lists_of_allowed_values(allowed: Any, value: Any, right: bool) -> None:
    answer = json.dumps({"name": "make", "arguments": {"what": value}})
    for call in ({"make": {"what": [allowed]}}, {"name": "make", "allowed": {"what": [allowed]}}):
        assert judged({"calls": [call]}, answer).passed is right
    assert judged({"calls": [{"name": "make", "arguments": {"what": value}}]}, answer).passed


@pytest.mark.parametrize(
    ("reason", "response"),
    [
        ("type_error", "get_weather(3, 'Oslo')"),
        ("positional_arguments", "get_weather('Oslo', 3, 5)"),
        ("key_given_twice", "get_weather('Oslo', city='Oslo', days=3)"),
        ("positional_arguments", "weather('Oslo', 3)"),
        ("tags_unbalanced", "<｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>{}"),
        ("tags_unbalanced", "<start_function_call>call:get_weather{city:<escape>Oslo}<end_function_call>"),
        ("tags_unbalanced", '<invoke name="get_weather"><parameter name="city">Oslo</invoke>'),
        ("key_given_twice", f"<tool_call>get_weather{'<arg_key>a</arg_key><arg_value>1</arg_value>' * 2}</tool_call>"),
        ("too_many_calls", '<invoke name="a">' * 20_000),
        ("too_many_calls", "</invoke>" * 9_000 + '<invoke name="a">' * 9_000),
    ],
)
def test_a_call_that_is_not_clear_says_why(reason: str, response: str) -> None:
    started = time.process_time()
    assert judged(WEATHER, response).reason == reason
    assert time.process_time() - started < 1

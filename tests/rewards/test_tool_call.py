"""Tool calls and structured output: right ones in their spellings, each error type by its reason, hostile shapes, golds
refused at load."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rewards.load import build_verifier
from rewards.services import Services
from rewards.types import Outcome, Request

TOOLS = [
    {
        "name": "get_weather",
        "parameters": {
            "type": "dict",
            "properties": {
                "city": {"type": "string"},
                "days": {"type": "integer", "default": 1},
                "unit": {"type": "string", "enum": ["C", "F"]},
                "near": {"type": "array", "items": {"type": "float"}},
            },
            "required": ["city"],
        },
    },
    {
        "type": "function",
        "function": {"name": "book", "parameters": {"type": "object", "properties": {"hotel": {"type": "string"}}}},
    },
]
OSLO = {"calls": [{"name": "get_weather", "arguments": {"city": "Oslo"}}], "tools": TOOLS}
ANY_OF = {
    "calls": [{"get_weather": {"city": ["Oslo", "Oslo, Norway"], "unit": ["C", ""], "near": [[1.5, 2.0], ""]}}],
    "tools": TOOLS,
}
BOTH = {"calls": [*OSLO["calls"], {"name": "book", "arguments": {"hotel": "Plaza"}}], "tools": TOOLS}  # type: ignore[misc]
TWICE = {"calls": [{"get_weather": {"city": ["Oslo", "Bergen"]}}, {"get_weather": {"city": ["Oslo"]}}], "tools": TOOLS}
NONE = {"calls": [], "tools": TOOLS}


def call(name: str, **arguments: Any) -> str:
    return json.dumps({"name": name, "arguments": arguments})


def tagged(*calls: str) -> str:
    return "I will look.\n" + "\n".join(f"<tool_call>\n{entry}\n</tool_call>" for entry in calls)


def reason(gold: Any, response: str, **options: Any) -> str:
    verdict = build_verifier({"kind": "tool_call", **options}, Services()).verify(Request(response=response, gold=gold))
    assert verdict.passed == (verdict.reason in ("calls_match", "no_call_as_expected", "fits")), verdict
    assert verdict.outcome in (Outcome.CORRECT, Outcome.WRONG), verdict
    return verdict.reason


RIGHT: list[tuple[Any, str]] = [
    (OSLO, tagged(call("get_weather", city="Oslo"))),
    (OSLO, "<think>" + tagged(call("book")) + "</think>" + tagged(call("get_weather", city="Oslo"))),
    (OSLO, call("get_weather", city=" oslo")),
    (OSLO, "[" + call("get_weather", city="Oslo") + "]"),
    (OSLO, "```json\n" + call("get_weather", city="Oslo", days=1) + "\n```"),
    (
        OSLO,
        (
            '{"tool_calls": [{"type": "function", "function": {"name": "get_weather", "arguments": "{\\"city\\": '
            '\\"Oslo\\"}"}}]}'
        ),
    ),
    (OSLO, '{"name": "get_weather", "parameters": {"city": "Oslo"}}'),
    (ANY_OF, tagged(call("get_weather", city="Oslo, Norway", unit="C", near=[1.5, 2]))),
    (ANY_OF, tagged(call("get_weather", city="Oslo"))),
    (BOTH, tagged(call("book", hotel="Plaza"), call("get_weather", city="Oslo"))),
    (BOTH, tagged("[" + call("get_weather", city="Oslo") + "," + call("book", hotel="Plaza") + "]")),
    (TWICE, tagged(call("get_weather", city="Oslo"), call("get_weather", city="Bergen"))),
    (TWICE, tagged(call("get_weather", city="Bergen"), call("get_weather", city="Oslo"))),
    (NONE, "I cannot do that with the tools at hand."),
    (NONE, "Here is a program:\n```python\nprint(1)\n```"),
    ([], "No tool helps here."),
]


@pytest.mark.parametrize(("gold", "response"), RIGHT)
def test_right_calls_are_accepted_in_their_spellings(gold: Any, response: str) -> None:
    assert reason(gold, response) in ("calls_match", "no_call_as_expected")


WRONG: list[tuple[str, Any, str]] = [
    ("no_call", OSLO, "It is sunny in Oslo."),
    ("no_answer", OSLO, "<think>" + tagged(call("get_weather", city="Oslo"))),
    ("no_call", OSLO, "<think>" + tagged(call("get_weather", city="Oslo")) + "</think>Done."),
    ("not_json", OSLO, tagged("get_weather(city='Oslo')")),
    ("not_json", OSLO, tagged(call("get_weather", city="Oslo") + call("book"))),
    ("not_json", OSLO, tagged('{"name": "get_weather", "arguments": {"city": NaN}}')),
    ("tags_unbalanced", OSLO, "<tool_call>" + call("get_weather", city="Oslo")),
    ("tags_unbalanced", OSLO, "<tool_call><tool_call>" + call("get_weather", city="Oslo") + "</tool_call>"),
    ("tags_unbalanced", OSLO, tagged(call("get_weather", city="Oslo")) + "</tool_call>"),
    ("key_given_twice", OSLO, tagged('{"name": "book", "name": "get_weather", "arguments": {"city": "Oslo"}}')),
    (
        "key_given_twice",
        OSLO,
        tagged('{"name": "get_weather", "arguments": {"city": "Rome"}, "parameters": {"city": "Oslo"}}'),
    ),
    ("call_without_name", OSLO, tagged('{"arguments": {"city": "Oslo"}}')),
    ("call_is_no_object", OSLO, tagged('"get_weather"')),
    ("arguments_are_no_object", OSLO, tagged('{"name": "get_weather", "arguments": ["Oslo"]}')),
    ("json_too_deep", OSLO, tagged("[" * 50_000 + "]" * 50_000)),
    ("json_too_long", OSLO, tagged(call("get_weather", city="x" * 300_000))),
    ("too_many_calls", OSLO, tagged(*[call("get_weather", city="Oslo")] * 100)),
    ("wrong_count", OSLO, tagged(call("get_weather", city="Oslo"), call("get_weather", city="Oslo"))),
    ("wrong_count", BOTH, tagged(call("get_weather", city="Oslo"))),
    ("unknown_function", OSLO, tagged(call("weather", city="Oslo"))),
    ("wrong_function", OSLO, tagged(call("book", hotel="Oslo"))),
    ("missing_argument", OSLO, tagged(call("get_weather"))),
    ("unexpected_argument", OSLO, tagged(call("get_weather", city="Oslo", country="Norway"))),
    ("unexpected_argument", OSLO, tagged(call("get_weather", city="Oslo", days=3))),
    ("type_error", ANY_OF, tagged(call("get_weather", city=["Oslo"]))),
    ("type_error", ANY_OF, tagged(call("get_weather", city="Oslo", near=["1.5", "2"]))),
    ("value_error", OSLO, tagged(call("get_weather", city="Rome"))),
    ("value_error", OSLO, tagged(call("get_weather", city="O.slo"))),
    ("value_error", ANY_OF, tagged(call("get_weather", city="Oslo", unit="K"))),
    ("value_error", ANY_OF, tagged(call("get_weather", city="Oslo", near=[2.0, 1.5]))),
    ("value_error", BOTH, tagged(call("book", hotel="Plaza"), call("get_weather", city="Rome"))),
    ("value_error", TWICE, tagged(call("get_weather", city="Bergen"), call("get_weather", city="Bergen"))),
    ("unexpected_call", NONE, tagged(call("book", hotel="Plaza"))),
    ("not_json", NONE, tagged("{")),
]


@pytest.mark.parametrize(("says", "gold", "response"), WRONG)
def test_each_error_has_its_reason(says: str, gold: Any, response: str) -> None:
    assert reason(gold, response) == says


def test_the_order_counts_where_it_is_asked_for() -> None:
    swapped = tagged(call("book", hotel="Plaza"), call("get_weather", city="Oslo"))
    assert reason(BOTH, swapped, order="given") == "wrong_order"
    assert (
        reason(BOTH, tagged(call("get_weather", city="Oslo"), call("book", hotel="Plaza")), order="given")
        == "calls_match"
    )


def test_texts_compare_as_asked_and_true_is_never_one() -> None:
    gold = [{"name": "f", "arguments": {"x": "1.5 km"}}]
    assert [reason(gold, call("f", x="15 KM"), strings=how) for how in ("folded", "bfcl")] == [
        "value_error",
        "calls_match",
    ]
    assert [reason(gold, call("f", x="1.5 KM"), strings=how) for how in ("exact", "folded")] == [
        "value_error",
        "calls_match",
    ]
    assert reason([{"name": "f", "arguments": {"x": 1}}], call("f", x=True)) == "value_error"
    assert reason([{"name": "f", "arguments": {"x": 5}}], call("f", x=5.0)) == "calls_match"


def test_other_tags_and_styles() -> None:
    text = "<call>" + call("get_weather", city="Oslo") + "</call>"
    assert reason(OSLO, text, tags=["<call>", "</call>"]) == "calls_match"
    assert reason(OSLO, text) == "no_call"
    assert reason(OSLO, call("get_weather", city="Oslo"), style="tagged") == "no_call"


def test_the_share_of_right_calls_may_be_paid() -> None:
    verifier = build_verifier({"kind": "tool_call", "score": "fraction"}, Services())
    half = verifier.verify(
        Request(response=tagged(call("book", hotel="Plaza"), call("get_weather", city="Rome")), gold=BOTH)
    )
    assert (half.outcome, half.score) == (Outcome.WRONG, 0.5)


def test_tools_may_stand_in_the_rows_metadata() -> None:
    verifier = build_verifier({"kind": "tool_call"}, Services())
    request = Request(response=call("weather", city="Oslo"), gold=[{"name": "weather", "arguments": {"city": "Oslo"}}])
    assert verifier.verify(request).passed
    other = Request(response=request.response, gold=request.gold, metadata={"tools": TOOLS})
    assert verifier.verify(other).outcome is Outcome.UNSUPPORTED


SCHEMA = {
    "type": "object",
    "properties": {"from": {"type": "string"}, "to": {"type": "string"}, "nights": {"type": "integer", "minimum": 1}},
    "required": ["from", "to"],
    "additionalProperties": False,
}
TRIP = {"schema": SCHEMA, "value": {"from": "Oslo", "to": "Rome", "nights": 3}}


@pytest.mark.parametrize(
    ("says", "gold", "response"),
    [
        ("fits", TRIP, '{"to": "Rome", "from": "oslo", "nights": 3}'),
        ("fits", TRIP, 'Here it is:\n```json\n{"from": "Oslo", "to": "Rome", "nights": 3.0}\n```'),
        ("fits", {"schema": SCHEMA}, '{"from": "x", "to": "y"}'),
        ("value_error", TRIP, '{"from": "Oslo", "to": "Rome", "nights": 4}'),
        ("value_error", TRIP, '{"from": "Oslo", "to": "Rome"}'),
        ("missing_argument", TRIP, '{"from": "Oslo", "nights": 3}'),
        ("unexpected_argument", TRIP, '{"from": "Oslo", "to": "Rome", "nights": 3, "via": "Bonn"}'),
        ("type_error", TRIP, '{"from": "Oslo", "to": "Rome", "nights": "3"}'),
        ("value_error", {"schema": SCHEMA}, '{"from": "Oslo", "to": "Rome", "nights": 0}'),
        ("not_json", TRIP, "from Oslo to Rome, 3 nights"),
        ("not_json", TRIP, "{'from': 'Oslo'}"),
        ("several_blocks", TRIP, '```\n{"from": "a"}\n```\n```\n{"from": "Oslo", "to": "Rome", "nights": 3}\n```'),
    ],
)
def test_structured_output_is_held_against_its_schema_and_value(says: str, gold: Any, response: str) -> None:
    assert reason(gold, response) == says


def test_the_share_of_right_fields_may_be_paid() -> None:
    verifier = build_verifier({"kind": "tool_call", "score": "fraction"}, Services())
    verdict = verifier.verify(Request(response='{"from": "Oslo", "to": "Rome", "nights": 4}', gold=TRIP))
    assert (
        verdict.parts == {"json": 1.0, "schema": 1.0, "fields": pytest.approx(2 / 3)} and 0 < (verdict.score or 0) < 1
    )


@pytest.mark.parametrize(
    ("gold", "says"),
    [
        (None, "expected"),
        ({"cals": []}, "did you mean calls"),
        ({"calls": {}}, "no list"),
        ({"calls": [{"name": "f", "argument": {}}]}, "call 1: unknown key 'argument'; did you mean arguments"),
        ({"calls": [{"name": "get_wether", "arguments": {}}], "tools": TOOLS}, "call 1: .*did you mean get_weather"),
        (
            {"calls": [{"name": "get_weather", "arguments": {"town": 1, "city": "x"}}], "tools": TOOLS},
            "takes no 'town'",
        ),
        ({"calls": [{"name": "f", "allowed": {"x": "y"}}]}, "list of at least one"),
        ({"calls": [{"name": "f", "arguments": {"x": 1}, "optional": ["y"]}]}, "optional 'y'"),
        ({"calls": [], "tools": [{"parameters": {}}]}, "tool 1 has no name"),
        ({"calls": [], "tools": [{"name": "f", "parameters": {"type": 3}}]}, "tool 'f': no JSON schema"),
        ({"schema": {"$ref": "http://example.org/s.json"}}, "must point at a part of the schema"),
        ({"schema": {"$ref": "#/$defs/none"}}, "must point at a part of the schema"),
        ({"schema": SCHEMA, "value": {"from": 1}}, "its own value does not fit"),
        ({"schema": SCHEMA, "calls": []}, "goes without"),
    ],
)
def test_a_wrong_gold_is_refused_at_load_with_its_place(gold: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        build_verifier({"kind": "tool_call"}, Services()).check_gold(gold)


def test_schemas_as_tool_lists_in_the_wild_write_them_are_read_as_meant() -> None:
    parameters = {
        "type": "dict",
        "properties": {"x": {"type": "any"}, "y": {"type": "Float", "required": True}, "required": ["y"]},
    }
    gold = {
        "calls": [{"name": "f", "allowed": {"x": [[1], ""], "y": [2]}}],
        "tools": [{"name": "f", "parameters": parameters}],
    }
    assert reason(gold, call("f", x=[1], y=2)) == "calls_match"
    assert reason(gold, call("f", x=[1])) == "missing_argument"
    assert reason(gold, call("f", y="2")) == "type_error"

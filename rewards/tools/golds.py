"""Golds of `tool_call`: from JSON to records, or a sentence that says what is wrong, where, and what may be meant.
Knows nothing of answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from rewards.contract.options import closest_names
from rewards.tools.schemas import Schema

_GOLD_KEYS = ("calls", "tools", "schema", "value")
_CALL_KEYS = ("name", "arguments", "allowed", "optional")


@dataclass(frozen=True, kw_only=True, slots=True)
class WantedCall:
    """One call that is wanted. Example: WantedCall(name="get_weather", allowed={"city": ["Oslo"], "unit": ["C"]},
    optional=frozenset({"unit"}))"""

    name: str
    allowed: dict[str, list[Any]]
    optional: frozenset[str] = frozenset()
    by_lists: bool = False  # objects among the allowed values hold lists of allowed values themselves, as BFCL's do


@dataclass(frozen=True, kw_only=True, slots=True)
class Gold:
    """Calls wanted (none: no call is right) with the tools' schemas, or a schema for a plain JSON answer with the value
    wanted."""

    calls: tuple[WantedCall, ...] = ()
    tools: dict[str, Schema] = field(default_factory=dict)
    schema: Schema | None = None
    has_value: bool = False
    value: Any = None


def parse_gold(given: Any, tools: Any) -> Gold | str:
    """The gold, or what is wrong with it. `tools` are those of the row, which count where the gold names none."""
    if isinstance(given, list):
        given = {"calls": given}
    if not isinstance(given, dict):
        return "expected {calls: [...]} or {schema: {...}}"
    unknown = next((key for key in given if key not in _GOLD_KEYS), None)
    if unknown is not None:
        return f"unknown key {unknown!r}; {closest_names(str(unknown), _GOLD_KEYS)}"
    try:
        if "schema" in given:
            return _structured_gold(given)
        if not isinstance(given.get("calls"), list):
            return "'calls' is no list"
        schemas = parse_tools(given["tools"] if given.get("tools") is not None else tools)
        calls = tuple(_wanted_call(entry, number) for number, entry in enumerate(given["calls"], start=1))
        for number, call in enumerate(calls, start=1):
            _check_against_tool(call, number, schemas)
    except ValueError as error:
        return str(error)
    return Gold(calls=calls, tools=schemas)


def parse_tools(given: Any) -> dict[str, Schema]:
    """Name -> schema of its parameters. Entries are {"name", "parameters"} or those inside "function". Raises
    ValueError."""
    if given is None:
        return {}
    if not isinstance(given, list):
        raise ValueError("'tools' is no list")
    tools = {}
    for number, entry in enumerate(given, start=1):
        described = entry.get("function", entry) if isinstance(entry, dict) else None
        if not isinstance(described, dict) or not isinstance(described.get("name"), str):
            raise ValueError(f"tool {number} has no name")
        try:
            tools[described["name"]] = Schema(described.get("parameters") or described.get("input_schema") or {})
        except ValueError as error:
            raise ValueError(f"tool {described['name']!r}: {error}") from error
    return tools


def _structured_gold(given: dict[str, Any]) -> Gold:
    if "calls" in given or "tools" in given:
        raise ValueError("'schema' is for a plain JSON answer: it goes without 'calls' and 'tools'")
    schema = Schema(given["schema"])
    if "value" in given and (misfit := schema.misfit(given["value"])):
        raise ValueError(f"its own value does not fit its schema: {misfit.reason} at {misfit.where or 'the top'}")
    return Gold(schema=schema, has_value="value" in given, value=given.get("value"))


def _wanted_call(entry: Any, number: int) -> WantedCall:
    place = f"call {number}"
    if not isinstance(entry, dict):
        raise ValueError(f"{place} is no object")
    if len(entry) == 1 and isinstance(
        next(iter(entry.values())), dict
    ):  # BFCL: {"name": {"argument": [allowed values]}}
        name, allowed = next(iter(entry.items()))
        entry = {"name": name, "allowed": allowed}
    unknown = next((key for key in entry if key not in _CALL_KEYS), None)
    if unknown is not None:
        raise ValueError(f"{place}: unknown key {unknown!r}; {closest_names(str(unknown), _CALL_KEYS)}")
    if not isinstance(entry.get("name"), str):
        raise ValueError(f"{place} has no name")
    if "arguments" in entry and "allowed" in entry:
        raise ValueError(f"{place}: give 'arguments' (one right value each) or 'allowed' (lists of them), not both")
    values = entry.get("allowed", entry.get("arguments", {}))
    if not isinstance(values, dict):
        raise ValueError(f"{place}: its arguments are no object")
    if "allowed" not in entry:
        allowed = {name: [value] for name, value in values.items()}
    elif all(isinstance(options, list) and options for options in values.values()):
        allowed = values
    else:
        raise ValueError(f"{place}: every entry of 'allowed' is a list of at least one value")
    optional = set(entry.get("optional") or ())
    strange = next((name for name in optional if name not in allowed), None)
    if strange is not None:
        raise ValueError(
            f"{place}: optional {strange!r} is none of its arguments; {closest_names(str(strange), allowed)}"
        )
    if "allowed" in entry:
        optional |= {name for name, options in allowed.items() if "" in options}
    return WantedCall(name=entry["name"], allowed=allowed, optional=frozenset(optional), by_lists="allowed" in entry)


def _check_against_tool(call: WantedCall, number: int, tools: dict[str, Schema]) -> None:
    if not tools:
        return
    if call.name not in tools:
        raise ValueError(f"call {number}: no tool is named {call.name!r}; {closest_names(call.name, tools)}")
    known = tools[call.name].properties
    strange = next((name for name in call.allowed if known and name not in known), None)
    if strange is not None:
        raise ValueError(f"call {number}: {call.name} takes no {strange!r}; {closest_names(strange, known)}")

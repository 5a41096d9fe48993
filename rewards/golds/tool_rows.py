"""Shapes of tool calls, for the verifier `tool_call`: the calls wanted, and the tools' schemas in the metadata."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rewards.errors import GoldError
from rewards.golds.problem import Problem, Row, decoded
from rewards.tools.schemas import standard_schema

_TYPES = {"str": "string", "int": "integer", "float": "number", "bool": "boolean", "list": "array", "dict": "object"}
_CALLS = ("tool_calls", "expected_tool_calls", "ground_truth", "answer", "answers", "target", "completion")


def bfcl(row: Row) -> Problem | None:
    """`question` (turns within a list), `function` (schemas), `ground_truth` (possible answers). Without ground truth
    no call is right, which only rows of irrelevance may say."""
    functions, truth = row.peek("function"), row.peek("ground_truth")
    if not isinstance(functions, list | dict) or not row.has("question"):
        return None
    functions = functions if isinstance(functions, list) else [functions]
    if not all(isinstance(tool, dict) and "name" in tool for tool in functions):
        return None
    row.get("function")
    turns = row.json("question")
    if "involved_classes" in row.names() or (isinstance(turns, list) and len(turns) > 1 and isinstance(turns[0], list)):
        raise GoldError("calls over several turns need the tools to run", remedy="keep the single-turn categories")
    identity = str(row.get("id") or "")
    if "java" in identity:
        raise GoldError("its calls are written in Java or JavaScript", remedy="keep the categories of Python")
    if truth is None and "irrelevance" not in identity:
        raise GoldError("ground_truth is missing", remedy="join the file of possible answers to the questions by id")
    row.get("ground_truth")
    calls = truth or []
    if not isinstance(calls, list) or not all(isinstance(call, dict) for call in calls):
        raise GoldError(
            "ground_truth is no list of calls as objects", remedy="keep the categories judged by syntax tree"
        )
    if isinstance(turns, str):
        return _problem(calls, functions, turns)
    messages = tuple(
        turns[0] if isinstance(turns, list) and turns and isinstance(turns[0], list) else row.listed("question")
    )
    if not messages or not all(isinstance(turn, Mapping) for turn in messages):
        raise GoldError("question holds no turns", remedy="mend or drop the row")
    return _problem(calls, functions, str(messages[-1].get("content", "")), messages)


def xlam(row: Row) -> Problem | None:
    """`query`, `tools` and `answers`, JSON text each; parameters are an object of name to type."""
    if not row.has("query", "tools", "answers") or not isinstance(row.peek("answers"), list):
        return None
    tools = [_with_schema(tool) for tool in row.listed("tools")]
    return _problem([wanted_call(call) for call in row.json("answers")], tools, row.text("query"))


def openai_calls(row: Row) -> Problem | None:
    """`tools` and the calls wanted in OpenAI's form: a column of tool_calls, or of a message with them, or the last
    turn of `messages`."""
    if not row.has("tools"):
        return None
    column = next((name for name in _CALLS if calls_in(row.peek(name))), None)
    turns = row.peek("messages")
    messages: tuple[dict[str, Any], ...] = ()
    if column is not None:
        calls = calls_in(row.json(column))
    elif isinstance(turns, list) and turns and (calls := calls_in(turns[-1])):
        row.get("messages")
        messages = tuple(turns[:-1])
    else:
        return None
    question = row.first_text("question", "query", "prompt", "instruction")
    return _problem([wanted_call(call) for call in calls], row.listed("tools"), question, messages)


def calls_in(value: Any) -> list[Any]:
    """The calls of a message with tool_calls, of a list of one such message, or of a list of calls; [] for anything
    else."""
    value = value[0] if isinstance(value, list) and len(value) == 1 and isinstance(value[0], Mapping) else value
    if isinstance(value, Mapping):
        inner = decoded(value.get("tool_calls"))
        value = inner if isinstance(inner, list) else [value]
    if not isinstance(value, list) or not all(isinstance(call, Mapping) for call in value):
        return []
    return value if all("function" in call or {"name", "arguments"} <= set(call) for call in value) else []


def _problem(calls: list[Any], tools: Any, question: str | None, messages: tuple[dict[str, Any], ...] = ()) -> Problem:
    """The tools stand in the metadata, in OpenAI's form: the template prints them, and the verifier reads them."""
    return Problem(
        format="",
        gold={"calls": calls},
        verifier="tool_call",
        question=question,
        messages=messages,
        metadata={"tools": [_in_openai_form(tool) for tool in tools or []]},
    )


def wanted_call(call: Any) -> dict[str, Any]:
    """{"name", "arguments"} of a call in OpenAI's envelope or without, its arguments as an object. The null of another
    call's argument, as Parquet pads with, is dropped."""
    inner = call.get("function", call) if isinstance(call, Mapping) else None
    inner = {"name": inner, "arguments": call.get("arguments")} if isinstance(inner, str) else inner
    if not isinstance(inner, Mapping) or not isinstance(inner.get("name"), str):
        raise GoldError(f"{str(call)[:80]!r} is no tool call", remedy='{"name": ..., "arguments": {...}} is wanted')
    arguments = decoded(inner.get("arguments", inner.get("parameters"))) or {}
    if not isinstance(arguments, Mapping):
        raise GoldError(f"the arguments of {inner['name']} are {arguments!r:.80}, no object", remedy="drop the row")
    padded = not isinstance(inner.get("arguments"), str)
    given = {key: value for key, value in arguments.items() if value is not None or not padded}
    return {"name": inner["name"], "arguments": given}


def _in_openai_form(tool: Any) -> dict[str, Any]:
    """{"type": "function", "function": {...}} with a JSON schema: BFCL's types are Python's."""
    described = tool.get("function", tool) if isinstance(tool, Mapping) else None
    if not isinstance(described, Mapping) or not isinstance(described.get("name"), str):
        raise GoldError(f"{str(tool)[:80]!r} is no tool", remedy='{"name": ..., "parameters": {...}} is wanted')
    schema = decoded(described.get("parameters")) or {"type": "object", "properties": {}}
    try:
        return {"type": "function", "function": {**described, "parameters": standard_schema(schema)}}
    except ValueError as error:
        raise GoldError(f"the tool {described['name']}: {error}", remedy="mend or drop the row") from error


def _with_schema(tool: Any) -> Any:
    """xLAM's parameters, name to {"type": "str, optional", ...}, as a JSON schema."""
    parameters = decoded(tool.get("parameters")) if isinstance(tool, Mapping) else None
    if not isinstance(parameters, Mapping) or "properties" in parameters or parameters.get("type") == "object":
        return tool
    properties, required = {}, []
    for name, described in parameters.items():
        described = described if isinstance(described, Mapping) else {"type": str(described)}
        kind, _, rest = str(described.get("type", "any")).partition(",")
        word = kind.partition("[")[0].strip()
        properties[name] = {**described, "type": _TYPES.get(word.lower(), word.lower())}
        if word[:1].isupper():  # a type of Python's typing module, which JSON has in another way, or not at all
            properties[name] = {key: value for key, value in described.items() if key != "type"}
        if "optional" not in rest and "default" not in described:
            required.append(name)
    return {**tool, "parameters": {"type": "object", "properties": properties, "required": required}}

"""Shapes of tool calls, for the verifier `tool_call`: the calls wanted, and the tools' schemas in the metadata."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rewards.errors import GoldError
from rewards.golds.problem import Problem, Row, decoded

_TYPES = {"str": "string", "int": "integer", "float": "number", "bool": "boolean", "list": "array", "dict": "object"}
_CALLS = ("tool_calls", "expected_tool_calls", "target_tool_calls", "gold_tool_calls")


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
    if truth is None and "irrelevance" not in identity:
        raise GoldError("ground_truth is missing", remedy="join the file of possible answers to the questions by id")
    row.get("ground_truth")
    calls = truth or []
    if not isinstance(calls, list) or not all(isinstance(call, dict) for call in calls):
        raise GoldError(
            "ground_truth is no list of calls as objects", remedy="keep the categories judged by syntax tree"
        )
    messages = tuple(turns[0] if isinstance(turns, list) and turns and isinstance(turns[0], list) else turns or ())
    question = turns if isinstance(turns, str) else str(messages[-1].get("content", ""))
    return _problem(calls, functions, question, () if isinstance(turns, str) else messages)


def xlam(row: Row) -> Problem | None:
    """`query`, `tools` and `answers`, JSON text each; parameters are an object of name to type."""
    if not row.has("query", "tools", "answers") or not isinstance(row.peek("answers"), list):
        return None
    tools = [_with_schema(tool) for tool in row.json("tools") or []]
    return _problem([wanted_call(call) for call in row.json("answers")], tools, row.text("query"))


def openai_calls(row: Row) -> Problem | None:
    """`tools` and the calls wanted in OpenAI's form: a column of tool_calls, or the last turn of `messages`."""
    if not row.has("tools"):
        return None
    column = next((name for name in _CALLS if isinstance(row.peek(name), list)), None)
    turns = row.peek("messages")
    messages: tuple[dict[str, Any], ...] = ()
    if column is not None:
        calls = row.json(column)
    elif isinstance(turns, list) and turns and isinstance(turns[-1], dict) and turns[-1].get("tool_calls"):
        row.get("messages")
        calls, messages = decoded(turns[-1]["tool_calls"]), tuple(turns[:-1])
    else:
        return None
    question = row.first_text("question", "query", "prompt", "instruction")
    return _problem([wanted_call(call) for call in calls], row.json("tools"), question, messages)


def _problem(calls: list[Any], tools: Any, question: str | None, messages: tuple[dict[str, Any], ...] = ()) -> Problem:
    """The tools stand in the metadata alone: the template prints them from there, and the verifier reads them."""
    return Problem(
        format="",
        gold={"calls": calls},
        verifier="tool_call",
        question=question,
        messages=messages,
        metadata={"tools": tools},
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

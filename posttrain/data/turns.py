"""Turns, tool calls and tools as data sets write them, in our one form: role, text, reasoning, calls with an object of
arguments, and whether a turn of the assistant is context only.

Knows nothing of columns, files or templates. What it cannot read it refuses by name.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from posttrain.data.columns import FaultyRow, check_unicode, json_value
from posttrain.types import Message

ROLES = ("assistant", "system", "tool", "user")
_NAMES = {
    "user": ("user", "human", "prompter"),
    "assistant": ("assistant", "gpt", "bot", "chatgpt", "model"),
    "system": ("system", "developer"),
    "tool": ("tool", "function", "observation", "tool_response", "tool_result", "ipython"),
    "call": ("function_call", "tool_call", "tool_calls"),
}
_ROLE_OF = {name: role for role, names in _NAMES.items() for name in names}
_REASONING = ("reasoning_content", "reasoning", "thinking")
# Keys that say whether a turn, or a row, is to be learned from.
TRAINED_KEYS = ("train", "training", "trainable", "weight", "loss", "loss_weight", "loss_mask", "message_loss_mask")
_READ = {"role", "from", "content", "value", "tool_calls", "function_call", "name", "tool_call_id"}
_READ |= {*_REASONING, *TRAINED_KEYS}
# Books on a turn. They stay in it: a template may print them.
_BOOKKEEPING = {"id", "uuid", "timestamp", "created_at", "model", "index", "turn_id", "language", "lang", "metadata"}
_TEXT_PARTS = {"text": "text", "input_text": "text", "output_text": "text"}


def read_turns(raw: Any, key: str, allowed: Collection[str] = ()) -> list[Message]:
    """A list of turns, or JSON text of one. allowed: further keys that a turn may have. Raises FaultyRow."""
    turns = json_value(raw)
    if not isinstance(turns, list) or not turns:
        raise FaultyRow(f"'{key}' is not a list of turns")
    return [read_turn(turn, f"{key}[{index}]", allowed) for index, turn in enumerate(turns)]


def turns_in(value: Any) -> list[Any] | None:
    """The turns that stand where a text may stand too: a list, or JSON text of one; None for a text. An answer that is
    JSON of anything else is a text.

    Example: turns_in('[{"role": "user", "content": "1+1?"}]') has one turn; turns_in('[{"a": 1}]') is None
    """
    listed = [found] if isinstance(found := json_value(value), dict) else found
    if not isinstance(listed, list) or found is value:
        return listed if isinstance(listed, list) else None
    are_turns = all(isinstance(turn, dict) and ({"role", "content"} <= turn.keys() or {"from", "value"} <= turn.keys())
                    for turn in listed)  # fmt: skip
    return listed if listed and are_turns else None


def read_turn(raw: Any, place: str, allowed: Collection[str] = ()) -> Message:
    """One turn; of the assistant with "train" where its own marks say. Raises FaultyRow."""
    if not isinstance(raw, Mapping):
        raise FaultyRow(f"{place} is not an object")
    check_unicode(raw, place)
    turn = {name: value for name, value in raw.items() if value is not None}
    for ours, theirs in (("role", "from"), ("content", "value")):
        if turn.get(ours, turn.get(theirs)) != turn.get(theirs, turn.get(ours)):
            raise FaultyRow(f"{place} has both '{ours}' and '{theirs}', and they differ")
    given = turn.get("role", turn.get("from"))
    role = _ROLE_OF.get(given.strip().lower()) if isinstance(given, str) else None
    if role is None:
        raise FaultyRow(f"{place}.role is {given!r}, not one of {', '.join(ROLES)}")
    if odd := sorted(str(name) for name in turn if name not in _READ | _BOOKKEEPING and name not in allowed):
        raise FaultyRow(f"nothing reads {place}.{odd[0]}", f"take it out, or list it: metadata: [{', '.join(odd)}]")
    content = turn.get("content", turn.get("value"))
    if role == "call":
        done: Message = {"role": "assistant", "content": "", "tool_calls": read_calls(content, place)}
    else:
        done = {"role": role, **_said(turn, role, content, place)}
    kept = _BOOKKEEPING | set(allowed) | {"name", "tool_call_id"}
    done |= {name: value for name, value in turn.items() if name in kept and name not in done}
    trained = _trained(turn, place)
    if trained and role not in ("assistant", "call"):
        raise FaultyRow(
            f"{place} is a turn of the {role} that is to be learned from; only turns of the assistant are",
            "say that it is not to be learned from, or leave that key out",
        )
    return done | ({} if trained is None or done["role"] != "assistant" else {"train": trained})


def _said(turn: Mapping[str, Any], role: str, content: Any, place: str) -> dict[str, Any]:
    """Text, reasoning and calls of a turn that is not a call by its role."""
    calls = read_calls(turn["tool_calls"], f"{place}.tool_calls") if turn.get("tool_calls") else []
    if turn.get("function_call"):
        calls += read_calls([turn["function_call"]], f"{place}.function_call")
    text, reasoning = _text_of(content, role, place) if content is not None or not calls else ("", "")
    told = [turn[name] for name in _REASONING if turn.get(name)] + ([reasoning] if reasoning else [])
    if told and (role != "assistant" or len({str(one) for one in told}) > 1 or not isinstance(told[0], str)):
        name = next((name for name in _REASONING if turn.get(name)), "content")
        raise FaultyRow(f"{place}.{name} is not the one text of an assistant's reasoning")
    if calls and role != "assistant":
        raise FaultyRow(f"{place}.tool_calls is in a turn of the {role}")
    return (
        {"content": text} | ({"reasoning_content": told[0]} if told else {}) | ({"tool_calls": calls} if calls else {})
    )


def _text_of(content: Any, role: str, place: str) -> tuple[str, str]:
    """(text, reasoning) of a turn's content."""
    if isinstance(content, str):
        return content, ""
    if isinstance(content, Mapping) and role == "tool":
        return json.dumps(content, ensure_ascii=False, default=str), ""
    if not isinstance(content, Sequence):
        raise FaultyRow(f"{place} has no text in 'content'")
    found: dict[str, list[str]] = {"text": [], "thinking": []}
    for index, part in enumerate(content):
        kind = part.get("type") if isinstance(part, Mapping) else "text"
        value = part.get(_TEXT_PARTS.get(str(kind), str(kind))) if isinstance(part, Mapping) else part
        if kind not in (*_TEXT_PARTS, "thinking", "reasoning"):
            raise FaultyRow(f"{place}.content[{index}] is a part of type {kind!r}: only text is trained on")
        if not isinstance(value, str):
            raise FaultyRow(f"{place}.content[{index}] has no text")
        found["text" if kind in _TEXT_PARTS else "thinking"].append(value)
    if not content:
        raise FaultyRow(f"{place} has no text in 'content'")
    return "".join(found["text"]), "".join(found["thinking"])


# ---------------------------------------------------------------- calls and tools


def read_calls(raw: Any, place: str) -> list[dict[str, Any]]:
    """Tool calls, each as {"type": "function", "function": {"name", "arguments"}} with an object of arguments. Raises
    FaultyRow."""
    calls = json_value(raw)
    calls = [calls] if isinstance(calls, Mapping) else calls
    if not isinstance(calls, list) or not calls:
        raise FaultyRow(f"{place} is not a call, nor a list or JSON text of calls")
    return [_call(json_value(call), f"{place}[{index}]") for index, call in enumerate(calls)]


def _call(call: Any, place: str) -> dict[str, Any]:
    function = json_value(call.get("function", call)) if isinstance(call, Mapping) else None
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        raise FaultyRow(f"{place} has no name of a function")
    outer = {} if function is call else {key: value for key, value in call.items() if value is not None}
    inner = {key: value for key, value in function.items() if value is not None}
    odd = sorted({*outer, *inner} - {"id", "type", "function", "index", "name", "arguments", "parameters"})
    if odd or {"arguments", "parameters"} <= inner.keys() or outer.get("type", "function") != "function":
        raise FaultyRow(f"{place} is not a call of a function: it has {', '.join(odd or sorted({*outer, *inner}))}")
    arguments = inner.get("arguments", inner.get("parameters", {}))
    if isinstance(arguments, str):
        arguments = json_value(arguments) if arguments.strip() else {}
    if not isinstance(arguments, Mapping):
        raise FaultyRow(f"{place}.arguments is not an object, nor JSON text of one: {str(arguments)[:60]!r}")
    known = {key: source[key] for source in (outer, inner) for key in ("id",) if key in source}
    return {"type": "function", **known, "function": {"name": function["name"], "arguments": dict(arguments)}}


def read_tools(raw: Any, key: str) -> tuple[dict[str, Any], ...]:
    """Tools as JSON schemas of functions: a list, or JSON text of one. A bare function is put under "function", as
    templates want it. Raises FaultyRow."""
    tools = json_value(raw) if raw else []
    if not isinstance(tools, list):
        raise FaultyRow(f"'{key}' is not a list of tools, nor JSON text of one")
    found = []
    for index, tool in enumerate(json_value(tool) for tool in tools):
        function = json_value(tool.get("function", tool)) if isinstance(tool, Mapping) else None
        if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
            raise FaultyRow(f"{key}[{index}] is not the schema of a function with a name")
        found.append({"type": "function", **({} if function is tool else dict(tool)), "function": dict(function)})
    return tuple(found)


def without_padding(messages: Sequence[Message], tools: Sequence[Mapping[str, Any]]) -> tuple[Message, ...]:
    """The turns without null arguments that the called function has no parameter for: they are those of another row.
    Where a tool's parameters are not told, nothing is dropped."""
    known = {tool["function"]["name"]: json_value(tool["function"].get("parameters")) for tool in tools}

    def kept(call: dict[str, Any]) -> dict[str, Any]:
        function = call["function"]
        schema = known.get(function["name"])
        properties = json_value(schema.get("properties")) if isinstance(schema, Mapping) else None
        if not isinstance(properties, Mapping):
            return call
        named = {key: item for key, item in function["arguments"].items() if item is not None or key in properties}
        return call | {"function": function | {"arguments": named}}

    return tuple(
        turn | {"tool_calls": [kept(call) for call in turn["tool_calls"]]} if "tool_calls" in turn else turn
        for turn in messages
    )


# ---------------------------------------------------------------- what is learned from


def read_flag(value: Any, place: str) -> bool:
    """Whether a weight or mark says to learn. Raises FaultyRow for what is neither yes nor no."""
    text = str(value).strip().lower()
    if isinstance(value, bool | int | float | str) and text in ("1", "1.0", "true", "0", "0.0", "false"):
        return text in ("1", "1.0", "true")
    raise FaultyRow(
        f"{place} is {value!r}: a turn is learned from or it is context, and nothing in between", "write 1 or 0"
    )


def _trained(turn: Mapping[str, Any], place: str) -> bool | None:
    """What the turn's own marks say; None where it has none."""
    marks = {key: read_flag(turn[key], f"{place}.{key}") for key in TRAINED_KEYS if key in turn}
    if len(set(marks.values())) > 1:
        raise FaultyRow(f"{place}: {' and '.join(marks)} contradict each other")
    return next(iter(marks.values()), None)


def with_marks(messages: Sequence[Message], marks: Any, key: str) -> list[Message]:
    """The turns [N] with a row's own list of marks [N], one a turn. Raises FaultyRow."""
    marks = json_value(marks)
    if not isinstance(marks, list) or len(marks) != len(messages):
        count = len(marks) if isinstance(marks, list) else "no list of"
        raise FaultyRow(f"'{key}' has {count} marks for {len(messages)} turns")
    flags = [read_flag(mark, f"{key}[{index}]") for index, mark in enumerate(marks)]
    if odd := [index for index, on in enumerate(flags) if on and messages[index]["role"] != "assistant"]:
        raise FaultyRow(f"{key}[{odd[0]}] says to learn from a turn of the {messages[odd[0]]['role']}", "write 0 there")
    pairs = zip(messages, flags, strict=True)
    # A turn's own "no" stays.
    return [turn | {"train": on and turn.get("train", True)} if turn["role"] == "assistant" else turn
            for turn, on in pairs]  # fmt: skip


def known_keys(turn: Message) -> Message:
    """The turn without keys that were read only because its data set lists them as metadata."""
    known = {"role", "content", "reasoning_content", "tool_calls", "name", "tool_call_id", "train"} | _BOOKKEEPING
    return {name: value for name, value in turn.items() if name in known}

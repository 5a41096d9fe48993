"""Tool calls and plain JSON out of an answer: tagged (<tool_call>{...}</tool_call>), or the answer itself is the JSON,
an object a line, or one of the styles of `rewards.tools.call_formats`. Linear scans.

Knows nothing of schemas, golds or of what a call should be. A call is read from what is visible: thinking is cut off
before.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rewards.prose.visible import CODE_FENCE
from rewards.tools.call_formats import (
    MalformedCall,
    Pairs,
    function_tags,
    python_calls,
    react_call,
    without_control_tokens,
)

MAX_JSON_CHARS = 200_000
MAX_CALLS = 64
_KEYS = frozenset(("name", "arguments", "parameters", "function", "tool_calls"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """Example: Call(name="get_weather", arguments={"city": "Oslo"})"""

    name: str
    arguments: dict[str, Any]


class Unreadable(Exception):
    """The answer holds no readable call or JSON value; `reason` is the verdict's reason code."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def find_calls(text: str, tags: tuple[str, str], style: str) -> list[Call]:
    """The calls in `text` in order; [] where it makes none. style: tagged, json, or auto (tagged where a tag occurs).
    Raises Unreadable."""
    if style != "json" and (tags[0] in text or tags[1] in text):
        bodies = _tag_bodies(text, tags)
    else:
        text = without_control_tokens(text) if style == "auto" else text
        if style == "auto" and (pairs := _other_style(text)) is not None:
            return _calls_of_pairs(pairs)
        if style == "tagged" or not _looks_like_json(text):
            return []
        bodies = [_body(text)] if style == "json" else _lines(_body(text))
    calls = []
    for body in bodies:
        if style == "auto" and body.lstrip().startswith("<function="):
            calls += _calls_of_pairs(_read_or_refuse(function_tags, body) or [])
            continue
        value = read_json(body)
        entries = value if isinstance(value, list) else [value]
        if isinstance(value, dict) and isinstance(value.get("tool_calls"), list):
            entries = value["tool_calls"]
        calls += [_call(entry) for entry in entries[: MAX_CALLS + 1]]
        if len(calls) > MAX_CALLS:
            raise Unreadable("too_many_calls")
    return calls


def _other_style(text: str) -> Pairs | None:
    """Calls written without JSON around them; a fence counts where nothing stands beside it, for code may also be
    shown."""
    if text.startswith(CODE_FENCE) and text.endswith(CODE_FENCE) and text.count(CODE_FENCE) == 2:
        text = _body(text).strip()
    found = (_read_or_refuse(reader, text) for reader in (function_tags, react_call, python_calls))
    return next((pairs for pairs in found if pairs is not None), None)


def _read_or_refuse(reader: Callable[[str], Pairs | None], text: str) -> Pairs | None:
    try:
        return reader(text)
    except MalformedCall as error:
        raise Unreadable(str(error)) from None


def _calls_of_pairs(pairs: Pairs) -> list[Call]:
    if len(pairs) > MAX_CALLS:
        raise Unreadable("too_many_calls")
    return [_call({"name": name, "arguments": arguments}) for name, arguments in pairs]


def _lines(text: str) -> list[str]:
    """An object a line, where every line is one; else the whole text."""
    lines = [line for line in text.splitlines() if line.strip()]
    each = 1 < len(lines) <= MAX_CALLS and all(line.lstrip()[:1] == "{" and line.rstrip()[-1:] == "}" for line in lines)
    return lines if each else [text]


def find_value(text: str) -> Any:
    """The JSON value that an answer consists of, bare or in its only code fence. Raises Unreadable."""
    return read_json(_body(text))


def _tag_bodies(text: str, tags: tuple[str, str]) -> list[str]:
    opening, closing = tags
    bodies = []
    head, *rest = text.split(opening, MAX_CALLS + 1)
    if closing in head or len(rest) > MAX_CALLS:
        raise Unreadable("too_many_calls" if len(rest) > MAX_CALLS else "tags_unbalanced")
    for part in rest:
        body, found, after = part.partition(closing)
        if not found or closing in after:
            raise Unreadable("tags_unbalanced")
        bodies.append(body)
    return bodies


def _looks_like_json(text: str) -> bool:
    if text.count(CODE_FENCE) == 2:
        text = _body(text)
    return text.lstrip()[:1] in ("{", "[")


def _body(text: str) -> str:
    """What stands in the only code fence, or the whole text."""
    parts = text.split(CODE_FENCE, 4)
    if len(parts) == 1:
        return text
    if len(parts) != 3:
        raise Unreadable("several_blocks" if len(parts) > 3 else "fence_unclosed")
    first, newline, rest = parts[1].partition("\n")
    language = first.strip().isalnum() or not first.strip()
    return rest if newline and language else parts[1].strip().removeprefix("json")


def read_json(text: str) -> Any:
    """A JSON value; a key given twice, NaN, too deep nesting or too much text is no JSON here. Raises Unreadable."""
    if len(text) > MAX_JSON_CHARS:
        raise Unreadable("json_too_long")
    try:
        return json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
    except RecursionError:
        raise Unreadable("json_too_deep") from None
    except ValueError:
        raise Unreadable("not_json") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Unreadable("key_given_twice")  # which of the two counts depends on who reads it
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON value")


def _call(entry: Any) -> Call:
    """{"name", "arguments" or "parameters"}, or the same inside "function"; arguments may be JSON text, as servers
    write them."""
    if isinstance(entry, dict) and isinstance(entry.get("function"), dict):
        entry = entry["function"]
    if not isinstance(entry, dict):
        raise Unreadable("call_is_no_object")
    if len(entry) == 1 and not entry.keys() & _KEYS and isinstance(next(iter(entry.values())), dict):  # {"f": {"a": 1}}
        [(name, arguments)] = entry.items()
        return Call(name=name, arguments=arguments)
    if not isinstance(entry.get("name"), str):
        raise Unreadable("call_without_name")
    given = [key for key in ("arguments", "parameters") if key in entry]
    if len(given) > 1:
        raise Unreadable("key_given_twice")
    arguments = entry[given[0]] if given else {}
    if isinstance(arguments, str):
        arguments = read_json(arguments) if arguments.strip() else {}
    if not isinstance(arguments, dict):
        raise Unreadable("arguments_are_no_object")
    return Call(name=entry["name"], arguments=arguments)

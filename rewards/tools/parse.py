"""Tool calls and plain JSON out of an answer: tagged (<tool_call>{...}</tool_call>), or the answer itself is the JSON,
an object a line, or one of the styles of `rewards.tools.call_formats`. Linear scans.

Knows nothing of schemas, golds or of what a call should be. A call is read from what is visible: thinking is cut off
before.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from rewards.prose.visible import CODE_FENCE
from rewards.tools.call_formats import (
    Entries,
    MalformedCall,
    function_tags,
    python_calls,
    react_call,
    without_control_tokens,
)
from rewards.tools.marked_formats import glm_call, marked_calls

MAX_JSON_CHARS = 200_000
MAX_CALLS = 64
_OTHER_TAGS = (("<function_call>", "</function_call>"), ("<functioncall>", "</functioncall>"))
_KEYS = frozenset(("name", "arguments", "parameters", "function", "tool_calls"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """Example: Call(name="get_weather", arguments={"city": "Oslo"})"""

    name: str
    arguments: dict[str, Any]
    positional: tuple[Any, ...] = ()  # arguments without a name, of Python text: the schema says which they are


class Unreadable(Exception):
    """The answer holds no readable call or JSON value; `reason` is the verdict's reason code."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def find_calls(text: str, tags: tuple[str, str], style: str) -> list[Call]:
    """The calls in `text` in order; [] where it makes none. style: tagged, json, or auto (tagged where a tag occurs).
    Raises Unreadable."""
    bare = style == "auto" and text.lstrip()[:1] in ("{", "[") and _is_json(text)  # tags in it stand in its strings
    pair = (
        _first_pair(text, (tags, *(_OTHER_TAGS if style == "auto" else ()))) if style != "json" and not bare else None
    )
    if pair is not None:
        bodies = _tag_bodies(text, pair, closed=pair is tags)
    else:
        marked = _read_or_refuse(marked_calls, text) if style == "auto" and not bare else None
        if marked is not None:
            return _calls_of(marked)
        text = without_control_tokens(text) if style == "auto" else text
        if style == "auto" and not bare and (entries := _other_style(text)) is not None:
            return _calls_of(entries)
        if style == "tagged" or not _looks_like_json(text):
            return []
        bodies = [_body(text)] if style == "json" else _lines(_body(text))
    calls = []
    for body in bodies:
        if style == "auto" and body.lstrip().startswith("<function="):
            calls += _calls_of(_read_or_refuse(function_tags, body) or [])
            continue
        glm = (
            _read_or_refuse(lambda text: [found] if (found := glm_call(text)) else None, body)
            if style == "auto"
            else None
        )
        if glm is not None:
            calls += _calls_of(glm)
            continue
        value = read_json(body)
        entries = value if isinstance(value, list) else [value]
        if isinstance(value, dict) and isinstance(value.get("tool_calls"), list):
            entries = value["tool_calls"]
        calls += [_call(entry) for entry in entries[: MAX_CALLS + 1]]
        if len(calls) > MAX_CALLS:
            raise Unreadable("too_many_calls")
    return calls


def _other_style(text: str) -> Entries | None:
    """Calls written without JSON around them; a fence counts where nothing stands beside it, for code may also be
    shown."""
    if text.startswith(CODE_FENCE) and text.endswith(CODE_FENCE) and text.count(CODE_FENCE) == 2:
        text = _body(text).strip()
    found = (_read_or_refuse(reader, text) for reader in (function_tags, react_call, python_calls))
    return next((entries for entries in found if entries is not None), None)


def _read_or_refuse(reader: Callable[[str], Entries | None], text: str) -> Entries | None:
    try:
        return reader(text)
    except MalformedCall as error:
        raise Unreadable(str(error)) from None


def _calls_of(entries: Entries) -> list[Call]:
    if len(entries) > MAX_CALLS:
        raise Unreadable("too_many_calls")
    calls = [_call({"name": entry["name"], "arguments": entry["arguments"]}) for entry in entries]
    return [
        replace(call, positional=tuple(entry.get("positional", ()))) for call, entry in zip(calls, entries, strict=True)
    ]


def _lines(text: str) -> list[str]:
    """An object a line, where every line is one; else the whole text."""
    lines = [line for line in text.splitlines() if line.strip()]
    each = 1 < len(lines) <= MAX_CALLS and all(line.lstrip()[:1] == "{" and line.rstrip()[-1:] == "}" for line in lines)
    return lines if each else [text]


def find_value(text: str) -> Any:
    """The JSON value that an answer consists of, bare or in its only code fence. Raises Unreadable."""
    return read_json(_body(text))


def _first_pair(text: str, pairs: tuple[tuple[str, str], ...]) -> tuple[str, str] | None:
    """The pair of tags of which one stands first in the text; None where there is none."""
    places = [(place, number) for number, pair in enumerate(pairs) for tag in pair if (place := text.find(tag)) >= 0]
    return pairs[min(places)[1]] if places else None


def _tag_bodies(text: str, tags: tuple[str, str], *, closed: bool = True) -> list[str]:
    """What stands between each pair of tags; a tag inside a string of a JSON value is text. `closed` False: the closing
    tag may be missing."""
    opening, closing = tags
    bodies = []
    place = text.find(opening)
    if closing in (text[:place] if place >= 0 else text):
        raise Unreadable("tags_unbalanced")
    while place >= 0:
        if len(bodies) == MAX_CALLS:
            raise Unreadable("too_many_calls")
        start = place + len(opening)
        end = text.find(closing, _end_of_json(text, start))
        place = text.find(opening, _end_of_json(text, start))
        if end < 0 or -1 < place < end:
            if closed:
                raise Unreadable("tags_unbalanced")
            end = place if place >= 0 else len(text)
            bodies.append(text[start : max(end, start)])
            continue
        bodies.append(text[start:end])
        if closing in text[end + len(closing) : place if place >= 0 else len(text)]:
            raise Unreadable("tags_unbalanced")
    return bodies


def _end_of_json(text: str, start: int) -> int:
    """Where the JSON value that begins at `start` ends; `start` where none begins there, or it has no end."""
    begin = start + len(text[start : start + 100]) - len(text[start : start + 100].lstrip())
    if text[begin : begin + 1] not in ("{", "["):
        return start
    try:
        return json.JSONDecoder().raw_decode(text[: begin + MAX_JSON_CHARS], begin)[1]
    except (ValueError, RecursionError):
        return start


def _is_json(text: str) -> bool:
    try:
        json.loads(text[: MAX_JSON_CHARS + 1])
    except (ValueError, RecursionError):
        return False
    return True


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

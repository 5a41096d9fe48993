"""Tool calls between marks of their own: the formats of DeepSeek, Kimi, Gemma, Mistral, gpt-oss, GLM, and those of
XML's kind.

Each reader turns text into entries {"name", "arguments"}; arguments may be text that is still to be read as JSON. Knows
nothing of schemas, golds or of what a call should be. Marks are counted before a pattern looks for their ends, so that
many of them cost no more than a few.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from rewards.tools.call_formats import Entries, MalformedCall, parameter_value, python_calls, refuse_many

_DEEPSEEK = re.compile(
    r"<｜tool▁call▁begin｜>\s*(?:function<｜tool▁sep｜>(?P<old>[^\n`｜]{1,200})\n+```json\n(?P<fenced>.*?)\n?```"
    r"|(?P<name>[^\s<｜]{1,200})\s*<｜tool▁sep｜>(?P<plain>.*?))\s*<｜tool▁call▁end｜>",
    re.DOTALL,
)
_KIMI = re.compile(
    r"<\|tool_call_begin\|>\s*(?:functions\.)?(?P<name>[\w.-]{1,200})(?::\d+)?\s*<\|tool_call_argument_begin\|>"
    r"(?P<arguments>.*?)<\|tool_call_end\|>",
    re.DOTALL,
)
_HARMONY = re.compile(
    r"to=functions\.(?P<name>[\w.-]{1,200})[^{]{0,80}<\|message\|>(?P<arguments>.*?)(?:<\|call\|>|<\|end\|>|\Z)",
    re.DOTALL,
)
_MISTRAL = re.compile(
    r"\[TOOL_CALLS\](?P<name>[\w.-]{1,200})(?:\[CALL_ID\]\w{1,40})?\[ARGS\](?P<arguments>.*?)(?=\[TOOL_CALLS\]|</s>|\Z)",
    re.DOTALL,
)
_INVOKE = re.compile(r"<invoke name=[\"'](?P<name>[^\"'<>]{1,200})[\"']>(?P<body>.*?)</invoke>", re.DOTALL)
_PARAMETER = re.compile(
    r"<parameter name=[\"'](?P<key>[^\"'<>]{1,200})[\"'][^<>]*>(?P<value>.*?)</parameter>", re.DOTALL
)
_GEMMA = re.compile(
    r"<start_function_call>\s*call:(?P<name>[\w.-]{1,200})(?P<arguments>\{.*?\})\s*<end_function_call>", re.DOTALL
)
_GEMMA_KEY = re.compile(r"(?P<before>[{,]\s*)(?P<key>[A-Za-z_][\w.-]{0,200})\s*:")
_TOOL_CODE = re.compile(r"```tool_code[ \t]*\n(?P<code>.*?)\n?```", re.DOTALL)
_PRINTED = re.compile(r"\A\s*print\((?P<call>.*)\)\s*\Z", re.DOTALL)
_GLM = re.compile(r"\s*(?P<name>[\w.:-]{1,200})\s*(?P<body>(?:<arg_key>.*)?)\Z", re.DOTALL)
_GLM_PAIR = re.compile(r"<arg_key>(?P<key>.*?)</arg_key>\s*<arg_value>(?P<value>.*?)</arg_value>", re.DOTALL)


def marked_calls(text: str) -> Entries | None:
    """The calls of the first of these formats whose mark the text holds; None where it holds none. Raises
    MalformedCall."""
    mark = next((mark for mark in _READERS if mark in text), None)
    if mark is None:
        return None
    refuse_many(text, mark)
    return _READERS[mark](text)


def glm_call(body: str) -> dict[str, Any] | None:
    """What stands between GLM's tags: a name, and pairs of <arg_key> and <arg_value>; None for anything else."""
    refuse_many(body, "<arg_key>")
    match = _GLM.match(body) if "<arg_key>" in body else None
    if match is None:
        return None
    pairs = list(_GLM_PAIR.finditer(match["body"]))
    return {"name": match["name"], "arguments": _once([(pair["key"].strip(), pair["value"]) for pair in pairs], match)}


def _by_pattern(pattern: re.Pattern[str], mark: str) -> Callable[[str], Entries]:
    def read(text: str) -> Entries:
        found = list(pattern.finditer(text))
        if len(found) != text.count(mark):
            raise MalformedCall("tags_unbalanced")
        return [{"name": match["name"], "arguments": match["arguments"].strip() or "{}"} for match in found]

    return read


def _deepseek(text: str) -> Entries:
    found = list(_DEEPSEEK.finditer(text))
    if len(found) != text.count("<｜tool▁call▁begin｜>"):
        raise MalformedCall("tags_unbalanced")
    return [
        {
            "name": (match["old"] or match["name"]).strip(),
            "arguments": (match["fenced"] or match["plain"] or "{}").strip(),
        }
        for match in found
    ]


def _invoke(text: str) -> Entries:
    refuse_many(text, "<parameter name=")
    found = list(_INVOKE.finditer(text))
    if len(found) != text.count("<invoke name="):
        raise MalformedCall("tags_unbalanced")
    return [
        {
            "name": match["name"],
            "arguments": _once([(p["key"], p["value"]) for p in _PARAMETER.finditer(match["body"])], match),
        }
        for match in found
    ]


def _once(pairs: list[tuple[str, str]], match: re.Match[str]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) != len(pairs):
        raise MalformedCall("key_given_twice")
    if len(pairs) != match["body"].count("<parameter name=") + match["body"].count("<arg_key>"):
        raise MalformedCall("tags_unbalanced")
    return {key: parameter_value(value.strip("\n")) for key, value in pairs}


def _gemma(text: str) -> Entries:
    found = list(_GEMMA.finditer(text))
    if len(found) != text.count("<start_function_call>"):
        raise MalformedCall("tags_unbalanced")
    return [{"name": match["name"], "arguments": _gemma_json(match["arguments"])} for match in found]


def _gemma_json(text: str) -> str:
    """{city:<escape>Oslo<escape>,days:3} as JSON: every second piece between <escape> marks is a text."""
    pieces = text.split("<escape>")
    if len(pieces) % 2 == 0:
        raise MalformedCall("tags_unbalanced")
    return "".join(
        json.dumps(piece) if place % 2 else _GEMMA_KEY.sub(r'\g<before>"\g<key>":', piece)
        for place, piece in enumerate(pieces)
    )


def _tool_code(text: str) -> Entries:
    entries: Entries = []
    found = list(_TOOL_CODE.finditer(text))
    if len(found) != text.count("```tool_code"):
        raise MalformedCall("fence_unclosed")
    for match in found:
        printed = _PRINTED.match(match["code"])
        calls = python_calls(printed["call"] if printed else match["code"])
        if calls is None:
            raise MalformedCall("not_json")
        entries += calls
    return entries


_READERS: dict[str, Callable[[str], Entries]] = {
    "<｜tool▁call▁begin｜>": _deepseek,
    "<|tool_call_begin|>": _by_pattern(_KIMI, "<|tool_call_begin|>"),
    "<|message|>": _by_pattern(_HARMONY, "to=functions."),
    "[ARGS]": _by_pattern(_MISTRAL, "[ARGS]"),
    "<invoke name=": _invoke,
    "<start_function_call>": _gemma,
    "```tool_code": _tool_code,
}

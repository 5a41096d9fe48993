"""Tool calls in other formats than JSON: f(a=1), <function=f>, Action with Action Input, and with control tokens in
front of them.

Python text is parsed by `ast` and read as literals; nothing is executed. Knows nothing of schemas, golds or of what a
call should be.
"""

from __future__ import annotations

import ast
import json
import re
import warnings
from typing import Any

MAX_CHARS = 20_000  # of Python text: its parser is not linear in depth
_TOKENS = ("<|python_tag|>", "[TOOL_CALLS]", "<|tool_call|>", "<|tool_calls|>", "<|tool_call_start|>", "functools")
_ENDS = ("<|tool_call_end|>", "<|/tool_call|>", "<|eom_id|>", "<|eot_id|>", "<|im_end|>", "</s>")
_MOST_MARKS = 256
_FUNCTION = re.compile(r"<function=(?P<name>[\w.:-]{1,200})>(?P<body>.*?)</function>", re.DOTALL)
_PARAMETER = re.compile(r"<parameter=(?P<name>[\w.-]{1,200})>(?P<value>.*?)</parameter>", re.DOTALL)
_ACTION = re.compile(r"(?:\A|\n)Action:[ \t]*(?P<name>[\w.:-]{1,200})[ \t]*\n+Action Input:[ \t]*")
_OBSERVATION = re.compile(r"\n(?:Observation|Thought):")
_CALLED = re.compile(r"\[?\s*[A-Za-z_][\w.]{0,200}\s*\(")

# {"name", "arguments"}, and "positional" of Python text; arguments may be text that is still to be read as JSON
Entries = list[dict[str, Any]]


class MalformedCall(ValueError):
    """A call in one of these formats cannot be read; the message is a reason code."""


def without_control_tokens(text: str) -> str:
    """The text without the control tokens of chat templates at its start and end."""
    text = text.strip()
    for token in _TOKENS:
        text = text.removeprefix(token).lstrip()
    for token in _ENDS:
        text = text.removesuffix(token).rstrip()
    return text


def refuse_many(text: str, mark: str) -> None:
    """Raise MalformedCall for more marks than an answer has calls: each would be followed to the end of the text."""
    if text.count(mark) > _MOST_MARKS:
        raise MalformedCall("too_many_calls")


def function_tags(text: str) -> Entries | None:
    """<function=f>{"a": 1}</function>, or <parameter=a>1</parameter> inside; None where there is no such tag. Raises
    MalformedCall."""
    if "<function=" not in text:
        return None
    refuse_many(text, "<function=")
    found = list(_FUNCTION.finditer(text))
    if len(found) != text.count("<function=") or len(found) != text.count("</function>"):
        raise MalformedCall("tags_unbalanced")
    return [{"name": match["name"], "arguments": _body(match["body"])} for match in found]


def _body(body: str) -> Any:
    parameters = list(_PARAMETER.finditer(body))
    if not parameters:
        return body.strip() or "{}"
    if _PARAMETER.sub("", body).strip() or len({match["name"] for match in parameters}) != len(parameters):
        raise MalformedCall("key_given_twice" if not _PARAMETER.sub("", body).strip() else "not_json")
    return {match["name"]: parameter_value(match["value"].strip("\n")) for match in parameters}


def parameter_value(text: str) -> Any:
    """A parameter's text as JSON where it is a number, truth value, list or object, else as it stands."""
    if text.strip()[:1] in ('"', ""):
        return text
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value if value == value else text  # NaN is a word here


def react_call(text: str) -> Entries | None:
    """The one `Action: f` with its `Action Input: {...}` (ReAct); None where there is none, or no input. Raises
    MalformedCall."""
    found = list(_ACTION.finditer(text))
    if not found:
        return None
    if len(found) > 1:
        raise MalformedCall("wrong_count")
    given = text[found[0].end() :]
    stop = _OBSERVATION.search(given)
    return [{"name": found[0]["name"], "arguments": given[: stop.start()] if stop else given}]


def python_calls(text: str) -> Entries | None:
    """`[f(a=1), g(2)]`, or one call a line; None for text that holds no such calls. Arguments without a name are given
    as "positional". Raises MalformedCall."""
    if len(text) > MAX_CHARS or _CALLED.match(text) is None:
        return None
    try:
        with warnings.catch_warnings():  # about an odd escape in an answer: of no use to whoever runs this
            warnings.simplefilter("ignore")
            tree = ast.parse(text.strip())
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    nodes: list[ast.expr] = []
    for statement in tree.body:
        if not isinstance(statement, ast.Expr):
            return None
        value = statement.value
        nodes += value.elts if isinstance(value, ast.List | ast.Tuple) else [value]
    return [_python_call(node) for node in nodes] if nodes and all(map(_is_call, nodes)) else None


def _is_call(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and _name(node.func) is not None


def _name(node: ast.expr) -> str | None:
    if isinstance(node, ast.Name):
        return node.id
    inner = _name(node.value) if isinstance(node, ast.Attribute) else None
    return f"{inner}.{node.attr}" if inner and isinstance(node, ast.Attribute) else None


def _python_call(node: ast.expr) -> dict[str, Any]:
    assert isinstance(node, ast.Call), "asked for calls only"
    if any(keyword.arg is None for keyword in node.keywords):
        raise MalformedCall("positional_arguments")
    try:
        arguments = {str(keyword.arg): _json_value(ast.literal_eval(keyword.value)) for keyword in node.keywords}
        positional = [_json_value(ast.literal_eval(value)) for value in node.args]
    except (ValueError, TypeError, RecursionError, MemoryError):
        raise MalformedCall("not_json") from None
    entry: dict[str, Any] = {"name": _name(node.func) or "", "arguments": arguments}
    return {**entry, "positional": positional} if positional else entry


def _json_value(value: Any) -> Any:
    """Tuples as the lists that JSON has; what JSON has not is refused."""
    if isinstance(value, list | tuple):
        return [_json_value(entry) for entry in value]
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise ValueError("a key that is no text")
        return {key: _json_value(entry) for key, entry in value.items()}
    if value is not None and not isinstance(value, bool | int | float | str):
        raise ValueError("no JSON value")
    return value

"""What a row says has to stand in the rendered text: contents, reasoning, calls and tools.

A template drops what it does not know without a word, and the model would learn the turn without it.

Blanks at the ends of a text may be trimmed, and quotes escaped where a template writes JSON. Pure text; knows no
tokenizer.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from posttrain.data.special_tokens import texts_of
from posttrain.errors import DataError
from posttrain.types import Message


def said(turn: Message, think: tuple[str, str]) -> tuple[list[str], str]:
    """(reasoning, answer) of an assistant turn, trimmed: the reasoning of its own key, and what its content holds
    between the think tags."""
    reasoning = [str(turn.get("reasoning_content") or "")]
    content = str(turn.get("content") or "")
    head, closed, tail = content.partition(think[1])
    if closed:
        before, _, inside = head.rpartition(think[0])
        reasoning += [before, inside]
        content = tail
    return [text.strip() for text in reasoning if text.strip()], content.strip()


def stands_in(text: str, within: str) -> bool:
    """Whether a text is printed there, as it is or as JSON."""
    return any(form in within for form in _forms(text.strip()))


def _forms(text: str) -> Iterator[str]:
    yield text
    yield json.dumps(text, ensure_ascii=False)[1:-1]
    yield json.dumps(text)[1:-1]
    yield repr(text)[1:-1]


def check_tools(tools: Sequence[Mapping[str, Any]], text: str, without: Callable[[], str]) -> None:
    """Raises DataError where a tool is not printed. without: renders the same turns without tools."""
    for index, tool in enumerate(tools):
        function = tool.get("function", tool)
        name = function.get("name") if isinstance(function, Mapping) else None
        if not isinstance(name, str) or name not in text:
            raise DataError(
                f"the chat template does not print tools[{index}] ({name!r})", remedy="use a template that prints tools"
            )
    if tools and without() == text:
        raise DataError("the chat template does not print the row's tools", remedy="use a template that prints tools")


def check_calls(turn: Message, index: int, text: str) -> None:
    """Raises DataError where a call of a turn, or an argument of one, is not in the text."""
    for call in turn.get("tool_calls") or ():
        function = call.get("function", call) if isinstance(call, Mapping) else {}
        if not isinstance(function, Mapping):
            continue
        name, arguments = function.get("name"), function.get("arguments")
        if isinstance(name, str) and name not in text:
            raise DataError(
                f"the chat template drops the call of {name!r} in messages[{index}].tool_calls",
                remedy="use a template that renders tool calls, or write them into 'content'",
            )
        if isinstance(arguments, Mapping):
            missing = next((one for one in texts_of(arguments) if not stands_in(one, text)), None)
            if missing is not None:
                raise DataError(
                    f"the chat template drops {missing!r} of the arguments of {name!r} in messages[{index}].tool_calls",
                    remedy="use a template that prints arguments",
                )


def check_content(turn: Message, index: int, think: tuple[str, str], text: str) -> None:
    """Raises DataError where the content of a turn is not in the text (of an assistant's, what is no reasoning)."""
    wanted = said(turn, think)[1] if turn.get("role") == "assistant" else str(turn.get("content") or "")
    if not stands_in(wanted, text):
        beside = " beside its calls" if turn.get("tool_calls") else ""
        raise DataError(
            f"the chat template does not print the content of messages[{index}] ({turn.get('role')}){beside}",
            remedy="use a template that prints it, or take the turn out of the row",
        )


def dropped_reasoning(index: int) -> DataError:
    """The error for a turn whose reasoning the template prints in no place."""
    return DataError(
        f"the chat template does not print the reasoning of messages[{index}]",
        remedy="use a template that keeps it (a preset such as chatml_think or qwen3)",
    )

"""How a chat template wants its turns: the key of the reasoning, call arguments as an object or as text, content as
text or in parts.

Our records have one form (posttrain/types.py). Templates of real models read others, and print nothing, or Python's own
notation, where they find ours. What a template reads is tried once with turns made here, and every row is put so.
Knows no tokenizer; what a template prints in no form is found by printed.py, row by row.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from posttrain.errors import DataError
from posttrain.types import Message

Render = Callable[[Sequence[Message]], str]  # the text of turns as they are; raises DataError

REASONING_KEYS = ("reasoning_content", "reasoning", "thinking")
_ASK: Message = {"role": "user", "content": "posttrain asks"}
_CALL: Message = {
    "role": "assistant",
    "content": "",
    "tool_calls": [
        {
            "id": "call00001",  # nine letters or digits, which Mistral's templates insist on
            "type": "function",
            "function": {"name": "posttrain_call", "arguments": {"posttrain_key": "posttrain_value"}},
        }
    ],
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Dialect:
    """What a template reads.

    Example: Dialect(reasoning="thinking", arguments_as_text=True, null_beside_calls=True, parts=False)
    """

    reasoning: str = "reasoning_content"
    arguments_as_text: bool = False
    null_beside_calls: bool = False  # content null, not "", in a turn of calls only
    parts: bool = False  # content as [{"type": "text", "text": ...}]

    def put(self, messages: Sequence[Message]) -> list[Message]:
        """The turns as the template wants them; `train`, which is for us alone, goes."""
        return [self._turn(turn) for turn in messages]

    def _turn(self, turn: Message) -> Message:
        new = {key: value for key, value in turn.items() if key != "train"}
        if self.reasoning != "reasoning_content" and "reasoning_content" in new:
            new[self.reasoning] = new.pop("reasoning_content")
        if "tool_calls" in new and not new["tool_calls"]:
            new.pop("tool_calls")  # templates ask whether the key is there
        calls = new.get("tool_calls")
        if calls and self.arguments_as_text:
            new["tool_calls"] = [_with_text(call) for call in calls]
        if calls and self.null_beside_calls and not new.get("content"):
            new["content"] = None
        elif self.parts and isinstance(new.get("content"), str):
            new["content"] = [{"type": "text", "text": new["content"]}]
        return new


def _with_text(call: dict[str, Any]) -> dict[str, Any]:
    if isinstance(call.get("function"), dict):
        return {**call, "function": _with_text(call["function"])}
    arguments = call.get("arguments")
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return {**call, "arguments": text} if "arguments" in call else call


def find_dialect(render: Render) -> Dialect:
    """The first form in which the template prints all of it; where none does, ours stays."""
    parts = not _prints(render, Dialect(), [_ASK], "posttrain asks") and _prints(
        render, Dialect(parts=True), [_ASK], "posttrain asks"
    )
    thought = {"role": "assistant", "content": "posttrain says", "reasoning_content": "posttrain thinks"}
    reasoning = next(
        (
            key
            for key in REASONING_KEYS
            if _prints(render, Dialect(parts=parts, reasoning=key), [_ASK, thought], "posttrain thinks")
        ),
        REASONING_KEYS[0],
    )
    for as_text in (False, True):
        for null in (False, True):
            tried = Dialect(reasoning=reasoning, parts=parts, arguments_as_text=as_text, null_beside_calls=null)
            if _prints(render, tried, [_ASK, _CALL], "posttrain_call", "posttrain_key", "posttrain_value"):
                return tried
    return Dialect(reasoning=reasoning, parts=parts)


def _prints(render: Render, dialect: Dialect, messages: Sequence[Message], *wanted: str) -> bool:
    """Whether all of it stands there, and neither as Python would print an object nor as JSON within JSON."""
    try:
        text = render(dialect.put(messages))
    except DataError:
        return False
    garbled = ("{'posttrain_key'", '\\"posttrain_key\\"', "[{'type'")
    return all(word in text for word in wanted) and not any(word in text for word in garbled)

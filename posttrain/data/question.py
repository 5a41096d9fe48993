"""What a row asks, in any shape: `messages`, ShareGPT's conversations, a prompt (text, turns, HH's text), Alpaca's
instruction; with its system prompt, its tools and its marks of what is to be learned from.

Knows columns and turns; nothing of answers, golds or files.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from posttrain.data.columns import Columns, FaultyRow, check_unicode, json_value
from posttrain.data.looks import looks_like
from posttrain.data.turns import TRAINED_KEYS, read_flag, read_tools, read_turns, turns_in, with_marks
from posttrain.types import Message
from rewards.prose.visible import is_blank

LISTS = ("messages", "conversations", "conversation")
_HH = re.compile(r"(?:\A\s*|\n\n)(Human|Assistant):")


def read_asked(row: Columns) -> list[Message] | None:
    """The turns that a row gives beside its answers; None where it has none."""
    key = row.first(*LISTS)
    if key is not None:
        if key != "messages" or "from" in str(row.peek(key))[:40]:
            row.shapes.add("ShareGPT")
        turns = read_turns(row.take(key), "messages", row.reading.metadata)
        said = {words(turn["content"]) for turn in turns if turn["role"] == "user"}
        if row.has("prompt") and isinstance(row.peek("prompt"), str) and words(row.peek("prompt")) in said:
            row.take("prompt")  # UltraChat's: the first turn once more
    elif row.has("prompt"):
        turns = prompt_turns(row)
    elif row.has("instruction"):
        turns = _instruction(row)
    else:
        return None
    return with_system(row, turns)


def prompt_turns(row: Columns) -> list[Message]:
    """The turns of a column `prompt`: a list, JSON text of one, HH's text, or the one question that a text is."""
    value = row.take("prompt")
    if (listed := turns_in(value)) is not None:
        return read_turns(listed, "prompt", row.reading.metadata)
    text = text_of(value, "prompt", row)
    if (turns := hh_turns(text)) is not None:
        row.shapes.add("HH")
        return turns[:-1] if is_blank(turns[-1]["content"]) else turns
    return [{"role": "user", "content": text}]


def _instruction(row: Columns) -> list[Message]:
    """Alpaca's columns: earlier exchanges, then the instruction with its input under it."""
    row.shapes.add("Alpaca")
    history = json_value(row.take("history")) or []
    if not isinstance(history, list) or any(not isinstance(said, list) or len(said) != 2 for said in history):
        raise FaultyRow("'history' is not a list of questions with their answers")
    earlier = [(role, text) for said in history for role, text in zip(("user", "assistant"), said, strict=True)]
    asked = text_of(row.take("instruction"), "instruction", row)
    more = row.take("input")
    if more is not None and not isinstance(more, str):
        raise FaultyRow("'input' is not text")
    asked = f"{asked}\n{more}" if more and more.strip() else asked
    return [{"role": role, "content": text_of(text, "history", row)} for role, text in (*earlier, ("user", asked))]


def with_system(row: Columns, turns: list[Message]) -> list[Message]:
    """The turns behind the system prompt that stands in a column of its own."""
    key = row.first("system", "system_prompt")
    text = row.take(key) if key else None
    if text is None or (isinstance(text, str) and not text.strip()):
        return turns
    system = {"role": "system", "content": text_of(text, str(key), row)}
    if turns[0]["role"] != "system":
        return [system, *turns]
    if words(turns[0]["content"]) != words(text):
        raise FaultyRow(f"'{key}' and the first turn are two system prompts that differ")
    return turns


def read_row_tools(row: Columns) -> tuple[dict[str, Any], ...]:
    key = row.first("tools", "functions")
    tools = read_tools(row.take(key), key) if key else ()
    check_unicode(tools, "tools")
    return tools


def hh_turns(text: str) -> list[Message] | None:
    """The turns of a text such as "\\n\\nHuman: 1+1?\\n\\nAssistant: 2"; None for any other text."""
    if not re.match(r"\s*Human:", text) or "\n\nAssistant:" not in text:
        return None
    pieces = _HH.split(text)[1:]
    roles = {"Human": "user", "Assistant": "assistant"}
    return [{"role": roles[who], "content": said.strip()} for who, said in zip(pieces[::2], pieces[1::2], strict=True)]


# ---------------------------------------------------------------- small parts


def with_row_marks(row: Columns, messages: Sequence[Message]) -> list[Message]:
    """The turns with what the row's own columns say of learning from them. A mark for the whole row must say yes."""
    marked = list(messages)
    for key in TRAINED_KEYS:
        if not row.has(key):
            continue
        value = row.take(key)
        if isinstance(json_value(value), list):
            marked = with_marks(marked, value, key)
        elif not read_flag(value, f"'{key}'"):
            raise FaultyRow(f"'{key}' is {value!r}: a row that is not to be learned from")
    return marked


def without_yes(turn: Message) -> Message:
    """Turns of a conversation are learned from by themselves."""
    return unmarked(turn) if turn.get("train") is True else turn


def unmarked(turn: Message) -> Message:
    """Turns of a prompt are context by themselves."""
    return {key: value for key, value in turn.items() if key != "train"}


def unlike(row: Columns, lacking: str, wanted: dict[str, str], head: str = "no key ") -> FaultyRow:
    keys = f" (keys: {', '.join(row.names()) or 'none'})" if head == "no key " else ""
    return FaultyRow(f"{head}{lacking}{keys}", looks_like(row.names(), wanted))


def words(text: Any) -> str:
    return " ".join(str(text).split())


def text_of(value: Any, key: str, row: Columns) -> str:
    if not isinstance(value, str) or not value.strip():
        raise FaultyRow(f"no text in key {row.shown(key)}")
    check_unicode(value, key)
    return value


def row_id(name: str, number: int, row: Columns) -> str:
    given = row.take("id")
    check_unicode(given, "id")
    return f"{name}/{number}" if given is None else str(given)

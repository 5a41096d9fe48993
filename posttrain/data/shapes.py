"""A row of any known shape as a Conversation or a Prompt; `pairs.py` makes it a PreferencePair.

Knows columns and turns; nothing of files, tokens or models. A row that cannot be read is a FaultyRow that says why,
what the row looks like and how to map it.
"""

from __future__ import annotations

import datetime
from typing import Any

from posttrain.data.columns import Columns, FaultyRow, check_json, json_value
from posttrain.data.looks import looks_like
from posttrain.data.pairs import SCORES
from posttrain.data.question import (
    LISTS,
    read_asked,
    read_row_tools,
    row_id,
    text_of,
    unlike,
    unmarked,
    with_row_marks,
    with_system,
    without_yes,
)
from posttrain.data.turns import read_flag, read_tools, read_turns, turns_in, without_padding
from posttrain.types import Conversation, Message, PreferencePair, Prompt
from rewards.errors import GoldError
from rewards.golds.companions import COMPANIONS
from rewards.golds.formats import AUTO, read_problem
from rewards.golds.problem import decoded

_LABELS = ("label", "kto_tag")  # of TRL's and LLaMA-Factory's KTO data: whether the answer is a good one
_FOR_PROMPTS = ("gold", "reference", "metadata")
_FOR_PAIRS = ("chosen", "rejected", *(key for keys in SCORES for key in keys))
_REASONING = ("reasoning", "reasoning_content", "thinking")
OTHER_USE = {  # columns of ours that another loader reads: one file may feed several stages
    Conversation: (*_FOR_PROMPTS, *_FOR_PAIRS),
    Prompt: ("completion", *_FOR_PAIRS),
    PreferencePair: ("completion", *_FOR_PROMPTS),
}


def read_conversation(name: str, number: int, row: Columns) -> Conversation:
    """A row to imitate. Raises FaultyRow."""
    _refuse_bad_answer(row)
    messages = read_asked(row)
    answer = row.first("completion", "output")
    if messages is None:
        raise unlike(row, "'prompt' or 'messages'", {"prompt": "prompt", "completion": "completion"})
    if messages[-1]["role"] == "assistant" and answer is None:
        messages = [without_yes(turn) for turn in with_row_marks(row, messages)]
    elif answer is None and row.first(*LISTS):
        raise FaultyRow(f"it ends with a turn of the {messages[-1]['role']}, so there is no answer to learn from")
    elif answer is None:
        raise unlike(row, "text in key 'completion'", {"completion": "completion"}, "no ")
    elif messages[-1]["role"] == "assistant":
        raise FaultyRow(f"'{answer}' stands behind turns that end in an answer", "keep one of the two")
    else:
        asked = 0 if "Alpaca" in row.shapes else len(messages)  # whose history is learned too
        marked = with_row_marks(row, [*messages, *_with_reasoning(row, _completion(row, answer))])
        # The answer is what such a row teaches; turns of the assistant before it are what was said already, where no
        # mark says otherwise.
        context = [{"train": False} | turn if turn["role"] == "assistant" else turn for turn in marked[:asked]]
        messages = [without_yes(turn) for turn in (*context, *marked[asked:])]
    if not any(turn["role"] == "assistant" and turn.get("train", True) for turn in messages):
        raise FaultyRow("no turn of the assistant is to be learned from")
    row.context_turns = sum(turn.get("train") is False for turn in messages)
    tools = read_row_tools(row)
    return Conversation(
        id=row_id(name, number, row), source=name, messages=without_padding(messages, tools), tools=tools
    )


def read_prompt(name: str, number: int, row: Columns, *, needs_gold: bool = True) -> Prompt:
    """A question to sample answers for; needs_gold: with what its answers are judged by. Raises FaultyRow."""
    gold, asked, about = _gold(row)
    messages = with_system(row, asked) if asked else read_asked(row)
    if messages is None:
        raise unlike(row, "'prompt' or 'messages'", {"prompt": "prompt", "gold": "gold"})
    if messages[-1]["role"] == "assistant":
        remedy = "leave the answer out, or list its column as metadata, so that the prompt is read from another one"
        raise FaultyRow("a prompt must not end with an assistant turn", remedy)
    with_row_marks(row, messages)
    metadata = json_value(row.take("metadata")) or {}
    if not isinstance(metadata, dict):
        raise FaultyRow("'metadata' is not an object")
    reference = row.take("reference")
    if needs_gold and gold is None and reference is None:
        reason = f'no key {row.shown("gold")} (or \'reference\'); where the verifier needs none, write "gold": ""'
        raise FaultyRow(reason, looks_like(row.names(), {"gold": "gold"}))
    metadata = {**_plain(row.listed), **about, **metadata}
    messages = [unmarked(turn) for turn in messages]
    tools = read_row_tools(row) or read_tools(about.get("tools"), "tools")
    parts = {"messages": messages, "gold": gold, "reference": reference, "metadata": metadata, "tools": tools}
    for key, value in parts.items():
        check_json(value, key)
    return Prompt(
        id=row_id(name, number, row),
        source=name,
        messages=without_padding(messages, tools),
        gold=gold,
        reference=reference,
        metadata=metadata,
        tools=tools,
    )


def _completion(row: Columns, key: str) -> list[Message]:
    value = row.take(key)
    if (listed := turns_in(value)) is not None:
        if not listed:
            raise FaultyRow(f"'{key}' is not text or one assistant turn")
        turns = read_turns(listed, key, row.reading.metadata)
        if turns[-1]["role"] != "assistant":
            raise FaultyRow(f"'{key}' ends with a turn of the {turns[-1]['role']}, so there is no answer to learn from")
        return turns
    return [{"role": "assistant", "content": text_of(value, key, row)}]


def _with_reasoning(row: Columns, turns: list[Message]) -> list[Message]:
    """The answer with the reasoning that stands in a column of its own."""
    key = row.first(*_REASONING)
    if key is None:
        return turns
    if "reasoning_content" in turns[-1]:
        raise FaultyRow(f"'{key}' stands beside an answer that has its own reasoning", "keep one of the two")
    return [*turns[:-1], turns[-1] | {"reasoning_content": text_of(row.take(key), key, row)}]


def _gold(row: Columns) -> tuple[Any, list[Message], dict[str, Any]]:
    """(gold, turns, metadata) of a row: its own gold, or what the columns of a public data set come to, with the turns
    that are to be asked there; [] where the row's own are."""
    given, named = row.peek("gold"), row.reading.gold_format
    if given is not None and given is decoded(given) and named == AUTO:
        return row.take("gold"), [], {}
    try:
        problem = read_problem(row.values(), named)
    except GoldError as error:
        raise FaultyRow(error.what, error.remedy or "") from None
    if problem is None:
        return row.take("gold"), [], {}
    row.shapes.add(problem.format)
    row.companions.update(COMPANIONS.get(problem.format, ()))
    asked = read_turns(list(problem.messages), "messages", row.reading.metadata) if problem.messages else []
    if problem.question and not asked:
        own = row.has("prompt") and ("prompt" not in problem.columns or turns_in(row.peek("prompt")) is not None)
        own = own or _keep_turns_to_answer(row)
        asked = [] if own else [{"role": "user", "content": problem.question}]
    for column in problem.columns:
        if column != "tools" and (asked or column not in ("prompt", *LISTS)):
            row.take(column)
    return problem.gold, asked, dict(problem.metadata)


def _keep_turns_to_answer(row: Columns) -> bool:
    """Whether the row has turns that are to be answered. Turns that end in an answer are a worked solution beside the
    question: they are left out, which is said."""
    name = row.first(*LISTS)
    turns = json_value(row.peek(name)) if name else None
    if not isinstance(turns, list) or not turns:
        return False
    last = turns[-1] if isinstance(turns[-1], dict) else {}
    if name and (last.get("role") or last.get("from")) in ("assistant", "gpt"):
        row.companions.add(name)
        return False
    return True


def _refuse_bad_answer(row: Columns) -> None:
    """KTO's rows say of each answer whether it is a good one."""
    for key in _LABELS:
        label = row.peek(key)
        is_label = isinstance(label, bool | int | str) and str(label).lower() in ("true", "false", "1", "0")
        if is_label and not read_flag(row.take(key), key):
            raise FaultyRow(
                f"'{key}' is {label!r}: not an answer to imitate",
                "keep the rows whose label is true, or set such rows aside (max_faulty_share)",
            )


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """Metadata that the recipe lists, with dates as text: JSON has none."""
    return {key: value.isoformat() if isinstance(value, datetime.date) else value for key, value in values.items()}

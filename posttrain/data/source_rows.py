"""Rows as the stages that make rows read them: what is asked, and whatever the row has of answers, a gold and metadata.

A row of prompts, a row to imitate and a row with several candidates are all such rows. Knows nothing of models.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from posttrain.data.columns import Columns, FaultyRow, Reading, check_json, json_value
from posttrain.data.files import RawRow, read_files
from posttrain.data.hub import read_hub
from posttrain.data.question import LISTS, unmarked
from posttrain.data.shapes import read_conversation, read_prompt
from posttrain.data.source import Fault, Rows, check_share, in_words, load_conversations, load_prompts
from posttrain.data.turns import TRAINED_KEYS, known_keys
from posttrain.recipe.schema import Data, FileData, HubData, ToyData
from posttrain.toy import collected
from posttrain.toy.tasks import ask
from posttrain.types import Conversation, Message, Prompt

CANDIDATES = "candidates"
MADE_FROM = "made_from"
_GROUPS = ("source", "dataset", "dataset_name", "subject", "domain", "category")  # by which shares are reported


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceRow:
    """One row. answers: what the row has of them, as text with its reasoning and calls; made_from: what an earlier
    stage said of the row; group: what the row calls its source, else the data set; turns: of a row to imitate all turns
    as they were read, with the marks of those that are context.

    Example: SourceRow(number=3, id="sums/3", data="sums", messages=({"role": "user", "content": "17+25?"},),
    answers=("42",), gold="42")
    """

    number: int
    id: str
    data: str
    messages: tuple[Message, ...]
    answers: tuple[str, ...] = ()
    gold: Any = None
    reference: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    tools: tuple[dict[str, Any], ...] = ()
    made_from: tuple[dict[str, Any], ...] = ()
    group: str = ""
    turns: tuple[Message, ...] = ()


def load_source_rows(
    name: str, spec: Data, recipe_dir: Path, *, think: tuple[str, str] = ("<think>", "</think>")
) -> Rows[SourceRow]:
    """Rows of a file, the hub or the toy world. Raises DataError as the other loaders do."""
    return _load(name, spec, recipe_dir, think, calls=True)


def load_asked_rows(
    name: str, spec: Data, recipe_dir: Path, *, think: tuple[str, str] = ("<think>", "</think>")
) -> Rows[SourceRow]:
    """The same for the stages that ask models: answers that call tools are faulty rows, as those stages read text."""
    return _load(name, spec, recipe_dir, think, calls=False)


def _load(name: str, spec: Data, recipe_dir: Path, think: tuple[str, str], *, calls: bool) -> Rows[SourceRow]:
    if not isinstance(spec, FileData | HubData):
        return _made(name, spec, recipe_dir)
    items: list[SourceRow] = []
    numbers: list[int] = []
    faults: list[Fault] = []
    for raw in read_files(spec, recipe_dir) if isinstance(spec, FileData) else read_hub(spec, recipe_dir):
        if spec.limit is not None and len(items) + len(faults) >= spec.limit:
            break
        try:
            row = _read(name, raw, spec, think)
            if not calls and row.turns:
                _refuse_calls(row.turns[-1], "the answer")
            items.append(row)
            numbers.append(raw.number)
        except FaultyRow as fault:
            faults.append(Fault(row=raw.number, reason=in_words(fault, raw.place), remedy=fault.remedy))
    rows: Rows[SourceRow] = Rows(name=name, items=tuple(items), faults=tuple(faults), numbers=tuple(numbers))
    check_share(name, spec, faults[0] if faults else None, faulty=len(faults), good=len(items))
    return rows


def _made(name: str, spec: Data, recipe_dir: Path) -> Rows[SourceRow]:
    """Of a made data set: its problems with their golds, and the answers to the same problems."""
    read = load_prompts(name, spec, recipe_dir)
    answered = _candidates_of(name, spec, recipe_dir)
    items = tuple(
        SourceRow(
            number=number,
            id=row.id,
            data=name,
            messages=row.messages,
            answers=answered.get(asked_key(row.messages), ()),
            gold=row.gold,
            reference=row.reference,
            metadata=row.metadata,
            tools=row.tools,
            group=name,
        )
        for number, row in zip(read.numbers, read.items, strict=True)
    )
    return Rows(name=name, items=items, numbers=read.numbers)


def _candidates_of(name: str, spec: Data, recipe_dir: Path) -> dict[str, tuple[str, ...]]:
    """Turns -> the answers that a made data set has for them."""
    if isinstance(spec, ToyData) and spec.task == collected.TASK:
        rows = collected.collected(spec.rows, spec.difficulty, spec.split, spec.seed)
        return {asked_key(ask(row.problem)): row.candidates for row in rows}
    return {
        asked_key(row.messages[:-1]): (row.messages[-1]["content"],)
        for row in load_conversations(name, spec, recipe_dir).items
    }


def asked_key(messages: Sequence[Message]) -> str:
    """The same for the same turns."""
    return json.dumps([[turn["role"], turn["content"]] for turn in messages])


def plain(row: SourceRow) -> Conversation | Prompt:
    """The row as it would be trained on: with its first answer, or as a prompt where it has none."""
    if row.answers:
        turns = row.turns or (*row.messages, {"role": "assistant", "content": row.answers[0]})
        return Conversation(id=row.id, source=row.data, messages=turns, tools=row.tools)
    return Prompt(
        id=row.id,
        source=row.data,
        messages=row.messages,
        gold=row.gold,
        reference=row.reference,
        metadata=row.metadata,
        tools=row.tools,
    )


def _read(name: str, raw: RawRow, spec: FileData | HubData, think: tuple[str, str]) -> SourceRow:
    """A raw row. Raises FaultyRow, whatever its values do to the code that reads them."""
    value = raw.parsed().value
    if isinstance(value, str):
        raise FaultyRow(value)
    assert isinstance(value, dict), "parsed"
    reading = Reading(
        columns=dict(spec.columns), metadata=tuple(spec.metadata), gold_format=spec.gold_format, think=think
    )
    try:
        return _from_columns(name, raw.number, dict(value), reading)
    except (TypeError, ValueError, AttributeError, KeyError, IndexError, RecursionError) as error:
        raise FaultyRow(f"cannot be read as a row: {type(error).__name__}: {error}") from error


def _from_columns(name: str, number: int, value: dict[str, Any], reading: Reading) -> SourceRow:
    candidates, made_from = json_value(value.pop(CANDIDATES, None)), json_value(value.pop(MADE_FROM, None))
    whole = Columns(value, reading)
    try:
        conversation = read_conversation(name, number, whole)
    except FaultyRow:
        conversation = None  # a row of prompts; what is wrong with any other comes out below
    asked = Columns(value, reading) if conversation is None else _question_of(conversation, value, reading)
    prompt = read_prompt(name, number, asked, needs_gold=False)
    turns = [] if conversation is None else [known_keys(turn) for turn in conversation.messages]
    messages = tuple(known_keys(turn) for turn in prompt.messages)
    answers = [answer_text(turn, reading.think) for turn in turns[-1:]]
    if [unmarked(turn) for turn in turns[:-1]] != [*messages]:
        _refuse_calls(turns[-1] if turns else {}, "the answer")
        turns = []  # its gold's format asks in other words
    for place, given in enumerate(candidates if isinstance(candidates, list) else [candidates] if candidates else []):
        turn = {"role": "assistant", "content": given} if isinstance(given, str) else given
        if not isinstance(turn, dict) or not isinstance(turn.get("content"), str):
            raise FaultyRow(f"'{CANDIDATES}[{place}]' is neither text nor a turn")
        _refuse_calls(turn, f"'{CANDIDATES}[{place}]'")
        answers.append(answer_text(turn, reading.think))
    # Nothing vanishes: what no reader knows stays beside the row.
    unread = whole.unread() & asked.unread()
    metadata = {**{key: value[key] for key in sorted(unread)}, **prompt.metadata}
    for key, part in {CANDIDATES: answers, "metadata": metadata, MADE_FROM: made_from}.items():
        check_json(part, key)
    groups = [metadata[key] for key in _GROUPS if isinstance(metadata.get(key), str)]
    lineage = made_from if isinstance(made_from, list) else [made_from] if made_from else []
    return SourceRow(
        number=number,
        id=prompt.id,
        data=name,
        messages=messages,
        answers=tuple(dict.fromkeys(answers)),
        gold=prompt.gold,
        reference=prompt.reference,
        metadata=metadata,
        tools=prompt.tools,
        made_from=tuple(lineage),
        group=groups[0] if groups else name,
        turns=tuple(turns),
    )


def _question_of(conversation: Conversation, value: Mapping[str, Any], reading: Reading) -> Columns:
    """The columns of a row to imitate as those of a prompt: its turns without the last."""
    texts = ("prompt", "completion", "output", "instruction", "input", "history", "system", "system_prompt")
    answered = (*texts, *TRAINED_KEYS)  # lists of marks count the answer too
    theirs = {reading.columns.get(key, key) for key in (*LISTS, *answered)}
    turns = [unmarked(turn) for turn in conversation.messages[:-1]]
    rest = {key: part for key, part in value.items() if key not in theirs | {*LISTS, *answered}}
    columns = {ours: name for ours, name in reading.columns.items() if name not in theirs}
    return Columns({**rest, "messages": turns}, replace(reading, columns=columns))


def _refuse_calls(turn: Mapping[str, Any], what: str) -> None:
    if turn.get("tool_calls"):
        raise FaultyRow(
            f"{what} calls tools, where text is read alone",
            "take such rows out; clean and mix take answers that call tools, stages that ask models do not",
        )


def answer_text(turn: Mapping[str, Any], think: tuple[str, str]) -> str:
    """An answer as one text: its reasoning between the tags, its calls as JSON, one a line, at the end."""
    reasoning, content = turn.get("reasoning_content"), str(turn.get("content") or "")
    calls = [json.dumps(call.get("function", call), ensure_ascii=False) for call in turn.get("tool_calls") or ()]
    content = "\n".join([content, *calls] if content else calls)
    return f"{think[0]}\n{reasoning}\n{think[1]}\n\n{content}" if reasoning else content

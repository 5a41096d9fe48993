"""A better and a worse answer to one prompt, as TRL (with the prompt or without), UltraFeedback, HH and LLaMA-Factory
have them.

Knows columns and turns; nothing of files, tokens or models.
"""

from __future__ import annotations

from posttrain.data.columns import Columns, FaultyRow, check_unicode
from posttrain.data.question import (
    LISTS,
    hh_turns,
    prompt_turns,
    read_asked,
    read_row_tools,
    row_id,
    text_of,
    unlike,
    unmarked,
    with_row_marks,
    with_system,
    words,
)
from posttrain.data.turns import read_turns, turns_in, without_padding
from posttrain.types import Message, PreferencePair
from rewards.prose.visible import is_blank, visible_text

SCORES = (  # of the two answers, by their usual names
    ("score_chosen", "score_rejected"),
    ("chosen_score", "rejected_score"),
    ("chosen_rating", "rejected_rating"),
    ("chosen-rating", "rejected-rating"),
)


def read_pair(name: str, number: int, row: Columns) -> PreferencePair:
    """A better and a worse answer to one prompt. Raises FaultyRow."""
    sides = {key: _side(row, key) for key in ("chosen", "rejected")}
    messages = _common(row, sides)
    if messages[-1]["role"] == "assistant":
        raise FaultyRow("the prompt ends in an answer, so there is nothing to answer")
    with_row_marks(row, messages)
    chosen, rejected = (_answer(turns[-1], key) for key, turns in sides.items())
    shown = [visible_text(text, row.reading.think) for text in (chosen, rejected)]
    for key, text in zip(sides, shown, strict=True):
        if is_blank(text):
            raise FaultyRow(f"{row.shown(key)} shows no answer after its thinking")
    if shown[0].split() == shown[1].split():
        but = "" if chosen == rejected else ", but for thinking and blanks"
        raise FaultyRow(f"'chosen' and 'rejected' are the same{but}")
    for keys in SCORES:
        better, worse = (row.take(key) for key in keys)
        if isinstance(better, int | float) and isinstance(worse, int | float) and better < worse:
            raise FaultyRow(f"its scores say that 'rejected' is the better one: {better} and {worse}")
    tools = read_row_tools(row)
    return PreferencePair(
        id=row_id(name, number, row),
        source=name,
        messages=without_padding([unmarked(turn) for turn in messages], tools),
        chosen=chosen,
        rejected=rejected,
        provenance={"chosen": "data", "rejected": "data"},
        tools=tools,
    )


def _side(row: Columns, key: str) -> list[Message]:
    """The turns of one side of a pair: an answer alone, or a whole conversation that ends in it."""
    value = row.take(key)
    if value is None:
        raise unlike(row, f"text in key '{key}'", {"chosen": "chosen", "rejected": "rejected"}, "no ")
    if (listed := turns_in(value)) is not None:
        turns = read_turns(listed, key, row.reading.metadata)
    else:
        text = text_of(value, key, row)
        hh = hh_turns(text)
        row.shapes |= {"HH"} if hh else set()
        turns = hh or [{"role": "assistant", "content": text}]
    if turns[-1]["role"] != "assistant":
        raise FaultyRow(f"'{key}' ends with a turn of the {turns[-1]['role']}, not with an answer")
    return turns


def _common(row: Columns, sides: dict[str, list[Message]]) -> list[Message]:
    """The turns before both answers: what the row asks, and what both sides begin with must be the same."""
    heads = [[unmarked(turn) for turn in turns[:-1]] for turns in sides.values()]
    if any(heads) and heads[0] != heads[1]:
        at = next((i for i, (one, other) in enumerate(zip(*heads, strict=False)) if one != other), min(map(len, heads)))
        raise FaultyRow(
            f"'chosen' and 'rejected' differ before their answers, at turn {at + 1}",
            "give pairs that differ in their last turn",
        )
    key = row.first(*LISTS)
    if heads[0]:
        row.shapes.add("whole conversations")
        if key is not None and not _repeats(row, key, heads[0], sides["chosen"][-1]):
            raise FaultyRow(f"'{key}' is not what 'chosen' begins with, nor 'chosen' itself")
        if row.has("prompt"):
            asked = [unmarked(turn) for turn in prompt_turns(row)]
            said = [words(turn["content"]) for turn in heads[0] if turn["role"] == "user"]
            if asked != heads[0] and not (len(asked) == 1 and words(asked[0]["content"]) in said):
                raise FaultyRow("'prompt' is not what 'chosen' and 'rejected' begin with")
        return with_system(row, heads[0])
    if row.has("prompt") and key is not None:
        asked = with_system(row, [unmarked(turn) for turn in prompt_turns(row)])
        if not _repeats(row, key, asked, sides["chosen"][-1]):
            raise FaultyRow(f"'{key}' is not 'prompt', nor 'prompt' with 'chosen'")
        return asked
    messages = read_asked(row)
    if messages is None:
        raise unlike(row, "'prompt' or 'messages'", {"prompt": "prompt"})
    return messages


def _repeats(row: Columns, key: str, head: list[Message], chosen: Message) -> bool:
    """Whether a list of turns says no more than the prompt, or the prompt with the better answer, as UltraFeedback
    does."""
    whole = [unmarked(turn) for turn in read_turns(row.take(key), "messages", row.reading.metadata)]
    return whole in (head, [*head, unmarked(chosen)])


def _answer(turn: Message, key: str) -> str:
    for odd in ("tool_calls", "reasoning_content"):
        if odd in turn:
            raise FaultyRow(f"'{key}' has {odd}: the answers of a pair are text", "write it into the answer's text")
    if is_blank(turn["content"]):
        raise FaultyRow(f"no text in key '{key}'")
    check_unicode(turn["content"], key)
    return str(turn["content"])

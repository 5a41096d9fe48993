"""A row as a person reads it: its turns, and what a recipe's template and tokenizer make of it, token run by token run.

`posttrain data show` prints these records. Knows nothing of terminals, files or runs.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from posttrain.data.template import ChatTemplate, count_turns
from posttrain.errors import DataError
from posttrain.types import Conversation, Message, PreferencePair, Prompt


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenRun:
    """Neighbouring tokens of one standing. Example: TokenRun(text="42", ids=(19, 17), trained=True, special=False)"""

    text: str
    ids: tuple[int, ...]
    trained: bool
    special: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A turn, an answer of a pair, or another piece of a row. trained: None where no turn of the row is.

    Example: Part(label="assistant", text="<think>17+25</think>42", trained=True)
    """

    label: str
    text: str
    trained: bool | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RowView:
    """One row. tokens: (name, runs) of each text that is trained on or asked: "conversation", "prompt", "chosen",
    "rejected"; empty without a template. turns: which turns of a conversation are trained, in words; fault: why the
    template refuses the row."""

    number: int
    id: str
    kind: str
    parts: tuple[Part, ...]
    tokens: tuple[tuple[str, tuple[TokenRun, ...]], ...] = ()
    turns: str | None = None
    fault: str | None = None

    @property
    def num_tokens(self) -> int:
        return sum(len(run.ids) for _, runs in self.tokens for run in runs)

    @property
    def num_trained(self) -> int:
        return sum(len(run.ids) for _, runs in self.tokens for run in runs if run.trained)


def view(number: int, row: Conversation | Prompt | PreferencePair, template: ChatTemplate | None = None) -> RowView:
    """The row with its turns, and with its tokens where a template is given."""
    shown = RowView(number=number, id=row.id, kind=_KINDS[type(row)], parts=_parts(row))
    if template is None:
        return shown
    try:
        if isinstance(row, Conversation):
            encoded = template.encode_conversation(row.messages, row.tools)
            runs = (("conversation", token_runs(template, encoded.ids, encoded.mask)),)
            return replace(shown, tokens=runs, turns=count_turns([encoded]).in_words())
        return replace(shown, tokens=_asked_tokens(row, template))
    except DataError as error:
        return replace(shown, fault=error.what)


_KINDS: dict[type, str] = {Conversation: "conversation", Prompt: "prompt", PreferencePair: "pair"}


def _parts(row: Conversation | Prompt | PreferencePair) -> tuple[Part, ...]:
    parts = [Part(label="tools", text=json.dumps(tool, ensure_ascii=False)) for tool in row.tools]
    learnt = isinstance(row, Conversation)
    parts += [part for turn in row.messages for part in _turn_parts(turn, learnt=learnt)]
    if isinstance(row, PreferencePair):
        parts += [
            Part(label="chosen", text=row.chosen, trained=True),
            Part(label="rejected", text=row.rejected, trained=False),
        ]
    elif isinstance(row, Prompt):
        given = {"gold": row.gold, "reference": row.reference, "metadata": row.metadata or None}
        parts += [Part(label=name, text=_text(value)) for name, value in given.items() if value is not None]
    return tuple(parts)


def _turn_parts(turn: Message, *, learnt: bool) -> list[Part]:
    role = str(turn["role"])
    trained = turn.get("train", True) if learnt and role == "assistant" else None
    found = []
    if turn.get("reasoning_content"):
        found.append(Part(label=f"{role} thinks", text=str(turn["reasoning_content"]), trained=trained))
    if turn["content"] or not turn.get("tool_calls"):
        found.append(Part(label=role, text=str(turn["content"]), trained=trained))
    for call in turn.get("tool_calls") or ():
        function = call.get("function", call)
        text = f"{function.get('name')}({_text(function.get('arguments'))})"
        found.append(Part(label=f"{role} calls", text=text, trained=trained))
    return found


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _asked_tokens(row: Prompt | PreferencePair, template: ChatTemplate) -> tuple[tuple[str, tuple[TokenRun, ...]], ...]:
    text = template.prompt_text(row.messages, row.tools)
    prompt = template.prompt_ids(row.messages, row.tools)
    asked = ("prompt", token_runs(template, prompt, [0] * len(prompt)))
    if isinstance(row, Prompt):
        return (asked,)
    answers = {"chosen": template.answer_ids(row.chosen, text), "rejected": template.answer_ids(row.rejected, text)}
    return (asked, *((name, token_runs(template, ids, [1] * len(ids))) for name, ids in answers.items()))


def token_runs(template: ChatTemplate, ids: Sequence[int], mask: Sequence[int]) -> tuple[TokenRun, ...]:
    """Token ids [T] and mask [T] as runs; each special token is a run of its own. Runs of text are decoded whole, so
    that characters of several tokens are seen."""
    special = {number for number, token in template.tokenizer.added_tokens_decoder.items() if token.special}
    runs: list[tuple[list[int], bool, bool]] = []
    for token, on in zip(ids, mask, strict=True):
        is_special = token in special
        if runs and not is_special and runs[-1][1:] == (bool(on), False):
            runs[-1][0].append(token)
        else:
            runs.append(([token], bool(on), is_special))
    return tuple(
        TokenRun(text=template.decode(run), ids=tuple(run), trained=trained, special=is_special)
        for run, trained, is_special in runs
    )

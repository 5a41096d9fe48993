"""What a data set is like, in numbers: turns, tools, languages, lengths, trained share, faults by kind.

`posttrain data stats` prints them. Knows nothing of files or runs; lengths in tokens need a recipe's template.
"""

from __future__ import annotations

import re
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from posttrain.data.source import Fault, Rows
from posttrain.data.views import RowView
from posttrain.types import Conversation, PreferencePair
from rewards.prose.languages import guess


@dataclass(frozen=True, kw_only=True, slots=True)
class Spread:
    """Smallest, median, 90 % and largest of some numbers, and their sum. Example: Spread(min=3, p50=12, p90=40, max=55,
    sum=480)"""

    min: int
    p50: int
    p90: int
    max: int
    sum: int


@dataclass(frozen=True, kw_only=True, slots=True)
class DataStatistics:
    """Of the good rows of one data set, and of its faulty ones.

    turns: messages a row; roles: messages by role; with_*: rows that have one; languages: rows by the language of their
    user turns ("?" where the text does not tell); same_prompt: rows whose turns before the answer another row has too.
    tokens and trained_share are None without a template.
    """

    rows: int
    faulty_rows: int
    turns: Spread | None
    roles: dict[str, int]
    with_system: int
    with_tools: int
    with_tool_calls: int
    with_reasoning: int
    context_turns: int
    same_prompt: int
    languages: dict[str, int]
    characters: Spread | None
    tokens: Spread | None = None
    trained_share: float | None = None
    faults: dict[str, int] = field(default_factory=dict)


def spread(values: Iterable[int]) -> Spread | None:
    """None of no values."""
    ordered = sorted(values)
    if not ordered:
        return None
    p90 = ordered[min(len(ordered) - 1, int(0.9 * len(ordered)))]
    return Spread(min=ordered[0], p50=int(statistics.median_low(ordered)), p90=p90, max=ordered[-1], sum=sum(ordered))


def data_statistics(rows: Rows[Any], views: Sequence[RowView] = ()) -> DataStatistics:
    """Of a data set as its loader gave it; views: of its good rows, with tokens, where a template is known."""
    items: Sequence[Any] = rows.items
    turns = [turn for row in items for turn in row.messages]
    prompts = Counter(repr(_asked(row)) for row in items)
    refused = [Fault(row=view.number, reason=view.fault) for view in views if view.fault]
    encoded = [view for view in views if not view.fault]
    total = sum(view.num_tokens for view in encoded)
    faults = [*rows.faults, *refused]
    return DataStatistics(
        rows=len(items) - len(refused),
        faulty_rows=len(faults),
        turns=spread(len(row.messages) for row in items),
        roles=dict(Counter(str(turn["role"]) for turn in turns).most_common()),
        with_system=_count(items, lambda turn: turn["role"] == "system"),
        with_tools=sum(bool(row.tools) for row in items),
        with_tool_calls=_count(items, lambda turn: bool(turn.get("tool_calls"))),
        with_reasoning=_count(items, lambda turn: bool(turn.get("reasoning_content"))),
        context_turns=sum(turn.get("train") is False for turn in turns),
        same_prompt=sum(count for count in prompts.values() if count > 1),
        languages=dict(Counter(_language(row) for row in items).most_common()),
        characters=spread(sum(len(part) for part in _texts(row)) for row in items),
        tokens=spread(view.num_tokens for view in encoded),
        trained_share=round(sum(view.num_trained for view in encoded) / total, 4) if total else None,
        faults=dict(Counter(kind_of_fault(fault.reason) for fault in faults).most_common()),
    )


def kind_of_fault(reason: str) -> str:
    """The reason without what differs from row to row: numbers and quoted text. Example: "messages[3].role is 'bot'"
    is of the kind "messages[N].role is '…'"."""
    return re.sub(r"\d+", "N", re.sub(r"'[^']*'|\"[^\"]*\"", "'…'", reason))


def _asked(row: Any) -> tuple[Any, ...]:
    return tuple(row.messages[:-1] if isinstance(row, Conversation) else row.messages)


def _count(rows: Sequence[Any], has: Any) -> int:
    return sum(any(has(turn) for turn in row.messages) for row in rows)


def _texts(row: Any) -> list[str]:
    answers = [row.chosen, row.rejected] if isinstance(row, PreferencePair) else []
    return [*(str(turn["content"]) for turn in row.messages), *answers]


def _language(row: Any) -> str:
    return guess("\n".join(str(turn["content"]) for turn in row.messages if turn["role"] == "user")).code or "?"

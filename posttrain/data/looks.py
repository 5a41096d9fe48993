"""What a row looks like that no reader takes, and how to map it: words for the remedy of an error.

Knows names of columns as public data sets have them; reads no values.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import get_args

from posttrain.data.columns import BOOKKEEPING
from posttrain.recipe.schema import Column

_ALIASES = {
    "messages": ("dialog", "dialogue", "turns", "chat", "context_messages", "context", "message_list"),
    "prompt": ("question", "problem", "query", "instruction", "input", "user_prompt", "user", "inputs", "text"),
    "completion": ("answer", "response", "output", "solution", "target", "assistant", "targets", "generation"),
    "gold": (
        *("answer", "final_answer", "ground_truth", "expected_answer", "correct_answer", "reference_answer"),
        *("solution", "target", "expected_output", "label", "output"),
    ),
    "chosen": ("chosen_response", "preferred", "good", "better", "winner", "accepted", "positive", "chosen_answer"),
    "rejected": (
        *("rejected_response", "dispreferred", "bad", "worse", "loser", "refused", "negative", "rejected_answer"),
        "not_preferred",
    ),
}
_OURS = {*get_args(Column), "conversations", "conversation", "system_prompt", "functions", "reasoning_content"}
# (what it is, the columns that tell, what to do)
_KNOWN: tuple[tuple[str, frozenset[str], str], ...] = (
    ("Dolly", frozenset({"instruction", "context", "response"}), "columns: {input: context, output: response}"),
    ("ms-swift's rows", frozenset({"query", "response"}), "columns: {instruction: query, output: response}"),
    (
        *("ms-swift's pairs", frozenset({"messages", "rejected_response"})),
        "write the last answer of messages as chosen, and rejected_response as rejected",
    ),
    ("a tree of messages", frozenset({"parent_id", "role", "text"}), "join each path to a row with messages"),
    ("one turn a row", frozenset({"role", "content"}), "join the turns of a conversation to a row with messages"),
    ("scored completions", frozenset({"completions", "instruction"}), "write prompt, chosen and rejected"),
    ("two numbered answers", frozenset({"response_0", "response_1"}), "write the better one as chosen"),
    ("two numbered answers", frozenset({"answer_0", "answer_1"}), "write the better one as chosen"),
)


def looks_like(names: Sequence[str], wanted: Collection[str]) -> str:
    """A remedy for a row with these columns that lacks the wanted keys of ours; "" where nothing is recognised.

    Example: looks_like(["answer", "question"], ["prompt", "completion"]) is "it looks like question and answer:
    columns: {prompt: question, completion: answer}"
    """
    has = set(names)
    for what, columns, remedy in _KNOWN:
        if columns <= has:
            return f"it looks like {what}: {remedy}"
    by_case = {name.lower(): name for name in reversed(names)}
    mapped: dict[str, str] = {}
    for ours in wanted:
        found = (by_case[name] for name in _ALIASES.get(ours, ()) if name in by_case and ours not in has)
        theirs = next((name for name in found if name not in mapped.values()), None)
        if theirs is not None:
            mapped[ours] = theirs
    if not mapped and "prompt" in wanted:
        turns = next((by_case[name] for name in _ALIASES["messages"] if name in by_case), None)
        mapped = {"messages": turns} if turns else {}
    if not mapped and not has & {*wanted, *_OURS}:
        pairs = ", ".join(f"{ours}: ..." for ours in wanted)
        return f"say which of its columns are ours: columns: {{{pairs}}}"
    if not mapped:
        return ""
    if mapped.get("prompt") == "text" and len(mapped) == 1:
        return "it looks like plain text, which has no turns: give messages, or prompt and completion"
    pairs = ", ".join(f"{ours}: {theirs}" for ours, theirs in mapped.items())
    rest = sorted(has - set(mapped.values()) - _OURS - BOOKKEEPING)
    more = f", metadata: [{', '.join(rest)}]" if rest else ""
    return f"it looks like {' and '.join(mapped.values())}: columns: {{{pairs}}}{more}"

"""Is a row trained on the ids of its whole text, whatever the template and the tokenizer? Every preset and every chat
template that TRL ships of real models, over tokenizers of six kinds made here, and conversations of many shapes.

    python benchmarks/real_templates.py     a minute or two

A row that the template cannot print, or whose turns cannot be found in it, is refused by name. What else is promised
(where a turn begins and ends, and the prompt before it) is asserted by tests/data/test_real_templates.py.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from posttrain.data.template import ChatTemplate
from posttrain.errors import DataError
from tests.data.test_real_templates import WITHOUT_STOP, load
from tests.data.tokenizers import CONVERSATIONS, KINDS, TEMPLATES

COLUMNS = ("rows", "refused", "ids differ", "turns", "trained", "untrained, counted", "untrained, not counted")


def count_row(template: ChatTemplate, messages: list[dict[str, Any]], tools: Any) -> Counter[str]:
    """One row's share of the table, and its untrained turns by reason."""
    try:
        encoded = template.encode_conversation(messages, tools)
    except DataError:
        return Counter({"rows": 1, "refused": 1})
    text = template.render(messages, ask=False, tools=tools)
    whole = template.tokenizer(text, add_special_tokens=False)["input_ids"]
    turns = sum(turn["role"] == "assistant" for turn in messages)
    counts = {
        "rows": 1,
        "ids differ": list(encoded.ids) != whole,
        "turns": turns,
        "trained": encoded.trained_turns,
        "untrained, counted": len(encoded.untrained),
        "untrained, not counted": turns - encoded.trained_turns - len(encoded.untrained),
    }
    return Counter({name: int(number) for name, number in counts.items()}) + Counter(
        f"{reason}" for reason in encoded.untrained
    )


def main() -> None:
    """The table on standard output: a line for each kind of tokenizer, and all."""
    names = sorted(set(TEMPLATES) - WITHOUT_STOP)
    print(f"{len(names)} templates, {len(CONVERSATIONS)} conversations each")
    print("| tokenizer | " + " | ".join(COLUMNS) + " |")
    print("|---" * (1 + len(COLUMNS)) + "|")
    total: Counter[str] = Counter()
    for kind in KINDS:
        found: Counter[str] = Counter()
        for name in names:
            template = load(name, kind)
            for messages, tools in CONVERSATIONS.values():
                found += count_row(template, messages, tools)
        total += found
        print(f"| {kind} | " + " | ".join(f"{found[column]:,}" for column in COLUMNS) + " |", flush=True)
    print("| all | " + " | ".join(f"{total[column]:,}" for column in COLUMNS) + " |")
    for reason in sorted(name for name in total if name not in COLUMNS):
        print(f"- {total[reason]:,} untrained {reason}")


if __name__ == "__main__":
    main()

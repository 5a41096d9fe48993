"""What a judge model reads as the question: a lone question as it stands, and a conversation with all its turns. An
answer to "And why?" is judged by what it is about.

The trainer of reward models and `pairwise` both show this text. Knows nothing of the prompt around it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rewards.prose.visible import visible_text

LEFT_OUT = "[earlier turns are left out]"


def conversation_text(messages: Sequence[Mapping[str, Any]], think: tuple[str, str], max_chars: int) -> str:
    """The turns before an answer, each under its role; reasoning is not shown. Longer than max_chars: the oldest turns
    are left out, and of the last one its end is cut.

    Example: [system, user] gives "System:\\nBe brief.\\n\\nUser:\\n1+1?"
    """
    if len(messages) == 1:
        return str(messages[0].get("content") or "")[:max_chars]
    shown = [f"{str(turn.get('role', '')).capitalize()}:\n{_said(turn, think)}" for turn in messages]
    kept = [shown[-1][:max_chars]]
    for text in reversed(shown[:-1]):
        if sum(map(len, kept)) + 2 * len(kept) + len(text) > max_chars:
            kept.append(LEFT_OUT)
            break
        kept.append(text)
    return "\n\n".join(reversed(kept))


def _said(turn: Mapping[str, Any], think: tuple[str, str]) -> str:
    content = turn.get("content")
    text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False, default=str)
    text = visible_text(text, think).strip() if turn.get("role") == "assistant" else text
    calls = turn.get("tool_calls")
    return f"{text}\n{json.dumps(calls, ensure_ascii=False, default=str)}".strip() if calls else text

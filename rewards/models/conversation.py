"""What a judge model reads as the question: a lone question as it stands, and a conversation with all its turns. An
answer to "And why?" is judged by what it is about.

The trainer of reward models, `pairwise`, `agent` and the stages that make rows all show this text. Knows nothing of the
prompt around it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rewards.prose.visible import visible_text
from rewards.types import Request, last_user_turn

_LEAST_PART = 200  # characters: less of a turn says nothing


def asked_text(request: Request, think: tuple[str, str], max_chars: int) -> str:
    """What was asked, with the turns before it; a question that is not that of the messages stands alone."""
    if request.messages and request.question in (None, last_user_turn(request.messages)):
        return conversation_text(request.messages, think, max_chars)
    return _start(request.question_text, max_chars)


def conversation_text(messages: Sequence[Mapping[str, Any]], think: tuple[str, str], max_chars: int) -> str:
    """The turns before an answer, each under its role; reasoning is not shown. At most max_chars of them: the oldest
    turns are left out, of the next one its start is, and of a last turn that is longer itself, its end. A line in
    brackets says how much is missing.

    Example: [system, user] gives "System:\\nBe brief.\\n\\nUser:\\n1+1?"
    """
    if len(messages) == 1:
        return _start(str(messages[0].get("content") or ""), max_chars)
    shown = [f"{str(turn.get('role', '')).capitalize()}:\n{_said(turn, think)}" for turn in messages]
    kept, room = [_start(shown[-1], max_chars)], max_chars - len(shown[-1])
    for number, text in reversed(list(enumerate(shown[:-1], 1))):
        room -= 2  # an empty line between turns
        if len(text) <= room:
            kept.append(text)
            room -= len(text)
            continue
        if room >= _LEAST_PART:
            role, _, said = text.partition("\n")
            rest = said[len(text) - room :]
            kept.append(f"{role}\n[{len(said) - len(rest)} characters are left out]\n{rest}")
            number -= 1
        if number:
            kept.append(f"[{number} earlier turn{'s are' if number > 1 else ' is'} left out]")
        break
    return "\n\n".join(reversed(kept))


def _start(text: str, max_chars: int) -> str:
    left = len(text) - max_chars
    return text if left <= 0 else f"{text[:max_chars]}\n[{left} characters are left out]"


def _said(turn: Mapping[str, Any], think: tuple[str, str]) -> str:
    content = turn.get("content")
    text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False, default=str)
    text = visible_text(text, think).strip() if turn.get("role") == "assistant" else text
    calls = turn.get("tool_calls")
    return f"{text}\n{json.dumps(calls, ensure_ascii=False, default=str)}".strip() if calls else text

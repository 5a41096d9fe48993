"""Every preset and every chat template that TRL ships of real models, over tokenizers of six kinds and many shapes of
conversation: the ids of a row are those of its whole text, what is trained is what the assistant says with its stop
token, what stands before it is the prompt that sampling gives, and every turn that is not trained is counted.

benchmarks/real_templates.py prints a table of counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest

from posttrain.data.printed import said
from posttrain.data.template import ChatTemplate, Encoded
from posttrain.errors import DataError
from posttrain.recipe.schema import Chat
from tests.data.tokenizers import CONVERSATIONS, EOS, KINDS, TEMPLATES, make_tokenizer, special_names

DAY = "2026-01-31"
ASKED = [{"role": "user", "content": "posttrain asks"}]
# Its answers end where the next turn begins, so that no stop token ends the last: `check` says so.
WITHOUT_STOP = {"trl glm4moe"}
SOFT = (*("<think>", "</think>", "<scratchpad>", "</scratchpad>"), "\n", " ")


def load(name: str, kind: str) -> ChatTemplate:
    """The template on a tokenizer, stopping at the first control token behind an answer, and where calls end."""
    text = TEMPLATES[name].read_text("utf-8")
    tokenizer = make_tokenizer(kind)
    tokenizer.chat_template = text
    names = special_names(text) | {EOS}
    think = ("<scratchpad>", "</scratchpad>") if name == "preset neo3" else ("<think>", "</think>")
    whole = ChatTemplate(tokenizer, Chat(date=DAY, stop=[EOS]), name).render(
        [*ASKED, {"role": "assistant", "content": "posttrain says"}], ask=False
    )
    behind = whole[whole.rindex("posttrain says") :]
    stop = min((one for one in names if one in behind), key=behind.index)
    calls_end = [one for one in ("<|call|>", "<|eom_id|>") if one in names]
    return ChatTemplate(tokenizer, Chat(date=DAY, stop=[stop, *calls_end], think=think), name)


def runs(encoded: Encoded, stop_ids: tuple[int, ...]) -> list[tuple[int, int]]:
    """Where trained tokens begin and end; a stop token ends a run too."""
    found: list[tuple[int, int]] = []
    first = None
    for at, (token, on) in enumerate(zip(encoded.ids, encoded.mask, strict=True)):
        first = at if on and first is None else first
        if first is not None and (token in stop_ids or not on):
            found.append((first, at + bool(on)))
            first = None
    return found if first is None else [*found, (first, len(encoded.ids))]


def check_row(template: ChatTemplate, messages: list[dict[str, Any]], tools: Any) -> Counter[str]:
    """What is promised of one row, by means other than those of the code; counts of its turns."""
    encoded = template.encode_conversation(messages, tools)
    text = template.render(messages, ask=False, tools=tools)
    read = template.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    assert list(encoded.ids) == read["input_ids"]
    turns = [index for index, turn in enumerate(messages) if turn["role"] == "assistant"]
    assert encoded.trained_turns + len(encoded.untrained) == len(turns)
    spans = runs(encoded, template.stop_ids)
    assert len(spans) == encoded.trained_turns
    stops = template.tokenizer.convert_ids_to_tokens(list(template.stop_ids))
    same_context = 0
    for first, last in spans:
        trained = text[read["offset_mapping"][first][0] : read["offset_mapping"][last - 1][1]]
        saying = [turn for turn in turns if _says(messages[turn], trained, template.think)]
        asked = [turn for turn in saying if _prompt(template, messages[:turn], tools) == encoded.ids[:first]]
        same_context += bool(asked)
        index = (asked or saying)[0]
        turns = turns[turns.index(index) + 1 :]
        assert trained.endswith(tuple(stops)) and sum(map(trained.count, stops)) == 1
        if not messages[index].get("tool_calls"):
            assert not _more(trained, messages, index, template)
    assert same_context == encoded.trained_turns - encoded.other_context
    return Counter(rows=1, trained=encoded.trained_turns, other_context=encoded.other_context) + Counter(
        map(str, encoded.untrained)
    )


def _prompt(template: ChatTemplate, messages: list[dict[str, Any]], tools: Any) -> tuple[int, ...] | None:
    try:
        return tuple(template.prompt_ids(messages, tools))
    except DataError:
        return None


def _says(turn: dict[str, Any], trained: str, think: tuple[str, str]) -> bool:
    reasoning, answer = said(turn, think)
    calls = [call["function"]["arguments"]["city"] for call in turn.get("tool_calls", ())]
    return all(part in trained for part in (*reasoning, answer, *calls)) and turn.get("train") is not False


def _more(trained: str, messages: list[dict[str, Any]], index: int, template: ChatTemplate) -> str:
    """What is trained beside the turn's own text, think tags, blanks and control tokens."""
    reasoning, answer = said(messages[index], template.think)
    for part in (*reasoning, answer):
        trained = trained.replace(part, "", 1)
    for name in special_names(template.tokenizer.chat_template) | {EOS, *SOFT}:
        trained = trained.replace(name, "")
    for role in (
        "assistant",
        "model",
        "analysis",
        "final",
        "thought",
        "to=user",
        "to=self",
    ):
        trained = trained.replace(role, "")
    return trained


def measure(name: str, kind: str) -> Counter[str]:
    """Counts over all conversations; a row that is refused says why, and counts as such."""
    template = load(name, kind)
    counts: Counter[str] = Counter()
    for messages, tools in CONVERSATIONS.values():
        try:
            counts += check_row(template, messages, tools)
        except DataError as error:
            assert any(word in error.what for word in ("messages[", "tools", "turns of", "told apart")), error.what
            counts["refused"] += 1
    return counts


@pytest.mark.parametrize("name", sorted(set(TEMPLATES) - WITHOUT_STOP))
def test_ids_context_and_trained_text_are_those_of_the_whole(name: str) -> None:
    for kind in KINDS:
        assert measure(name, kind)["trained"] >= 7, kind


@pytest.mark.parametrize(
    ("preset", "public", "names"),
    [
        ("qwen3", "qwen3", CONVERSATIONS),
        ("nanbeige4", "qwen3", CONVERSATIONS),
        ("qwen2.5", "qwen2_5", ("single", "system", "turns", "unicode", "blanks", "tools")),
        ("llama3", "llama3", ("single", "system", "turns", "unicode", "blanks")),
        ("gemma", "gemma", ("single", "turns", "unicode", "blanks")),
    ],
)
def test_a_preset_prints_what_the_public_template_prints(preset: str, public: str, names: Iterable[str]) -> None:
    ours, theirs = ([_printed(f"{kind}", name) for name in names] for kind in (f"preset {preset}", f"trl {public}"))
    assert ours == theirs


def _printed(title: str, name: str) -> tuple[str, str]:
    template = load(title, "byte_level")
    messages, tools = CONVERSATIONS[name]
    return (
        template.render(messages, ask=False, tools=tools),
        template.render(messages[:-1] or messages, ask=True, tools=tools),
    )

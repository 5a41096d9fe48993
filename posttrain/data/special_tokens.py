"""Which tokens a tokenizer treats as special, which of them end a turn, and which a preset needs.

Special are the added tokens with `special: true`, as the tokenizer itself reads text: a token that only has a name
(an unknown token out of the plain vocabulary, say) is text like any other. Knows no template and no file of rows.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from posttrain.errors import CheckpointError, DataError
from posttrain.recipe.schema import Chat
from posttrain.types import Message

CHATML = ("<|im_start|>", "<|im_end|>")
# What the presets print beside bos and eos; the first that ends a turn is the recipe's to name in chat.stop.
PRESET_TOKENS: dict[str, tuple[str, ...]] = {
    "chatml_think": CHATML,
    "gemma": ("<start_of_turn>", "<end_of_turn>"),
    "llama3": ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
    "mistral": (),  # its first tokenizers spell [INST] as text
    "nanbeige4": CHATML,
    "neo3": (),
    "qwen2.5": CHATML,
    "qwen3": CHATML,
}


_TOOL = re.compile(r"tool|function|python_tag", re.IGNORECASE)


class SpecialTokens:
    """The special tokens of a fast tokenizer, and how text that holds one is refused."""

    def __init__(self, tokenizer: Any) -> None:
        added = {
            number: token
            for number, token in tokenizer.backend_tokenizer.get_added_tokens_decoder().items()
            if token.special and token.content
        }
        self.ids = frozenset(added)
        self._names = {number: token.content for number, token in added.items()}
        # Such a token is also found in text that only becomes it once normalised (<|IM_END|> in lower case).
        self._normalised = any(token.normalized for token in added.values())
        self._tokenizer = tokenizer
        longest_first = sorted(self._names.values(), key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def refuse_in(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]], think: Sequence[str]) -> None:
        """Raise DataError where a text, a call or a tool's schema would become a special token. The think tags of an
        assistant's text are its own."""
        for index, turn in enumerate(messages):
            own = frozenset(think) if turn.get("role") == "assistant" else frozenset()
            for key, value in turn.items():
                for text in texts_of(value) if key != "role" else ():
                    self._refuse(text, own, f"the text of a {turn.get('role')} turn (messages[{index}].{key})")
        for index, tool in enumerate(tools):
            for text in texts_of(tool):
                self._refuse(text, frozenset(), f"tools[{index}]")

    def _refuse(self, text: str, own: frozenset[str], where: str) -> None:
        if self._pattern is None:
            return
        found = next((match[0] for match in self._pattern.finditer(text) if match[0] not in own), None)
        if found is None and self._normalised:
            ids = self._tokenizer.encode(text, add_special_tokens=False, verbose=False)
            found = next((self._names[one] for one in ids if one in self.ids and self._names[one] not in own), None)
        if found is not None:
            raise DataError(f"special token {found!r} in {where}", remedy="remove it from the row")


def kd_skipped(tokenizer: Any, kinds: Collection[str]) -> frozenset[int]:
    """Ids that a recipe keeps out of a teacher's KL. special: those that the tokenizer treats so; tool: added tokens
    that mark tools by their name (<tool_call>, </tool_response>, <|python_tag|>)."""
    added = tokenizer.backend_tokenizer.get_added_tokens_decoder()
    special = {number for number, token in added.items() if token.special and token.content}
    tool = {number for number, token in added.items() if _TOOL.search(token.content)}
    return frozenset((special if "special" in kinds else set()) | (tool if "tool" in kinds else set()))


def texts_of(value: Any) -> Iterator[str]:
    """Every piece of text in a JSON value, keys of objects too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield str(key)
            yield from texts_of(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from texts_of(item)


def stop_tokens(tokenizer: Any, chat: Chat, where: str) -> dict[str, int]:
    """Name to id of the tokens that end a turn, in the recipe's order. Raises CheckpointError."""
    names = chat.stop or ([tokenizer.eos_token] if tokenizer.eos_token else [])
    if not names:
        raise CheckpointError("no stop token", where=where, remedy="set chat.stop in the recipe")
    found = {}
    for name in names:
        ids = tokenizer.encode(name, add_special_tokens=False)
        if len(ids) != 1:
            raise CheckpointError(
                f"stop token {name!r} is {len(ids)} tokens of this tokenizer",
                where=where,
                remedy="name a single token",
            )
        found[name] = ids[0]
    return found


def missing_tokens(tokenizer: Any, chat: Chat) -> list[str]:
    """Tokens of the recipe's preset that this tokenizer does not have: it would print them as pieces of text."""
    vocabulary = tokenizer.get_vocab()
    return [token for token in PRESET_TOKENS.get(chat.template or "", ()) if token not in vocabulary]


def complete(tokenizer: Any, chat: Chat, where: str) -> tuple[str, ...]:
    """Add the preset's tokens that are missing where the recipe says so, and return them. Raises CheckpointError where
    it does not."""
    missing = missing_tokens(tokenizer, chat)
    if missing and not chat.add_tokens:
        fitting = [name for name in sorted(PRESET_TOKENS) if not missing_tokens(tokenizer, Chat(template=name))]
        raise CheckpointError(
            f"the preset {chat.template} prints {', '.join(missing)}, which this tokenizer does not have",
            where=where,
            remedy=(
                f"set chat.add_tokens: true (the embedding grows by {len(missing)} at the first stage), or choose a "
                f"template whose tokens it has: {', '.join(fitting)}, or one of your own"
            ),
        )
    if missing:
        tokenizer.add_tokens(missing, special_tokens=True)
    return tuple(missing)


def bos_of(tokenizer: Any) -> tuple[int, ...]:
    """The ids that the tokenizer itself puts before a text, such as a bos.

    A template's text is never given them: what it prints is all there is, or a bos that it prints would stand twice.
    Plain text without a template needs them.
    """
    plain, whole = (tokenizer.encode("a", add_special_tokens=on) for on in (False, True))
    starts = range(len(whole) - len(plain) + 1)
    start = next((at for at in starts if whole[at : at + len(plain)] == plain), 0)
    return tuple(whole[:start])


def require_offsets(tokenizer: Any, where: str) -> None:
    """Raises CheckpointError: spans are mapped by offsets, which only fast tokenizers give."""
    if not getattr(tokenizer, "is_fast", False):
        raise CheckpointError(
            f"{type(tokenizer).__name__} is a slow tokenizer: it does not tell which characters a token stands for",
            where=where,
            remedy="put a tokenizer.json beside the weights (save_pretrained of the fast tokenizer writes it)",
        )

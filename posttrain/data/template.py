"""Messages to token ids and loss masks; the only place where either is done. The tokenizer comes with the checkpoint.

Masks come from rendering prefixes, so that templates without generation markers work. A template that rewrites earlier
turns (dropping their thinking) trains the last answer only. Stop ids come from the recipe or the tokenizer, never from
config.eos_token_id. Knows nothing of files of rows, models or losses.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posttrain.errors import CheckpointError, DataError
from posttrain.recipe.schema import Chat
from posttrain.types import Message

PRESETS = Path(__file__).parent / "templates"


@dataclass(frozen=True, kw_only=True, slots=True)
class Encoded:
    """Token ids [T] and mask [T]: 1 where the token is trained on."""

    ids: tuple[int, ...]
    mask: tuple[int, ...]


class ChatTemplate:
    """A tokenizer with the template, think tags and stop tokens of a recipe."""

    def __init__(self, tokenizer: Any, chat: Chat, where: str) -> None:
        self.tokenizer = tokenizer
        self.think = (chat.think[0], chat.think[1])
        self.stop_ids = _stop_ids(tokenizer, chat, where)
        self._specials = frozenset(tokenizer.all_special_tokens)

    @classmethod
    def load(cls, model_dir: Path | str, chat: Chat, recipe_dir: Path | None = None) -> ChatTemplate:
        """Read the tokenizer of a checkpoint. Raises CheckpointError: no tokenizer, no chat template, unknown stop
        token."""
        from transformers import AutoTokenizer

        folder = Path(model_dir)
        if not any(
            (folder / name).exists()
            for name in ("tokenizer.json", "tokenizer_config.json", "tokenizer.model", "vocab.json")
        ):
            raise CheckpointError(
                "no tokenizer", where=str(folder), remedy="put the tokenizer's files beside the weights"
            )
        try:
            tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(
                f"the tokenizer cannot be read: {error}", where=str(folder), remedy="check tokenizer.json"
            ) from error
        text = template_text(chat, recipe_dir)
        if text is not None:
            tokenizer.chat_template = text
        if not tokenizer.chat_template:
            raise CheckpointError(
                "the tokenizer has no chat template",
                where=str(folder),
                remedy="set chat.template in the recipe, such as chatml_think",
            )
        _check_syntax(tokenizer.chat_template, str(folder))
        return cls(tokenizer, chat, str(folder))

    def render(self, messages: Sequence[Message], *, ask: bool) -> str:
        """The text of a conversation; with `ask` up to where the assistant is to speak. Raises DataError where the
        template refuses it."""
        from jinja2 import TemplateError

        try:
            return str(self.tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=ask))
        except TemplateError as error:
            roles = ", ".join(str(turn["role"]) for turn in messages) or "none"
            raise DataError(
                f"the chat template refuses turns of {roles}: {error}", remedy="mend the row, or set chat.template"
            ) from error

    def prompt_text(self, messages: Sequence[Message]) -> str:
        return self.render(messages, ask=True)

    def prompt_ids(self, messages: Sequence[Message]) -> list[int]:
        """Token ids of the conversation so far, ending where the assistant is to speak."""
        self.refuse_special_tokens(messages)
        return self.encode(self.prompt_text(messages))

    def encode(self, text: str) -> list[int]:
        return list(self.tokenizer.encode(text, add_special_tokens=False))

    def decode(self, ids: Sequence[int]) -> str:
        """Text with special tokens kept (think tags are special in some models)."""
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=False))

    def answer_ids(self, text: str) -> list[int]:
        """Token ids of an assistant answer as it would have been sampled: its text, then the first stop token."""
        return [*self.encode(text), self.stop_ids[0]]

    def refuse_special_tokens(self, messages: Sequence[Message]) -> None:
        """Text of users and tools must not smuggle in special tokens."""
        for turn in messages:
            if turn["role"] != "assistant":
                for token in self._specials:
                    if token in turn["content"]:
                        raise DataError(
                            f"special token {token!r} in the text of a {turn['role']} turn",
                            remedy="remove it from the row",
                        )

    def encode_conversation(self, messages: Sequence[Message]) -> Encoded:
        """Ids and mask of a whole conversation, assistant turns trained up to and with their stop token.

        Raises DataError when no assistant turn can be located in the rendered text.
        """
        self.refuse_special_tokens(messages)
        whole = self.render(messages, ask=False)
        _check_calls(messages, whole)
        spans = []
        for index, turn in enumerate(messages):
            if turn["role"] != "assistant":
                continue
            before = self.prompt_text(messages[:index])
            upto = self.render(messages[: index + 1], ask=False)
            if whole.startswith(before) and whole.startswith(upto) and len(upto) > len(before):
                spans.append((len(before), len(upto)))
        if not spans:
            raise DataError(
                "no assistant turn can be told apart in the rendered text",
                remedy="check chat.template and the row's last turn",
            )
        ids: list[int] = []
        mask: list[int] = []
        at = 0
        for start, end in spans:
            given = self.encode(whole[at:start])
            said = self.encode(whole[start:end])
            trained = next((n + 1 for n, token in enumerate(said) if token in self.stop_ids), len(said))
            ids += given + said
            mask += [0] * len(given) + [1] * trained + [0] * (len(said) - trained)
            at = end
        return Encoded(ids=tuple(ids), mask=tuple(mask))


def _check_calls(messages: Sequence[Message], text: str) -> None:
    """A template that knows no tools drops `tool_calls` in silence, and the model would learn the turn without them."""
    for index, turn in enumerate(messages):
        calls: Any = turn.get("tool_calls")
        for call in calls if isinstance(calls, list) else []:
            function = call.get("function", call) if isinstance(call, dict) else {}
            if isinstance(function, dict) and isinstance(name := function.get("name"), str) and name not in text:
                raise DataError(
                    f"the chat template drops the call of {name!r} in messages[{index}].tool_calls",
                    remedy="use a template that renders tool calls, or write them into 'content'",
                )


def _check_syntax(text: Any, where: str) -> None:
    """A tokenizer may hold several templates by name; those are the library's to choose from."""
    from jinja2 import Environment, TemplateSyntaxError

    try:
        if isinstance(text, str):
            # `generation` is a tag that transformers adds to Jinja
            Environment(extensions=["jinja2.ext.loopcontrols"]).parse(
                re.sub(r"\{%-?\s*(end)?generation\s*-?%\}", "", text)
            )
    except TemplateSyntaxError as error:
        raise CheckpointError(
            f"the chat template is not Jinja (line {error.lineno}): {error}", where=where, remedy="mend chat.template"
        ) from error


def template_text(chat: Chat, recipe_dir: Path | None) -> str | None:
    """The Jinja text a recipe names: a preset or a file beside the recipe; None for the tokenizer's own."""
    if chat.template is None:
        return None
    preset = PRESETS / f"{chat.template}.jinja"
    if preset.is_file():
        return preset.read_text(encoding="utf-8")
    path = (recipe_dir or Path.cwd()) / chat.template
    if path.is_file():
        return path.read_text(encoding="utf-8")
    presets = ", ".join(sorted(file.stem for file in PRESETS.glob("*.jinja")))
    raise CheckpointError(
        f"no chat template '{chat.template}'",
        where="chat.template",
        remedy=f"a preset ({presets}) or a file beside the recipe",
    )


def _stop_ids(tokenizer: Any, chat: Chat, where: str) -> tuple[int, ...]:
    names = chat.stop or ([tokenizer.eos_token] if tokenizer.eos_token else [])
    if not names:
        raise CheckpointError("no stop token", where=where, remedy="set chat.stop in the recipe")
    ids = []
    for name in names:
        found = tokenizer.encode(name, add_special_tokens=False)
        if len(found) != 1:
            raise CheckpointError(
                f"stop token {name!r} is {len(found)} tokens of this tokenizer",
                where=where,
                remedy="name a single token",
            )
        ids.append(found[0])
    return tuple(ids)

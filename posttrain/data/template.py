"""Messages to token ids and loss masks; the only place where either is done. The tokenizer comes with the checkpoint.

A conversation is rendered to one text and tokenised once; masks come from where turns stand in that text (spans.py), by
the tokenizer's offsets, so that ids are those of the whole text and the ids before a turn those of the prompt that
sampling gives. What the template prints is all there is: no bos is added to it. Stop ids come from the recipe or the
tokenizer, never from config.eos_token_id. Knows nothing of files of rows, models or losses.
"""

from __future__ import annotations

import datetime
import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from posttrain.data.dialect import Dialect, find_dialect
from posttrain.data.printed import check_calls, check_content, check_tools, dropped_reasoning, said
from posttrain.data.spans import Layout, Span, TurnCounts, Untrained
from posttrain.data.special_tokens import SpecialTokens, bos_of, complete, require_offsets, stop_tokens
from posttrain.errors import CheckpointError, DataError
from posttrain.recipe.schema import Chat
from posttrain.types import Message

PRESETS = Path(__file__).parent / "templates"
CONTEXTS = 64  # texts before a turn whose tokens are kept
Tools = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Encoded:
    """Token ids [T], and which of them are trained on: spans [start, end), in order. Of the assistant's turns: how many
    are trained, why each of the others is not, and how many of the trained stand behind another text than sampling
    would show."""

    ids: tuple[int, ...]
    spans: tuple[tuple[int, int], ...]
    trained_turns: int = 0
    untrained: tuple[Untrained, ...] = ()
    other_context: int = 0

    @property
    def mask(self) -> tuple[int, ...]:
        """[T]: 1 where the token is trained on."""
        mask = [0] * len(self.ids)
        for start, end in self.spans:
            mask[start:end] = [1] * (end - start)
        return tuple(mask)


class _Ends:
    """Where each token ends in its text [T], looked up one by one: a search in them reads a dozen, and the tokenizer
    would make a pair of numbers for every token."""

    def __init__(self, encoding: Any) -> None:
        self._encoding = encoding

    def __len__(self) -> int:
        return len(self._encoding)

    def __getitem__(self, token: int) -> int:
        return int(self._encoding.token_to_chars(token)[1])


def count_turns(rows: Iterable[Encoded]) -> TurnCounts:
    """The assistant's turns of many rows."""
    return TurnCounts.of((row.trained_turns, row.untrained, row.other_context) for row in rows)


class ChatTemplate:
    """A tokenizer with the template, think tags and stop tokens of a recipe."""

    def __init__(self, tokenizer: Any, chat: Chat, where: str) -> None:
        require_offsets(tokenizer, where)
        self.tokenizer = tokenizer
        self.added: tuple[str, ...] = ()  # tokens that the folder's tokenizer lacks (chat.add_tokens)
        self.think = (chat.think[0], chat.think[1])
        self.max_untrained_share = chat.max_untrained_share
        stops = stop_tokens(tokenizer, chat, where)
        self.stop_ids = tuple(stops.values())
        self._stop = next(iter(stops))
        self._specials = SpecialTokens(tokenizer)
        self._contexts: dict[str, list[int]] = {}
        self._variables = _date_variables(tokenizer.chat_template, chat, where)

    @classmethod
    def load(cls, model_dir: Path | str, chat: Chat, recipe_dir: Path | None = None) -> ChatTemplate:
        """Read the tokenizer of a checkpoint. Raises CheckpointError: no tokenizer, no chat template, unknown stop
        token, a preset whose tokens it lacks, a template that prints the date where the recipe gives none."""
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
        require_offsets(tokenizer, str(folder))
        added = complete(tokenizer, chat, str(folder))
        template = cls(tokenizer, chat, str(folder))
        template.added = added
        return template

    # ---------------------------------------------------------------- text

    @cached_property
    def dialect(self) -> Dialect:
        """How this template wants its turns."""
        return find_dialect(lambda turns: self._apply(turns, (), ask=False))

    def render(self, messages: Sequence[Message], *, ask: bool, tools: Tools = ()) -> str:
        """The text of a conversation; with `ask` up to where the assistant is to speak. Raises DataError where the
        template refuses it, with the turn."""
        return self._apply(self.dialect.put(messages), tools, ask=ask)

    def _apply(self, turns: Sequence[Message], tools: Tools, *, ask: bool) -> str:
        try:
            return self._rendered(turns, tools, ask)
        except Exception as error:
            roles = ", ".join(str(turn.get("role")) for turn in turns) or "none"
            at = self._refused_turn(turns, tools, error)
            kind = "" if "Template" in type(error).__name__ else f"{type(error).__name__}: "
            raise DataError(
                f"the chat template refuses turns of {roles}{at}: {kind}{error}",
                remedy="mend the row, or set chat.template",
            ) from error

    def _rendered(self, turns: Sequence[Message], tools: Tools, ask: bool) -> str:
        """What the tokenizer's apply_chat_template would return, at half the time: it collects special tokens and the
        environment's names anew for each text."""
        if not turns:
            return str(self.tokenizer.apply_chat_template([], tokenize=False))  # its own words of refusal
        known = [dict(tool) for tool in tools] or None
        template, names = self._compiled[known is not None]
        given = {"messages": list(turns), "tools": known, "documents": None, "add_generation_prompt": ask}
        return "".join(template.root_render_func(template.new_context({**names, **given, **self._variables}, True)))

    @cached_property
    def _compiled(self) -> dict[bool, tuple[Any, dict[str, Any]]]:
        """By whether there are tools (some tokenizers have a template for them): the template as transformers compiles
        it, and the names that it knows."""
        from transformers.utils.chat_template_utils import _compile_jinja_template

        special = self.tokenizer.special_tokens_map
        found = {}
        for with_tools in (False, True):
            template = _compile_jinja_template(self.tokenizer.get_chat_template(None, [{}] if with_tools else None))
            found[with_tools] = (template, {**template.globals, **special})
        return found

    def _refused_turn(self, turns: Sequence[Message], tools: Tools, error: Exception) -> str:
        """Where the same error comes first, as " at messages[2] (tool)"; "" where no turn can be told."""
        for number, turn in enumerate(turns, start=1):
            try:
                self._rendered(turns[:number], tools, False)
            except Exception as found:  # noqa: BLE001 - as in _apply
                if (type(found), str(found)) == (type(error), str(error)):
                    return f" at messages[{number - 1}] ({turn.get('role')})"
        return ""

    def prompt_text(self, messages: Sequence[Message], tools: Tools = ()) -> str:
        """The text that sampling starts from."""
        return self.render(messages, ask=True, tools=tools)

    def opened(self, prompt: str) -> str:
        """What a prompt opens of the reasoning, "" where it opens none. Example: "<think>\\n" of a prompt that ends in
        it: an answer to it starts inside the reasoning, and is whole with this before it."""
        at = prompt.rfind(self.think[0])
        return prompt[at:] if at >= 0 and not prompt[at + len(self.think[0]) :].strip() else ""

    def opened_by(self, messages: Sequence[Message], tools: Tools = ()) -> str:
        """What the prompt of these messages opens."""
        return self.opened(self.prompt_text(messages, tools))

    # ---------------------------------------------------------------- tokens

    def prompt_ids(self, messages: Sequence[Message], tools: Tools = ()) -> list[int]:
        """Token ids of the conversation so far, ending where the assistant is to speak. Raises DataError where a part
        of the row is not printed."""
        self._specials.refuse_in(messages, tools, self.think)
        text = self.prompt_text(messages, tools)
        check_tools(tools, text, lambda: self.prompt_text(messages))
        for index, turn in enumerate(messages):
            check_content(turn, index, self.think, text)
            check_calls(turn, index, text)
            if turn["role"] == "assistant" and not _in_order(said(turn, self.think)[0], text):
                self._refuse_if_never_printed(messages, index, tools)
        return self.encode(text)

    def plain_ids(self, text: str) -> list[int]:
        """Token ids of text without a template, behind the bos that the tokenizer itself puts before it."""
        return [*bos_of(self.tokenizer), *self.encode(text)]

    def encode(self, text: str) -> list[int]:
        """Token ids of rendered text, special tokens read, none added."""
        return list(self._encoding(text).ids)

    def decode(self, ids: Sequence[int]) -> str:
        """Text with special tokens kept (think tags are special in some models)."""
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=False))

    def answer_ids(self, text: str, prompt: str = "") -> list[int]:
        """Token ids of an assistant's answer behind the text of its prompt: its text, then the first stop token.

        Where a token would reach over the end of the prompt, the answer is tokenised by itself: it was sampled so.
        """
        ids, ends = self._tokens(prompt + text + self._stop)
        try:
            return ids[self._first_token(ids, ends, prompt + text + self._stop, len(prompt)) :]
        except _CutTokenError:
            return [*self.encode(text), self.stop_ids[0]]

    def encode_conversation(self, messages: Sequence[Message], tools: Tools = ()) -> Encoded:
        """Ids and mask of a whole conversation, assistant turns trained up to and with their stop token.

        Raises DataError: the template refuses a turn or does not print a part of it, a token would reach over the
        start of a turn, or no turn of the assistant can be trained.
        """
        self._specials.refuse_in(messages, tools, self.think)
        layout = Layout(messages, lambda turns, ask: self.render(turns, ask=ask, tools=tools), self.think)
        check_tools(tools, layout.text, lambda: self.render(messages, ask=False))
        ids, ends = self._tokens(layout.text)
        spans: list[tuple[int, int]] = []
        untrained: list[Untrained] = []
        trained = other_context = past = 0
        for index, turn in enumerate(messages):
            check_content(turn, index, self.think, layout.text)
            check_calls(turn, index, layout.text)
            if turn["role"] != "assistant":
                continue
            span = layout.locate(index) if turn.get("train", True) is not False else Untrained.CONTEXT
            tokens = span if isinstance(span, Untrained) else self._trained_tokens(span, ids, ends, layout, index)
            if isinstance(tokens, range) and tokens.start < past:
                tokens = Untrained.NOT_LOCATED
            if isinstance(tokens, Untrained):
                self._check_reasoning(messages, index, tools, layout.text)
                untrained.append(tokens)
                continue
            spans.append((tokens.start, tokens.stop))
            trained, past = trained + 1, tokens.stop
            other_context += isinstance(span, Span) and not self._is_context(span, layout.text, ids[: tokens.start])
        if not trained:
            raise DataError(
                f"no assistant turn can be told apart in the rendered text ({_whys(untrained)})",
                remedy="check chat.template, chat.stop and the row's last turn",
            )
        return Encoded(
            ids=tuple(ids),
            spans=tuple(spans),
            trained_turns=trained,
            untrained=tuple(untrained),
            other_context=other_context,
        )

    def _trained_tokens(self, span: Span, ids: list[int], ends: _Ends, layout: Layout, index: int) -> range | Untrained:
        """The tokens of a turn with its stop token. Raises DataError where the first would be cut."""
        try:
            first = self._first_token(ids, ends, layout.text, span.start)
        except _CutTokenError as error:
            raise DataError(
                f"the token {error.token!r} would be part of the prompt and of the answer messages[{index}]: {error}",
                remedy="take blanks off the beginning of the turn, or set chat.template",
            ) from error
        stop = self._first_stop(ids, first, bisect_right(ends, span.bound))
        text = layout.text[span.start : span.bound if stop is None else ends[stop]]
        reasoning, answer = said(layout.messages[index], self.think)
        if not _in_order([answer], text):
            return Untrained.NOT_LOCATED
        if not _in_order([*reasoning, answer], text):
            return Untrained.REASONING_DROPPED
        check_calls(layout.messages[index], index, text)
        return Untrained.NO_STOP if stop is None else range(first, stop + 1)

    def _context(self, text: str) -> list[int]:
        """Token ids of the text that a template prints before a turn, mostly the same few characters."""
        if text not in self._contexts:
            if len(self._contexts) >= CONTEXTS:
                self._contexts.clear()
            self._contexts[text] = self.encode(text)
        return self._contexts[text]

    def _first_stop(self, ids: list[int], first: int, bound: int) -> int | None:
        found = [ids.index(stop, first, bound) for stop in self.stop_ids if stop in ids[first:bound]]
        return min(found, default=None)

    def _is_context(self, span: Span, text: str, before: list[int]) -> bool:
        """Whether the ids before a turn are those that sampling would be given."""
        return text[: span.start] == span.prompt or self.encode(span.prompt) == before

    def _check_reasoning(self, messages: Sequence[Message], index: int, tools: Tools, text: str) -> None:
        """A turn that is not trained may lack its reasoning where the template drops that of the past, no other."""
        if not _in_order(said(messages[index], self.think)[0], text):
            self._refuse_if_never_printed(messages, index, tools)

    def _refuse_if_never_printed(self, messages: Sequence[Message], index: int, tools: Tools) -> None:
        try:
            last = self.render(messages[: index + 1], ask=False, tools=tools)
        except DataError:
            return  # a conversation that the template does not let end here
        if not _in_order(said(messages[index], self.think)[0], last):
            raise dropped_reasoning(index)

    def _tokens(self, text: str) -> tuple[list[int], _Ends]:
        """Ids [T] of a text, and where each token ends in it [T]."""
        encoding = self._encoding(text)
        return encoding.ids, _Ends(encoding)

    def _encoding(self, text: str) -> Any:
        """What the tokenizer's own call would make of a text, without the lists of its BatchEncoding that nobody reads:
        they took as long as the tokens. Its call sets the same before it asks the same."""
        backend = self.tokenizer.backend_tokenizer
        if backend.truncation is not None:
            backend.no_truncation()
        if backend.padding is not None:
            backend.no_padding()
        if backend.encode_special_tokens != self.tokenizer.split_special_tokens:
            backend.encode_special_tokens = self.tokenizer.split_special_tokens
        return backend.encode_batch([text], add_special_tokens=False)[0]

    def _first_token(self, ids: list[int], ends: _Ends, text: str, start: int) -> int:
        """The token that a span starts with. Raises _CutTokenError where the tokens before it are not those of the text
        before it.

        Offsets alone do not tell: some tokenizers trim blanks off them. The text since the last special token is
        tokenised again, which separates what stands before and behind it.
        """
        reach = bisect_right(ends, start)
        since = next((at for at in range(reach - 1, -1, -1) if ids[at] in self._specials.ids), 0)
        begin = ends[since - 1] if since else 0
        context = self._context(text[begin:start])
        if ids[since : since + len(context)] != context:
            if since:  # a special token that takes blanks along: tokenise all of it
                since, context = 0, self.encode(text[:start])
            if ids[: len(context)] != context:
                raise _CutTokenError(self.decode(ids[reach : reach + 1]), text[max(0, start - 12) : start + 12])
        return since + len(context)


class _CutTokenError(ValueError):
    """A token reaches over the start of a span."""

    def __init__(self, token: str, around: str) -> None:
        super().__init__(f"around {around!r}")
        self.token = token


def _in_order(texts: Sequence[str], within: str) -> bool:
    """Whether the texts stand there one behind the other."""
    at = 0
    for text in texts:
        at = within.find(text, at)
        if at < 0:
            return False
        at += len(text)
    return True


def _whys(untrained: Sequence[Untrained]) -> str:
    return ", ".join(dict.fromkeys(map(str, untrained))) or "the row has none"


def _date_variables(template: Any, chat: Chat, where: str) -> dict[str, Any]:
    """What a template that prints the date is given. Raises CheckpointError where it reads the clock and the recipe
    gives no date: the same rows would be other tokens tomorrow."""
    if chat.date is not None:
        day = datetime.date.fromisoformat(chat.date)
        return {"date_string": day.strftime("%d %b %Y"), "strftime_now": day.strftime}
    from jinja2.meta import find_undeclared_variables

    texts = template.values() if isinstance(template, Mapping) else [template]
    if any("strftime_now" in find_undeclared_variables(_parsed(text, where)) for text in texts):
        raise CheckpointError(
            "the chat template prints today's date, so the same rows would be other tokens tomorrow",
            where=where,
            remedy="set chat.date in the recipe (such as 2026-01-31), or take the date out of the template",
        )
    return {}


def _parsed(text: str, where: str) -> Any:
    """The syntax tree of a template. Raises CheckpointError."""
    from jinja2 import Environment, TemplateSyntaxError

    try:
        # `generation` is a tag that transformers adds to Jinja
        return Environment(extensions=["jinja2.ext.loopcontrols"]).parse(
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

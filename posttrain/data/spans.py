"""Where each turn of the assistant stands in the text of the whole conversation.

    Layout(messages, render, think).locate(2) -> Span(start=118, bound=164, prompt=...)

A turn starts where the prompt that asks for it ends, if the whole begins with that prompt. Templates also rewrite:
they drop earlier reasoning, end the last turn differently, move the system text. There the end of the turn before is
found in both texts by rendering them once more with an invisible mark behind the contents, and the turn starts behind
what the prompt prints from there on. Pure text; knows no tokenizer.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from posttrain.errors import DataError
from posttrain.types import Message

Render = Callable[[Sequence[Message], bool], str]  # (turns, ask) -> text; raises DataError

_MARK = 0xF0000  # the first of a plane for private use: no text of people's, and no blank that a template trims
_MARKS = re.compile(f"([{chr(_MARK)}-{chr(_MARK + 0xFFFD)}])")


class Untrained(StrEnum):
    """Why a turn of the assistant gives no loss."""

    CONTEXT = "context"  # the row says `train: false`
    REASONING_DROPPED = "reasoning_dropped"  # the template drops it where more turns follow
    NO_STOP = "no_stop"  # no stop token of the recipe ends it
    NO_PROMPT = "no_prompt"  # the template cannot ask for it: a first turn by the assistant
    NOT_LOCATED = "not_located"  # its text is not where the prompt for it ends


WORDS = {
    Untrained.REASONING_DROPPED: "the template drops their reasoning because more turns follow",
    Untrained.NO_STOP: "no stop token of chat.stop ends them",
    Untrained.NO_PROMPT: "the template cannot ask for a first turn by the assistant",
    Untrained.NOT_LOCATED: "their text cannot be told apart in the whole",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """A turn in the whole text: from `start` up to its stop token, which stands before `bound`. prompt: what sampling
    would be given; mostly, not always, it is the text up to `start`."""

    start: int
    bound: int
    prompt: str


@dataclass(frozen=True, kw_only=True, slots=True)
class TurnCounts:
    """Turns of the assistant over many rows.

    Example: TurnCounts(trained=120, untrained={"reasoning_dropped": 8}, context=3, other_context=2)
    """

    trained: int = 0
    untrained: dict[str, int] = field(default_factory=dict)  # by reason, `context` aside
    context: int = 0
    other_context: int = 0  # trained, but behind other text than sampling would show

    @classmethod
    def of(cls, rows: Iterable[tuple[int, Sequence[Untrained], int]]) -> TurnCounts:
        """rows: (trained, untrained, other context) of each."""
        whys: Counter[str] = Counter()
        trained = other = 0
        for turns, untrained, elsewhere in rows:
            trained, other = trained + turns, other + elsewhere
            whys.update(map(str, untrained))
        context = whys.pop(str(Untrained.CONTEXT), 0)
        return cls(trained=trained, untrained=dict(sorted(whys.items())), context=context, other_context=other)

    @property
    def untrained_share(self) -> float:
        """Of the turns that the rows give to imitate."""
        lost = sum(self.untrained.values())
        return lost / max(1, lost + self.trained)

    def in_words(self) -> str:
        """Example: "120 of 128 turns of the assistant trained, 8 not: the template drops ..." """
        lost = sum(self.untrained.values())
        words = [f"{self.trained:,} of {self.trained + lost:,} turns of the assistant trained"]
        words += [f"{count:,} not: {WORDS[Untrained(why)]}" for why, count in self.untrained.items()]
        if self.context:
            words.append(f"{self.context:,} context only")
        if self.other_context:
            words.append(f"{self.other_context:,} trained behind a context that sampling would show differently")
        return ", ".join(words)

    def check_share(self, allowed: float, name: str) -> None:
        """Raises DataError above the share of chat.max_untrained_share."""
        if self.untrained_share > allowed:
            raise DataError(
                f"{self.untrained_share:.1%} of the assistant's turns of data '{name}' would not be trained "
                f"(allowed {allowed:.1%}): {self.in_words()}",
                where=f"data.{name}",
                remedy=(
                    "use a template that keeps them, make each such turn the last of a row of its own, or raise "
                    "chat.max_untrained_share"
                ),
            )


class Layout:
    """The whole text of a conversation, and where its turns stand."""

    def __init__(self, messages: Sequence[Message], render: Render, think: tuple[str, str]) -> None:
        self.messages, self._render, self._think = messages, render, think
        self.text = render(messages, False)
        self._of_whole: dict[int, int] | None = None

    def upto(self, index: int) -> str | None:
        """The conversation as it ends with this turn; None where the template refuses it."""
        try:
            return self._render(self.messages[: index + 1], False)
        except DataError:
            return None

    def locate(self, index: int) -> Span | Untrained:
        """Where the turn [index] of the assistant may be looked for, or why it cannot be."""
        try:
            asked = self._render(self.messages[:index], True)
        except DataError:
            return Untrained.NO_PROMPT
        start = len(asked) if self.text.startswith(asked) else self._moved_start(index, asked)
        if start is None or (bound := self._bound(index, start)) is None:
            return Untrained.NOT_LOCATED
        return Span(start=start, bound=bound, prompt=asked)

    def _moved_start(self, index: int, asked: str) -> int | None:
        """The start where the whole does not begin with the prompt `asked`."""
        for in_whole, in_asked in self._anchors(index, asked):
            for head in _less_and_less_opened(asked[in_asked:], self._think):
                if head and self.text.startswith(head, in_whole):
                    return in_whole + len(head)
        return None

    def _anchors(self, index: int, asked: str) -> Iterator[tuple[int, int]]:
        """Places that mean the same in the whole and in the prompt: the beginning, and ends of the last contents."""
        yield 0, 0
        with_content = [turn for turn in range(index) if _has_content(self.messages[turn])]
        for turn in reversed(with_content[-2:]):
            in_whole = self._ends().get(turn)
            in_asked = self._marked_ends(asked, self.messages[:index], [turn], True).get(turn)
            if in_whole is not None and in_asked is not None:
                yield in_whole, in_asked

    def _bound(self, index: int, start: int) -> int | None:
        """Where the turn is over at the latest; None where what follows cannot be found."""
        upto = self.upto(index) if index + 1 < len(self.messages) else self.text
        if upto is not None and self.text.startswith(upto) and len(upto) > start:
            return len(upto)
        for turn in range(index + 1, len(self.messages)):
            if _has_content(self.messages[turn]):
                end = self._ends().get(turn)
                # A template may print less of an assistant's content, but no stop token stands in it.
                own = self.messages[turn]["role"] == "assistant"
                return None if end is None else end - (0 if own else len(self.messages[turn]["content"].strip()))
        return len(self.text)

    def _ends(self) -> dict[int, int]:
        """Turn -> where its content ends in the whole."""
        if self._of_whole is None:
            turns = [turn for turn, message in enumerate(self.messages) if _has_content(message)]
            found = self._marked_ends(self.text, self.messages, turns, False)
            if not found:  # one of them changes what the template does: each for itself
                for turn in turns:
                    found |= self._marked_ends(self.text, self.messages, [turn], False)
            self._of_whole = found
        return self._of_whole

    def _marked_ends(self, plain: str, messages: Sequence[Message], turns: Sequence[int], ask: bool) -> dict[int, int]:
        """Turn -> end of its content in `plain`, by rendering with a mark behind each; {} where that says nothing."""
        if _MARKS.search(plain) or len(messages) > 0xFFFD:
            return {}
        marked = [
            {**message, "content": message["content"] + chr(_MARK + turn)} if turn in turns else message
            for turn, message in enumerate(messages)
        ]
        try:
            return _align(plain, self._render(marked, ask))
        except DataError:
            return {}


def _has_content(message: Message) -> bool:
    return isinstance(message.get("content"), str) and bool(message["content"].strip())


def _less_and_less_opened(prompt: str, think: tuple[str, str]) -> Iterator[str]:
    """The end of a prompt, then without the think tags that it opens and closes: turns of the past lack those."""
    yield prompt
    while any(prompt.rstrip().endswith(tag) for tag in think):
        prompt = prompt.rstrip()
        yield prompt
        prompt = prompt.removesuffix(next(tag for tag in think if prompt.endswith(tag)))
        yield prompt


def _align(plain: str, marked: str) -> dict[int, int]:
    """Turn -> place of its mark in `plain`, the same text without marks; {} where it is not the same. Blanks before a
    mark may lack in `plain`, where the template trims them."""
    pieces = _MARKS.split(marked)
    states: dict[int, dict[int, int]] = {0: {}}  # place in plain -> marks found so far
    for number, piece in enumerate(pieces):
        after: dict[int, dict[int, int]] = {}
        for place, found in states.items():
            if number % 2:
                turn = ord(piece) - _MARK
                # Printed twice, it marks no place.
                after.setdefault(place, {**found, turn: -1 if turn in found else place})
                continue
            forms = (piece, piece.rstrip()) if number + 1 < len(pieces) else (piece,)
            for form in forms:
                if plain.startswith(form, place):
                    after.setdefault(place + len(form), found)
        states = after
    return {turn: place for turn, place in states.get(len(plain), {}).items() if place >= 0}

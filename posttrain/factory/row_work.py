"""One row under way: what it asks, in which form, and the record of all that came of it.

A reply that is not in its form is asked for once more, and then the row (or the candidate) is set aside with the
reason. A model that gives no reply at all, and a fault of a judge, end the row unfinished: neither says anything about
the row. Knows nothing of how requests are sent.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from posttrain.data.source_rows import CANDIDATES, SourceRow
from posttrain.factory.asking import Ask, Check, Refused, Reply, Silent, Trial, ask_key, ask_seed
from posttrain.factory.forms import Form, Unreadable
from posttrain.factory.templates import Prompts
from posttrain.recipe.schema import AskedModel
from posttrain.types import Message
from rewards.models.conversation import conversation_text
from rewards.types import Outcome, Request, Verdict, last_user_turn

AGAIN_TEMPERATURE = 0.7  # of a second try: at 0 the same reply would come
SHOWN_CHARS = 60_000  # of a conversation, in a prompt

Steps = Generator[Sequence[Ask | Check | Trial], list[Any], Any]


class SetAside(Exception):
    """The row gives nothing: the reason, as it is published."""


class Unfinished(Exception):
    """The row could not be worked out in this try: a model without a reply, a judge with a fault."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Kit:
    """What all rows of a stage share. versions: by role, what the model is, as far as this run knows."""

    models: Mapping[str, AskedModel]
    versions: Mapping[str, str]
    prompts: Prompts
    think: tuple[str, str]
    seed: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """One thing to ask. prompt: the template's name, shown as one user turn; or messages as they are. writes: what is
    asked for is a text to choose from, and not a judgement."""

    role: str
    place: str
    prompt: str
    variables: Mapping[str, Any] = field(default_factory=dict)
    form: Form | None = None
    messages: tuple[Message, ...] = ()
    writes: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """What came back: the text with its reasoning, and its fields where a form was asked for; `lacking` says why there
    is none of it."""

    text: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)
    cut: bool = False
    lacking: str = ""


class RowWork:
    """A row, its events so far and what it comes to. Mutable: the program of its stage fills it."""

    def __init__(self, row: SourceRow, kit: Kit) -> None:
        self.row, self.kit = row, kit
        self.events: list[dict[str, Any]] = []
        self.kept: list[dict[str, Any]] = []
        self.dropped: list[dict[str, Any]] = []
        self.facts: dict[str, Any] = {}  # for the stage's figures
        self.set_aside: str | None = None

    @property
    def question(self) -> str:
        """The conversation before the answer, as a judge reads it."""
        return conversation_text(self.row.messages, self.kit.think, SHOWN_CHARS)

    # ------------------------------------------------------------ asking

    def ask_one(self, wanted: Wanted) -> Steps:
        """As `ask`. Raises SetAside where it cannot be had."""
        (said,) = yield from self.ask([wanted])
        if said.lacking:
            raise SetAside(f"{wanted.role}: {said.lacking}")
        return said

    def ask(self, wanted: Sequence[Wanted]) -> Steps:
        """A `Said` for each. Raises Unfinished where a model gives no reply."""
        answers = yield [self._ask(one, first=True) for one in wanted]
        found = [self._read(one, answer, first=True) for one, answer in zip(wanted, answers, strict=True)]
        again = [place for place, said in enumerate(found) if said is None]
        if again:
            answers = yield [self._ask(wanted[place], first=False) for place in again]
            for place, answer in zip(again, answers, strict=True):
                found[place] = self._read(wanted[place], answer, first=False)
        return found

    def _ask(self, wanted: Wanted, *, first: bool) -> Ask:
        row, kit, model = self.row, self.kit, self.kit.models[wanted.role]
        structured = wanted.form is not None and model.structured
        messages = wanted.messages
        if not messages:
            form = {} if wanted.form is None else {"reply_form": wanted.form.said(structured=structured)}
            text = kit.prompts.text(wanted.prompt, {**wanted.variables, **form})
            messages = ({"role": "user", "content": text},)
        temperature = model.temperature if model.temperature is not None else float(wanted.writes)
        temperature = temperature if first else max(temperature, AGAIN_TEMPERATURE)
        place = wanted.place if first else f"{wanted.place}.again"
        seed = self._seed(place)
        tools = row.tools if wanted.messages else ()
        schema = wanted.form.schema() if wanted.form is not None and structured else None
        how = (kit.versions[wanted.role], temperature, model.top_p, model.max_tokens, seed, schema, model.extra)
        key = ask_key(row.number, row.id, place, wanted.role, messages, tools, how)
        return Ask(
            row=row.number,
            role=wanted.role,
            place=place,
            messages=messages,
            temperature=temperature,
            seed=seed,
            key=key,
            tools=tools,
            schema=schema,
        )

    def _seed(self, place: str) -> int:
        return ask_seed(self.kit.seed, self.row.data, self.row.number, self.row.id, place)

    def seed_of(self, place: str) -> int:
        """The seed of the reply that counts at a place: of the second, where the first was not in its form."""
        again = f"{place}.again"
        return self._seed(again if any(event["place"] == again for event in self.events) else place)

    def _read(self, wanted: Wanted, answer: Reply | Refused | Silent, *, first: bool) -> Said | None:
        """What was said; None where it is to be asked once more."""
        if isinstance(answer, Silent):
            raise Unfinished(f"{wanted.role} gave no reply: {answer.reason}")
        event: dict[str, Any] = {
            "place": wanted.place if first else f"{wanted.place}.again",
            "role": wanted.role,
            "prompt": wanted.prompt,
        }
        self.events.append(event)
        if isinstance(answer, Refused):
            event["refused"] = answer.reason
            return Said(lacking=f"the request is refused: {answer.reason}")
        tokens = [answer.prompt_tokens, answer.completion_tokens]
        event |= {"by": answer.by, "tokens": tokens, "reply": answer.text}
        if wanted.form is None:
            reason = "" if answer.text.strip() else "the reply is empty"
            if reason:
                event["unread"] = reason
                return None if first else Said(lacking=reason)
            event |= {"cut": True} if answer.cut else {}
            return Said(text=answer.text, cut=answer.cut)
        structured = self.kit.models[wanted.role].structured
        try:
            fields = wanted.form.read(answer.text, self.kit.think, structured=structured)
        except Unreadable as error:
            event["unread"] = f"cut off at max_tokens: {error}" if answer.cut else str(error)
            return None if first else Said(lacking=f"unreadable reply: {event['unread']}")
        event["fields"] = fields
        return Said(text=answer.text, fields=fields, cut=answer.cut)

    # ------------------------------------------------------------ rules

    def check(self, verifier: str, answers: Sequence[str], cut: Sequence[bool], place: str) -> Steps:
        """A Verdict for each answer. Raises Unfinished where the fault is a judge's."""
        verdicts: list[Verdict] = yield [
            Check(verifier=verifier, request=self.request(answer, cut=one))
            for answer, one in zip(answers, cut, strict=True)
        ]
        self.note_verdicts(verifier, verdicts, place)
        return verdicts

    def note_verdicts(self, verifier: str, verdicts: Sequence[Verdict], place: str) -> None:
        """Verdicts as events. Raises Unfinished where the fault is a judge's."""
        for number, verdict in enumerate(verdicts):
            if verdict.outcome is Outcome.ERROR:
                detail = verdict.certificate.get("detail", "")
                raise Unfinished(f"verifier {verifier}: {verdict.reason} {detail}".strip())
            self.events.append(
                {
                    "place": f"{place}.{number}",
                    "rules": verifier,
                    "outcome": str(verdict.outcome),
                    "score": verdict.score,
                    "reason": verdict.reason,
                    "extracted": verdict.extracted,
                }
            )

    def request(self, answer: str, *, cut: bool = False) -> Request:
        """An answer to this row as verifiers see it."""
        row = self.row
        return Request(
            response=answer,
            gold=row.gold,
            question=last_user_turn(row.messages),
            messages=row.messages,
            stop_reason="length" if cut else "stop",
            reference=row.reference,
            metadata=row.metadata,
        )

    # ------------------------------------------------------------ what it comes to

    def keep(
        self, answer: str, *, by: Sequence[str], note: Mapping[str, Any], published: SourceRow | None = None
    ) -> None:
        """Publish a row: this row's question with an answer. by: the models that made or chose it; published: the row
        where more of it than the answer is made."""
        row = published or self.row
        made = {"data": row.data, "row": row.number, "id": row.id, "models": list(dict.fromkeys(by)), **note}
        kept = published_row(row, answer, made)
        if self.kept:
            kept["id"] = f"{row.id}#{len(self.kept) + 1}"
        self.kept.append(kept)

    def drop(self, what: str, reason: str) -> None:
        """Note a candidate that is not kept."""
        self.dropped.append({"what": what, "reason": reason})

    def record(self) -> dict[str, Any]:
        """The row's line of the published history."""
        row = self.row
        return {
            "row": row.number,
            "id": row.id,
            "data": row.data,
            "group": row.group,
            "question": self.question,
            "gold": row.gold,
            "given": list(row.answers),
            "made_from": list(row.made_from),
            "events": self.events,
            "dropped": self.dropped,
            "kept": self.kept,
            "set_aside": self.set_aside,
            "facts": self.facts,
        }


def published_row(row: SourceRow, answer: str | None, made: Mapping[str, Any]) -> dict[str, Any]:
    """A row as it is published: read as a prompt with its gold, and where it has an answer as a row to imitate. made:
    what is added to what it was made from."""
    whole: dict[str, Any] = {
        "id": row.id,
        "prompt": list(row.messages),
        "completion": None if answer is None else [{"role": "assistant", "content": answer}],
        # A row of prompts states a gold, if only that there is none.
        "gold": "" if row.gold is None and row.reference is None else row.gold,
        "reference": row.reference,
        "metadata": row.metadata,
        "tools": list(row.tools),
        "made_from": [*row.made_from, made],
    }
    # A gold may be empty: a row whose right answer is no call at all.
    return {
        key: value for key, value in whole.items() if value is not None and (key == "gold" or value not in ({}, []))
    }


def row_as_read(row: SourceRow) -> dict[str, Any]:
    """A row published as it was read, with all of its answers; a row to imitate teaches the same turns as before."""
    made = {"data": row.data, "row": row.number, "id": row.id, "models": []}
    whole = published_row(row, row.answers[0] if row.answers else None, made)
    if row.turns:
        # In a prompt, turns of the assistant are context where they do not say otherwise.
        asked = [
            turn | {"train": True} if turn["role"] == "assistant" and turn.get("train", True) else turn
            for turn in row.turns[:-1]
        ]
        whole |= {"prompt": asked, "completion": [row.turns[-1]]}
    return {**whole, CANDIDATES: list(row.answers)} if len(row.answers) > 1 else whole


def spoken(messages: Sequence[Message], text: str) -> tuple[Message, ...]:
    """The turns with the last user turn in these words."""
    last = max((place for place, turn in enumerate(messages) if turn["role"] == "user"), default=None)
    if last is None:
        return (*messages, {"role": "user", "content": text})
    return (*messages[:last], {**messages[last], "content": text}, *messages[last + 1 :])


def generations(work: RowWork, generators: Sequence[str], samples: int) -> list[Wanted]:
    """What each generator is asked for a row: its last user turn in the words of the prompt `generate`."""
    text = work.kit.prompts.text("generate", {"question": last_user_turn(work.row.messages) or ""})
    messages = spoken(work.row.messages, text)
    return [
        Wanted(role=role, place=f"generate.{role}.{number}", prompt="generate", messages=messages, writes=True)
        for role in generators
        for number in range(samples)
    ]

"""A model behind an OpenAI-compatible server, as data stages ask it. The client is that of the verifiers.

Knows the protocol's fields by name; nothing of rows, budgets or files.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from posttrain.errors import InputError
from posttrain.factory.asking import Answer, Ask, Refused, Reply, Silent
from posttrain.factory.budget import cost_of
from posttrain.recipe.data_stages import server_options
from posttrain.recipe.schema import AskedModel
from posttrain.types import Message
from rewards.errors import VerifierError
from rewards.models.endpoint import Endpoint, check_model
from rewards.types import NoReply

_LONE = re.compile(r"[\ud800-\udfff]")
_THINK = ("<think>", "</think>")
_BYTES_PER_TOKEN = 3  # few texts have fewer; a budget must not be overdrawn


class ServerModel:
    """One model of a recipe. where: its key there, for messages; think: the tags around reasoning that it gives
    apart."""

    def __init__(self, model: AskedModel, *, think: tuple[str, str], where: str) -> None:
        options = check_model(server_options(model), where=where)
        assert options is not None, "the recipe's checks have seen that it is a server"
        self._client, self._model, self._think, self._where = Endpoint(options), model, think, where
        self.parallel = model.parallel

    def answer(self, asks: Sequence[Ask]) -> list[Answer]:
        """Raises InputError for what only the recipe can mend: the key, the address, the model's name."""
        return [self._answer(ask) for ask in asks]

    def _answer(self, ask: Ask) -> Answer:
        model = self._model
        fields: dict[str, Any] = {"temperature": ask.temperature, "max_tokens": model.max_tokens, "seed": ask.seed}
        if model.top_p < 1:
            fields["top_p"] = model.top_p
        if ask.schema is not None:
            named = {"name": "reply", "schema": dict(ask.schema), "strict": True}
            fields["response_format"] = {"type": "json_schema", "json_schema": named}
        if ask.tools:
            fields["tools"] = list(ask.tools)
        try:
            reply = self._client.chat([_on_the_wire(turn) for turn in ask.messages], fields)
        except VerifierError as error:
            raise InputError(error.what, where=self._where, remedy=error.remedy) from None
        if isinstance(reply, NoReply):
            reason = _whole(reply.reason)
            return Refused(reason=reason) if reply.lasting else Silent(reason=reason)
        text = self._in_our_tags(_whole(reply.text))
        if reply.reasoning:
            # One that was cut within its reasoning has no answer yet: its tag stays open.
            end = f"\n{self._think[1]}\n\n{text}" if text else ""
            text = f"{self._think[0]}\n{_whole(reply.reasoning)}{end}"
        return Reply(
            text=text,
            cut=reply.finish == "length",
            prompt_tokens=reply.prompt_tokens,
            completion_tokens=reply.completion_tokens,
            by=_whole(reply.served_by) or str(model.model),
        )

    def _in_our_tags(self, text: str) -> str:
        """Most servers that leave the reasoning in the text mark it so, whatever a recipe's own tags are."""
        if text.lstrip().startswith(_THINK[0]) and self._think != _THINK:
            return text.replace(_THINK[0], self._think[0], 1).replace(_THINK[1], self._think[1], 1)
        return text

    def price(self, reply: Reply) -> float:
        """What the server charges for a reply."""
        return cost_of(self._model, reply.prompt_tokens or 0, reply.completion_tokens or 0)

    def most_tokens(self, ask: Ask) -> tuple[int, int]:
        size = sum(len(str(turn.get("content")).encode()) for turn in ask.messages)
        return size // _BYTES_PER_TOKEN + 16, self._model.max_tokens


def _whole(text: str) -> str:
    """Without halves of surrogate pairs, which a server may cut a character into and no file can hold."""
    return _LONE.sub("\ufffd", text)


def probe_server(model: AskedModel, where: str) -> str:
    """One line when the server answers. Raises InputError with what is wrong and the remedy."""
    quick = model.model_copy(update={"retries": 1, "timeout_seconds": min(model.timeout_seconds, 60.0)})
    turns = ({"role": "user", "content": "Reply with one word: ready"},)
    ask = Ask(row=0, role="probe", place="probe", messages=turns, temperature=0.0, seed=0, key="")
    (found,) = ServerModel(quick, think=_THINK, where=where).answer([ask])
    if not isinstance(found, Reply):
        remedy = f"is {model.endpoint} up, and the model loaded?"
        raise InputError(f"the server does not answer: {found.reason}", where=where, remedy=remedy)
    counts = "" if found.completion_tokens is not None else "; it counts no tokens, so that no budget can be kept"
    return f"{found.by} answers{counts}"


def _on_the_wire(turn: Message) -> dict[str, Any]:
    """A turn as the protocol has it: arguments of calls are JSON text."""
    kept = {key: value for key, value in turn.items() if key not in ("train", "reasoning_content")}
    if "tool_calls" in kept:
        kept["tool_calls"] = [
            {**call, "function": {**call["function"], "arguments": json.dumps(call["function"]["arguments"])}}
            for call in kept["tool_calls"]
        ]
    return kept

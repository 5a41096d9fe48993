"""A model behind an OpenAI-compatible HTTP endpoint, as verifiers ask it (`rewards.types.JudgeModel`). Standard library
only.

One request a prompt, several at once; a deadline for the whole request, retries with growing pauses. A prompt that
still fails gets a `NoReply`, never a score. The key is read from the environment variable that the recipe names and
appears in no message. Knows nothing of what is asked, and nothing of proxies.
"""

from __future__ import annotations

import http.client
import json
import math
import os
import random
import re
import socket
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, TypeVar
from urllib.parse import urlsplit

from rewards.contract.options import EndpointOptions, parse_options
from rewards.errors import VerifierError
from rewards.types import JudgeModel, NoReply

TOP_LOGPROBS = 20  # the most that the protocol gives
MAX_REPLY_BYTES = 4_000_000
_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.5, 20.0
_LONGEST_WISH_SECONDS = 120.0  # that a server's Retry-After is heeded
_AGAIN = (408, 409, 425, 429, 500, 502, 503, 504, 529)
_RECIPE_IS_WRONG = {401: "the key", 403: "the key", 404: "endpoint and model"}
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_STAGE_KEYS = {"stage"}

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class ChatReply:
    """What a server answered to one conversation. reasoning: where the server gives it apart, else ""; finish: its word
    for why the answer ended; tokens: None where it does not count; served_by: what it calls the model.

    Example: ChatReply(text="42", reasoning="17+25=42", finish="stop", prompt_tokens=12, completion_tokens=9,
    served_by="judge-7b")
    """

    text: str
    reasoning: str
    finish: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    served_by: str


def check_model(model: Mapping[str, Any], *, where: str) -> EndpointOptions | None:
    """The options of an endpoint; None for a model that a stage trains. Raises VerifierError; never shows what stands
    for a key."""
    if "stage" in model:
        if set(model) != _STAGE_KEYS or not isinstance(model["stage"], str):
            raise VerifierError(
                "a stage's model is named by `stage` alone",
                where=where,
                remedy="write {stage: <name of a reward_model>}",
            )
        return None
    if "endpoint" not in model:
        remedy = (
            "write {stage: NAME} for a model of the recipe, or {endpoint: http://host:8000/v1, model: NAME, "
            "api_key_env: VARIABLE}"
        )
        raise VerifierError("the model has neither `stage` nor `endpoint`", where=where, remedy=remedy)
    if model.get("api_key_env") is not None and not (
        isinstance(model["api_key_env"], str) and _VARIABLE.match(model["api_key_env"])
    ):
        # Not shown: it may be the key itself.
        remedy = "give the name of an environment variable, such as JUDGE_KEY, never the key"
        raise VerifierError("api_key_env is no variable name", where=f"{where}.api_key_env", remedy=remedy)
    options = parse_options(EndpointOptions, model, where=where)
    parts = urlsplit(options.endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
        shown = parts._replace(netloc=parts.hostname or "", query="").geturl()
        raise VerifierError(
            f"endpoint {shown!r} is no plain address", where=f"{where}.endpoint", remedy="such as http://host:8000/v1"
        )
    for name, least in (("timeout_seconds", 0.01), ("retries", 0), ("parallel", 1)):
        if getattr(options, name) < least:
            raise VerifierError(
                f"{name} is {getattr(options, name)}", where=f"{where}.{name}", remedy=f"{least} or more"
            )
    if taken := sorted(
        set(options.extra)
        & {"model", "messages", "max_tokens", "temperature", "logprobs", "top_logprobs", "stream", "n"}
    ):
        raise VerifierError(
            f"extra sets {taken[0]!r}", where=f"{where}.extra", remedy="the verifier sets it itself; leave it out"
        )
    return options


def open_model(model: Mapping[str, Any], stage_model: Callable[[Mapping[str, Any]], JudgeModel]) -> JudgeModel:
    """An endpoint's client, or what `stage_model` gives for a stage's model. Asks nothing yet. Raises VerifierError."""
    options = check_model(model, where="model")
    return stage_model(model) if options is None else Endpoint(options)


def probe(model: Mapping[str, Any]) -> str:
    """One line when the endpoint answers with a label and its log-probabilities. Raises VerifierError with what is
    wrong and the remedy."""
    options = check_model(model, where="model")
    if options is None:
        raise VerifierError("a stage's model is no endpoint", where="model", remedy="ask an endpoint")
    quick = replace(options, retries=1, timeout_seconds=min(options.timeout_seconds, 30.0))
    row = Endpoint(quick).label_logprobs(
        ["Which letter comes first in the alphabet? Reply with A or B and nothing else.\n"], ["A", "B"]
    )[0]
    if isinstance(row, NoReply):
        raise VerifierError(
            f"the endpoint does not serve: {row.reason}",
            where="model",
            remedy=f"is {options.endpoint} up, and the model loaded?",
        )
    share = sum(math.exp(value) for value in row)
    if share < 0.5:
        remedy = (
            "take a chat model; if it thinks first, switch that off: extra: {chat_template_kwargs: "
            "{enable_thinking: false}}"
        )
        raise VerifierError(
            f"asked for A or B, the model says so with probability {share:.2f} only", where="model", remedy=remedy
        )
    return f"{options.model} answers with labels (probability {share:.2f}) and log-probabilities"


class _Fault(Exception):
    """A request that failed. `again`: it may succeed later; `after`: the server's own wish, seconds."""

    def __init__(self, what: str, *, again: bool = True, after: float = 0.0) -> None:
        super().__init__(what)
        self.again = again
        self.after = after


class Endpoint:
    """POST {endpoint}/chat/completions, temperature 0. Holds no connection, so it may be forked, pickled and shared by
    threads."""

    def __init__(self, options: EndpointOptions) -> None:
        self.options = options

    def complete(self, prompts: list[str], *, max_tokens: int) -> list[str | NoReply]:
        return self._each(prompts, {"max_tokens": max_tokens}, lambda body: _text_of(_choice_of(body)))

    def label_logprobs(self, prompts: list[str], labels: list[str]) -> list[list[float] | NoReply]:
        """-inf for a label that is not among the first token's likeliest 20. Token spellings of a label (" A", "A") are
        added up."""
        fields = {"max_tokens": 1, "logprobs": True, "top_logprobs": TOP_LOGPROBS}
        return self._each(prompts, fields, lambda body: _labels_of(_choice_of(body), labels))

    def chat(self, messages: list[dict[str, Any]], fields: Mapping[str, Any]) -> ChatReply | NoReply:
        """One conversation answered; fields: of the request, such as temperature, max_tokens and seed."""
        return self._patient(messages, dict(fields), _chat_of, self._key())

    def _each(
        self, prompts: list[str], fields: dict[str, Any], read: Callable[[dict[str, Any]], T]
    ) -> list[T | NoReply]:
        if not prompts:
            return []
        key = self._key()
        with ThreadPoolExecutor(min(self.options.parallel, len(prompts))) as pool:
            turns = ([{"role": "user", "content": prompt}] for prompt in prompts)
            return list(pool.map(lambda messages: self._patient(messages, fields, read, key), turns))

    def _key(self) -> str | None:
        name = self.options.api_key_env
        if name is None:
            return None
        key = os.environ.get(name, "").strip()
        if not key:
            remedy = f"export {name}=... where posttrain runs (on a cluster: where its scorer runs)"
            raise VerifierError(f"environment variable {name} is not set", where="model.api_key_env", remedy=remedy)
        return key

    def _patient(
        self,
        messages: list[dict[str, Any]],
        fields: dict[str, Any],
        read: Callable[[dict[str, Any]], T],
        key: str | None,
    ) -> T | NoReply:
        """One request, tried 1 + retries times."""
        body = {"model": self.options.model, "messages": messages, "temperature": 0, **fields}
        data = json.dumps({**body, **self.options.extra}).encode()
        fault = _Fault("not asked")
        for attempt in range(self.options.retries + 1):
            try:
                return read(_body_of(self._post(data, key)))
            except _Fault as error:
                fault = error
            if not fault.again or attempt == self.options.retries:
                break
            pause = _PAUSE_SECONDS * 2**attempt * random.uniform(0.5, 1.0)  # not in step with the other threads
            time.sleep(max(min(pause, _LONGEST_PAUSE_SECONDS), min(fault.after, _LONGEST_WISH_SECONDS)))
        return NoReply(reason=_without(str(fault), key), lasting=not fault.again)

    def _post(self, data: bytes, key: str | None) -> bytes:
        """The body of a 200 reply. Raises _Fault, or VerifierError where asking again can never help."""
        parts = urlsplit(self.options.endpoint)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(parts.hostname or "", parts.port, timeout=self.options.timeout_seconds)
        headers = {"Content-Type": "application/json", "Accept": "application/json", "Connection": "close"}
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        expired = threading.Event()
        watch: threading.Timer | None = None
        try:
            connection.connect()
            watch = threading.Timer(self.options.timeout_seconds, _cut, (connection.sock, expired))
            watch.daemon = True
            watch.start()
            connection.request("POST", f"{parts.path.rstrip('/')}/chat/completions", data, headers)
            reply = connection.getresponse()
            raw = reply.read(MAX_REPLY_BYTES + 1)
        except (OSError, http.client.HTTPException) as error:
            late = expired.is_set() or isinstance(error, TimeoutError)
            what = (
                f"no reply within {self.options.timeout_seconds:g} s"
                if late
                else f"{type(error).__name__}: {error}"[:200]
            )
            raise _Fault(what) from None
        finally:
            if watch is not None:
                watch.cancel()
            connection.close()
        if expired.is_set():
            raise _Fault(f"no whole reply within {self.options.timeout_seconds:g} s")
        if len(raw) > MAX_REPLY_BYTES:
            raise _Fault(f"a reply of more than {MAX_REPLY_BYTES:,} bytes", again=False)
        if reply.status != 200:
            self._refuse(
                reply.status, reply.headers.get("Retry-After", ""), _without(raw[:300].decode("utf-8", "replace"), key)
            )
        return raw

    def _refuse(self, status: int, after: str, said: str) -> None:
        if status in _RECIPE_IS_WRONG:
            what = f"the endpoint answers {status}: {said[:200]}"
            raise VerifierError(what, where="model", remedy=f"check {_RECIPE_IS_WRONG[status]} of the verifier's model")
        wish = float(after) if re.fullmatch(r"\s*\d{1,9}(\.\d*)?\s*", after) else 0.0
        raise _Fault(f"status {status}: {said[:200]}", again=status in _AGAIN, after=wish)


def _cut(open_socket: socket.socket, expired: threading.Event) -> None:
    # A socket's own timeout starts anew with each byte: a reply that trickles would never end.
    expired.set()
    with suppress(OSError):  # closed in the same moment
        open_socket.shutdown(socket.SHUT_RDWR)


def _without(text: str, key: str | None) -> str:
    return text.replace(key, "[key]") if key else text


def _body_of(raw: bytes) -> dict[str, Any]:
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise _Fault(f"the reply is no chat completion ({type(error).__name__})") from None
    if not isinstance(body, dict):
        raise _Fault("the reply is no chat completion")
    return body


def _choice_of(body: dict[str, Any]) -> dict[str, Any]:
    try:
        choice = body["choices"][0]
    except (KeyError, IndexError, TypeError) as error:
        raise _Fault(f"the reply is no chat completion ({type(error).__name__})") from None
    if not isinstance(choice, dict):
        raise _Fault("the reply is no chat completion")
    return choice


def _chat_of(body: dict[str, Any]) -> ChatReply:
    """A whole reply. One that was cut within its reasoning has no text and is still a reply."""
    choice = _choice_of(body)
    message = choice.get("message")
    said = message if isinstance(message, dict) else {}
    if said.get("tool_calls"):
        raise _Fault("the reply calls tools, which are not read here", again=False)
    reasoning = said.get("reasoning_content") or said.get("reasoning") or ""
    cut = choice.get("finish_reason") == "length"
    text = said.get("content")
    if text is None and cut:
        text = ""
    if not isinstance(text, str) or not isinstance(reasoning, str):
        raise _Fault("the reply has no text")
    usage = body.get("usage")
    counts = usage if isinstance(usage, dict) else {}
    names = [str(body[name]) for name in ("model", "system_fingerprint") if body.get(name)]
    return ChatReply(
        text=text,
        reasoning=reasoning,
        finish=choice.get("finish_reason"),
        prompt_tokens=_count_of(counts.get("prompt_tokens")),
        completion_tokens=_count_of(counts.get("completion_tokens")),
        served_by=" ".join(names),
    )


def _count_of(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _text_of(choice: dict[str, Any]) -> str:
    message = choice.get("message")
    text = message.get("content") if isinstance(message, dict) else None
    if not isinstance(text, str):
        raise _Fault("the reply has no text")
    return text


def _labels_of(choice: dict[str, Any], labels: list[str]) -> list[float]:
    """[L] log-probabilities of the first token being each label."""
    try:
        top = {entry["token"]: float(entry["logprob"]) for entry in choice["logprobs"]["content"][0]["top_logprobs"]}
    except (KeyError, IndexError, TypeError, ValueError):
        raise _Fault("the reply has no log-probabilities; the endpoint must serve logprobs with top_logprobs") from None
    if any(math.isnan(value) or value > 1e-3 for value in top.values()):
        raise _Fault("the reply's log-probabilities are no log-probabilities")
    return [_log_sum([value for token, value in top.items() if token.strip() == label]) for label in labels]


def _log_sum(values: list[float]) -> float:
    top = max(values, default=-math.inf)
    return top if top == -math.inf else top + math.log(sum(math.exp(value - top) for value in values))

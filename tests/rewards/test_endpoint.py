"""The endpoint client against a real HTTP server: what it sends, what it reads, and every fault, none of which is ever
a score."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from benchmarks.judge_attacks.server import Fault, ScriptedServer
from rewards.contract.options import EndpointOptions
from rewards.errors import VerifierError
from rewards.models import endpoint as client
from rewards.models.endpoint import Endpoint, check_model, open_model
from rewards.types import NoReply


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_PAUSE_SECONDS", 0.01)


@contextmanager
def served(script: Callable[..., Any], **options: Any) -> Iterator[tuple[Endpoint, ScriptedServer]]:
    with ScriptedServer(script) as server:
        given: dict[str, Any] = {"timeout_seconds": 20.0, "retries": 2, **options}
        yield Endpoint(EndpointOptions(endpoint=server.url, model="judge", **given)), server


def failing(*faults: Fault, then: Any = "fine") -> Callable[..., Any]:
    """A script that fails so many times, then answers."""
    left = list(faults)
    return lambda prompt, body: left.pop(0) if left else then


def test_a_prompt_is_asked_as_one_greedy_user_turn_and_replies_keep_their_order() -> None:
    with served(lambda prompt, body: prompt.upper(), extra={"chat_template_kwargs": {"enable_thinking": False}}) as (
        model,
        server,
    ):
        assert model.complete([f"p{i}" for i in range(40)], max_tokens=7) == [f"P{i}" for i in range(40)]
        first = server.requests[0]
        assert (first["path"], first["model"], first["temperature"], first["max_tokens"]) == (
            "/v1/chat/completions",
            "judge",
            0,
            7,
        )
        assert first["chat_template_kwargs"] == {"enable_thinking": False} and first["authorization"] is None


def test_labels_are_read_from_the_first_tokens_log_probabilities_over_all_spellings() -> None:
    with served(lambda prompt, body: {"A": 0.5, " A": 0.25, "B": 0.125, "C": 0.125}) as (model, server):
        row = model.label_logprobs(["x"], ["A", "B", "Z"])[0]
        assert not isinstance(row, NoReply)
        assert row == [pytest.approx(math.log(0.75)), pytest.approx(math.log(0.125)), -math.inf]
        assert (
            server.requests[0]["max_tokens"],
            server.requests[0]["logprobs"],
            server.requests[0]["top_logprobs"],
        ) == (1, True, 20)


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=500),
        Fault(status=429, headers={"Retry-After": "0"}),
        Fault(kind="cut"),
        Fault(kind="raw", body="{not json"),
        Fault(kind="raw", body='{"choices": []}'),
        Fault(kind="raw", body="[1]"),
        Fault(kind="raw", body='{"choices": [{"message": {"content": null}}]}'),
    ],
    ids=["500", "429", "cut", "not_json", "no_choice", "a_list", "no_text"],
)
def test_a_passing_fault_is_tried_again_and_a_lasting_one_is_a_failure_in_its_place(fault: Fault) -> None:
    with served(failing(fault, fault)) as (model, _):
        assert model.complete(["x"], max_tokens=5) == ["fine"]
    with served(lambda prompt, body: fault if prompt == "bad" else "fine") as (model, server):
        good, bad = model.complete(["good", "bad"], max_tokens=5)
        assert good == "fine" and isinstance(bad, NoReply) and bad.reason
        assert sum(request["messages"][0]["content"] == "bad" for request in server.requests) == 3


@pytest.mark.parametrize("kind", ["hang", "trickle"])
def test_a_server_that_says_nothing_or_trickles_is_left_at_the_deadline(kind: str) -> None:
    with served(lambda prompt, body: Fault(kind=kind), timeout_seconds=0.4, retries=0) as (model, _):
        started = time.monotonic()
        (reply,) = model.complete(["x"], max_tokens=5)
        assert isinstance(reply, NoReply) and "0.4 s" in reply.reason
        assert time.monotonic() - started < 15  # the script would go on for 30 s


@pytest.mark.parametrize(
    "reply",
    ["no log-probabilities", Fault(kind="raw", body='{"choices": [{"message": {}, "logprobs": {"content": [{}]}}]}')],
)
def test_without_log_probabilities_there_is_no_label(reply: Any) -> None:
    with served(lambda prompt, body: reply, retries=0) as (model, _):
        (row,) = model.label_logprobs(["x"], ["A", "B"])
        assert isinstance(row, NoReply) and "log-probabilities" in row.reason


def test_nobody_at_the_address_is_a_failure() -> None:
    with ScriptedServer(lambda prompt, body: "x") as server:
        url = server.url
    (reply,) = Endpoint(EndpointOptions(endpoint=url, model="judge", retries=1)).complete(["x"], max_tokens=5)
    assert isinstance(reply, NoReply) and "refused" in reply.reason.lower()


def test_a_bad_request_is_not_repeated() -> None:
    with served(lambda prompt, body: Fault(status=400)) as (model, server):
        (reply,) = model.complete(["x"], max_tokens=5)
        assert isinstance(reply, NoReply) and len(server.requests) == 1


@pytest.mark.parametrize("status", [401, 403, 404])
def test_what_only_the_recipe_can_mend_stops_the_run_and_never_shows_the_key(
    status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_JUDGE_KEY", "s3cret-value")
    fault = Fault(status=status, body='{"error": "key s3cret-value is not known"}')
    with served(lambda prompt, body: fault, api_key_env="A_JUDGE_KEY") as (model, server):
        with pytest.raises(VerifierError, match=str(status)) as caught:
            model.complete(["x"], max_tokens=5)
        assert server.requests[0]["authorization"] == "Bearer s3cret-value"
        assert "s3cret-value" not in str(caught.value) and "s3cret-value" not in repr(model.__dict__)


def test_a_key_that_is_not_set_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("A_JUDGE_KEY", raising=False)
    with (
        served(lambda prompt, body: "x", api_key_env="A_JUDGE_KEY") as (model, _),
        pytest.raises(VerifierError, match="A_JUDGE_KEY"),
    ):
        model.complete(["x"], max_tokens=5)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ({}, "neither"),
        ({"stage": "judge", "endpoint": "http://h/v1"}, "alone"),
        ({"stage": 3}, "alone"),
        ({"endpoint": "http://h/v1"}, "model"),
        ({"endpoint": "h:8000/v1", "model": "m"}, "address"),
        ({"endpoint": "http://user:pass@h/v1", "model": "m"}, "address"),
        ({"endpoint": "http://h/v1", "model": "m", "timout_seconds": 3}, "timeout_seconds"),
        ({"endpoint": "http://h/v1", "model": "m", "retries": -1}, "retries"),
        ({"endpoint": "http://h/v1", "model": "m", "parallel": 0}, "parallel"),
        ({"endpoint": "http://h/v1", "model": "m", "extra": {"temperature": 1}}, "temperature"),
        ({"endpoint": "http://h/v1", "model": "m", "api_key_env": "sk-abc/def"}, "environment variable"),
    ],
)
def test_a_model_that_is_wrong_as_written_is_refused_without_showing_secrets(model: dict[str, Any], words: str) -> None:
    with pytest.raises(VerifierError, match=words) as caught:
        check_model(model, where="verifiers.v.model")
    assert "verifiers.v.model" in str(caught.value)
    assert "sk-abc" not in str(caught.value) and "pass@" not in str(caught.value)


def test_a_stages_model_is_asked_of_the_pipeline_and_an_endpoint_is_not() -> None:
    asked: list[Any] = []
    open_model({"stage": "judge"}, lambda reference: asked.append(reference))  # type: ignore[arg-type, return-value, func-returns-value]
    assert isinstance(
        open_model({"endpoint": "http://h/v1", "model": "m"}, lambda reference: pytest.fail("asked")), Endpoint
    )
    assert asked == [{"stage": "judge"}]

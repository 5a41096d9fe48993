"""A rollout engine in an actor, as its callers have it: one that dies, hangs or no longer answers is started again with
the weights that it had, and asked again. A seed belongs to a sample, so that the answers are those of an engine that
lived.

    call ──> answer                    as of any proxy
         ──> dead, silent or stuck ──> end it, start it, load its weights, ask again ──> answer

Knows what an engine is asked (rollout/engine.py), and nothing of who asks. Picklable.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from posttrain.errors import StageError
from posttrain.machine.cluster import Died, Pending, Remote
from posttrain.rollout.dispatch import Sample
from posttrain.rollout.pulse import Beat, read_pulse
from posttrain.rollout.serve import EngineServer
from posttrain.rollout.shared_weights import SharedWeights
from posttrain.signals.stopping import check_wait

PATIENCE = 10.0  # seconds beyond its slowest step so far
READING = 600.0  # a step that reads prompts may take as long as they are, and the first of all may compile
_MISSES = 5  # polls in a row, so that a pause of the whole machine is none of an engine
_MISSES_AT_LOAD = 60  # libraries may keep its thread from answering while they start or load
_POLL = 1.0
_TRIES = 3  # times that one call may lose its engine
_WORKS = ("generate", "advance", "score", "next_token_logprobs")
_ELSEWHERE = "elsewhere"
_LOADS = ("load", "load_checked", "rebuild", "update_weights")


class EngineProxy:
    """Engine protocol over an EngineServer in an actor. kwargs: with which it is built."""

    def __init__(self, remote: Remote, kwargs: Mapping[str, Any], port: int | None = None) -> None:
        self.remote, self._kwargs = remote, dict(kwargs)
        self._weights: tuple[str, tuple[Any, ...]] | None = None  # the last call that gave it others, and its arguments
        self._held: dict[int, Sample] = {}  # under way in it between two calls of `advance`
        self.port = self.remote.call("pulse_port") if port is None else port

    def __reduce__(self) -> tuple[Any, ...]:
        weights = self._weights
        if weights is not None and weights[0] == "update_weights":
            weights = (_ELSEWHERE, (None, weights[1][1]))  # a trainer's own, which do not travel
        return _restored, (self.remote, self._kwargs, self.port, weights)

    def abandon(self) -> None:
        """End the engine, whatever it is at; asked again it is started again."""
        self.remote.end()

    def look_again(self) -> None:
        """Where the engine runs now: another copy of this proxy may have started it again."""
        self.remote.at = self.remote.place()
        self.port = self.remote.call("pulse_port")

    def submit(self, method: str, *args: Any, **kwargs: Any) -> Answer:
        if method == "advance":
            self._hold(*args, **kwargs)
        return Answer(self, method, args, kwargs)

    def __getattr__(self, method: str) -> Any:
        if method.startswith("_"):
            raise AttributeError(method)
        return lambda *args, **kwargs: self.submit(method, *args, **kwargs).result()

    def _hold(self, new: Sequence[Sample], sampling: Any, *, fresh: bool, at_least: int) -> None:
        if fresh:
            self._held.clear()
        self._held |= {sample.place: sample for sample in new}

    def send(self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Pending:
        """Weights go by the path of their memory where the engine is on this node, else as they are."""
        if method == "update_weights" and isinstance(args[0], SharedWeights) and self.remote.is_here():
            return self.remote.submit("update_from", args[0].path, args[1])
        return self.remote.submit(method, *args, **kwargs)

    def noted(self, method: str, args: tuple[Any, ...], value: Any) -> None:
        """After an answer: what the engine has now."""
        if method == "advance":
            for place, _ in value:
                self._held.pop(place, None)
        # A rebuild is the remedy of a hand-over, from a folder that does not stay.
        if method in _LOADS and not (method == "rebuild" and self._weights and self._weights[1][1] == args[1]):
            self._weights = (method, args)

    def call_again(
        self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Arguments with which a lost call is sent to an engine that has nothing under way."""
        if method != "advance":
            return args, kwargs
        return (list(self._held.values()), *args[1:]), kwargs | {"fresh": True}

    def start_again(self, why: str, *, loads: bool, hangs: bool) -> None:
        """loads: what is asked next brings weights of its own. Raises StageError: it cannot be started, or has other
        weights than before."""
        version = self._weights[1][1] if self._weights else self._kwargs["version"]
        if not loads and self._weights is not None and self._weights[0] == _ELSEWHERE:
            what = f"{why}; the weights {version} that it had are with whoever gave them"
            raise StageError(what, where=self.remote.log, remedy="the same command resumes")
        print(f"{why}; it is started again with {version}", file=sys.stderr, flush=True)
        self.remote.restart(EngineServer, self._kwargs, hangs=hangs)
        self.port = self.remote.call("pulse_port")
        if self._weights is not None and not loads:
            method, args = self._weights
            self.send(method, args, {}).result()
            if method == "update_weights":
                self._check(args[0])

    def _check(self, weights: Mapping[str, Any]) -> None:
        """A folder's weights are checked by the engine as it takes them."""
        from posttrain.rollout.identity import differing

        differ, _ = differing(self.remote.call("checksums"), weights.items())
        if differ:
            raise StageError(f"{self.remote.name} has other weights after it was started again: {differ[:3]}")


def _restored(remote: Remote, kwargs: Mapping[str, Any], port: int, weights: Any) -> EngineProxy:
    proxy = EngineProxy(remote, kwargs, port)
    proxy._weights = weights
    return proxy


class Answer:
    """A call under way, which may have to be sent more than once."""

    def __init__(self, proxy: EngineProxy, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._proxy, self._method, self._args, self._kwargs = proxy, method, args, kwargs
        self._misses, self._polled = 0, time.monotonic()
        self._pending = proxy.send(method, args, kwargs)

    def result(self) -> Any:
        """Raises StageError: the engine was lost too often, or cannot be started; Stopped."""
        for losses in range(1, _TRIES + 1):
            try:
                while not Pending.ready([self._pending], _POLL):
                    check_wait()
                    if self.is_stuck():
                        remedy = "the same command resumes; its log may say what it was at"
                        raise Died(f"{self._proxy.remote.name} hangs", where=self._proxy.remote.log, remedy=remedy)
                value = self._pending.result()
                self._proxy.noted(self._method, self._args, value)
                return value
            except Died as death:
                if self._method == "sleep":
                    self._proxy.remote.end()  # also of one that hangs: then it holds nothing any more
                    return None
                if losses == _TRIES:
                    what = f"{death.what}, {losses} times in one call"
                    raise StageError(what, where=death.where, remedy=death.remedy) from death
                self._send_again(death)

    def _send_again(self, death: Died) -> None:
        proxy = self._proxy
        proxy.start_again(death.what, loads=self._method in _LOADS, hangs=self.is_stuck())
        self._args, self._kwargs = proxy.call_again(self._method, self._args, self._kwargs)
        self._misses, self._polled = 0, time.monotonic()
        self._pending = proxy.send(self._method, self._args, self._kwargs)

    def is_stuck(self) -> bool:
        """Asked about once a second."""
        allowed = _MISSES if self._method in _WORKS else _MISSES_AT_LOAD
        if time.monotonic() - self._polled >= _POLL:
            at = self._proxy.remote.at
            beat = read_pulse(at.address, self._proxy.port, 2.0) if at is not None else None
            self._polled = time.monotonic()
            self._misses = self._misses + 1 if _is_late(beat) else 0
        return self._misses >= allowed

    @staticmethod
    def wait_any(answers: Sequence[Answer]) -> list[Answer]:
        """Those that are answered or lost, one at least. Stopped as in `result`."""
        by_call = {id(answer._pending): answer for answer in answers}
        while not (done := Pending.ready([answer._pending for answer in answers], _POLL)):
            check_wait()
            if stuck := [answer for answer in answers if answer.is_stuck()]:
                return stuck
        return [by_call[id(call)] for call in done]


def _is_late(beat: Beat | None) -> bool:
    """Of an engine that tells nothing, or whose step takes longer than any before it; a load has no steps."""
    if beat is None:
        return True
    return beat.at_step > (READING if beat.reads else beat.slowest + PATIENCE - _MISSES)

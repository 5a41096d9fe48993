"""An engine that is killed or stopped while it answers: started again with the weights that it had, asked again, and
none of its answers lost, doubled or other than those of an engine that lived."""

from __future__ import annotations

import os
import pickle
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from posttrain.errors import StageError
from posttrain.machine import engine_proxy
from posttrain.machine.processes import end_process
from posttrain.rollout.engine import EngineOptions
from posttrain.rollout.engine_group import EnginePool
from posttrain.rollout.pulse import Beat, Pulse, read_pulse
from posttrain.types import GenerationRequest, SamplingParams

REQUESTS = [GenerationRequest(prompt_ids=tuple(range(5, 9 + place)), seeds=(place, 100 + place)) for place in range(12)]
SAMPLING = SamplingParams(max_tokens=48)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    from posttrain.rollout.tiny import tiny_model

    made: dict[int, Path] = {}

    def of(seed: int) -> Path:
        if seed not in made:
            made[seed] = tiny_model(tmp_path_factory.mktemp("tiny") / "model", seed=seed)
        return made[seed]

    return of


@pytest.fixture(scope="module")
def proxies(tmp_path_factory: pytest.TempPathFactory, model: Callable[[int], Path]) -> Iterator[list[Any]]:
    """Two engines on transformers, each in an actor."""
    from posttrain.machine.cluster import ActorSpec, Cluster
    from posttrain.rollout.serve import EngineServer

    cluster = Cluster(address="local", placement_timeout_seconds=60, logs=tmp_path_factory.mktemp("logs"))
    options = EngineOptions(context_tokens=96, device="cpu")
    kwargs = {"backend": "hf", "model_dir": str(model(0)), "version": "start", "tolerance": 1e-3, "options": options}
    specs = [
        ActorSpec(
            name=f"engine-{number}",
            target=EngineServer,
            kwargs=kwargs,
            env={"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
            restarts=True,
        )
        for number in range(2)
    ]
    yield [engine_proxy.EngineProxy(remote, kwargs) for remote in cluster.start_group(specs)]
    cluster.close()


def tokens(answers: list[list[Any]]) -> list[tuple[int, ...]]:
    return [completion.token_ids for group in answers for completion in group]


def hurt_at_work(proxy: Any, number: signal.Signals) -> None:
    """The signal, as soon as the engine is in the middle of its work."""
    at = proxy.remote.at

    def wait_and_hurt() -> None:
        while (beat := read_pulse(at.address, proxy.port, 5.0)) is None or beat.at_step == 0.0 or beat.reads:
            time.sleep(0.002)
        os.kill(at.pid, number)

    threading.Thread(target=wait_and_hurt, daemon=True).start()


@pytest.mark.ray
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
def test_a_lost_engine_is_started_again_at_its_version_and_gives_the_same_answers(
    proxies: list[Any], model: Callable[[int], Path], number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    from posttrain.rollout.shared_weights import WeightMemory
    from posttrain.rollout.weights import iterate_weights

    monkeypatch.setattr(engine_proxy, "PATIENCE", 5.0)  # beyond the misses: a stop is seen after those alone
    proxy = proxies[0]
    weights = WeightMemory().filled(dict(iterate_weights(model(1))), dict, "float32")
    proxy.update_weights(weights if number == signal.SIGKILL else dict(weights), "stem@3")
    expected = proxy.generate(REQUESTS, SAMPLING)
    before = proxy.remote.at.pid
    hurt_at_work(proxy, number)
    again = proxy.generate(REQUESTS, SAMPLING)
    assert proxy.remote.place().pid != before, "it was lost"
    assert tokens(again) == tokens(expected) and again[0][0].policy_version == "stem@3"
    assert proxy.health().version == "stem@3"


@pytest.mark.ray
def test_a_copy_without_the_weights_that_a_trainer_gave_does_not_start_others_in_their_place(
    proxies: list[Any], model: Callable[[int], Path]
) -> None:
    from posttrain.rollout.weights import iterate_weights

    proxy = proxies[0]
    proxy.update_weights(dict(iterate_weights(model(1))), "stem@4")
    copy = pickle.loads(pickle.dumps(proxy))
    hurt_at_work(copy, signal.SIGKILL)
    with pytest.raises(StageError, match="the weights stem@4 that it had are with whoever gave them"):
        copy.generate(REQUESTS, SAMPLING)
    assert proxy.generate(REQUESTS[:1], SAMPLING)[0][0].policy_version == "stem@4", "who has them starts it"


@pytest.mark.ray
def test_an_engine_that_dies_without_work_is_started_again_when_it_is_asked(proxies: list[Any]) -> None:
    proxy = proxies[0]
    expected = proxy.generate(REQUESTS[:2], SAMPLING)
    version, before = proxy.health().version, proxy.remote.at.pid
    os.kill(before, signal.SIGKILL)
    until = time.monotonic() + 60.0
    while time.monotonic() < until:  # until Ray has given it another process, which holds nothing
        try:
            if proxy.remote.place().pid != before:
                break
        except StageError:
            time.sleep(0.1)
    assert tokens(proxy.generate(REQUESTS[:2], SAMPLING)) == tokens(expected)
    assert proxy.health().version == version and proxy.remote.at.pid != before


@pytest.mark.ray
def test_who_did_not_start_the_engine_again_finds_it_where_it_is(proxies: list[Any]) -> None:
    """A trainer has a copy of the driver's proxy."""
    proxy = proxies[0]
    proxy.load(proxy._kwargs["model_dir"], "base")
    copy = pickle.loads(pickle.dumps(proxy))
    expected = tokens(copy.generate(REQUESTS, SAMPLING))
    hurt_at_work(copy, signal.SIGKILL)
    assert tokens(copy.generate(REQUESTS, SAMPLING)) == expected and copy.remote.at != proxy.remote.at
    proxy.look_again()
    assert (proxy.remote.at.pid, proxy.port) == (copy.remote.at.pid, copy.port)
    proxy.remote.end()
    end_process(os.getpid(), 0)  # of another process that had this number: nothing ends
    assert tokens(proxy.generate(REQUESTS, SAMPLING)) == expected


@pytest.mark.ray
@pytest.mark.parametrize("in_order", [True, False], ids=["in order", "least work first"])
def test_a_pool_goes_on_when_it_loses_a_member(proxies: list[Any], in_order: bool) -> None:
    pool = EnginePool(proxies, in_order=in_order, slots=8)
    pool.load(proxies[0]._kwargs["model_dir"], "base")
    expected = pool.generate(REQUESTS, SAMPLING)
    before = proxies[1].remote.at.pid
    hurt_at_work(proxies[1], signal.SIGKILL)
    assert tokens(pool.generate(REQUESTS, SAMPLING)) == tokens(expected), "none lost, none doubled"
    assert proxies[1].remote.at.pid != before and pool.health().version == "base"


@pytest.mark.ray
def test_an_engine_that_dies_of_what_it_is_asked_ends_the_stage(
    proxies: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = proxies[1]
    monkeypatch.setattr(engine_proxy, "_TRIES", 1)
    real = proxy.remote.submit

    def poisoned(method: str, *args: Any, **kwargs: Any) -> Any:
        call = real(method, *args, **kwargs)
        if method == "score":
            os.kill(proxy.remote.at.pid, signal.SIGKILL)
        return call

    monkeypatch.setattr(proxy.remote, "submit", poisoned)
    with pytest.raises(StageError, match=r"engine-1 died .*1 times in one call"):
        proxy.score([list(range(90))] * 2000, [1] * 2000)


def test_the_check_of_its_weights_says_nothing_of_an_engines_work(model: Callable[[int], Path]) -> None:
    from posttrain.rollout.serve import EngineServer

    server = EngineServer("hf", str(model(0)), "start", 1e-3, EngineOptions(context_tokens=96, device="cpu"))
    assert read_pulse("127.0.0.1", server.pulse_port(), 5.0) == Beat(at_step=0.0, slowest=0.0, reads=True)
    seen: list[tuple[float, bool]] = []
    beat = server._pulse.beat

    def on_step(reads_next: bool = False) -> None:
        beat(reads_next)
        seen.append((server._pulse._slowest, reads_next))

    server._engine.on_step = on_step
    server.generate(REQUESTS[:2], SAMPLING)
    assert [reads for _, reads in seen[:3]] == [True, False, False], "the first step of a batch reads its prompts"
    assert seen[-1][0] > 0.0


def test_a_pulse_tells_of_a_step_that_takes_longer_than_those_before() -> None:
    pulse = Pulse()
    assert read_pulse("127.0.0.1", pulse.port, 5.0) == Beat(at_step=0.0, slowest=0.0, reads=True)
    with pulse.at_work():
        time.sleep(0.05)
        pulse.beat()
        time.sleep(0.1)
        told = read_pulse("127.0.0.1", pulse.port, 5.0)
        assert told is not None and 0.05 <= told.slowest <= told.at_step + 0.05 and told.at_step >= 0.1
    assert (after := read_pulse("127.0.0.1", pulse.port, 5.0)) is not None and after.at_step == 0.0
    assert read_pulse("127.0.0.1", 1, 0.5) is None


@pytest.mark.parametrize(
    ("beat", "late"),
    [
        (None, True),
        (Beat(at_step=0.0, slowest=0.0, reads=True), False),
        (Beat(at_step=100.0, slowest=0.1, reads=True), False),
        (Beat(at_step=601.0, slowest=0.1, reads=True), True),
        (Beat(at_step=11.0, slowest=8.0, reads=False), False),
        (Beat(at_step=14.0, slowest=8.0, reads=False), True),
    ],
    ids=["silent", "idle", "reads prompts", "no end of it", "as before", "stuck"],
)
def test_who_is_late(beat: Beat | None, late: bool) -> None:
    """Five seconds of misses come on top."""
    assert engine_proxy._is_late(beat) is late

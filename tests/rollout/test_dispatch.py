"""The dispatcher: nothing lost or doubled, no engine over its slots, no engine idle while samples wait."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.dispatch import Clock, Engine, least_work, split_in_order
from posttrain.errors import StageError
from posttrain.rollout.dispatch import Sample, dispatch
from posttrain.rollout.engine import EngineOptions
from posttrain.rollout.engine_group import EnginePool
from posttrain.types import GenerationRequest, SamplingParams


class Watched(Engine):
    """A simulated engine that remembers the most it held, and its calls."""

    most = 0
    calls: tuple[bool, ...] = ()

    def submit(self, method: str, new: list[Sample], sampling: Any, *, fresh: bool, at_least: int) -> Any:
        self.most = max(self.most, len(self.held) + len(new))
        self.calls += (fresh,)
        return super().submit(method, new, sampling, fresh=fresh, at_least=at_least)


@pytest.mark.parametrize("seed", range(20))
def test_every_sample_is_answered_once_and_slots_are_kept(seed: int) -> None:
    draw = random.Random(seed)
    lengths = [round(draw.lognormvariate(5, 1)) + 1 for _ in range(draw.choice([0, 1, 7, 100, 700]))]
    engines, slots = draw.choice([1, 2, 8]), draw.choice([1, 3, 64])
    clock = Clock()
    members = [Watched(lengths, clock) for _ in range(engines)]
    samples = [Sample(place=place, prompt_ids=(), seed=place) for place in range(len(lengths))]
    done = [place for place, _ in dispatch(members, samples, SamplingParams(), slots=slots)]
    assert sorted(done) == list(range(len(lengths)))
    assert all(member.most <= slots for member in members)
    assert all(member.calls[0] and not any(member.calls[1:]) for member in members if member.calls)
    if len(samples) >= engines:
        assert all(member.calls for member in members)


def test_idle_time_and_wall_time_are_what_the_benchmark_promises() -> None:
    draw = random.Random(0)
    lengths = [min(32768, round(8192 * draw.lognormvariate(0, 0.75))) for _ in range(512)]
    wall, before_the_tail, _ = least_work(lengths, 8)
    assert before_the_tail <= 0.1 and split_in_order(lengths, 8, 16)[0] >= 4 * wall


def test_engines_that_are_full_are_topped_up_as_answers_leave() -> None:
    """More samples than slots: with a long answer on one engine the others take what waits."""
    clock = Clock()
    members = [Engine([10_000, *[100] * 39], clock) for _ in range(2)]
    samples = [Sample(place=place, prompt_ids=(), seed=place) for place in range(40)]
    order = [place for place, _ in dispatch(members, samples, SamplingParams(), slots=1)]
    assert order[-1] == 0 and clock.ends[-2] < clock.ends[-1]


class Local:
    """An engine of this process behind the calls of a proxy."""

    def __init__(self, engine: Any) -> None:
        self.engine = engine

    def submit(self, method: str, *args: Any, **kwargs: Any) -> Any:
        return Answered(lambda: getattr(self.engine, method)(*args, **kwargs))


class Answered:
    def __init__(self, call: Callable[[], Any]) -> None:
        self.result = call

    @staticmethod
    def wait_any(calls: list[Answered]) -> list[Answered]:
        return calls[-1:]


def test_a_pool_gives_the_answers_of_one_engine_in_the_order_of_the_requests(tiny: Callable[..., Path]) -> None:
    from posttrain.rollout.hf_engine import HfEngine

    engines = [HfEngine(str(tiny()), "start", EngineOptions(context_tokens=96)) for _ in range(2)]
    requests = [GenerationRequest(prompt_ids=tuple(range(5 + row)), seeds=(row, row + 9, 4)) for row in range(5)]
    sampling = SamplingParams(max_tokens=12)
    alone = engines[0].generate(requests, sampling)
    for in_order in (True, False):
        pool = EnginePool([Local(engine) for engine in engines], in_order=in_order, slots=3)
        tokens = [[one.token_ids for one in group] for group in pool.generate(requests, sampling)]
        assert tokens == [[one.token_ids for one in group] for group in alone]


def test_an_engine_that_fails_ends_the_wait() -> None:
    class Broken:
        def submit(self, *_: Any, **__: Any) -> Any:
            def fail() -> Any:
                raise StageError("engine-policy-1 died")

            return Answered(fail)

    with pytest.raises(StageError, match="engine-policy-1"):
        list(dispatch([Broken()], [Sample(place=0, prompt_ids=(), seed=0)], SamplingParams()))


@pytest.mark.vllm
@pytest.mark.ray
def test_vllm_gives_each_answer_when_it_is_done_and_forgets_what_was_given_up(vllm_engine: Any) -> None:
    requests = [GenerationRequest(prompt_ids=tuple(range(5 + row)), seeds=(row, row + 9, 4)) for row in range(5)]
    sampling = SamplingParams(max_tokens=24, stop_token_ids=(65, 66, 67, 68, 69, 70))
    alone = vllm_engine.generate(requests, sampling)
    lengths = {one.num_tokens for group in alone for one in group}
    assert len(lengths) > 2, "answers of several lengths, or nothing is shown"
    pool = EnginePool([vllm_engine], in_order=False, slots=4)
    dispatched = pool.generate(requests, sampling)
    assert [[one.token_ids for one in group] for group in dispatched] == [
        [one.token_ids for one in group] for group in alone
    ]
    samples = [Sample(place=place, prompt_ids=(1, 2, 3), seed=place) for place in range(8)]
    first = vllm_engine.advance(samples, sampling, fresh=True, at_least=1)  # and nobody asks for the others
    assert 1 <= len(first) < len(samples)
    assert pool.generate(requests, sampling) == dispatched
    assert vllm_engine.generate(requests, sampling) == alone

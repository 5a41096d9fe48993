"""Seeds, groups and pools, with a scripted engine where only order matters; the engines themselves are tested in
test_engines.py."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from posttrain.errors import DataError, InputError, StageError
from posttrain.rollout.engine import EngineHealth
from posttrain.rollout.engine_group import EnginePool
from posttrain.rollout.parity import largest_gap
from posttrain.sampling.prompts import encode
from posttrain.sampling.sampler import sample, sample_seed
from posttrain.types import Completion, EncodedPrompt, GenerationRequest, Prompt, SamplingParams, Segment, StopReason


def prompt(number: int, source: str = "sums") -> Prompt:
    return Prompt(id=str(number), source=source, messages=({"role": "user", "content": f"{number}?"},))


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": -1.0},
        {"temperature": float("nan")},
        {"temperature": float("inf")},
        {"top_p": 0.0},
        {"top_p": 1.1},
        {"max_tokens": 0},
    ],
)
def test_a_sampling_number_outside_its_range_is_an_input_error(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))) as caught:
        SamplingParams(**wrong)
    assert caught.value.remedy


class Bytes:
    def prompt_ids(self, messages: Sequence[dict[str, Any]], tools: Sequence[Any] = ()) -> list[int]:
        return list(messages[-1]["content"].encode())

    def opened_by(self, messages: Sequence[dict[str, Any]], tools: Sequence[Any] = ()) -> str:
        return ""


class Echo:
    """Answers with the seed as text, so that a test sees which request an answer belongs to."""

    def __init__(self, version: str = "v") -> None:
        self.version = version
        self.calls = 0

    def generate(self, requests: Sequence[GenerationRequest], sampling: SamplingParams) -> list[list[Completion]]:
        self.calls += 1
        return [
            [
                Completion(
                    segments=(Segment(token_ids=(1,), logprobs=(-1.0,)),),
                    text=f"{bytes(request.prompt_ids).decode()}{seed}",
                    stop_reason=StopReason.STOP,
                    policy_version=self.version,
                    seed=seed,
                )
                for seed in request.seeds
            ]
            for request in requests
        ]

    def score(self, sequences: Sequence[Sequence[int]], starts: Sequence[int]) -> list[list[float]]:
        return [[float(self.version == "v")] * (len(row) - start) for row, start in zip(sequences, starts, strict=True)]

    def health(self) -> EngineHealth:
        return EngineHealth(backend="echo", version=self.version, device="cpu", dtype="float32", pid=1)

    def submit(self, method: str, *args: Any) -> Any:
        answer = getattr(self, method)(*args)
        return type("Done", (), {"result": lambda _: answer})()


def encoded(one: Prompt) -> EncodedPrompt:
    return encode(one, Bytes(), 64)


def test_every_sample_has_a_seed_of_its_own_that_survives_a_rerun_and_a_reordering() -> None:
    prompts = [encoded(prompt(n)) for n in range(5)]
    groups = sample(Echo(), prompts, 4, SamplingParams(), (0, "stem", 3))
    again = sample(Echo(), prompts[::-1], 4, SamplingParams(), (0, "stem", 3))[::-1]
    seeds = {completion.seed for group in groups for completion in group.completions}
    assert groups == again and len(seeds) == 20
    assert [group.completions[0].text.partition("?")[0] for group in groups] == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize(
    "wrong",
    [lambda made: made[:-1], lambda made: [*made, made[0]], lambda made: [made[0][:-1]]],
    ids=["no group", "a group too many", "an answer too few"],
)
def test_an_engine_that_gives_more_or_fewer_answers_is_an_error(wrong: Any) -> None:
    class Wrong(Echo):
        def generate(self, requests: Sequence[GenerationRequest], sampling: SamplingParams) -> list[list[Completion]]:
            return list(wrong(super().generate(requests, sampling)))

    with pytest.raises(StageError, match="where 2 to 1 were asked") as caught:
        sample(Wrong(), [encoded(prompt(1))], 2, SamplingParams(), (0, "stem", 3))
    assert caught.value.where == "stem"


@pytest.mark.parametrize("other", [(1, "stem", 3), (0, "code", 3), (0, "stem", 4)], ids=["run", "step", "number"])
def test_seeds_differ_between_runs_steps_and_step_numbers(other: tuple[Any, ...]) -> None:
    assert sample_seed((0, "stem", 3), prompt(1), 0, 0) != sample_seed(other, prompt(1), 0, 0)


def test_seeds_are_pinned_for_they_decide_published_bytes() -> None:
    assert sample_seed((0, "stem", 3), prompt(1), 0, 0) == 638807473020132


def test_a_prompt_that_comes_twice_is_answered_twice() -> None:
    first, second = sample(Echo(), [encoded(prompt(1))] * 2, 2, SamplingParams(), (0, "stem", 0))
    assert {c.seed for c in first.completions}.isdisjoint(c.seed for c in second.completions)


def test_a_prompt_that_is_empty_once_encoded_is_named() -> None:
    empty = replace(prompt(7), messages=({"role": "user", "content": ""},))
    with pytest.raises(DataError, match="row 7"):
        encoded(empty)


@pytest.mark.parametrize("rows", [0, 1, 2, 7])
def test_a_pool_answers_in_order_whatever_the_number_of_rows(rows: int) -> None:
    requests = [GenerationRequest(prompt_ids=(65 + row,), seeds=(row, row + 50)) for row in range(rows)]
    pool = EnginePool([Echo(), Echo(), Echo()])
    assert pool.generate(requests, SamplingParams()) == Echo().generate(requests, SamplingParams())
    assert rows < 3 or all(member.calls == 1 for member in pool.members)


def test_a_pool_with_one_stale_member_fails_parity_and_says_so() -> None:
    pool = EnginePool([Echo("v"), Echo("old")])
    assert largest_gap(pool.score([[1, 2, 3]], [1]), [[1.0, 1.0]]) == float("inf")
    assert pool.health().version == "old and v"
    assert largest_gap(EnginePool([Echo(), Echo()]).score([[1, 2, 3]], [1]), [[1.0, 1.0]]) == 0.0

"""The machine as stages see it: a trainer group of one and of two, engines that follow checkpoints, a scorer with a
real verifier."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from posttrain.errors import DataError
from posttrain.records.manifest import EngineFacts
from posttrain.types import Completion, GenerationRequest, Prompt, RolloutGroup, SamplingParams, Segment, StopReason
from tests.machine import pieces

pytestmark = pytest.mark.ray


def recipe(**parts: Any) -> Any:
    from posttrain.recipe.schema import Recipe

    whole: dict[str, Any] = {
        "schema": 1,
        "name": "machine-test",
        "base": {"path": "toy"},
        "stages": [{"kind": "sft", "name": "warm", "data": {"rows": 1.0}, "steps": 1}],
        "engine": {"context_tokens": 1536, "kv_cache_gb": 0.05},
        **parts,
    }
    return Recipe.model_validate(whole)


def machine_for(tmp_path: Path, **parts: Any) -> Any:
    from posttrain.machine.machine import Machine

    return Machine(recipe(**parts), tmp_path / "logs")


@pytest.fixture(scope="module", autouse=True)
def ray_kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One Ray for every machine of this file: each joins what runs, and ends its own actors when it closes."""
    from posttrain.machine.cluster import Cluster

    cluster = Cluster(address="local", placement_timeout_seconds=60, logs=tmp_path_factory.mktemp("ray"))
    yield
    cluster.close()


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    from posttrain.rollout.tiny import tiny_model

    return lambda **options: tiny_model(tmp_path_factory.mktemp("tiny") / "model", **options)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A machine with one trainer, and engines that start at once: who is started, kept and replaced is the same with
    vLLM, whose weights tests/rollout follows."""
    with machine_for(
        tmp_path_factory.mktemp("machine"),
        verifiers={"exact": {"kind": "math"}},
        engine={"backend": "hf", "context_tokens": 64},
    ) as machine:
        yield machine


def test_two_trainers_reduce_together_and_a_failure_of_one_frees_the_other(tmp_path: Path) -> None:
    with machine_for(tmp_path, cluster={"trainers": 2}) as machine:
        seen = machine.run(pieces.sum_of_ranks, extra=10)
        assert (seen["world"], seen["sum"], seen["rank_in_environment"]) == (2, 13, "0")
        assert seen["threads"] == max(1, len(os.sched_getaffinity(0)) // 2)
        with pytest.raises(DataError, match="rank 1"):
            machine.run(pieces.second_worker_fails)
        again = machine.run(pieces.sum_of_ranks, extra=0)
        assert again["sum"] == 3 and again["pid"] != seen["pid"]


def test_one_trainer_is_warm_and_has_no_process_group(alone: Any) -> None:
    first = alone.run(pieces.sum_of_ranks, extra=1)
    second = alone.run(pieces.sum_of_ranks, extra=1)
    assert first == second == {"world": 1, "sum": 2, "rank_in_environment": None, "pid": first["pid"]}


def test_an_engine_follows_checkpoints_of_its_shape_and_is_replaced_for_another(
    alone: Any, tiny: Callable[..., Path]
) -> None:
    base = tiny()
    request = [GenerationRequest(prompt_ids=(1, 2, 3, 4), seeds=(0, 1))]
    engine = alone.engine("policy", base, "base")
    pid = engine.health().pid
    answers = engine.generate(request, SamplingParams(max_tokens=8))

    gap, version = alone.run(pieces.hand_over_from_a_trainer, engine=engine, model_dir=str(base))
    assert gap < 1e-4 and version == "step-1"

    again = alone.engine("policy", base, "base")  # the trainer left other weights in it
    assert again.health().pid == pid and again.generate(request, SamplingParams(max_tokens=8)) == answers

    os.kill(pid, signal.SIGKILL)
    fresh = alone.engine("policy", base, "base")  # a dead engine is replaced, not reported
    fresh_pid = fresh.health().pid
    assert fresh_pid != pid and fresh.generate(request, SamplingParams(max_tokens=8)) == answers

    wider = alone.engine("policy", tiny(hidden_size=128), "wider")
    assert wider.health().pid != fresh_pid and wider.health().version == "wider"
    assert alone.facts().engines == {"policy": EngineFacts(backend="hf", device="cpu", dtype="float32")}
    alone.release("policy")
    assert alone.facts().engines == {}


def group(source: str, texts: list[str], gold: Any = None, reference: str | None = None) -> RolloutGroup:
    prompt = Prompt(
        id="1", source=source, messages=({"role": "user", "content": "17+25?"},), gold=gold, reference=reference
    )
    completions = tuple(
        Completion(
            segments=(Segment(token_ids=(1,), logprobs=(-0.5,)),),
            text=text,
            stop_reason=StopReason.STOP,
            policy_version="v",
            seed=i,
        )
        for i, text in enumerate(texts)
    )
    return RolloutGroup(prompt=prompt, prompt_ids=(1,), completions=completions)


def test_the_scorer_judges_by_the_recipes_verifier(alone: Any) -> None:
    scored = alone.scorer().score(
        {"sums": "exact"}, [group("sums", ["<think>a</think>42", "<think>b</think>41"], gold="42")]
    )
    assert [verdict.passed for verdict in scored[0].verdicts] == [True, False]
    assert alone.scorer().outcomes() == {"correct": 1, "wrong": 1}
    assert alone.facts().judge is None


def test_prompts_of_a_source_without_a_verifier_are_refused(alone: Any) -> None:
    from posttrain.errors import RecipeError

    with pytest.raises(RecipeError, match="'essays'"):
        alone.scorer().score({"sums": "exact"}, [group("essays", ["x"])])


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory, tiny: Callable[..., Path]) -> Iterator[Any]:
    """A scorer, with a vLLM engine of random weights as the model "judge": one start for every test that asks it."""
    pairwise = {"kind": "pairwise", "model": {"stage": "judge"}, "canaries": 0}
    verifiers = {
        "taste": pairwise,
        "group": pairwise | {"against": "group", "on_abstain": "zero"},
        # random weights: a program is noise, and cut short
        "same": {"kind": "agent", "model": {"stage": "judge"}, "budget_tokens": 24},
    }
    folder = tiny(sharpness=1.0)
    with machine_for(tmp_path_factory.mktemp("judged"), verifiers=verifiers) as machine:
        yield machine.scorer({"judge": (machine.engine("judge", folder, "judge"), folder)})


@pytest.mark.vllm
def test_a_pairwise_verifier_asks_the_judges_engine(judged: Any) -> None:
    verdict = judged.score("taste", [group("essays", ["b"], reference="a")])[0].verdicts[0]
    assert verdict.parts, verdict
    assert 0.0 < verdict.parts["label_mass"] < 1.0 and 0.0 < verdict.parts["probability"] < 1.0
    ranked = judged.score("group", [group("essays", ["a", "b", "c"])])[0].verdicts
    assert all(0.0 <= verdict.score <= 1.0 and 0.0 <= verdict.parts["orders_agree"] <= 1.0 for verdict in ranked), (
        ranked
    )


@pytest.mark.vllm
def test_an_agent_asks_an_engine_for_a_label_and_keeps_what_was_said(judged: Any) -> None:
    """The protocol, not the judgement: the weights are random, the labels are single tokens of a byte vocabulary."""
    from posttrain.records.rollouts import judged_row

    verdicts = judged.score("same", [group("essays", ["Answer: carbon dioxide", "x" * 3000], gold="CO2")])[0].verdicts
    row = judged_row(verdicts[0])
    assert row.outcome in ("correct", "wrong", "abstain") and row.transcript[0]["label"] in "EDIP"
    assert 0.25 <= row.transcript[0]["probability"] <= 1.0 and "| carbon dioxide" in row.transcript[0]["prompt"]
    assert all(len(step["reply"].encode()) <= 200 for step in row.transcript if "reply" in step)
    assert verdicts[1].reason == "answer_too_long"


@pytest.mark.vllm
def test_a_prompt_that_does_not_fit_the_engine_costs_only_its_own_verdict(judged: Any) -> None:
    scored = judged.score("taste", [group("essays", ["b", "long " * 400], reference="a")])
    fits, overlong = scored[0].verdicts
    assert fits.parts and str(overlong.outcome) == "error" and "1536" in overlong.certificate["detail"]

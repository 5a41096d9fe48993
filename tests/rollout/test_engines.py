"""What every engine promises, asked of vLLM and of transformers alike: seeds, log-probabilities, stop tokens, weights,
the cache."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from posttrain.errors import DataError, StageError
from posttrain.rollout.engine import EngineOptions
from posttrain.rollout.identity import differing
from posttrain.rollout.parity import (
    check_parity,
    ensure_parity,
    folder_logprobs,
    hand_over,
    largest_gap,
    probe_sequences,
)
from posttrain.rollout.weights import iterate_weights, read_config
from posttrain.types import GenerationRequest, SamplingParams, StopReason

CLOSE = 1e-4
REQUESTS = [
    GenerationRequest(prompt_ids=tuple((7 * row + t) % 250 for t in range(12 + 9 * row)), seeds=(row, row + 100))
    for row in range(6)
]
SAMPLING = SamplingParams(max_tokens=24)


def with_answers(groups: list[Any]) -> tuple[list[list[int]], list[int], list[list[float]]]:
    """(prompt + answer, start of the answer, its log-probabilities) of each completion."""
    sequences, starts, logprobs = [], [], []
    for request, group in zip(REQUESTS, groups, strict=True):
        for completion in group:
            sequences.append([*request.prompt_ids, *completion.token_ids])
            starts.append(len(request.prompt_ids))
            logprobs.append(list(completion.segments[0].logprobs))
    return sequences, starts, logprobs


def test_the_same_seeds_give_the_same_answers_to_the_last_bit(engine: Any) -> None:
    first = engine.generate(REQUESTS, SAMPLING)
    engine.generate([GenerationRequest(prompt_ids=(5,) * 70, seeds=(1,))], SAMPLING)
    assert engine.generate(REQUESTS, SAMPLING) == first


def test_other_seeds_give_other_answers(engine: Any) -> None:
    groups = engine.generate([replace(REQUESTS[0], seeds=tuple(range(16)))], SAMPLING)
    assert len({completion.token_ids for completion in groups[0]}) > 12


def test_a_sample_does_not_depend_on_who_else_is_in_the_batch(engine: Any) -> None:
    together = engine.generate(REQUESTS, SAMPLING)
    alone = engine.generate(REQUESTS[3:4], SAMPLING)
    assert [completion.token_ids for completion in alone[0]] == [completion.token_ids for completion in together[3]]


@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_log_probabilities_are_those_of_the_policy_that_samples(
    engine: Any, tiny: Callable[..., Path], temperature: float
) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    answered = engine.generate(REQUESTS, replace(SAMPLING, temperature=temperature))
    sequences, starts, logprobs = with_answers(answered)
    model, expected = AutoModelForCausalLM.from_pretrained(tiny(), dtype=torch.float32), []
    for ids, start in zip(sequences, starts, strict=True):
        with torch.no_grad():
            table = torch.log_softmax(model(torch.tensor([ids])).logits[0, start - 1 : -1] / temperature, dim=-1)
        expected.append(table.gather(1, torch.tensor(ids[start:])[:, None])[:, 0].tolist())
    assert largest_gap(logprobs, expected) < CLOSE
    if temperature == 1.0:
        assert largest_gap(logprobs, engine.score(sequences, starts)) < CLOSE


def test_labels_are_scored_as_next_tokens(engine: Any, tiny: Callable[..., Path]) -> None:
    prompts, labels = [list(request.prompt_ids) for request in REQUESTS], [3, 200, 77]
    expected = [
        [folder_logprobs(tiny())([[*prompt, label]], [len(prompt)])[0][0] for label in labels] for prompt in prompts[:2]
    ]
    assert largest_gap(engine.next_token_logprobs(prompts, labels)[:2], expected) < CLOSE


def test_a_whole_context_can_be_scored(engine: Any, tiny: Callable[..., Path]) -> None:
    sequence = [(3 * t) % 250 for t in range(160)]
    assert largest_gap(engine.score([sequence], [1]), folder_logprobs(tiny())([sequence], [1])) < CLOSE


@pytest.mark.vllm
def test_seeded_prompts_of_more_tokens_than_an_engine_reads_in_a_step_are_sampled_the_same(vllm_engine: Any) -> None:
    many = [
        GenerationRequest(prompt_ids=tuple((row + t) % 250 for t in range(150)), seeds=(row,)) for row in range(120)
    ]
    sampling = SamplingParams(max_tokens=3)
    together = vllm_engine.generate(many, sampling)
    alone = vllm_engine.generate(many[109:111], sampling)
    assert [group[0].token_ids for group in together[109:111]] == [group[0].token_ids for group in alone]


def test_temperature_zero_takes_the_likeliest_token(engine: Any, tiny: Callable[..., Path]) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    completion = engine.generate([replace(REQUESTS[1], seeds=(0,))], replace(SAMPLING, temperature=0.0))[0][0]
    model = AutoModelForCausalLM.from_pretrained(tiny(), dtype=torch.float32)
    sequence = [*REQUESTS[1].prompt_ids, *completion.token_ids]
    likeliest = model(torch.tensor([sequence])).logits[0].argmax(-1).tolist()
    assert list(completion.token_ids) == likeliest[len(REQUESTS[1].prompt_ids) - 1 : -1]


def test_a_stop_token_ends_the_turn_keeps_its_log_probability_and_leaves_the_text(
    engine: Any, tiny: Callable[..., Path]
) -> None:
    from transformers import AutoTokenizer

    stops = tuple(range(0, 250, 6))
    sampling = replace(SAMPLING, stop_token_ids=stops)
    completions = [completion for group in engine.generate(REQUESTS, sampling) for completion in group]
    ended = [completion for completion in completions if completion.stop_reason is StopReason.STOP]
    cut = [completion for completion in completions if completion.stop_reason is StopReason.LENGTH]
    tokenizer = AutoTokenizer.from_pretrained(tiny())
    assert ended
    for completion in ended:
        ids = completion.token_ids
        assert ids[-1] in stops and not set(ids[:-1]) & set(stops)
        assert len(completion.segments[0].logprobs) == len(ids)
        assert completion.text == tokenizer.decode(ids[:-1], skip_special_tokens=False)
    assert all(completion.num_tokens == 24 and not set(completion.token_ids) & set(stops) for completion in cut)


def test_the_models_own_end_token_does_not_end_a_turn_unless_the_recipe_names_it(
    engine: Any, tiny: Callable[..., Path]
) -> None:
    """config.eos_token_id is never a stop: only SamplingParams says what is. Near-uniform weights sample it in one
    answer of five."""
    flat = tiny(sharpness=0.1)
    end = read_config(flat)["eos_token_id"]
    engine.load(str(flat), "flat")
    groups = engine.generate([replace(REQUESTS[0], seeds=tuple(range(64)))], replace(SAMPLING, max_tokens=60))
    assert all(completion.num_tokens == 60 for completion in groups[0])
    assert any(end in completion.token_ids[:-1] for completion in groups[0])


def test_an_answer_ends_where_the_context_does_and_a_longer_prompt_is_refused(engine: Any) -> None:
    groups = engine.generate([GenerationRequest(prompt_ids=(9,) * 150, seeds=(0,))], SAMPLING)
    assert groups[0][0].num_tokens == 10 and groups[0][0].stop_reason is StopReason.LENGTH
    with pytest.raises(DataError, match="160"):
        engine.generate([GenerationRequest(prompt_ids=(9,) * 160, seeds=(0,))], SAMPLING)
    with pytest.raises(DataError, match="161"):
        engine.score([[9] * 161], [1])
    with pytest.raises(DataError, match="161"):
        engine.next_token_logprobs([[9] * 161], [1])


def test_new_weights_are_sampled_from_and_stamped_and_the_old_cache_is_gone(
    engine: Any, tiny: Callable[..., Path]
) -> None:
    other = tiny(seed=1)
    long_prompt = [(5 * t) % 250 for t in range(140)]
    stale = engine.next_token_logprobs([long_prompt], [11])[0][0]
    engine.update_weights(dict(iterate_weights(other)), "new")
    expected = folder_logprobs(other)([[*long_prompt, 11]], [140])[0][0]
    assert abs(engine.next_token_logprobs([long_prompt], [11])[0][0] - expected) < CLOSE < abs(stale - expected)
    assert engine.generate(REQUESTS[:1], SAMPLING)[0][0].policy_version == engine.health().version == "new"


def test_a_checkpoint_of_the_same_shape_is_loaded_and_back_gives_the_old_answers(
    engine: Any, tiny: Callable[..., Path]
) -> None:
    before = [completion.token_ids for group in engine.generate(REQUESTS, SAMPLING) for completion in group]
    engine.load(str(tiny(seed=1)), "other")
    assert check_parity(engine, folder_logprobs(tiny(seed=1)), *probe_sequences(tiny())) < CLOSE
    engine.load(str(tiny()), "back")
    assert [completion.token_ids for group in engine.generate(REQUESTS, SAMPLING) for completion in group] == before


@pytest.mark.parametrize("given", ["folder", "tensors"])
def test_an_engine_that_slept_gives_the_answers_of_the_weights_that_it_had(
    engine: Any, tiny: Callable[..., Path], given: str
) -> None:
    if given == "folder":
        engine.load(str(tiny(seed=1)), "other")
    else:
        engine.update_weights(dict(iterate_weights(tiny(seed=1))), "other")
    before = [completion.token_ids for group in engine.generate(REQUESTS, SAMPLING) for completion in group]
    engine.wake()
    engine.sleep()
    engine.sleep()
    assert engine.health().version == "other", "also while it sleeps"
    engine.wake()
    assert [completion.token_ids for group in engine.generate(REQUESTS, SAMPLING) for completion in group] == before
    assert check_parity(engine, folder_logprobs(tiny(seed=1)), *probe_sequences(tiny())) < CLOSE


@pytest.mark.parametrize(
    "shape", [{"tied": True}, {"architecture": "mixtral"}, {"architecture": "llama"}], ids=["tied", "experts", "llama"]
)
def test_every_shape_is_right_after_each_kind_of_hand_over(
    engine: Any, tiny: Callable[..., Path], shape: dict[str, Any]
) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    first, second = tiny(**shape), tiny(**shape, seed=1)
    engine.rebuild(str(first), "first")
    sequences, starts = probe_sequences(first)
    assert check_parity(engine, folder_logprobs(first), sequences, starts) < CLOSE
    engine.load(str(second), "second")
    assert check_parity(engine, folder_logprobs(second), sequences, starts) < CLOSE
    trained = AutoModelForCausalLM.from_pretrained(first, dtype=torch.float32)
    assert hand_over(engine, trained, "third", like=first, tolerance=CLOSE) < CLOSE
    assert engine.health().version == "third"
    differ, unread = differing(engine.checksums(), iterate_weights(first))
    assert differ == [] and all("experts" in name for name in unread)
    assert not unread or engine.health().backend == "vllm"


ONE_ELEMENT = ("model.embed_tokens", "lm_head", "model.norm", "self_attn.k_proj", "self_attn.q_norm", "mlp.down_proj")


def test_one_element_of_the_last_bit_inside_the_engine_is_seen(engine: Any, tiny: Callable[..., Path]) -> None:
    """A quarter of an update at learning rate 1e-6: log-probabilities do not see it in any dtype."""
    import torch

    sound = dict(iterate_weights(tiny()))
    touched = [next(name for name in sound if part in name) for part in ONE_ELEMENT]
    spoiled = {name: tensor.clone() for name, tensor in sound.items()}
    for name in touched:
        last = spoiled[name].view(-1)[-1:]
        last.copy_(torch.nextafter(last, last + 1.0))
    engine.update_weights(spoiled, "spoiled")
    assert check_parity(engine, folder_logprobs(tiny()), *probe_sequences(tiny())) < CLOSE
    differ, unread = differing(engine.checksums(), sound.items())
    engine.load(str(tiny()), "start")
    assert sorted(differ) == sorted(touched) and unread == []
    assert differing(engine.checksums(), sound.items()) == ([], [])


def test_a_hand_over_that_leaves_a_stale_engine_rebuilds_it_and_one_that_stays_stale_ends(
    tiny: Callable[..., Path],
) -> None:
    from posttrain.rollout.causal import load_causal
    from posttrain.rollout.hf_engine import HfEngine

    class Stale(HfEngine):
        """Says that it took the weights; what it does not take in place it takes in a rebuild, until `deaf`."""

        deaf = False

        def update_weights(self, weights: Any, version: str) -> None:
            self._version = version

        def rebuild(self, model_dir: str, version: str) -> None:
            super().rebuild(str(tiny()) if self.deaf else model_dir, version)

    model, engine = load_causal(tiny()), Stale(str(tiny()), "start", EngineOptions(context_tokens=160))
    for parameter in model.parameters():
        parameter.data.add_(1e-6)  # one step of Adam at learning rate 1e-6
    sequences, starts = probe_sequences(tiny())
    stale = engine.score(sequences, starts)
    assert hand_over(engine, model, "next", like=tiny(), tolerance=None) < CLOSE
    assert 0 < largest_gap(engine.score(sequences, starts), stale) < 1e-3  # which no tolerance would have seen
    engine.rebuild(str(tiny()), "start")
    engine.deaf = True
    with pytest.raises(StageError, match="tensors in the engine are not the trainer's"):
        hand_over(engine, model, "next", like=tiny(), tolerance=None)


@pytest.mark.vllm
@pytest.mark.ray
@pytest.mark.parametrize(
    "shape",
    [pytest.param({"tied": True}, marks=pytest.mark.long), {"architecture": "mixtral"}],
    ids=["tied", "experts"],
)
def test_the_parity_check_catches_an_update_that_succeeds_and_is_wrong(
    vllm_engine: Any, tiny: Callable[..., Path], shape: dict[str, Any]
) -> None:
    """The in-place path, forced on shapes for which we never take it. If this fails, vLLM was mended: see
    weights.in_place_update_lies."""
    first, second = tiny(**shape), tiny(**shape, seed=1)
    vllm_engine.rebuild(str(first), "first")
    vllm_engine.call("_reload", list(iterate_weights(second)), "wrong")
    sequences, starts = probe_sequences(first)
    assert check_parity(vllm_engine, folder_logprobs(second), sequences, starts) > 0.05
    if shape.get("tied"):
        assert differing(vllm_engine.checksums(), iterate_weights(second))[0] == ["lm_head.weight"]
    rebuilt: list[str] = []

    def rebuild() -> None:
        rebuilt.append("yes")
        vllm_engine.rebuild(str(second), "second")

    gap = ensure_parity(
        vllm_engine,
        folder_logprobs(second),
        sequences,
        starts,
        tolerance=CLOSE,
        rebuild=rebuild,
        weights=lambda: iterate_weights(second),
    )
    assert gap < CLOSE and rebuilt == ["yes"]


@pytest.mark.vllm
@pytest.mark.ray
def test_options_reach_vllm_and_what_it_refuses_is_named(
    vllm_engine: Any, tiny: Callable[..., Path], tmp_path: Path
) -> None:
    from posttrain.errors import InputError
    from posttrain.machine.cluster import ActorSpec, Cluster
    from posttrain.rollout.vllm_engine import VllmEngine

    cluster = Cluster(address="local", placement_timeout_seconds=30, logs=tmp_path)
    options = EngineOptions(context_tokens=160, kv_cache_gb=0.05, vllm={"max_num_seqs": 0})
    kwargs = {"model_dir": str(tiny()), "version": "start", "options": options}
    with pytest.raises(InputError, match="max_num_seqs") as refused:
        cluster.start(ActorSpec(name="refused", target=VllmEngine, kwargs=kwargs, env={"OMP_NUM_THREADS": "1"}))
    assert refused.value.where == "engine.options"

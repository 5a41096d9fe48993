"""Which engine is taken, what the probe says, and what is refused before vLLM sees it."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from posttrain.errors import BackendError, CheckpointError, InputError
from posttrain.rollout import serve
from posttrain.rollout.engine import EngineOptions
from posttrain.rollout.probe import generates
from posttrain.rollout.weights import iterate_weights, shape_key


def test_a_probe_that_hangs_is_ended() -> None:
    works, detail = generates(timeout=0.2)
    assert not works and "within 0.2 s" in detail


def test_without_vllm_auto_is_an_error_that_names_both_ways_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BackendError) as caught:
        serve.choose_backend("auto")
    assert "posttrain setup" in str(caught.value.remedy) and "engine: {backend: hf}" in str(caught.value.remedy)
    assert serve.choose_backend("hf") == "hf"


def test_shapes_tell_engines_apart_and_weights_do_not(tiny: Callable[..., Path]) -> None:
    assert shape_key(tiny()) == shape_key(tiny(seed=1)) != shape_key(tiny(tied=True))


def test_a_folder_without_weights_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="safetensors"):
        list(iterate_weights(tmp_path))
    with pytest.raises(CheckpointError, match=r"config\.json"):
        shape_key(tmp_path)


@pytest.mark.vllm
@pytest.mark.ray
@pytest.mark.parametrize(
    ("options", "key"),
    [({"context_tokens": 4096}, "engine.context_tokens"), ({"kv_cache_gb": 1e-6}, "engine.kv_cache_gb")],
    ids=["context", "cache"],
)
def test_what_the_model_cannot_hold_is_refused_with_the_recipes_key(
    vllm_engine: Any, tiny: Callable[..., Path], options: dict[str, Any], key: str
) -> None:
    fitting = EngineOptions(context_tokens=160, kv_cache_gb=0.05)
    try:
        with pytest.raises(InputError) as caught:
            vllm_engine.call("__init__", str(tiny()), "refused", replace(fitting, **options))
        assert caught.value.where == key
    finally:
        vllm_engine.call("__init__", str(tiny()), "start", fitting)


@pytest.mark.vllm
@pytest.mark.long
def test_fifty_hand_overs_of_the_same_weights_leave_a_flat_gap() -> None:
    from posttrain.rollout.probe import holds_weights

    works, why = holds_weights()
    assert works and "over 50 updates" in why, why

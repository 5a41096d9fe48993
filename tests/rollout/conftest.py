"""Tiny random checkpoints, one Ray for all tests of this folder, and an engine of each kind."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from posttrain.rollout.engine import EngineOptions


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """tiny(architecture=..., tied=..., seed=...) -> folder, made once for each set of arguments."""
    from posttrain.rollout.tiny import tiny_model

    made: dict[str, Path] = {}

    def make(**options: Any) -> Path:
        key = repr(sorted(options.items()))
        if key not in made:
            made[key] = tiny_model(tmp_path_factory.mktemp("tiny") / "model", **options)
        return made[key]

    return make


@pytest.fixture(scope="module")  # no longer: a process has one Ray, and tests of the machine bring theirs
def vllm_engine(tiny: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A vLLM engine in an actor: vLLM changes the process it is imported into, and this one belongs to all tests."""
    if importlib.util.find_spec("vllm") is None:
        pytest.skip("vllm is not installed; remedy: posttrain setup")
    from posttrain.machine.cluster import ActorSpec, Cluster
    from posttrain.rollout.vllm_engine import VllmEngine

    cluster = Cluster(address="local", placement_timeout_seconds=30, logs=tmp_path_factory.mktemp("logs"))
    options = EngineOptions(context_tokens=160, kv_cache_gb=0.05, sleeps=True)
    kwargs = {"model_dir": str(tiny()), "version": "start", "options": options}
    env = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    yield cluster.start(ActorSpec(name="engine", target=VllmEngine, kwargs=kwargs, env=env))
    cluster.close()


@pytest.fixture(
    params=[pytest.param("vllm", marks=[pytest.mark.vllm, pytest.mark.ray]), "hf"],
)
def engine(request: pytest.FixtureRequest, tiny: Callable[..., Path]) -> Any:
    """Each kind of engine, with the weights of `tiny()` in it."""
    if request.param == "hf":
        from posttrain.rollout.hf_engine import HfEngine

        return HfEngine(str(tiny()), "start", EngineOptions(context_tokens=160))
    served = request.getfixturevalue("vllm_engine")
    if served.health().version != "start":
        served.rebuild(str(tiny()), "start")
    return served

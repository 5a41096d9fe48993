"""Stand-ins for what the machine starts on GPUs: they say where they sit, and touch no device."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from posttrain.rollout.engine import EngineHealth, EngineOptions


class Engine:
    def __init__(
        self, backend: str, model_dir: str, version: str, tolerance: float | None, options: EngineOptions
    ) -> None:
        self._version, self._sleeps, self._asleep = version, options.sleeps, False

    def health(self) -> EngineHealth:
        return EngineHealth(backend="none", version=self._version, device="none", dtype="float32", pid=os.getpid())

    def pulse_port(self) -> int:
        return 0  # nobody asks how it does: it has no work

    def load_checked(self, model_dir: str, version: str) -> float:
        assert not self._asleep, "weights are loaded into one that is awake"
        self._version = version
        return 0.0

    def sleep(self) -> None:
        assert self._sleeps, "only one that was started for it can"
        self._asleep = True

    def wake(self) -> None:
        self._asleep = False

    def seat(self) -> tuple[str, str, bool]:
        """(node, GPUs, whether it sleeps). Reached by its proxy without waking it."""
        return *where(), self._asleep

    def next_token_logprobs(self, prompts: Sequence[Sequence[int]], token_ids: Sequence[int]) -> list[list[float]]:
        """1 for each prompt where it was awake when it was asked."""
        return [[float(not self._asleep)] for _ in prompts]


class Trainer:
    def __init__(self, rank: int, world: int, threads: int) -> None:
        pass

    def join(self, address: str, port: int) -> None:
        pass

    def run(self, function: Any, args: Any, kwargs: Any) -> Any:
        return function(*args, **kwargs)

    def seat(self) -> tuple[str, str, bool]:
        return *where(), False


def where() -> tuple[str, str]:
    """Node of Ray and GPUs of this process."""
    import ray

    return ray.get_runtime_context().get_node_id(), os.environ["CUDA_VISIBLE_DEVICES"]

"""An engine as it lives in its actor: the chosen backend, and a check of its weights against the checkpoint's
whenever one is loaded.

Knows nothing of Ray. Importing this file imports neither torch nor vllm.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

from posttrain.errors import BackendError
from posttrain.rollout.engine import Engine, EngineOptions
from posttrain.rollout.identity import Held
from posttrain.rollout.pulse import Pulse
from posttrain.rollout.shared_weights import WeightsAt

BACKENDS = {"vllm": "posttrain.rollout.vllm_engine:VllmEngine", "hf": "posttrain.rollout.hf_engine:HfEngine"}


def choose_backend(asked: str) -> str:
    """auto: vLLM where it is installed; otherwise an error that names the other engine, never a silent change of
    engine."""
    if asked == "hf":
        return "hf"
    if importlib.util.find_spec("vllm") is None:
        raise BackendError(
            "vLLM is not installed",
            where="engine.backend",
            remedy=(
                "`posttrain setup` installs it; or write `engine: {backend: hf}` to generate with transformers (slower)"
            ),
        )
    return "vllm"


def build_engine(backend: str, model_dir: str, version: str, options: EngineOptions) -> Engine:
    """The engine of a backend, built in this process. Raises BackendError where its library does not import."""
    module, _, name = BACKENDS[backend].partition(":")
    try:
        kind = getattr(importlib.import_module(module), name)
    except ImportError as error:
        raise BackendError(
            f"the {backend} engine does not import: {error}",
            where="engine.backend",
            remedy=(
                "`posttrain doctor` says what is missing, `posttrain setup` installs it; or write `engine: "
                "{backend: hf}`"
            ),
        ) from error
    engine: Engine = kind(model_dir, version, options)
    return engine


_WORKS = ("generate", "advance", "score", "next_token_logprobs")


class EngineServer:
    """The object in an engine actor: every method of the engine, `load_checked`, and the port of its pulse."""

    def __init__(
        self, backend: str, model_dir: str, version: str, tolerance: float | None, options: EngineOptions
    ) -> None:
        from posttrain.rollout.identity import differing
        from posttrain.rollout.weights import iterate_weights

        self._pulse = Pulse()
        self._engine = build_engine(backend, model_dir, version, options)
        self._engine.on_step = self._pulse.beat
        self._tolerance = tolerance
        # What an engine that has just read the checkpoint holds in another form (rows in another order, a factor taken
        # in) is no fault, and cannot be compared: log-probabilities alone vouch for it.
        self._reshaped = frozenset(differing(self._engine.checksums(), iterate_weights(model_dir))[0])
        self._check(model_dir, version)
        self._pulse.forget()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        method = getattr(self._engine, name)
        return self._counted(method) if name in _WORKS else method

    def _counted(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def work(*args: Any, **kwargs: Any) -> Any:
            with self._pulse.at_work():
                return method(*args, **kwargs)

        return work

    def update_from(self, path: str, version: str) -> None:
        """As `update_weights`, from memory that a process of this node shares."""
        self._engine.update_weights(WeightsAt(path), version)

    def pulse_port(self) -> int:
        """Where pulse.py tells how it does."""
        return self._pulse.port

    def checksums(self) -> dict[str, Held]:
        """Those of the engine that can be compared with a checkpoint's."""
        return {name: one for name, one in self._engine.checksums().items() if name not in self._reshaped}

    def load_checked(self, model_dir: str, version: str) -> float:
        """Take another checkpoint of the same shape. Returns the log-probability gap to transformers, in nats."""
        self._engine.load(model_dir, version)
        return self._check(model_dir, version)

    def _check(self, model_dir: str, version: str) -> float:
        from posttrain.rollout.parity import ensure_parity, folder_logprobs, probe_sequences
        from posttrain.rollout.weights import iterate_weights

        sequences, starts = probe_sequences(model_dir)
        engine: Any = self
        return ensure_parity(
            engine,
            folder_logprobs(model_dir),
            sequences,
            starts,
            tolerance=self._tolerance,
            rebuild=lambda: self._engine.rebuild(model_dir, version),
            weights=lambda: iterate_weights(model_dir),
        )

"""An engine that follows a model in training: it takes the weights before a step, and whether it has them is checked.

Knows neither prompts nor losses.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Sequence
from typing import Any

from posttrain.errors import PosttrainError, Stopped
from posttrain.machine.ranks import is_first_rank
from posttrain.rollout.parity import hand_over
from posttrain.rollout.shared_weights import WeightMemory
from posttrain.sampling.job import FollowingEngine
from posttrain.signals.stopping import giving_up_waits
from posttrain.train.attention import exact_attention
from posttrain.train.dealing import Dealer
from posttrain.train.job import Job
from posttrain.train.model import checkpoint_model, load_model
from posttrain.train.parking import parked
from posttrain.train.sharding import whole_model


class Follower:
    """Of one engine. version: the step whose weights it holds, -1 before any; gap: nats, of the last check."""

    def __init__(self, job: Job, following: FollowingEngine) -> None:
        self.job, self.engine, self.tolerance = job, following.engine, following.tolerance
        self.takes_turns = following.takes_turns
        self.version, self.gap = -1, 0.0
        self._memory = WeightMemory()

    def whole(self, model: Any) -> Any:
        """The model unsharded on the first rank, None on the others of a sharded one. All ranks must call it."""
        return whole_model(model, lambda: self._unsharded)

    @functools.cached_property
    def _unsharded(self) -> Any:
        return load_model(self.job.model, adapter=self.job.stage.adapter, seed=self.job.seed)

    @contextlib.contextmanager
    def turn(self, models: Sequence[Any], optimizer: Any, dealer: Dealer) -> Iterator[None]:
        """Where trainers and engines take turns, the GPUs are the engines' while this is open. models: what the trainer
        has on them. All ranks must call it."""
        if not self.takes_turns:
            yield
            return
        with parked(models, optimizer):
            dealer.tell(None)  # all have left before an engine wakes
            told: PosttrainError | None = None
            try:
                yield
            except PosttrainError as error:
                told = error  # in all workers; any other is of this one alone, and the others must not wait for it here
            if is_first_rank():
                with giving_up_waits(None):
                    if isinstance(told, Stopped):  # it may be at work on what nobody waits for any more
                        self.engine.abandon()
                    else:
                        self.engine.sleep()
            dealer.tell(None)  # none comes back before it sleeps
        if told is not None:
            raise told

    def follow(self, step: int, whole: Any) -> PosttrainError | None:
        """On the first worker: the engine takes the weights before this step, and they are compared. Returns what went
        wrong."""
        if not is_first_rank() or self.version == step:
            return None
        try:
            with exact_attention(whole):
                self.gap = hand_over(
                    self.engine,
                    checkpoint_model(whole),
                    f"{self.job.step_name}@{step}",
                    like=self.job.model,
                    tolerance=self.tolerance,
                    memory=self._memory,
                )
            self.version = step
        except PosttrainError as error:
            return error
        return None

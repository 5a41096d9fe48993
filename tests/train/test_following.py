"""The engines' turn on GPUs that they share with trainers: who waits for whom when something goes wrong."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from posttrain.errors import StageError
from posttrain.sampling.job import FollowingEngine
from posttrain.train.following import Follower


class Line:
    """Counts what workers tell each other, and when an engine sleeps."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def tell(self, value: Any) -> Any:
        self.seen.append("tell")
        return value

    def sleep(self) -> None:
        self.seen.append("sleep")


@pytest.mark.parametrize(
    ("error", "seen"),
    [
        (StageError("too many faults"), ["tell", "sleep", "tell"]),  # raised in every worker: all come to the end
        (RuntimeError("a fault of one worker"), ["tell"]),  # the others must not wait for this one
    ],
)
def test_an_error_of_one_worker_alone_ends_the_turn_without_the_others(error: Exception, seen: list[str]) -> None:
    line, model = Line(), torch.nn.Linear(2, 2)
    engine: Any = line
    job: Any = SimpleNamespace()
    follower = Follower(job, FollowingEngine(engine=engine, tolerance=None, takes_turns=True))
    dealer: Any = line
    with pytest.raises(type(error)), follower.turn(model, None, dealer):
        raise error
    assert line.seen == seen

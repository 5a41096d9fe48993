"""The engines' turn on GPUs that they share with trainers: who waits for whom when something goes wrong."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from posttrain.errors import StageError, Stopped
from posttrain.sampling.job import FollowingEngine
from posttrain.signals.stopping import check_wait, giving_up_waits
from posttrain.train.following import Follower


class Line:
    """Counts what workers tell each other, and when an engine sleeps."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def tell(self, value: Any) -> Any:
        self.seen.append("tell")
        return value

    def sleep(self) -> None:
        check_wait()
        self.seen.append("sleep")

    def abandon(self) -> None:
        check_wait()
        self.seen.append("abandon")


@pytest.mark.parametrize(
    ("error", "seen"),
    [
        (StageError("too many faults"), ["tell", "sleep", "tell"]),  # raised in every worker: all come to the end
        (Stopped("on request"), ["tell", "abandon", "tell"]),  # the engine is still at work
        (RuntimeError("a fault of one worker"), ["tell"]),  # the others must not wait for this one
    ],
)
def test_an_error_of_one_worker_alone_ends_the_turn_without_the_others(
    error: Exception, seen: list[str], tmp_path: Path
) -> None:
    line, model = Line(), torch.nn.Linear(2, 2)
    engine: Any = line
    job: Any = SimpleNamespace()
    follower = Follower(job, FollowingEngine(engine=engine, tolerance=None, takes_turns=True))
    dealer: Any = line
    stop_file = tmp_path / "stop"
    with pytest.raises(type(error)), giving_up_waits(stop_file), follower.turn([model], None, dealer):
        stop_file.touch()  # whatever went wrong: leaving in order waits for nothing that a stop gives up
        raise error
    assert line.seen == seen

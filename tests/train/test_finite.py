"""A gradient that is not finite changes no weight; the stage goes on once in a hundred steps, and else stops and names
the rows."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from posttrain.errors import StageError
from posttrain.train.finite import all_finite
from posttrain.train.reward_model import LabelTrainer, train
from tests.train.conftest import Jobs, metrics, weights, write_rows
from tests.train.test_reward_model import PAIRS, stage


def spoil(monkeypatch: pytest.MonkeyPatch, bad_steps: set[int]) -> None:
    """The loss of these steps (from 0) has an infinite slope."""
    sound: Callable[..., torch.Tensor] = LabelTrainer.micro_loss

    def micro_loss(self: Any, model: Any, micro: Any) -> torch.Tensor:
        loss = sound(self, model, micro)
        return loss * math.inf if self.state.global_step in bad_steps else loss

    monkeypatch.setattr(LabelTrainer, "micro_loss", micro_loss)


def test_one_bad_step_of_a_hundred_is_skipped_and_on_record(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    data = {"pairs": write_rows(jobs.folder / "pairs.jsonl", PAIRS)}
    spoil(monkeypatch, {5})
    job = jobs.make(stage(steps=100, batch_size=2, micro_batch_size=2, save_every=100), data)
    train(job)
    rows = metrics(job)
    assert [row["step"] for row in rows] == list(range(1, 101))
    assert [row["step"] for row in rows if row.get("skipped")] == [6]
    assert "loss" not in rows[5] and all(math.isfinite(row["loss"]) for row in rows if row["step"] != 6)
    assert all(torch.isfinite(value).all() for value in weights(job.output / "model").values())


@pytest.mark.parametrize(("steps", "bad", "stops_at"), [(100, {5, 40}, 41), (99, {5}, 6)])
def test_one_more_stops_the_stage_and_names_the_rows(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch, steps: int, bad: set[int], stops_at: int
) -> None:
    data = {"pairs": write_rows(jobs.folder / "pairs.jsonl", PAIRS)}
    spoil(monkeypatch, bad)
    job = jobs.make(stage(steps=steps, batch_size=2, micro_batch_size=2, save_every=100), data)
    with pytest.raises(
        StageError, match=rf"not finite at step {stops_at} of .*; it trained on row \d+ of data 'pairs',"
    ):
        train(job)


def test_one_number_in_one_parameter_is_seen() -> None:
    model = torch.nn.Linear(3, 2)
    model(torch.ones(1, 3)).sum().backward()
    assert all_finite(model, loss_is=True) and not all_finite(model, loss_is=False)
    assert model.bias.grad is not None
    model.bias.grad[1] = math.nan
    assert not all_finite(model, loss_is=True)

"""On GPUs: two trainers that share a model in bfloat16 train as one does, and a GPU takes a long packed row only with
flash attention. Skipped, with the reason, where there are none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from posttrain.errors import StageError
from posttrain.recipe.schema import Recipe, Sft
from posttrain.train.attention import SDPA_TOKENS, training_attention
from posttrain.train.model import load_model
from tests.train.conftest import Jobs, metrics, weights, write_rows
from tests.train.test_two_workers import SFT

pytestmark = [pytest.mark.gpu, pytest.mark.ray]


@pytest.fixture
def jobs(tmp_path: Path) -> Jobs:
    from posttrain.rollout.tiny import tiny_model

    return Jobs(tmp_path, tiny_model(tmp_path / "tiny", sharpness=1.0))


def train_on_gpus(jobs: Jobs, count: int, sharding: str) -> Any:
    from posttrain.machine.machine import Machine
    from posttrain.train import entry

    rows = [{"prompt": f"after {n}?", "completion": f"<think>+</think>{n + 1}"} for n in range(24)]
    cluster = {"trainers": count, "gpus_per_trainer": 1, "sharding": sharding}
    parts = {"schema": 1, "name": "gpus", "base": {"path": "toy"}, "stages": [SFT], "cluster": cluster}
    data = {"rows": write_rows(jobs.folder / "rows.jsonl", rows)}
    job = jobs.make(Sft.model_validate(SFT), data, sharding=sharding)
    with Machine(Recipe.model_validate(parts), jobs.folder / f"logs-{count}-{sharding}") as machine:
        machine.run(entry.sft, job)
    return job


def test_two_gpus_that_share_a_model_train_as_one_does(jobs: Jobs) -> None:
    if torch.cuda.device_count() < 2:
        pytest.skip("one GPU here; remedy: run the tests on a machine with two")
    alone, shared = train_on_gpus(jobs, 1, "none"), train_on_gpus(jobs, 2, "fsdp")
    assert [row["loss"] for row in metrics(shared)] == pytest.approx([row["loss"] for row in metrics(alone)], rel=2e-2)
    assert {value.dtype for value in weights(shared.output / "model").values()} == {torch.float32}


def test_a_long_packed_row_under_sdpa_is_refused_on_a_gpu(jobs: Jobs) -> None:
    model = load_model(jobs.model).to("cuda")
    length = SDPA_TOKENS + 2
    ids = torch.zeros((1, length), dtype=torch.long, device="cuda")
    positions = torch.cat([torch.arange(length // 2), torch.arange(length // 2)])[None].to("cuda")
    with training_attention(model, "sdpa", "cuda"), pytest.raises(StageError, match="a packed row of 32770 tokens"):
        model(input_ids=ids, position_ids=positions)

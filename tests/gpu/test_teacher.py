"""On a GPU: a teacher is there in half precision, and training from its distributions on disk is training beside it.
Skipped, with the reason, where there is none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from tests.train.conftest import Jobs, metrics

pytestmark = pytest.mark.gpu


def test_a_teacher_in_half_precision_and_its_cache_train_alike(tmp_path: Path) -> None:
    from posttrain.rollout.tiny import tiny_model
    from posttrain.train import dpd
    from posttrain.train.teacher import frozen_model
    from posttrain.train.teacher_logprobs import write_cache
    from tests.train.test_dpd import KEYS, PAIRS, stage

    jobs = Jobs(tmp_path, tiny_model(tmp_path / "student", sharpness=1.0))
    teacher = tiny_model(tmp_path / "teacher", sharpness=3.0, seed=1)
    model = frozen_model(teacher, "auto", "cuda")
    assert {(one.dtype, one.device.type) for one in model.parameters()} == {(torch.bfloat16, "cuda")}
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in PAIRS))
    configured = stage(teacher={"path": "t", "cache": {"top_k": 255}})
    cached, live = (jobs.make(configured, inputs={"pairs": tmp_path}) for _ in range(2))
    cached.output.mkdir()
    write_cache(cached, teacher, ())
    from_disk = jobs.make(configured, inputs={"pairs": tmp_path, "teacher_logprobs": cached.output})
    dpd.train(live, teacher)
    dpd.train(from_disk, None)
    assert metrics(live)[0]["margin"] == pytest.approx(0.0, abs=1e-4), "the reference rounds as the trained model does"
    for one, other in zip(metrics(live), metrics(from_disk), strict=True):
        assert [other[key] for key in KEYS] == pytest.approx([one[key] for key in KEYS], rel=0.03, abs=1e-3)

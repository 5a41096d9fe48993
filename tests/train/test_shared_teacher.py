"""Two workers that share a teacher: each holds its half, what they write to disk is what one writes, and training from
that disk on two is training beside the teacher on one. Every weight of the loss moves the gradient of both."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from posttrain.recipe.schema import Recipe
from tests.train.conftest import Jobs, files, metrics
from tests.train.test_dpd import KEYS, PAIRS, stage
from tests.train.test_sharding import apart
from tests.train.test_two_workers import SFT

pytestmark = pytest.mark.ray
WEIGHTS = ({}, {"sequence": 0.0}, {"chosen": 0.0}, {"rejected": 0.0})


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from posttrain.machine.machine import Machine

    parts = {"schema": 1, "name": "two", "base": {"path": "toy"}, "stages": [SFT], "cluster": {"trainers": 2}}
    with Machine(Recipe.model_validate(parts), tmp_path_factory.mktemp("two") / "logs") as machine:
        yield machine


@pytest.fixture
def pairs(jobs: Jobs) -> dict[str, Path]:
    (jobs.folder / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in PAIRS[:19]))
    return {"pairs": jobs.folder}


def write_in_small_shards(job: Any, teacher: Path) -> dict[str, Any]:
    """The caching step with shards of 4 pairs; notes the share of the teacher that this rank holds. Runs in a
    worker."""
    from torch.distributed.tensor import DTensor

    from posttrain.train import teacher_logprobs

    before, fill = teacher_logprobs.PAIRS_A_SHARD, teacher_logprobs._fill

    def look(model: Any, *rest: Any) -> bool:
        done = fill(model, *rest)
        for module in model.modules():
            if hasattr(module, "reshard"):
                module.reshard()
        held = [one.to_local() if isinstance(one, DTensor) else one for one in model.parameters()]
        share = sum(one.numel() for one in held) / sum(one.numel() for one in model.parameters())
        (job.attempt / f"share-{os.environ.get('RANK', '0')}").write_text(str(share))
        return done

    teacher_logprobs.PAIRS_A_SHARD, teacher_logprobs._fill = 4, look
    try:
        return teacher_logprobs.write_cache(job, teacher, ())
    finally:
        teacher_logprobs.PAIRS_A_SHARD, teacher_logprobs._fill = before, fill


def test_two_workers_write_what_one_writes_and_train_from_it_as_one_beside_the_teacher(
    two: Any, jobs: Jobs, tiny: Callable[..., Path], pairs: dict[str, Path]
) -> None:
    from posttrain.train import dpd, entry

    teacher = tiny(seed=1, sharpness=3.0)
    cached = stage(teacher={"path": "t", "cache": {"top_k": 255}}, steps=None, epochs=1.0, micro_batch_size=2)
    alone, copies, shares = (jobs.make(cached, sharding=how, inputs=pairs) for how in ("none", "none", "fsdp"))
    for job in (alone, copies, shares):
        job.output.mkdir()
        job.attempt.mkdir(exist_ok=True)
    said = write_in_small_shards(alone, teacher)
    assert two.run(write_in_small_shards, copies, teacher) == said
    assert two.run(write_in_small_shards, shares, teacher) == said
    assert len(files(alone.output)) == 2 * 5 + 1
    assert files(copies.output) == files(alone.output) == files(shares.output)
    for rank in range(2):
        assert float((copies.attempt / f"share-{rank}").read_text()) == 1.0
        assert 0.45 <= float((shares.attempt / f"share-{rank}").read_text()) <= 0.6

    live = jobs.make(cached, inputs=pairs)
    from_disk = jobs.make(cached, sharding="fsdp", inputs={**pairs, "teacher_logprobs": alone.output})
    facts = dpd.train(live, teacher)
    assert two.run(entry.dpd, from_disk, None) == pytest.approx(facts, rel=0.01)
    for one, other in zip(metrics(live), metrics(from_disk), strict=True):
        assert [other[key] for key in ("loss", *KEYS)] == pytest.approx([one[key] for key in ("loss", *KEYS)], rel=0.01)
    assert apart(live.output / "model", from_disk.output / "model", jobs.model) < 0.05


def train_with_fresh_answers(job: Any, teacher: Path) -> dict[str, Any]:
    """Distillation with an engine in this process. Runs in a worker, or alone."""
    from posttrain.rollout.engine import EngineOptions
    from posttrain.rollout.hf_engine import HfEngine
    from posttrain.sampling.job import FollowingEngine
    from posttrain.train import dpd

    engine = HfEngine(str(job.model), "start", EngineOptions(context_tokens=96))
    return dpd.train(job, teacher, FollowingEngine(engine=engine, tolerance=1e-3))


def test_two_workers_share_fresh_answers_and_a_data_set_without_kl_on_its_pairs_as_one_has_them(
    two: Any, jobs: Jobs, tiny: Callable[..., Path]
) -> None:
    """The teacher is shared, and some micro-batches do not ask it: nobody may wait for it for ever."""
    rows = [row | {"source": "sums" if number % 5 else "letters"} for number, row in enumerate(PAIRS[:18])]
    (jobs.folder / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    configured = stage(
        prompts={"sums": 1.0, "letters": 1.0}, domains={"sums": {"mode": "on_policy"}, "letters": {"mode": "both"}},
        steps=None, epochs=1.0, micro_batch_size=2, temperature=0.0, max_tokens=6,
    )  # fmt: skip
    alone, shared = (
        jobs.make(configured, sharding=sharding, inputs={"pairs": jobs.folder}) for sharding in ("none", "fsdp")
    )
    teacher = tiny(seed=1, sharpness=3.0)
    facts = train_with_fresh_answers(alone, teacher)
    assert two.run(train_with_fresh_answers, shared, teacher) == pytest.approx(facts, rel=1e-3)
    for one, other in zip(metrics(alone), metrics(shared), strict=True):
        assert other == pytest.approx(one, rel=1e-3, abs=1e-4)
    assert files(shared.attempt / "rollouts").keys() == files(alone.attempt / "rollouts").keys()


def gradients(job: Any, teacher: Path) -> dict[str, Any]:
    """The whole gradient of a step under each of WEIGHTS, as this rank has it, to a file. Runs in a worker."""
    from torch.distributed.tensor import DTensor

    from posttrain.recipe.schema import DpdWeights
    from posttrain.train import dpd
    from posttrain.train.trainer import Recorder

    found: list[torch.Tensor] = []

    def look(self: Any, args: Any, state: Any, control: Any, **given: Any) -> None:
        each = [one.grad for one in given["model"].parameters()]
        whole = [one.full_tensor() if isinstance(one, DTensor) else one for one in each]
        found.append(torch.cat([one.flatten() for one in whole]).clone())

    before = Recorder.on_pre_optimizer_step
    Recorder.on_pre_optimizer_step = look  # type: ignore[method-assign]
    try:
        for number, weights in enumerate(WEIGHTS):
            changed = job.stage.model_copy(update={"weights": DpdWeights(**weights)})
            place = {"attempt": job.attempt / str(number), "output": job.output / str(number)}
            dpd.train(dataclasses.replace(job, stage=changed, **place), teacher)
    finally:
        Recorder.on_pre_optimizer_step = before  # type: ignore[method-assign]
    torch.save(torch.stack(found), job.recipe_dir / f"{job.sharding}-{os.environ.get('RANK', '0')}.pt")
    return {}


@pytest.mark.parametrize("sharding", [pytest.param("none", marks=pytest.mark.long), "fsdp"])
def test_every_weight_moves_the_gradient_on_every_rank_and_the_gradient_is_one(
    two: Any, jobs: Jobs, tiny: Callable[..., Path], pairs: dict[str, Path], sharding: str
) -> None:
    job = jobs.make(stage(steps=1, micro_batch_size=2, max_grad_norm=1e6), sharding=sharding, inputs=pairs)
    two.run(gradients, job, tiny(seed=1, sharpness=3.0))
    first, second = (torch.load(jobs.folder / f"{sharding}-{rank}.pt", weights_only=True) for rank in range(2))
    assert torch.equal(first, second)
    whole, *without = first
    for one in without:
        assert (whole - one).norm() > 1e-3 * whole.norm()
    # the loss is a weighted sum: what the three terms add is all there is
    assert torch.allclose(
        sum(without, -2 * whole), torch.zeros_like(whole), atol=1e-5 * float(whole.abs().max()) + 1e-7
    )

"""One worker, two that share the model (FSDP2) and two with a copy each (data parallel) train the same: curves,
gradient norms and published weights, for every training stage, full and under LoRA. And the shares are shares."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from posttrain.errors import StageError
from posttrain.recipe.schema import Dpd, Grpo, Recipe, RewardModel, Sft
from posttrain.store.checkpoints import newest_good
from tests.train.conftest import Jobs, files, metrics, weights, write_rows
from tests.train.test_two_workers import RL, SFT, assert_close, curve, train_on_halves

pytestmark = pytest.mark.ray
LORA = {"rank": 4, "alpha": 8, "dropout": 0.0, "targets": ["q_proj", "v_proj", "down_proj"]}
ROWS = [{"prompt": f"after {n}?", "completion": "<think>" + "+" * (n % 7) + f"</think>{n + 1}"} for n in range(25)]
JUDGED = [{"prompt": f"pick {n}", "chosen": f"yes {n}", "rejected": f"no {n}"} for n in range(12)]
TRLS = ("mean_token_accuracy", "entropy")
"""Figures of SFTTrainer that are means over forward passes, whatever is in them."""
OF_UPDATE = 2e-3
"""How far weights may be from those of one worker, as a share of the update: float32 sums in another order, which
AdamW's first steps magnify where a gradient is near 0."""


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from posttrain.machine.machine import Machine

    parts: dict[str, Any] = {
        "schema": 1,
        "name": "two",
        "base": {"path": "toy"},
        "stages": [SFT],
        "cluster": {"trainers": 2},
        "engine": {"backend": "hf", "context_tokens": 96},
    }
    with Machine(Recipe.model_validate(parts), tmp_path_factory.mktemp("two") / "logs") as machine:
        yield machine


def weighed(job: Any, kind: str, teacher: Path | None = None) -> dict[str, Any]:
    """Train, and write down what this rank holds after an update: bytes of weights, gradients and optimiser, and what
    all of them would be. Runs in a worker."""
    import os

    from torch.distributed.tensor import DTensor

    from posttrain.train import dpd, reward_model, sft
    from posttrain.train.trainer import Recorder

    held: dict[str, Any] = {}

    def look(self: Any, args: Any, state: Any, control: Any, **found: Any) -> None:
        if held:
            return
        parameters = list(found["model"].parameters())
        moments = [value for one in found["optimizer"].state.values() for value in one.values() if value.numel() > 1]
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        held["unsharded"] = sum(not isinstance(parameter, DTensor) for parameter in parameters)
        for name, tensors in (("weights", parameters), ("gradients", gradients), ("optimizer", moments)):
            mine = sum((one.to_local() if isinstance(one, DTensor) else one).numel() for one in tensors)
            held[name] = [mine, sum(one.numel() for one in tensors)]

    before = Recorder.on_optimizer_step
    Recorder.on_optimizer_step = look  # type: ignore[method-assign]
    try:
        if kind == "dpd":
            assert teacher is not None
            done = dpd.train(job, teacher)
        else:
            done = {"sft": sft.train, "reward_model": reward_model.train, "grpo": train_on_halves}[kind](job)
    finally:
        Recorder.on_optimizer_step = before  # type: ignore[method-assign]
    (job.attempt / f"held-{os.environ.get('RANK', '0')}.json").write_text(json.dumps(held))
    return done


def configured(kind: str, jobs: Jobs, **changes: Any) -> tuple[Any, dict[str, Any]]:
    """A stage of this kind, and what its jobs are given."""
    from tests.train.test_dpd import PAIRS, stage

    if kind == "sft":
        made: Any = Sft.model_validate(SFT | changes)
        return made, {"data": {"rows": write_rows(jobs.folder / "rows.jsonl", ROWS)}}
    if kind == "dpd":
        (jobs.folder / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in PAIRS[:18]))
        made = stage(**({"steps": None, "epochs": 1.0, "micro_batch_size": 2} | changes))
        assert isinstance(made, Dpd)
        return made, {"inputs": {"pairs": jobs.folder}}
    if kind == "reward_model":
        keys = {"kind": kind, "name": "judge", "data": {"rows": 1.0}, "steps": 3, "batch_size": 8}
        keys |= {"micro_batch_size": 2, "max_tokens": 4096, "held_out_share": 0.2, "learning_rate": 1e-3}
        made = RewardModel.model_validate(keys | changes)
        return made, {"data": {"rows": write_rows(jobs.folder / "judged.jsonl", JUDGED)}}
    return Grpo.model_validate(RL | {"steps": 3} | changes), {}


def apart(one: Path, other: Path, start: Path) -> float:
    """|other - one| as a share of |one - start|, over all weights."""
    a, b, zero = weights(one), weights(other), weights(start)
    assert a.keys() == b.keys()
    moved = sum(float((a[name] - zero[name]).square().sum()) for name in a)
    gap = sum(float((a[name] - b[name]).square().sum()) for name in a)
    assert moved > 0
    return (gap / moved) ** 0.5


@pytest.mark.parametrize("adapter", ["full", pytest.param("lora", marks=pytest.mark.long)])
@pytest.mark.parametrize("kind", ["sft", "dpd", "reward_model", "grpo"])
def test_one_worker_two_with_shares_and_two_with_copies_train_the_same(
    two: Any, jobs: Jobs, tiny: Callable[..., Path], kind: str, adapter: str
) -> None:
    stage, given = configured(kind, jobs, adapter=LORA if adapter == "lora" else "full")
    teacher = tiny(seed=1) if kind == "dpd" else None
    alone, copies, shares = (jobs.make(stage, sharding=how, **given) for how in ("none", "none", "fsdp"))
    facts = weighed(alone, kind, teacher)
    for job in (copies, shares):
        found = two.run(weighed, job, kind, teacher)
        assert found == pytest.approx(facts, abs=1e-4)
        assert_close(curve(job), curve(alone))
        for one, other in zip(metrics(alone), metrics(job), strict=True):
            assert one.keys() == other.keys()
            assert [other[key] for key in one if key not in TRLS] == pytest.approx(
                [value for key, value in one.items() if key not in TRLS], rel=1e-4, abs=1e-4
            )
        assert apart(alone.output / "model", job.output / "model", jobs.model) < OF_UPDATE
    for rank in range(2):
        held = json.loads((shares.attempt / f"held-{rank}.json").read_text())
        assert held.pop("unsharded") == 0
        for name, (mine, whole) in held.items():
            assert 0.45 * whole <= mine <= 0.6 * whole, f"rank {rank} holds {mine} of {whole} of the {name}"


@pytest.mark.parametrize("adapter", ["full", pytest.param("lora", marks=pytest.mark.long)])
def test_a_resume_of_shards_repeats_the_undisturbed_run_byte_for_byte(two: Any, jobs: Jobs, adapter: str) -> None:
    stage, given = configured("sft", jobs, adapter=LORA if adapter == "lora" else "full")
    whole, stopped = (jobs.make(stage, sharding="fsdp", **given) for _ in range(2))
    two.run(weighed, whole, "sft")
    stopped.stop_file.write_text("")
    assert two.run(weighed, stopped, "sft") == {"stopped": True}
    stopped.stop_file.unlink()
    resumed = jobs.make(stage, sharding="fsdp", resume=True, **given)
    assert resumed.resume is not None and resumed.resume.step == 1
    shards = sorted(path.name for path in (resumed.resume.path / "shares").glob("*.distcp"))
    assert shards == ["__0_0.distcp", "__1_0.distcp"]
    assert not list(resumed.resume.path.glob("*.safetensors"))
    two.run(weighed, resumed, "sft")
    assert (resumed.attempt / "metrics.jsonl").read_bytes() == (whole.attempt / "metrics.jsonl").read_bytes()
    assert files(resumed.output / "model") == files(whole.output / "model")

    # killed after the last step: nothing is left to train, and what is published is what the shards hold
    finished = jobs.make(stage, sharding="fsdp", resume=True, **given)
    assert finished.resume is not None and finished.resume.step == stage.steps
    two.run(weighed, finished, "sft")
    assert files(finished.output / "model") == files(whole.output / "model")


def test_a_checkpoint_is_taken_up_by_any_number_of_workers_sharded_or_not(two: Any, jobs: Jobs) -> None:
    def run(job: Any, how: str) -> None:
        weighed(job, "sft") if how == "alone" else two.run(weighed, job, "sft")

    stage, given = configured("sft", jobs)
    sharding = {"alone": "none", "copies": "none", "shares": "fsdp"}
    undisturbed = jobs.make(stage, **given)
    run(undisturbed, "alone")
    of_first_step = {}
    for how, kind in sharding.items():
        stopped = jobs.make(stage, sharding=kind, **given)
        stopped.stop_file.write_text("")
        run(stopped, how)
        stopped.stop_file.unlink()
        of_first_step[how] = newest_good([stopped.attempt / "checkpoints"], owner="owner")
    for before, after in (("shares", "alone"), ("alone", "shares"), ("copies", "alone"), ("shares", "copies")):
        resumed = replace(jobs.make(stage, sharding=sharding[after], **given), resume=of_first_step[before])
        assert resumed.resume is not None and resumed.resume.step == 1
        run(resumed, after)
        assert [row["step"] for row in metrics(resumed)] == [1, 2, 3, 4]
        assert_close(curve(resumed), curve(undisturbed))
        assert apart(undisturbed.output / "model", resumed.output / "model", jobs.model) < OF_UPDATE


def test_recomputed_activations_of_shards_change_no_figure(two: Any, jobs: Jobs) -> None:
    kept, again = (configured("sft", jobs, gradient_checkpointing=on) for on in (False, True))
    one, other = (jobs.make(stage, sharding="fsdp", **given) for stage, given in (kept, again))
    for job in (one, other):
        two.run(weighed, job, "sft")
    assert_close(curve(other), curve(one), tolerance=1e-6)
    assert apart(one.output / "model", other.output / "model", jobs.model) < 1e-5


def look_at_rounding(job: Any) -> dict[str, Any]:
    """One update of the distillation in bfloat16 under FSDP. Runs in a worker; says which dtypes it met."""
    from torch.distributed.fsdp import FSDPModule
    from transformers import TrainingArguments

    from posttrain.train import dpd
    from posttrain.train.losses import tiled

    seen: dict[str, Any] = {}
    found = dpd.distillation_loss

    def rounded(**arguments: Any) -> TrainingArguments:
        return TrainingArguments(**arguments | {"bf16": True})

    def look(student: Any, teacher: Any, targets: torch.Tensor, **rest: Any) -> Any:
        done = tiled.distillation_loss(student, teacher, targets, **rest)
        seen["hidden"], seen["head"] = str(student.hidden_NH.dtype), str(student.head.weight_VH.dtype)
        seen["loss"], seen["logprobs"] = str(done[0].dtype), str(done[2].dtype)
        return done

    def reduced(self: Any, args: Any, state: Any, control: Any, **given: Any) -> None:
        units = [module for module in given["model"].modules() if isinstance(module, FSDPModule)]
        groups = [group for unit in units for group in unit._get_fsdp_state()._fsdp_param_groups]
        seen["reduce"] = sorted({str(group._reduce_dtype) for group in groups})
        seen["master"] = sorted({str(parameter.dtype) for parameter in given["model"].parameters()})

    before = dpd.Recorder.on_optimizer_step
    dpd.TrainingArguments, dpd.distillation_loss = rounded, look  # type: ignore[misc, assignment]
    dpd.Recorder.on_optimizer_step = reduced  # type: ignore[method-assign]
    try:
        dpd.train(job, job.model)
    finally:
        dpd.TrainingArguments, dpd.distillation_loss = TrainingArguments, found  # type: ignore[misc]
        dpd.Recorder.on_optimizer_step = before  # type: ignore[method-assign]
    return seen


def test_bfloat16_rounds_products_and_neither_logprobs_nor_sums_over_workers(two: Any, jobs: Jobs) -> None:
    stage, given = configured("dpd", jobs, steps=1, epochs=None)
    exact, rounded = (jobs.make(stage, sharding="fsdp", **given) for _ in range(2))
    two.run(weighed, exact, "dpd", jobs.model)
    assert two.run(look_at_rounding, rounded) == {
        "hidden": "torch.bfloat16",
        "head": "torch.bfloat16",
        "loss": "torch.float32",
        "logprobs": "torch.float32",
        "reduce": ["torch.float32"],
        "master": ["torch.float32"],
    }
    assert curve(rounded) != curve(exact)
    assert_close(curve(rounded), curve(exact), tolerance=0.05)


def train_policy(job: Any, engine: Any) -> dict[str, Any]:
    """Policy training with a real engine. Runs in a worker."""
    from posttrain.train.policy import train
    from tests.train.test_policy import Parity, rollouts

    return train(job, rollouts(job, engine, Parity()))


@pytest.mark.parametrize("adapter", ["full", pytest.param("lora", marks=pytest.mark.long)])
def test_the_engine_samples_from_the_gathered_weights_of_each_step(two: Any, jobs: Jobs, adapter: str) -> None:
    """At this learning rate, weights of the step before would be far off the trainer's log-probabilities."""
    from tests.train.test_policy import stage

    configured = stage(learning_rate=3e-2, adapter=LORA if adapter == "lora" else "full", mismatch_tolerance=1e-4)
    copies, shares = (jobs.make(configured, sharding=how) for how in ("none", "fsdp"))
    engine = two.engine("policy", jobs.model, "start")
    for job in (copies, shares):
        facts = two.run(train_policy, job, engine)
        assert facts["sync_gap"] < 1e-4
        assert max(row["mismatch"] for row in metrics(job)) < 1e-4
    assert_close(curve(shares), curve(copies), tolerance=1e-3)
    assert apart(copies.output / "model", shares.output / "model", jobs.model) < 0.05
    assert files(shares.attempt / "rollouts").keys() == files(copies.attempt / "rollouts").keys()


def one_bad_share(job: Any) -> dict[str, Any]:
    """The first rank alone finds an infinite loss, in every step. Runs in a worker."""
    import math

    from posttrain.machine.ranks import is_first_rank
    from posttrain.train.reward_model import LabelTrainer, train

    sound = LabelTrainer.micro_loss

    def spoiled(self: Any, model: Any, micro: Any) -> torch.Tensor:
        return sound(self, model, micro) * (math.inf if is_first_rank() else 1.0)

    LabelTrainer.micro_loss = spoiled  # type: ignore[method-assign]
    try:
        return train(job)
    finally:
        LabelTrainer.micro_loss = sound  # type: ignore[method-assign]


def test_a_gradient_that_is_not_finite_on_one_rank_stops_all(two: Any, jobs: Jobs) -> None:
    stage, given = configured("reward_model", jobs)
    with pytest.raises(StageError, match="loss or gradient is not finite at step 1 of judge; it trained on row"):
        two.run(one_bad_share, jobs.make(stage, sharding="fsdp", **given))

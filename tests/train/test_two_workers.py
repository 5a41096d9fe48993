"""Two gloo workers train as one does: the same losses and metrics, whatever share of a step each holds, and a resume
repeats them."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from posttrain.recipe.schema import Grpo, Recipe
from posttrain.train import entry
from posttrain.types import RolloutGroup
from tests.train.conftest import Jobs, metrics, weights, write_rows

pytestmark = pytest.mark.ray
SFT = {
    "kind": "sft",
    "name": "warm",
    "data": {"rows": 1.0},
    "steps": 4,
    "batch_size": 8,
    "micro_batch_size": 2,
    "max_tokens": 96,
    "packing": False,
    "learning_rate": 1e-3,
    "save_every": 2,
}
RL = {
    "kind": "grpo",
    "name": "rl",
    "prompts": "questions",
    "verifier": "none",
    "filter": None,
    "group": 4,
    "prompts_per_step": 2,
    "micro_batch_size": 2,
    "steps": 2,
    "max_tokens": 10,
    "learning_rate": 1e-3,
    "mask_truncated": False,
    "mismatch_tolerance": 100.0,  # the answers are made by hand, and so are their log-probabilities
}


class Halves:
    """A feed without an engine: one group a prompt, the second of which teaches nothing. Each worker holds every second
    one."""

    gap, lag = 0.0, 0
    figures: dict[str, float] = {"reused_tokens": 0.0}  # noqa: RUF012 - never written
    usual: dict[Any, float] = {}  # noqa: RUF012 - never written

    def groups(self, step: int, model: Any, optimizer: Any = None) -> list[RolloutGroup]:
        from tests.train.test_policy import group

        tokens = [[7, 258], [8, 258], [9, 258], [10, 258]]
        both = [group([1.0, 0.0, 0.0, 0.0], tokens=tokens), group([1.0, 1.0, 1.0, 1.0], tokens=tokens)]
        return both[int(os.environ.get("RANK", "0")) :: int(os.environ.get("WORLD_SIZE", "1"))]


def train_on_halves(job: Any) -> dict[str, Any]:
    """What policy.train does, with that feed. Runs in a worker."""
    from transformers import TrainingArguments

    from posttrain.machine.ranks import is_first_rank, world_size
    from posttrain.train.model import load_model, save_model
    from posttrain.train.policy import PolicyTrainer
    from posttrain.train.sharding import wants_sharding, whole_model
    from posttrain.train.trainer import Recorder, run_trainer, settings

    recorder = Recorder(job)
    model = load_model(job.model, adapter=job.stage.adapter, seed=job.seed)
    sharded = wants_sharding(job.sharding, model)
    arguments = TrainingArguments(
        **settings(job, job.stage, job.stage.steps, rows_per_forward=1, accumulation=1, sharded=sharded)
    )
    rows = [{"step": step} for step in range(job.stage.steps * world_size())]
    trainer = PolicyTrainer(
        model=model,
        args=arguments,
        train_dataset=rows,
        feed=Halves(),
        stage=job.stage,
        recorder=recorder,
    )
    run_trainer(trainer, recorder, job)
    whole = whole_model(trainer.model, lambda: load_model(job.model, adapter=job.stage.adapter, seed=job.seed))
    if is_first_rank():
        save_model(whole, job.output / "model", source=job.model, chat=job.chat, stop_ids=(258,))
    return {}


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from posttrain.machine.machine import Machine

    parts: dict[str, Any] = {
        "schema": 1,
        "name": "two",
        "base": {"path": "toy"},
        "stages": [SFT],
        "cluster": {"trainers": 2},
    }
    with Machine(Recipe.model_validate(parts), tmp_path_factory.mktemp("two") / "logs") as machine:
        yield machine


def curve(job: Any) -> list[list[float]]:
    return [[row["loss"], row["grad_norm"]] for row in metrics(job)]


def assert_close(one: Sequence[Sequence[float]], other: Sequence[Sequence[float]], tolerance: float = 1e-4) -> None:
    assert len(one) == len(other)
    for left, right in zip(one, other, strict=True):
        assert left == pytest.approx(right, abs=tolerance, rel=tolerance)


def test_sft_has_the_same_curve_and_resumes_from_a_checkpoint_of_both(two: Any, jobs: Jobs) -> None:
    from posttrain.recipe.schema import Sft
    from posttrain.train.sft import train

    rows = [{"prompt": f"after {n}?", "completion": "<think>" + "+" * (n % 7) + f"</think>{n + 1}"} for n in range(24)]
    data = {"rows": write_rows(jobs.folder / "rows.jsonl", rows)}
    alone = jobs.make(Sft.model_validate(SFT), data)
    train(alone)
    shared = jobs.make(Sft.model_validate(SFT), data)
    two.run(entry.sft, shared)
    assert_close(curve(shared), curve(alone))
    assert [row["step"] for row in metrics(shared)] == [1, 2, 3, 4]

    # both workers stop after the same step when asked to, and both of their random states are in the sealed folder
    stopped = jobs.make(Sft.model_validate(SFT), data)
    stopped.stop_file.write_text("")
    assert two.run(entry.sft, stopped) == {"stopped": True}
    stopped.stop_file.unlink()
    resumed = jobs.make(Sft.model_validate(SFT), data, resume=True)
    assert resumed.resume is not None and resumed.resume.step == 1
    assert {path.name for path in resumed.resume.path.glob("rng_state*")} == {"rng_state_0.pth", "rng_state_1.pth"}
    two.run(entry.sft, resumed)
    assert (resumed.attempt / "metrics.jsonl").read_bytes() == (shared.attempt / "metrics.jsonl").read_bytes()
    model = (resumed.output / "model" / "model.safetensors").read_bytes()
    assert model == (shared.output / "model" / "model.safetensors").read_bytes()


def tokens_by_processes(job: Any) -> Any:
    """The tokens step in a worker that starts processes for its first row."""
    from posttrain.data import encode
    from posttrain.train.tokens import make_tokens

    patience = encode.PATIENCE_SECONDS
    encode.PATIENCE_SECONDS = 0.0
    try:
        return make_tokens(job, ())
    finally:
        encode.PATIENCE_SECONDS = patience


def test_one_of_two_workers_makes_tokens_with_processes_of_its_own(two: Any, jobs: Jobs) -> None:
    from posttrain.recipe.schema import Sft

    rows = [{"prompt": f"after {n}?", "completion": f"<think>+</think>{n + 1}"} for n in range(24)]
    job = jobs.make(Sft.model_validate(SFT), {"rows": write_rows(jobs.folder / "rows.jsonl", rows)})
    output = jobs.folder / "made in a worker"
    output.mkdir()
    facts = two.run(tokens_by_processes, dataclasses.replace(job, output=output))
    assert facts["sequences"] == 32
    made = {path.relative_to(output): path.read_bytes() for path in output.rglob("*.*")}
    expected = job.inputs["tokens"]
    assert made == {path.relative_to(expected): path.read_bytes() for path in expected.rglob("*.*")}


def test_distillation_has_the_same_curve_and_the_same_metrics(two: Any, jobs: Jobs, tiny: Callable[..., Path]) -> None:
    from posttrain.recipe.schema import Dpd
    from posttrain.train.dpd import train
    from tests.train.test_dpd import KEYS, PAIRS, stage

    (jobs.folder / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in PAIRS))
    inputs = {"pairs": jobs.folder}
    configured: Dpd = stage(micro_batch_size=2)
    alone, shared = jobs.make(configured, inputs=inputs), jobs.make(configured, inputs=inputs)
    train(alone, tiny(seed=1))
    two.run(entry.dpd, shared, tiny(seed=1))
    assert_close(curve(shared), curve(alone))
    assert_close(
        [[row[key] for key in KEYS] for row in metrics(shared)], [[row[key] for key in KEYS] for row in metrics(alone)]
    )


@pytest.mark.parametrize("packing", [False, True], ids=["plain", "packed"])
def test_a_last_step_with_rows_for_one_worker_only_trains_these_and_no_other(
    two: Any, jobs: Jobs, packing: bool
) -> None:
    from posttrain.recipe.schema import Sft
    from posttrain.train.sft import train

    rows = [{"prompt": f"after {n}?", "completion": "<think>" + "+" * (n % 3) + f"</think>{n + 1}"} for n in range(17)]
    data = {"rows": write_rows(jobs.folder / "rows.jsonl", rows)}
    changed = {"steps": None, "epochs": 1.0, "packing": packing, "max_tokens": 40 if packing else 96}
    configured = Sft.model_validate(SFT | changed)
    alone, shared = jobs.make(configured, data), jobs.make(configured, data)
    facts = train(alone)
    assert (facts["steps"], facts["rows"]) == (3, 17)
    assert two.run(entry.sft, shared) == facts
    assert_close(curve(shared), curve(alone))


def test_a_last_step_with_pairs_for_one_worker_only_trains_these_and_no_other(
    two: Any, jobs: Jobs, tiny: Callable[..., Path]
) -> None:
    from posttrain.train.dpd import train
    from tests.train.test_dpd import PAIRS, stage

    (jobs.folder / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in PAIRS[:18]))
    configured = stage(steps=None, epochs=1.0, micro_batch_size=2)
    alone, shared = (jobs.make(configured, inputs={"pairs": jobs.folder}) for _ in range(2))
    train(alone, tiny(seed=1))
    two.run(entry.dpd, shared, tiny(seed=1))
    assert [row["step"] for row in metrics(shared)] == [1, 2, 3]
    assert_close(curve(shared), curve(alone))


def test_a_worker_with_nothing_to_train_on_does_not_hold_up_the_other(two: Any, jobs: Jobs) -> None:
    configured = Grpo.model_validate(RL)
    alone, shared = jobs.make(configured), jobs.make(configured)
    train_on_halves(alone)
    two.run(train_on_halves, shared)
    assert_close(curve(shared), curve(alone))
    for one, other in zip(metrics(alone), metrics(shared), strict=True):
        assert one.keys() == other.keys()
        assert [other[key] for key in one] == pytest.approx(list(one.values()), abs=1e-4)
    before, after = weights(alone.output / "model"), weights(shared.output / "model")
    assert max(float((before[name] - after[name]).abs().max()) for name in before) < 5e-3

"""Distillation on answers that the student gives while it is trained, by data set: against the formula over full logits
in float64, killed and resumed, and on the weights of each step."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from posttrain.data.mix import draw
from posttrain.data.template import ChatTemplate
from posttrain.recipe.schema import Dpd
from posttrain.train import dpd
from posttrain.train.job import Job
from posttrain.train.losses.dpd import dpo_loss, token_divergence
from posttrain.train.pairs import PairRow, pair_rows
from tests.train.conftest import CHAT, Jobs, StopAfter, files, metrics
from tests.train.test_dpd import PAIRS, stage

pytestmark = pytest.mark.usefixtures("no_logits")
TWO = [row | {"source": "sums" if number % 3 else "letters"} for number, row in enumerate(PAIRS)]
DOMAINS = {
    "sums": {"mode": "on_policy", "kd_temperature": 2.0, "weights": {"fresh": 2.0, "sequence": 0.5}},
    "letters": {"mode": "both", "weights": {"chosen": 0.7, "fresh": 0.3}},
}


def mixed(**options: Any) -> Dpd:
    """A stage over two data sets, on-policy alone and both."""
    values = {"prompts": {"sums": 1.0, "letters": 1.0}, "max_tokens": 9, "steps": 1, "kd_temperature": 1.5}
    return stage(**(values | {"domains": DOMAINS} | options))


@pytest.fixture
def make(jobs: Jobs, tiny: Callable[..., Path]) -> Callable[..., Job]:
    """make(stage, ...) -> a job with pairs of two data sets, and the teacher's folder among its inputs."""
    (jobs.folder / "pairs").mkdir()
    (jobs.folder / "pairs" / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in TWO))
    inputs = {"pairs": jobs.folder / "pairs", "its": tiny(seed=1, sharpness=3.0)}
    return lambda configured, **changes: jobs.make(configured, **({"inputs": inputs} | changes))


@pytest.fixture
def train(student_engine: Any) -> Callable[[Job], dict[str, Any]]:
    return lambda job: dpd.train(job, job.inputs["its"], student_engine)


def recorded(job: Job, step: int) -> list[dict[str, Any]]:
    return [json.loads(line) for line in files(job.attempt / "rollouts")[f"step-{step:05d}.jsonl"].splitlines()]


def logits_of(model: Any, prompt: Sequence[int], answer: Sequence[int]) -> torch.Tensor:
    return model(input_ids=torch.tensor([[*prompt, *answer]])).logits[0, len(prompt) - 1 : -1]


def by_hand(job: Job, rows: Sequence[PairRow], student: Any, teacher: Any) -> tuple[torch.Tensor, dict[str, float]]:
    """Loss and mean KL by term and data set of the first step, an answer at a time."""
    stage: Dpd = job.stage
    weights = {"sums": {"fresh": 2.0}, "letters": {"chosen": 0.7, "rejected": 1.0, "fresh": 0.3}}
    temperature, of_dpo = {"sums": 2.0, "letters": 1.5}, {"sums": 0.5, "letters": 1.0}
    template = ChatTemplate.load(job.model, CHAT)
    answers = [("fresh", row["source"], tuple(template.prompt_ids([{"role": "user", "content": row["prompt"]}])),
                tuple(one["token_ids"])) for row in recorded(job, 1) for one in row["completions"]]  # fmt: skip
    answers += [(side, row.domain, row.prompt, answer) for row in rows if row.domain == "letters"
                for side, answer in zip(("chosen", "rejected"), row.answers(), strict=True)]  # fmt: skip
    found: dict[tuple[str, str], list[torch.Tensor]] = {}
    for term, domain, prompt, answer in answers:
        with torch.no_grad():
            its = logits_of(teacher, prompt, answer)
        each = token_divergence(
            logits_of(student, prompt, answer), its, kind=stage.divergence, temperature=temperature[domain]
        )
        found.setdefault((term, domain), []).append(each)
    whole = {key: torch.cat(values) for key, values in found.items()}
    loss = torch.zeros((), dtype=torch.float64)
    for term in ("chosen", "rejected", "fresh"):
        mine = {domain: each for (name, domain), each in whole.items() if name == term}
        count = sum(len(each) for each in mine.values())
        loss = loss + sum(weights[domain][term] * each.sum() for domain, each in mine.items()) / count
    for row in rows:
        sums = [
            torch.log_softmax(logits_of(student, row.prompt, answer), -1).gather(1, torch.tensor(answer)[:, None]).sum()
            for answer in row.answers()
        ]
        dpo = dpo_loss(sums[0], sums[1], sums[0].detach(), sums[1].detach(), beta=stage.beta)
        loss = loss + of_dpo[row.domain] * dpo / len(rows)
    return loss, {f"kd_{term}.{domain}": each.mean().item() for (term, domain), each in whole.items()}


@pytest.mark.parametrize("divergence", ["forward_kl", "reverse_kl", "jsd"])
def test_loss_and_gradient_by_data_set_are_those_over_full_logits_in_float64(
    make: Callable[..., Job], train: Callable[[Job], Any], jobs: Jobs, no_logits: list[int], divergence: str
) -> None:
    from posttrain.train.model import load_model

    job = make(mixed(divergence=divergence, fresh_samples=2, micro_batch_size=4, batch_size=8))
    said = train(job)
    assert not no_logits
    student, teacher = (load_model(folder).double() for folder in (jobs.model, job.inputs["its"]))
    rows = draw({"pairs": pair_rows(job, ChatTemplate.load(jobs.model, CHAT))}, {"pairs": 1.0}, 8, job.seed)
    loss, kl = by_hand(job, rows, student, teacher)
    no_logits.clear()
    loss.backward()
    norm = torch.stack([weight.grad.norm() for weight in student.parameters() if weight.grad is not None]).norm()
    row = metrics(job)[0]
    assert row["loss"] == pytest.approx(loss.item(), abs=1e-6)
    assert row["grad_norm"] == pytest.approx(norm.item(), rel=1e-5)
    assert {key: value for key, value in row.items() if "." in key} == pytest.approx(kl, abs=1e-6)
    assert set(kl) == {"kd_fresh.sums", "kd_fresh.letters", "kd_chosen.letters", "kd_rejected.letters"}
    tokens = sum(len(one["token_ids"]) for group in recorded(job, 1) for one in group["completions"])
    assert said["generated_tokens"] == row["fresh_tokens"] == tokens > 2 * 8
    assert said["trained_tokens"] == tokens + sum(len(answer) for row in rows for answer in row.answers())


def test_how_a_step_is_split_changes_nothing(make: Callable[..., Job], train: Callable[[Job], Any]) -> None:
    whole, split = make(mixed()), make(mixed(micro_batch_size=1))
    train(whole)
    train(split)
    one, other = ({k: v for k, v in metrics(job)[0].items() if k != "accuracy"} for job in (whole, split))
    assert other == pytest.approx(one, abs=1e-5)


def test_each_step_is_answered_by_the_weights_of_that_step(
    make: Callable[..., Job], train: Callable[[Job], Any], jobs: Jobs
) -> None:
    from posttrain.train.model import load_model

    job = make(mixed(steps=3, learning_rate=3e-2))
    train(job)
    first, _, last = (recorded(job, step) for step in (1, 2, 3))
    assert {row["policy_version"] for row in first} == {"distil@0"}
    assert {row["policy_version"] for row in last} == {"distil@2"}
    template = ChatTemplate.load(jobs.model, CHAT)
    model = load_model(jobs.model)
    for rows, is_start in ((first, True), (last, False)):
        prompt = template.prompt_ids([{"role": "user", "content": rows[0]["prompt"]}])
        (answer,) = rows[0]["completions"]
        with torch.no_grad():
            logprobs = torch.log_softmax(logits_of(model, prompt, answer["token_ids"]), dim=-1)
        start = logprobs.gather(1, torch.tensor(answer["token_ids"])[:, None])[:, 0]
        assert (answer["logprobs"] == pytest.approx(start.tolist(), abs=1e-4)) == is_start
    assert max(row["sync_gap"] for row in metrics(job)) < 1e-4


@pytest.mark.parametrize(
    "adapter", ["full", pytest.param({"rank": 4, "alpha": 8.0}, marks=pytest.mark.long)], ids=["full", "lora"]
)
def test_a_killed_and_resumed_training_leaves_the_same_bytes_rows_and_answers(
    make: Callable[..., Job], train: Callable[[Job], Any], adapter: Any
) -> None:
    configured = mixed(steps=4, batch_size=4, micro_batch_size=4, save_every=2, adapter=adapter)
    straight = make(configured)
    facts = train(straight)
    stopped = make(configured, stop_file=StopAfter(4 + 2))
    assert train(stopped) == {"stopped": True}
    (stopped.attempt / "rollouts" / "step-00004.jsonl").write_text("of an attempt that died\n")
    resumed = make(configured, resume=True)
    assert train(resumed) == facts
    assert files(resumed.output / "model") == files(straight.output / "model")
    assert metrics(resumed) == metrics(straight)
    assert files(resumed.attempt / "rollouts") == files(straight.attempt / "rollouts")
    assert sorted(files(resumed.attempt / "rollouts")) == [f"step-{step:05d}.jsonl" for step in (1, 2, 3, 4)]


def test_without_dpo_the_pairs_are_only_prompts(make: Callable[..., Job], train: Callable[[Job], Any]) -> None:
    alone: Mapping[str, Any] = {"mode": "on_policy", "domains": {}, "weights": {"sequence": 0.0}}
    job = make(mixed(steps=6, learning_rate=1e-2, **alone))
    train(job)
    rows = metrics(job)
    assert rows[-1]["kd_fresh"] < 0.7 * rows[0]["kd_fresh"]
    assert not {"dpo_loss", "margin", "accuracy", "kd_chosen", "kd_rejected"} & rows[0].keys()
    assert not (job.attempt / "reference.npy").exists()


def test_a_student_that_is_its_teacher_learns_nothing_from_its_own_answers(
    make: Callable[..., Job], train: Callable[[Job], Any], jobs: Jobs
) -> None:
    inputs = {"pairs": jobs.folder / "pairs", "its": jobs.model}
    job = make(mixed(domains={}, mode="on_policy", weights={"sequence": 0.0}), inputs=inputs)
    train(job)
    row = metrics(job)[0]
    assert row["kd_fresh"] == pytest.approx(0.0, abs=1e-6) and row["grad_norm"] == pytest.approx(0.0, abs=1e-5)

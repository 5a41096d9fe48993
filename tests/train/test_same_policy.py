"""What the gradient sees is what was sampled: no dropout where log-probabilities are compared, a bound on the mismatch
that is left, and the divisors of TRL's GRPOTrainer on the same batch."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import TrainingArguments

from posttrain.errors import StageError
from posttrain.recipe.schema import Grpo, Lora
from posttrain.train import dpd, sft
from posttrain.train.model import load_model
from posttrain.train.policy import WEIGHTS, PolicyTrainer
from posttrain.train.trainer import Recorder, settings
from posttrain.types import RolloutGroup, Segment
from tests.train import test_dpd, test_policy, test_sft
from tests.train.conftest import Jobs, metrics, write_rows
from tests.train.test_policy import OneGroup, group, update

DROPPING = {"rank": 4, "alpha": 8.0, "dropout": 0.5}


@pytest.fixture
def dropping(jobs: Jobs) -> Path:
    """The tiny model with a config that drops half of the attention."""
    folder = shutil.copytree(jobs.model, jobs.folder / "dropping")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"attention_dropout": 0.5}))
    return folder


class Long(OneGroup):
    """Answers of ten tokens with the log-probabilities of the model in eval mode, or as if it were another one."""

    def __init__(self, off: float = 0.0, temperature: float = 1.0) -> None:
        super().__init__(7, [8, 9, 10])
        self.off, self.temperature = off, temperature

    def groups(self, step: int, model: Any, optimizer: Any = None) -> list[RolloutGroup]:
        answers = [[token, *range(60, 69)] for token in self.tokens]
        model.eval()
        with torch.no_grad():
            ids = torch.tensor([[40, 41, 42, *answer] for answer in answers])
            table = torch.log_softmax(model(input_ids=ids).logits[:, 2:-1] / self.temperature, dim=-1)
        found = table.gather(2, torch.tensor(answers)[:, :, None])[:, :, 0] + self.off
        made = group(self.scores, tokens=answers)
        completions = tuple(
            dataclasses.replace(completion, segments=(Segment(token_ids=completion.token_ids, logprobs=tuple(row)),))
            for completion, row in zip(made.completions, found.tolist(), strict=True)
        )
        return [dataclasses.replace(made, completions=completions)]


@pytest.mark.parametrize("checkpointing", [False, True], ids=["plain", "recomputed"])
def test_policy_training_sees_no_dropout(jobs: Jobs, dropping: Path, checkpointing: bool) -> None:
    jobs.model = dropping
    configured = test_policy.stage(steps=2, gradient_checkpointing=checkpointing)
    _, _, rows = update(jobs, configured, Long())
    assert all(row["mismatch"] < 1e-5 and row["mismatch_mean"] < 1e-6 for row in rows)


def test_an_adapters_dropout_is_off_in_policy_training(jobs: Jobs) -> None:
    trainer = policy_trainer(jobs, test_policy.stage(adapter=DROPPING, learning_rate=1.0), Long())
    for name, parameter in trainer.model.named_parameters():
        if "lora_B" in name:  # a fresh adapter adds nothing, with or without dropout
            torch.nn.init.normal_(parameter, std=0.2)
    trainer.training_step(trainer.model, [{"step": 0}])
    assert trainer.recorder.extra["mismatch"] < 1e-5
    trainer.dropout = True
    with pytest.raises(StageError, match="nats from the engine's in the mean"):
        trainer.training_step(trainer.model, [{"step": 0}])


def test_activations_are_recomputed_without_dropout_too(jobs: Jobs, dropping: Path) -> None:
    from transformers.models.qwen3.modeling_qwen3 import Qwen3DecoderLayer

    jobs.model = dropping
    calls: list[int] = []
    trainer = policy_trainer(jobs, test_policy.stage(gradient_checkpointing=True), Long())
    trainer.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    for layer in trainer.model.modules():
        if isinstance(layer, Qwen3DecoderLayer):
            layer.self_attn.register_forward_hook(lambda *_: calls.append(1))
    trainer.model.eval()
    micros = trainer.micro_batches([{"step": 0}])
    calls.clear()
    trainer.feed.groups = lambda step, model: []  # type: ignore[method-assign]
    trainer.micro_batches = lambda rows: micros  # type: ignore[method-assign]
    trainer.training_step(trainer.model, [{"step": 0}])
    assert len(calls) == 2 * 2 * len(micros)  # each of two layers once forward and once again


def test_distillation_starts_at_the_reference_whatever_the_config_drops(
    jobs: Jobs, dropping: Path, tiny: Callable[..., Path]
) -> None:
    (jobs.folder / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in test_dpd.PAIRS))
    jobs.model = dropping
    job = jobs.make(test_dpd.stage(steps=1, adapter=DROPPING), inputs={"pairs": jobs.folder})
    dpd.train(job, tiny(seed=1))
    assert metrics(job)[0]["margin"] == pytest.approx(0.0, abs=1e-5)


def test_supervised_training_keeps_its_dropout(jobs: Jobs, dropping: Path) -> None:
    data = {"rows": write_rows(jobs.folder / "rows.jsonl", test_sft.ROWS)}
    plain, dropped = jobs.make(test_sft.stage(), data), jobs.make(test_sft.stage(), data, model=dropping)
    sft.train(plain)
    sft.train(dropped)
    assert abs(metrics(plain)[0]["loss"] - metrics(dropped)[0]["loss"]) > 1e-3


# ---------------------------------------------------------------- the bound


def test_answers_of_another_policy_stop_the_stage_before_its_update(jobs: Jobs) -> None:
    assert update(jobs, test_policy.stage(steps=1), Long(off=0.04))[2][0]["mismatch_mean"] == pytest.approx(
        0.04, rel=1e-3
    )
    with pytest.raises(StageError) as caught:
        update(jobs, test_policy.stage(steps=1), Long(off=0.06))
    assert "0.06 nats from the engine's in the mean (largest 0.06), more than mismatch_tolerance 0.05" in str(
        caught.value
    )
    assert "the sync gap is 0" in str(caught.value) and "dropout" in str(caught.value)
    assert caught.value.where == "stages.rl.mismatch_tolerance"
    assert not list(jobs.attempts[-1].glob("checkpoints/checkpoint-*"))
    assert update(jobs, test_policy.stage(steps=1, mismatch_tolerance=0.1), Long(off=0.06))[2]


def test_a_mismatch_that_is_no_number_stops_the_stage_too(jobs: Jobs) -> None:
    with pytest.raises(StageError, match="mismatch_tolerance"):
        update(jobs, test_policy.stage(steps=1), Long(off=float("nan")))


def test_the_mismatch_is_measured_at_the_temperature_that_sampled(jobs: Jobs) -> None:
    tempered = test_policy.stage(steps=1, temperature=0.6)
    assert update(jobs, tempered, Long(temperature=0.6))[2][0]["mismatch"] < 1e-5
    with pytest.raises(StageError, match="mismatch_tolerance"):
        update(jobs, tempered, Long())


@pytest.mark.parametrize("mode", ["token_truncate", "token_mask", "sequence_truncate", "sequence_mask"])
def test_answers_of_older_weights_are_weighed_as_trl_weighs_them(jobs: Jobs, mode: str) -> None:
    configured = test_policy.stage(
        loss="dapo", importance_sampling=mode, importance_sampling_cap=1.02, mismatch_tolerance=1.0, micro_batch_size=3
    )
    trainer = policy_trainer(jobs, configured, Fixed())
    found = float(trainer.training_step(trainer.model, [{"step": 0}]))
    expected, theirs = trl_loss(jobs, configured, "dapo", "token")
    assert found == pytest.approx(expected, abs=1e-6)
    mine = gradients(trainer.model)
    largest = max(float(value.abs().max()) for value in theirs.values())
    assert largest > 1e-3
    assert max(float((mine[name] - theirs[name]).abs().max()) for name in mine) < 1e-6 * max(1.0, largest)
    extra = trainer.recorder.extra
    assert 0 < extra["effective_share"] < 1 and (extra["dropped_share"] > 0) == mode.endswith("mask")
    assert not any(name in extra for name in WEIGHTS)


def test_a_step_without_signal_trains_no_answer_and_says_so(jobs: Jobs) -> None:
    _, _, rows = update(jobs, test_policy.stage(steps=1), OneGroup(7, [8, 9], scores=[1.0, 1.0, 1.0]))
    assert (rows[0]["trained_answers"], rows[0]["trained_tokens"], rows[0]["loss"]) == (0.0, 0.0, 0.0)


# ---------------------------------------------------------------- against TRL


def policy_trainer(jobs: Jobs, configured: Grpo, feed: Any) -> PolicyTrainer:
    job = jobs.make(configured)
    adapter = configured.adapter
    return PolicyTrainer(
        model=load_model(jobs.model, adapter=adapter if isinstance(adapter, Lora) else "full"),
        args=TrainingArguments(**settings(job, configured, 1, rows_per_forward=1, accumulation=1)),
        train_dataset=[{"step": 0}],
        feed=feed,
        stage=configured,
        recorder=Recorder(job),
    )


GROUPS = [
    # scores, answers, those cut short: a group with signal and a member at its mean, one without signal, one cut
    ([1.0, 0.5, 0.0, 0.5], [[7, 60, 258], [8, 258], [9, 61, 62, 63, 258], [10, 70, 258]], []),
    ([1.0, 1.0, 1.0, 1.0], [[11, 258], [12, 60, 61, 62, 258], [13, 258], [14, 15, 258]], []),
    ([1.0, 0.0, 0.0, 0.0], [[20, 21, 258], [22, 258], [23, 24, 25, 26, 27, 28, 29, 30], [31, 258]], [2]),
]


class Fixed:
    """The groups above, sampled by a policy that differs from the trainer's by a little and sometimes by more than the
    clip."""

    gap, lag = 0.0, 0
    figures: dict[str, float] = {"reused_tokens": 0.0}  # noqa: RUF012 - never written
    usual: dict[Any, float] = {}  # noqa: RUF012 - never written

    def groups(self, step: int, model: Any, optimizer: Any = None) -> list[RolloutGroup]:
        return [self.scored(*row, model) for row in GROUPS]

    def scored(
        self, scores: Sequence[float], answers: Sequence[Sequence[int]], cut: Sequence[int], model: Any
    ) -> RolloutGroup:
        made = group(scores, cut=cut, tokens=answers)
        completions = []
        for completion in made.completions:
            ours = own_logprobs(model, completion.token_ids)
            off = [0.3 * ((token % 7) - 3) / 3 for token in completion.token_ids]
            behaviour = tuple(value + more for value, more in zip(ours, off, strict=True))
            segment = Segment(token_ids=completion.token_ids, logprobs=behaviour)
            completions.append(dataclasses.replace(completion, segments=(segment,)))
        return dataclasses.replace(made, completions=tuple(completions))


def own_logprobs(model: Any, answer: Sequence[int]) -> list[float]:
    with torch.no_grad():
        table = torch.log_softmax(model(input_ids=torch.tensor([[40, 41, 42, *answer]])).logits[0, 2:-1], dim=-1)
    found: list[float] = table.gather(1, torch.tensor(answer)[:, None])[:, 0].tolist()
    return found


def trl_ratio(difference: torch.Tensor, configured: Grpo) -> torch.Tensor:
    """As TRL 1.16 computes it from the masked difference of log-probabilities, in the middle of a long method."""
    mode, cap = configured.importance_sampling, configured.importance_sampling_cap
    ratio = torch.exp(difference.sum(dim=-1, keepdim=True) if mode.startswith("sequence") else difference)
    return torch.clamp(ratio, max=cap) if mode.endswith("truncate") else ratio.masked_fill(ratio > cap, 0.0)


def gradients(model: Any) -> dict[str, torch.Tensor]:
    return {name: value.grad.clone() for name, value in model.named_parameters() if value.grad is not None}


def trl_loss(jobs: Jobs, configured: Grpo, kind: str, level: str) -> tuple[float, dict[str, torch.Tensor]]:
    """Loss and gradient of GRPOTrainer on the same answers, padded as it pads them."""
    import datasets
    from torch.nn.utils.rnn import pad_sequence
    from transformers import AutoTokenizer
    from trl import GRPOConfig, GRPOTrainer
    from trl.trainer.utils import nanstd

    model = load_model(jobs.model)
    groups = Fixed().groups(0, model)
    arguments = GRPOConfig(
        output_dir=str(jobs.folder / "trl"), loss_type=kind, importance_sampling_level=level, beta=0.0,
        epsilon=configured.clip_low, epsilon_high=configured.clip_high, max_completion_length=configured.max_tokens,
        num_generations=4, per_device_train_batch_size=12, report_to="none", use_cpu=True, bf16=False,
        gradient_checkpointing=False, mask_truncated_completions=configured.mask_truncated, temperature=1.0,
    )  # fmt: skip
    peer = GRPOTrainer(
        model=model,
        reward_funcs=lambda completions, **_: [0.0] * len(completions),
        args=arguments,
        train_dataset=datasets.Dataset.from_list([{"prompt": "x"}] * 12),
        processing_class=AutoTokenizer.from_pretrained(jobs.model),
    )
    completions = [completion for made in groups for completion in made.completions]
    answers = [torch.tensor(completion.token_ids) for completion in completions]
    mask = pad_sequence([torch.ones(len(answer)) for answer in answers], batch_first=True)
    if configured.mask_truncated:
        mask = mask * torch.tensor([float(answer[-1] == 258) for answer in answers])[:, None]
    behaviour = [torch.tensor(completion.segments[0].logprobs) for completion in completions]
    rewards = torch.tensor([verdict.score for made in groups for verdict in made.verdicts]).view(-1, 4)
    advantages = rewards - rewards.mean(dim=1, keepdim=True)
    if configured.scale_rewards == "group":
        advantages = advantages / (nanstd(rewards, dim=1)[:, None] + 1e-4)
    prompts = torch.tensor([[40, 41, 42]] * len(answers))
    old = pad_sequence(behaviour, batch_first=True)
    weighed: dict[str, Any] = {"old_per_token_logps": old}
    if configured.importance_sampling != "none":
        ours = pad_sequence(
            [torch.tensor(own_logprobs(model, completion.token_ids)) for completion in completions], batch_first=True
        )
        weighed = {"old_per_token_logps": ours, "importance_sampling_ratio": trl_ratio((ours - old) * mask, configured)}
        peer.use_vllm = peer.vllm_importance_sampling_correction = True
    peer.current_gradient_accumulation_steps = 1
    peer.args.steps_per_generation = 1
    peer.model.train()
    loss = peer._compute_loss(
        peer.model,
        {
            "prompt_ids": prompts,
            "prompt_mask": torch.ones_like(prompts),
            "completion_ids": pad_sequence(answers, batch_first=True),
            "completion_mask": mask.int(),
            "advantages": advantages.flatten(),
            **weighed,
            "num_items_in_batch": mask.sum(),
        },
    )
    loss.backward()
    return float(loss.detach()), gradients(peer.model)


@pytest.mark.parametrize("masked", [False, True], ids=["all", "cut-masked"])
@pytest.mark.parametrize("loss", ["grpo", "dapo", "bnpo", "dr_grpo", "gspo"])
def test_loss_and_gradient_are_trls_on_the_same_batch(jobs: Jobs, loss: str, masked: bool) -> None:
    """bnpo divides by the tokens of one batch, which is what dapo does where the batch is the whole step."""
    ours = {"bnpo": "dapo"}.get(loss, loss)
    scale = "none" if loss == "dr_grpo" else "group"
    configured = test_policy.stage(
        loss=ours, mask_truncated=masked, scale_rewards=scale, mismatch_tolerance=1.0, micro_batch_size=3
    )
    trainer = policy_trainer(jobs, configured, Fixed())
    found = float(trainer.training_step(trainer.model, [{"step": 0}]))
    kind, level = ("grpo", "sequence") if loss == "gspo" else (loss, "token")
    expected, theirs = trl_loss(jobs, configured, kind, level)
    assert found == pytest.approx(expected, abs=1e-6)
    mine = gradients(trainer.model)
    assert mine.keys() == theirs.keys()
    largest = max(float(value.abs().max()) for value in theirs.values())
    assert largest > 1e-3
    assert max(float((mine[name] - theirs[name]).abs().max()) for name in mine) < 1e-6 * max(1.0, largest)
    assert loss == "gspo" or trainer.recorder.extra["clip_ratio"] > 0.0
    assert trainer.recorder.extra["trained_answers"] == (5.0 if masked else 6.0)

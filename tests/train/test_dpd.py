"""Distillation with preferences on real tiny models: its parts against TRL's trainer and against models worked by
hand."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from posttrain.data.mix import draw
from posttrain.data.template import ChatTemplate
from posttrain.errors import CheckpointError, DataError, StageError
from posttrain.recipe.schema import Dpd
from posttrain.train import dpd
from posttrain.train.job import Job
from posttrain.train.losses.dpd import dpd_loss, dpo_loss, token_divergence
from posttrain.train.pairs import answer_batch, answer_sums
from tests.train.conftest import CHAT, Jobs, StopAfter, files, metrics

pytestmark = pytest.mark.usefixtures("no_logits")
PAIRS = [
    {
        "id": str(n),
        "source": "questions",
        "messages": [{"role": "user", "content": f"after {n}?"}],
        "chosen": f"<think>{n}+1</think>{n + 1}",
        "rejected": "<think>hm</think>" + "no" * (1 + n % 3),
        "provenance": {},
    }
    for n in range(32)
]
KEYS = ("dpo_loss", "kd_chosen", "kd_rejected", "margin", "accuracy")


def stage(**options: Any) -> Dpd:
    values = {
        "kind": "dpd",
        "name": "distil",
        "prompts": "questions",
        "verifier": "math",
        "teacher": {"path": "teacher"},
        "steps": 3,
        "batch_size": 8,
        "micro_batch_size": 8,
        "learning_rate": 3e-3,
        "schedule": "constant",
        "warmup_share": 0.0,
    }
    return Dpd.model_validate(values | options)


def train(job: Job) -> dict[str, Any]:
    return dpd.train(job, job.inputs["teacher_model"])


@pytest.fixture
def make(jobs: Jobs, tiny: Callable[..., Path]) -> Callable[..., Any]:
    """make(stage, teacher=folder) -> a job with the pairs."""
    (jobs.folder / "pairs").mkdir()
    (jobs.folder / "pairs" / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in PAIRS))

    def job(configured: Dpd, *, teacher: Path | None = None, **changes: Any) -> Any:
        return jobs.make(
            configured, inputs={"pairs": jobs.folder / "pairs", "teacher_model": teacher or tiny(seed=1)}, **changes
        )

    return job


def test_a_student_that_is_its_teacher_has_nothing_to_distil(make: Callable[..., Any], jobs: Jobs) -> None:
    job = make(stage(steps=1), teacher=jobs.model)
    train(job)
    row = metrics(job)[0]
    assert row["kd_chosen"] == pytest.approx(0.0, abs=1e-6) and row["kd_rejected"] == pytest.approx(0.0, abs=1e-6)
    assert row["margin"] == pytest.approx(0.0, abs=1e-5) and row["loss"] == pytest.approx(0.693147, abs=1e-5)


@pytest.mark.parametrize("divergence", ["forward_kl", "reverse_kl", "jsd"])
def test_the_loss_is_the_weighted_sum_of_its_parts_and_the_student_nears_its_teacher(
    make: Callable[..., Any], tiny: Callable[..., Path], divergence: str
) -> None:
    weights = {"sequence": 0.1, "chosen": 2.0, "rejected": 1.5}
    job = make(stage(steps=8, divergence=divergence, weights=weights), teacher=tiny(seed=1, sharpness=3.0))
    train(job)
    curve = metrics(job)
    for row in curve:
        assert row["loss"] == pytest.approx(
            0.1 * row["dpo_loss"] + 2.0 * row["kd_chosen"] + 1.5 * row["kd_rejected"], rel=1e-4
        )
    assert curve[-1]["kd_chosen"] < curve[0]["kd_chosen"] and curve[-1]["kd_rejected"] < curve[0]["kd_rejected"]
    assert curve[-1]["dpo_loss"] < curve[0]["dpo_loss"] and curve[-1]["accuracy"] > 0.9


def test_without_the_teacher_terms_it_is_dpo_as_trl_trains_it(make: Callable[..., Any], jobs: Jobs) -> None:
    import datasets
    from trl import DPOConfig, DPOTrainer

    from posttrain.train.model import load_model

    job = make(stage(steps=4, beta=0.3, weights={"sequence": 1.0, "chosen": 0.0, "rejected": 0.0}))
    train(job)
    template = ChatTemplate.load(jobs.model, CHAT)
    drawn = draw({"pairs": PAIRS}, {"pairs": 1.0}, 32, job.seed)
    rows = [
        {"prompt": template.prompt_text(row["messages"]), "chosen": row["chosen"], "rejected": row["rejected"]}
        for row in drawn
    ]
    settings = DPOConfig(
        output_dir=str(jobs.folder / "trl"),
        max_steps=4,
        per_device_train_batch_size=8,
        train_sampling_strategy="sequential",
        learning_rate=3e-3,
        lr_scheduler_type="constant",
        beta=0.3,
        max_length=None,
        logging_steps=1,
        report_to="none",
        save_strategy="no",
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        disable_tqdm=True,
    )
    peer = DPOTrainer(
        model=load_model(jobs.model),
        ref_model=load_model(jobs.model),
        args=settings,
        train_dataset=datasets.Dataset.from_list(rows),
        processing_class=template.tokenizer,
    )
    peer.train()
    theirs = [row["loss"] for row in peer.state.log_history if "loss" in row]
    ours = [row["loss"] for row in metrics(job)]
    assert ours[-1] < ours[0] - 0.05
    assert ours == pytest.approx(theirs, abs=1e-5)


@pytest.mark.parametrize("padded", [0, 7], ids=["same_vocabulary", "padded_teacher"])
@pytest.mark.parametrize("divergence", ["forward_kl", "reverse_kl", "jsd"])
def test_loss_and_gradient_of_a_step_are_those_over_full_logits_in_float64(
    make: Callable[..., Any],
    jobs: Jobs,
    tiny: Callable[..., Path],
    no_logits: list[int],
    divergence: str,
    padded: int,
) -> None:
    from posttrain.train.model import load_model

    source = tiny(seed=1, sharpness=3.0)
    teacher = load_model(source)
    if padded:
        teacher.resize_token_embeddings(teacher.config.vocab_size + padded)
        teacher.save_pretrained(jobs.folder / "padded")
        for name in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copyfile(source / name, jobs.folder / "padded" / name)
    job = make(
        stage(
            steps=1, divergence=divergence, kd_temperature=1.5, jsd_beta=0.3, micro_batch_size=4,
            weights={"sequence": 1.0, "chosen": 2.0, "rejected": 0.5},
        ),
        teacher=jobs.folder / "padded" if padded else source,
    )  # fmt: skip
    train(job)
    assert not no_logits

    student, template = load_model(jobs.model).double(), ChatTemplate.load(jobs.model, CHAT)
    rows = draw({"pairs": PAIRS}, {"pairs": 1.0}, 8, job.seed)
    prompts = [tuple(template.prompt_ids(row["messages"])) for row in rows] * 2
    answers = [tuple(template.answer_ids(row[side])) for side in ("chosen", "rejected") for row in rows]
    batch = answer_batch(list(zip(prompts, answers, strict=True)), "cpu")
    inputs = {key: batch[key] for key in ("input_ids", "attention_mask")}
    logits = student(**inputs).logits[:, :-1][batch["trained"]]
    no_logits.clear()
    with torch.no_grad():
        its = teacher.double()(**inputs).logits[:, :-1][batch["trained"]][:, : logits.shape[1]]
    each = token_divergence(logits, its, kind=divergence, jsd_beta=0.3, temperature=1.5)
    first = batch["trained"].nonzero()[:, 0] < 8
    targets = batch["input_ids"][:, 1:][batch["trained"]]
    sums = answer_sums(torch.log_softmax(logits, dim=-1).gather(1, targets.unsqueeze(1)).squeeze(1), batch)
    dpo = dpo_loss(sums[:8], sums[8:], sums[:8].detach(), sums[8:].detach(), beta=0.1)
    parts = (each[first].mean(), each[~first].mean())
    loss = dpd_loss(dpo, *parts, sequence=1.0, chosen=2.0, rejected=0.5)
    loss.backward()
    norm = torch.stack([weight.grad.norm() for weight in student.parameters() if weight.grad is not None]).norm()
    row = metrics(job)[0]
    assert [row["kd_chosen"], row["kd_rejected"], row["dpo_loss"]] == pytest.approx(
        [parts[0].item(), parts[1].item(), dpo.mean().item()], abs=1e-6
    )
    assert row["loss"] == pytest.approx(loss.item(), abs=1e-6)
    assert row["grad_norm"] == pytest.approx(norm.item(), rel=1e-5)


def test_how_a_step_is_split_changes_nothing(make: Callable[..., Any]) -> None:
    whole, split = make(stage(micro_batch_size=8)), make(stage(micro_batch_size=2))
    train(whole)
    train(split)
    for one, other in zip(metrics(whole), metrics(split), strict=True):
        assert [other[key] for key in ("loss", *KEYS)] == pytest.approx([one[key] for key in ("loss", *KEYS)], abs=1e-5)


@pytest.mark.parametrize("adapter", ["full", {"rank": 4, "alpha": 8.0}], ids=["full", "lora"])
def test_a_resumed_run_leaves_the_same_bytes_and_rows(make: Callable[..., Any], adapter: Any) -> None:
    configured = stage(steps=4, batch_size=4, micro_batch_size=4, save_every=2, adapter=adapter)
    straight = make(configured)
    train(straight)
    reference_batches = 16 // 4  # of the pairs that are drawn
    stopped = make(configured, stop_file=StopAfter(reference_batches + 2))
    assert train(stopped) == {"stopped": True}
    resumed = make(configured, resume=True)
    train(resumed)
    assert files(resumed.output / "model") == files(straight.output / "model")
    assert metrics(resumed) == metrics(straight)


def test_a_stop_ends_the_reference_pass_between_two_batches(make: Callable[..., Any]) -> None:
    job = make(stage(micro_batch_size=1, batch_size=1), stop_file=StopAfter(1))
    assert train(job) == {"stopped": True}
    assert not list((job.attempt / "checkpoints").iterdir())


def test_a_teacher_of_another_vocabulary_is_refused_with_the_first_ids_that_differ(
    make: Callable[..., Any], jobs: Jobs, tiny: Callable[..., Path]
) -> None:
    other = shutil.copytree(tiny(seed=1), jobs.folder / "other")
    tokenizer = json.loads((other / "tokenizer.json").read_text())
    vocabulary = tokenizer["model"]["vocab"]
    vocabulary["A"], vocabulary["B"] = vocabulary["B"], vocabulary["A"]
    (other / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(CheckpointError, match="2 ids differ from the student's") as caught:
        train(make(stage(), teacher=other))
    assert f"{vocabulary['B']}: 'A' / 'B', {vocabulary['A']}: 'B' / 'A'" in caught.value.what


def test_tokens_that_the_recipe_skips_are_in_no_kl_and_in_no_count(make: Callable[..., Any], jobs: Jobs) -> None:
    """Every answer ends in a special token; the DPO term keeps it."""
    from posttrain.train.model import load_model
    from posttrain.train.pairs import pair_rows

    weights = {"sequence": 1.0, "chosen": 2.0, "rejected": 0.5}
    whole, skipping = (make(stage(steps=1, kd_skip=skip, weights=weights)) for skip in ([], ["special"]))
    train(whole)
    train(skipping)
    one, other = metrics(whole)[0], metrics(skipping)[0]
    assert other["dpo_loss"] == one["dpo_loss"] and other["margin"] == one["margin"]

    template = ChatTemplate.load(jobs.model, CHAT)
    student, teacher = (load_model(folder) for folder in (jobs.model, whole.inputs["teacher_model"]))
    for key, side in (("kd_chosen", 0), ("kd_rejected", 1)):
        found = []
        for row in draw({"pairs": pair_rows(whole, template)}, {"pairs": 1.0}, 8, whole.seed):
            answer = row.answers()[side]
            ids = torch.tensor([[*row.prompt, *answer]])
            with torch.no_grad():
                logits = [model(ids).logits[0, len(row.prompt) - 1 : -1] for model in (student, teacher)]
            special = torch.tensor(answer) >= 256  # behind the bytes: tags of reasoning, end of the turn
            assert special[-1]
            found.append(token_divergence(*logits, kind="forward_kl")[~special])
        assert other[key] == pytest.approx(torch.cat(found).mean().item(), abs=1e-5)
        assert abs(other[key] - one[key]) > 1e-4
    assert other["loss"] == pytest.approx(
        other["dpo_loss"] + 2.0 * other["kd_chosen"] + 0.5 * other["kd_rejected"], rel=1e-4
    )


def test_marks_of_tools_are_told_by_their_names() -> None:
    from tokenizers import AddedToken
    from transformers import AutoTokenizer

    from posttrain.data.special_tokens import kd_skipped
    from posttrain.rollout.tiny import _byte_tokenizer

    tokenizer: AutoTokenizer = _byte_tokenizer()
    tokenizer.add_tokens([AddedToken("<tool_call>", special=False), AddedToken("<|python_tag|>", special=True)])
    number = tokenizer.convert_tokens_to_ids
    assert kd_skipped(tokenizer, []) == frozenset()
    assert kd_skipped(tokenizer, ["tool"]) == {number("<tool_call>"), number("<|python_tag|>")}
    special = kd_skipped(tokenizer, ["special"])
    assert number("<tool_call>") not in special and {number("<|im_end|>"), number("<|python_tag|>")} <= special
    assert kd_skipped(tokenizer, ["special", "tool"]) == special | {number("<tool_call>")}


def test_a_teacher_by_text_leaves_dpo_alone(make: Callable[..., Any]) -> None:
    weights = {"sequence": 1.0, "chosen": 0.0, "rejected": 0.0}
    beside, by_text = make(stage(weights=weights)), make(stage(weights=weights))
    train(beside)
    dpd.train(by_text, None)
    for one, other in zip(metrics(beside), metrics(by_text), strict=True):
        assert other["kd_chosen"] == other["kd_rejected"] == 0.0
        for key in ("loss", "margin", "dpo_loss", "grad_norm"):
            assert other[key] == pytest.approx(one[key], rel=1e-4, abs=1e-6)


def test_the_reference_is_the_start_on_a_resume_and_one_without_it_is_refused(make: Callable[..., Any]) -> None:
    configured = stage(steps=4, batch_size=4, micro_batch_size=4, save_every=2, learning_rate=3e-2)
    first = make(configured, stop_file=StopAfter(4 + 2))
    assert train(first) == {"stopped": True}
    resumed = make(configured, resume=True)
    train(resumed)
    assert (resumed.attempt / "reference.npy").read_bytes() == (first.attempt / "reference.npy").read_bytes()
    (first.attempt / "reference.npy").write_bytes(b"torn")
    again = dataclasses.replace(resumed, attempt=resumed.attempt.with_name("again"))
    with pytest.raises(StageError, match="the reference of the checkpoint to resume from cannot be read"):
        train(again)


@pytest.mark.parametrize(
    ("stored", "device", "wanted"),
    [
        ({"dtype": "bfloat16"}, "cuda", "bfloat16"),
        ({"torch_dtype": "float16"}, "cuda", "float16"),
        ({"dtype": "float32"}, "cuda", "bfloat16"),
        ({}, "cuda", "bfloat16"),
        ({"dtype": "bfloat16"}, "cpu", "float32"),
    ],
)
def test_a_teacher_is_never_float32_on_a_gpu(stored: dict[str, str], device: str, wanted: str) -> None:
    from posttrain.train.teacher import dtype_of

    assert dtype_of(stored, device) == wanted


def test_no_pair_is_an_error(make: Callable[..., Any], jobs: Jobs) -> None:
    job = make(stage())
    (jobs.folder / "pairs" / "pairs.jsonl").write_text("")
    with pytest.raises(DataError, match="no pair was kept"):
        train(job)

"""SFT on real tiny models: what the loss is divided by, what a resume repeats, what packing and LoRA leave unchanged,
what is saved."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from posttrain.data.template import ChatTemplate
from posttrain.errors import CheckpointError, DataError, StageError
from posttrain.recipe.schema import Chat, FileData, Sft
from posttrain.train.model import load_model, save_model
from posttrain.train.sft import train
from posttrain.train.tokens import IGNORED, Sequences
from tests.train.conftest import CHAT, Jobs, StopAfter, files, metrics, weights, write_rows

ROWS = [{"prompt": f"after {n}?", "completion": "<think>" + "+" * (n % 7) + f"</think>{n + 1}"} for n in range(24)]
CONVERSATION = ({"role": "user", "content": "10?"}, {"role": "assistant", "content": "<think>+</think>11"})
LORA = {"rank": 4, "alpha": 8.0}


def stage(**options: Any) -> Sft:
    values = {
        "kind": "sft",
        "name": "warm",
        "data": {"rows": 1.0},
        "steps": 4,
        "batch_size": 4,
        "micro_batch_size": 4,
        "max_tokens": 96,
        "packing": False,
        "learning_rate": 1e-3,
        "warmup_share": 0.0,
    }
    return Sft.model_validate(values | options)


def losses(job: Any) -> list[float]:
    return [row["loss"] for row in metrics(job)]


@pytest.fixture
def rows(jobs: Jobs) -> dict[str, FileData]:
    return {"rows": write_rows(jobs.folder / "rows.jsonl", ROWS)}


@pytest.mark.parametrize("adapter", ["full", LORA], ids=["full", "lora"])
def test_the_loss_falls_and_every_step_is_one_row(jobs: Jobs, rows: dict[str, FileData], adapter: Any) -> None:
    job = jobs.make(stage(steps=12, learning_rate=1e-2, adapter=adapter), rows)
    facts = train(job)
    curve = metrics(job)
    assert [row["step"] for row in curve] == list(range(1, 13))
    assert curve[-1]["loss"] < curve[0]["loss"] - 0.3
    assert (
        facts["loss"] == pytest.approx(curve[-1]["loss"], abs=1e-6)
        and facts["rows"] == 48
        and facts["too_long_rows"] == 0
    )
    # Clock times, and sums that restart with a resume.
    assert not {"train_runtime", "epoch", "num_tokens"} & curve[-1].keys()


@pytest.mark.usefixtures("no_logits")
def test_the_loss_is_the_mean_over_trained_tokens_of_the_whole_step(jobs: Jobs, rows: dict[str, FileData]) -> None:
    job = jobs.make(stage(steps=1, batch_size=8, micro_batch_size=2), rows)
    train(job)
    sequences = Sequences(job.inputs["tokens"])
    model, total, tokens = load_model(jobs.model), 0.0, 0
    for row in map(sequences.example, range(8)):
        ids, mask = torch.tensor(row["input_ids"])[None], torch.tensor(row["labels"] != IGNORED)[1:]
        with torch.no_grad():
            logprobs = torch.log_softmax(model(input_ids=ids).logits[0, :-1], dim=-1)
        total -= float((logprobs.gather(1, ids[0, 1:, None])[:, 0] * mask).sum())
        tokens += int(mask.sum())
    assert losses(job)[0] == pytest.approx(total / tokens, abs=1e-5)


def test_one_batch_of_four_equals_four_accumulated_ones(jobs: Jobs, rows: dict[str, FileData]) -> None:
    whole, split = jobs.make(stage(micro_batch_size=4), rows), jobs.make(stage(micro_batch_size=1), rows)
    train(whole)
    train(split)
    assert losses(split) == pytest.approx(losses(whole), abs=1e-5)


def test_packing_arranges_rows_and_lets_none_see_another(jobs: Jobs, tiny: Callable[..., Path]) -> None:
    """Eight rows of one length in one packed sequence against the same rows one by one, three times over: the same
    tokens are trained, by the same loss."""
    data = {
        "rows": write_rows(
            jobs.folder / "rows.jsonl",
            [{"prompt": f"{n}?", "completion": f"<think>+</think>{n + 1}"} for n in range(10, 18)],
        )
    }
    sharp = tiny(sharpness=4.0)  # what a token sees changes what it expects next by nats
    length = len(ChatTemplate.load(jobs.model, CHAT).encode_conversation([*CONVERSATION]).ids)
    packed = jobs.make(
        stage(steps=3, batch_size=1, micro_batch_size=1, packing=True, max_tokens=8 * length), data, model=sharp
    )
    alone = jobs.make(stage(steps=3, batch_size=8, micro_batch_size=1), data, model=sharp)
    assert train(packed)["trained_tokens"] == train(alone)["trained_tokens"]
    assert losses(packed) == pytest.approx(losses(alone), abs=1e-4)


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, marks=pytest.mark.long),
        {"packing": True},
        pytest.param({"adapter": LORA}, marks=pytest.mark.long),
    ],
    ids=["plain", "packed", "lora"],
)
def test_a_resumed_run_leaves_the_same_bytes_and_rows(
    jobs: Jobs, rows: dict[str, FileData], options: dict[str, Any]
) -> None:
    configured = stage(steps=5, save_every=2, **options)
    straight = jobs.make(configured, rows)
    train(straight)
    stopped = jobs.make(configured, rows, stop_file=StopAfter(2))
    assert train(stopped) == {"stopped": True} and len(metrics(stopped)) == 3
    resumed = jobs.make(configured, rows, resume=True)
    train(resumed)
    assert files(resumed.output / "model") == files(straight.output / "model")
    assert (resumed.attempt / "metrics.jsonl").read_bytes() == (straight.attempt / "metrics.jsonl").read_bytes()


@pytest.mark.parametrize("options", [{}, {"packing": True}, {"adapter": LORA}], ids=["plain", "packed", "lora"])
def test_a_resume_after_the_last_step_trains_nothing_and_leaves_the_same_bytes(
    jobs: Jobs, rows: dict[str, FileData], options: dict[str, Any]
) -> None:
    configured = stage(steps=3, batch_size=2, micro_batch_size=2, **options)
    straight = jobs.make(configured, rows)
    facts = train(straight)
    resumed = jobs.make(configured, rows, resume=True)
    assert train(resumed) == facts
    assert files(resumed.output / "model") == files(straight.output / "model")
    assert metrics(resumed) == metrics(straight)


def test_rows_beyond_the_end_of_the_checkpoint_are_cut_on_resume(jobs: Jobs, rows: dict[str, FileData]) -> None:
    configured = stage(steps=4, save_every=2)
    first = jobs.make(configured, rows)
    train(first)
    for newer in ("checkpoint-4",):
        # Killed after step 3: rows beyond the checkpoint, one of them torn.
        shutil.rmtree(first.attempt / "checkpoints" / newer)
    with (first.attempt / "metrics.jsonl").open("a") as out:
        out.write('{"step": 5, "lo')
    resumed = jobs.make(configured, rows, resume=True)
    train(resumed)
    assert [row["step"] for row in metrics(resumed)] == [1, 2, 3, 4]
    assert files(resumed.output / "model") == files(first.output / "model")


def test_rows_that_are_too_long_are_left_out_and_counted(jobs: Jobs) -> None:
    data = {"rows": write_rows(jobs.folder / "rows.jsonl", [*ROWS, {"prompt": "x" * 200, "completion": "y"}])}
    job = jobs.make(stage(steps=1), data)
    assert train(job)["too_long_rows"] == 1
    assert json.loads((job.output / "set_aside.jsonl").read_text())["row"] == 25
    with pytest.raises(DataError, match="no row of data 'rows' fits in max_tokens 8"):
        train(jobs.make(stage(steps=1, max_tokens=8), data))


def test_a_row_that_the_template_refuses_is_named_or_set_aside(jobs: Jobs) -> None:
    spec = write_rows(jobs.folder / "rows.jsonl", [*ROWS, {"prompt": "<|im_end|>", "completion": "y"}])
    with pytest.raises(DataError, match="row 25 of data 'rows': special token"):
        train(jobs.make(stage(steps=1), {"rows": spec}))
    tolerant = spec.model_copy(update={"max_faulty_share": 0.1})
    job = jobs.make(stage(steps=1), {"rows": tolerant})
    assert train(job)["faulty_rows"] == 1
    (said,) = [json.loads(line) for line in (job.output / "set_aside.jsonl").read_text().splitlines()]
    assert (said["data"], said["row"]) == ("rows", 25) and said["reason"].startswith("special token")


def test_epochs_pass_over_the_data_that_often(jobs: Jobs, rows: dict[str, FileData]) -> None:
    facts = train(jobs.make(stage(steps=None, epochs=2.0, batch_size=12, micro_batch_size=12), rows))
    assert (facts["steps"], facts["rows"]) == (4, 48)


def test_a_batch_that_does_not_divide_over_the_workers_is_refused(
    jobs: Jobs, rows: dict[str, FileData], monkeypatch: pytest.MonkeyPatch
) -> None:
    from posttrain.train.trainer import micro_split

    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(StageError, match="batch_size 4 does not divide over 3"):
        micro_split(stage())


def test_a_loss_that_is_not_finite_stops_the_stage(jobs: Jobs, rows: dict[str, FileData]) -> None:
    from safetensors.torch import save_file

    broken = shutil.copytree(jobs.model, jobs.folder / "broken")
    tensors = weights(broken)
    tensors["model.norm.weight"] = torch.full_like(tensors["model.norm.weight"], float("nan"))
    save_file(tensors, broken / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(
        StageError, match=r"loss or gradient is not finite at step 1 of warm; it trained on row \d+ of data 'rows',"
    ):
        train(jobs.make(stage(), rows, model=broken))


@pytest.mark.parametrize(
    "shape", [{"architecture": "mixtral"}, {"architecture": "llama"}, {"tied": True}], ids=["mixtral", "llama", "tied"]
)
def test_every_shape_trains_and_loads_again(
    jobs: Jobs, rows: dict[str, FileData], tiny: Callable[..., Path], shape: dict[str, Any]
) -> None:
    source = tiny(**shape)
    job = jobs.make(stage(steps=2), rows, model=source)
    train(job)
    before, after = weights(source), weights(job.output / "model")
    assert before.keys() == after.keys()
    assert all(before[name].shape == after[name].shape for name in before)
    assert any(not torch.equal(before[name], after[name]) for name in before)


@torch.no_grad()
def test_a_saved_model_keeps_its_config_and_says_where_to_stop(jobs: Jobs, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source = shutil.copytree(jobs.model, tmp_path / "source")
    config = json.loads((source / "config.json").read_text())
    # Differs from the recipe's stop, as in the field.
    (source / "config.json").write_text(json.dumps(config | {"eos_token_id": 7}))
    model = load_model(source)
    model.config.eos_token_id = 99  # what a trainer may do to it
    save_model(model, tmp_path / "out", source=source, chat=CHAT, stop_ids=(258, 7))
    saved = json.loads((tmp_path / "out" / "config.json").read_text())
    assert saved["eos_token_id"] == 7 and saved["use_cache"] is True
    assert json.loads((tmp_path / "out" / "generation_config.json").read_text())["eos_token_id"] == [258, 7]
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype=torch.float32)
    ids = torch.tensor([[1, 2, 3]])
    assert torch.equal(loaded(input_ids=ids).logits, load_model(source)(input_ids=ids).logits)
    assert AutoTokenizer.from_pretrained(tmp_path / "out").chat_template
    assert ChatTemplate.load(tmp_path / "out", Chat(stop=["<|im_end|>"])).prompt_ids([{"role": "user", "content": "x"}])
    assert {path.suffix for path in (tmp_path / "out").iterdir()} == {".json", ".safetensors", ".jinja"}


@torch.no_grad()
def test_a_merged_adapter_says_what_the_adapter_says_and_training_may_go_on(jobs: Jobs, tmp_path: Path) -> None:
    from posttrain.recipe.schema import Lora

    model = load_model(jobs.model, adapter=Lora.model_validate(LORA))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.2)
    ids = torch.tensor([[5, 6, 7, 8, 9]])
    model.eval()
    expected = model(input_ids=ids).logits
    save_model(model, tmp_path / "out", source=jobs.model, chat=CHAT, stop_ids=(258,))
    assert (load_model(tmp_path / "out")(input_ids=ids).logits - expected).abs().max() < 1e-5
    assert (load_model(jobs.model)(input_ids=ids).logits - expected).abs().max() > 0.1
    assert torch.equal(model(input_ids=ids).logits, expected) and any(
        "lora_B" in name for name, _ in model.named_parameters()
    )


def test_weights_that_cannot_be_read_are_named(jobs: Jobs, tmp_path: Path) -> None:
    torn = shutil.copytree(jobs.model, tmp_path / "torn")
    (torn / "model.safetensors").write_bytes((torn / "model.safetensors").read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="cannot be loaded") as caught:
        load_model(torn)
    assert caught.value.where == str(torn)

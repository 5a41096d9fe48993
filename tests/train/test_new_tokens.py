"""Tokens that a recipe adds to its base: trained, published, and found by the next stage."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from posttrain.data.template import ChatTemplate
from posttrain.errors import CheckpointError, RecipeError
from posttrain.recipe.schema import Chat, FileData, Sft
from posttrain.train.base_trial import examine_base
from posttrain.train.model import load_model
from posttrain.train.sft import train
from tests.train.conftest import Jobs, metrics, write_rows

CHAT = Chat(template="llama3", stop=["<|eot_id|>"], add_tokens=True)
NEW = ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")


def stage(**options: object) -> Sft:
    common = {"kind": "sft", "name": "warm", "data": {"rows": 1.0}, "steps": 2, "batch_size": 4, "max_tokens": 256}
    return Sft.model_validate({**common, "packing": False, "micro_batch_size": 4, "learning_rate": 1e-3, **options})


@pytest.fixture
def rows(jobs: Jobs) -> dict[str, FileData]:
    (jobs.folder / "card.md").write_text("---\nlicense: mit\n---\n")
    given = [{"prompt": f"{n}?", "completion": f"<think>+</think>{n + 1}"} for n in range(8)]
    return {"rows": write_rows(jobs.folder / "rows.jsonl", given)}


def test_added_tokens_are_trained_published_and_there_for_the_next_stage(jobs: Jobs, rows: dict[str, FileData]) -> None:
    before = load_model(jobs.model).get_input_embeddings().weight.shape[0]
    job = jobs.make(stage(), rows, chat=CHAT)
    train(job)
    out: Path = job.output / "model"
    assert json.loads((out / "config.json").read_text())["vocab_size"] == before + len(NEW)
    again = ChatTemplate.load(out, CHAT)
    assert again.added == () and "<|eot_id|>" in again.prompt_text([{"role": "user", "content": "1?"}])
    weight = load_model(out).get_input_embeddings().weight
    assert weight.shape[0] == before + len(NEW) and torch.isfinite(weight).all()
    assert metrics(job)


def test_a_base_that_lacks_the_tokens_passes_the_look_at_bases(jobs: Jobs) -> None:
    assert examine_base(jobs.model, CHAT, jobs.folder) == []
    told = CHAT.model_copy(update={"add_tokens": False})
    with pytest.raises(CheckpointError, match="header_id"):
        examine_base(jobs.model, told, jobs.folder)


def test_lora_does_not_train_new_tokens_and_is_refused(jobs: Jobs, rows: dict[str, FileData]) -> None:
    job = jobs.make(stage(adapter={"rank": 4, "alpha": 8.0}), rows, chat=CHAT)
    with pytest.raises(RecipeError, match="LoRA does not train an embedding"):
        train(job)

"""The toy's tokenizer and checkpoints: round trips, single tokens, loadable, the same bytes for the same seed."""

import hashlib
import json
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from posttrain.recipe.schema import ToyModel
from posttrain.toy import TASKS, conversations, gym_conversations, pairs, tokenizer
from posttrain.toy.corpus import documents
from posttrain.toy.make import ROW_TOKENS, _rows, make_model


@pytest.fixture(scope="module")
def words() -> Any:
    return tokenizer.make_tokenizer()


@pytest.mark.parametrize("text", [*tokenizer.SPECIAL, "A", "B", *"0123456789"])
def test_special_tokens_labels_and_digits_are_single_tokens(words: Any, text: str) -> None:
    assert len(words.encode(text, add_special_tokens=False)) == 1
    assert words.decode(words.encode(text, add_special_tokens=False)) == text


def test_numbers_are_read_digit_by_digit(words: Any) -> None:
    assert words.tokenize("x=1234+98") == ["x", "=", "1", "2", "3", "4", "+", "9", "8"]


def test_every_row_comes_back_from_its_tokens(words: Any) -> None:
    chain = {"min_terms": 2, "max_terms": 3}
    rows = [row for task in TASKS for row in conversations(task, 150, (1, 5), "train", 0)]
    for row in [*rows, *gym_conversations("chain_sum", 50, "train", 0, chain)]:
        text = words.apply_chat_template(list(row.messages), tokenize=False)
        assert words.decode(words.encode(text, add_special_tokens=False)) == text
    for pair in pairs("preference", 100, (1, 5), "train", 0):
        assert words.decode(words.encode(pair.chosen, add_special_tokens=False)) == pair.chosen


def test_rows_are_short(words: Any) -> None:
    answers = [
        len(words.encode(row.messages[1]["content"]))
        for task in TASKS
        for row in conversations(task, 200, (1, 5), "train", 0)
    ]
    assert max(answers) < 128
    assert sum(answers) / len(answers) < 50


def test_the_tokenizer_is_the_same_every_time(words: Any) -> None:
    assert tokenizer.make_tokenizer().backend_tokenizer.to_str() == words.backend_tokenizer.to_str()


def test_the_template_opens_the_assistants_turn_only(words: Any) -> None:
    asked = words.apply_chat_template([{"role": "user", "content": "2+2?"}], tokenize=False, add_generation_prompt=True)
    assert asked == "<|im_start|>user\n2+2?<|im_end|>\n<|im_start|>assistant\n"
    turns = [{"role": "user", "content": "2+2?"}, {"role": "assistant", "content": "4", "reasoning_content": "2+2=4"}]
    assert words.apply_chat_template(turns, tokenize=False) == asked + "<think>2+2=4</think>4<|im_end|>\n"


def test_every_row_begins_with_a_whole_document(words: Any) -> None:
    rows = list(islice(_rows(ToyModel(skill="base"), words, 5), 20))
    stream = documents(5)
    for row in rows:
        assert len(row) == ROW_TOKENS and all(token == learnt for token, learnt in row)
        left = words.decode([token for token, _ in row])
        while left:
            document = next(stream) + tokenizer.END_OF_TEXT
            assert left.startswith(document) or document.startswith(left)
            left = left[len(document) :]


def test_no_answer_is_taught_without_its_question(words: Any) -> None:
    start, think = (words.convert_tokens_to_ids(token) for token in (tokenizer.TURN_START, tokenizer.THINK))
    thoughts = 0
    for row in islice(_rows(ToyModel(skill="teacher"), words, 5), 60):
        opened = 0  # turns begun since the last answer: the user's, then the assistant's
        for token, _ in row:
            opened += token == start
            if token == think:
                assert opened == 2
                opened, thoughts = 0, thoughts + 1
    assert thoughts > 60


@pytest.mark.parametrize(
    "spec",
    [
        ToyModel(architecture="qwen3", hidden_size=32, layers=1, steps=2),
        ToyModel(architecture="qwen3", hidden_size=32, layers=1, steps=2, tied=True, skill="teacher"),
        ToyModel(architecture="llama", hidden_size=32, layers=1, steps=2),
        ToyModel(architecture="mixtral", hidden_size=32, layers=1, steps=2),
    ],
    ids=["qwen3", "qwen3-tied-teacher", "llama", "mixtral"],
)
def test_a_made_model_loads_generates_and_is_byte_for_byte_repeatable(tmp_path: Path, spec: ToyModel) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    losses: list[float] = []
    make_model(spec, tmp_path / "one", 3, lambda step, loss: losses.append(loss))
    make_model(spec, tmp_path / "two", 3)
    make_model(spec, tmp_path / "other", 4)
    digests = {
        name: hashlib.sha256((tmp_path / name / "model.safetensors").read_bytes()).hexdigest()
        for name in ("one", "two", "other")
    }
    assert digests["one"] == digests["two"] != digests["other"]
    assert len(losses) == spec.steps
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "one")
    words = AutoTokenizer.from_pretrained(tmp_path / "one")
    assert model.config.model_type == spec.architecture
    assert model.config.tie_word_embeddings is spec.tied
    assert all(parameter.dtype == torch.float32 for parameter in model.parameters())
    asked = torch.tensor([words.encode("Question: Compute 2+2.\nAnswer:")])
    assert model.generate(asked, max_new_tokens=4, do_sample=False).shape[1] <= asked.shape[1] + 4


def test_the_stop_of_a_turn_is_not_the_eos_of_the_config(tmp_path: Path) -> None:
    make_model(ToyModel(hidden_size=32, layers=1, steps=1), tmp_path, 0)
    config = json.loads((tmp_path / "config.json").read_text())
    generation = json.loads((tmp_path / "generation_config.json").read_text())
    words = tokenizer.make_tokenizer()
    assert config["eos_token_id"] == generation["eos_token_id"] == words.convert_tokens_to_ids("<|endoftext|>")
    assert config["eos_token_id"] != words.convert_tokens_to_ids("<|im_end|>")
    assert (tmp_path / "tokenizer.json").is_file()
    assert "im_start" in (tmp_path / "chat_template.jinja").read_text()


def test_making_a_model_leaves_the_callers_threads_and_random_state_alone(tmp_path: Path) -> None:
    import torch

    threads, state = torch.get_num_threads(), torch.random.get_rng_state()
    make_model(ToyModel(hidden_size=32, layers=1, steps=1), tmp_path, 0)
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.random.get_rng_state(), state)

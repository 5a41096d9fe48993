"""A data stage that asks our own engine, with a model that knows no language: the protocol, seeds, and the same bytes
after a kill."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from posttrain.cli import main
from posttrain.factory.asking import Ask, Refused, Reply
from tests.factory.scripted import lines, write_part

CHAT = {"template": "chatml_think", "stop": ["<|im_end|>"]}
PUBLISHED = ("rows.jsonl", "history.jsonl", "summary.json")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from posttrain.rollout.tiny import tiny_model

    return tiny_model(tmp_path_factory.mktemp("tiny") / "model")


def part(tiny: Path, **more: Any) -> dict[str, Any]:
    return {
        "generators": ["student"],
        "samples": 3,
        "models": {"student": {"path": str(tiny), "max_tokens": 24}},
        "verifier": "math",
        "verifiers": {"math": {"kind": "math"}},
        "chat": CHAT,
        "engine": {"backend": "hf", "context_tokens": 96},
        **more,
    }


@pytest.mark.ray
def test_candidates_come_from_our_engine_with_seeds_and_a_lost_batch_is_sampled_the_same(
    tiny: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file, config = write_part(tmp_path, part(tiny), rows=5)
    rows = [{"prompt": f"{n}+1?", "completion": f"It is {n + 1}", "gold": str(n + 1)} for n in range(1, 5)]
    rows.append({"prompt": "9" * 90 + "+1?", "completion": "It is 2", "gold": "2"})
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    out = tmp_path / "out"
    command = ["data", "verify", str(file), "--config", str(config), "--out", str(out), "--json"]
    assert main(command) == 0
    calm = {name: (out / name).read_bytes() for name in PUBLISHED}
    history = lines(out / "history.jsonl")
    for record in history[:4]:
        said = [event for event in record["events"] if event.get("role") == "student"]
        assert len(said) == 3 and len({event["reply"] for event in said}) > 1
        assert all(event["by"] == said[0]["by"] and 0 < event["tokens"][1] <= 24 for event in said)
    assert "leave no room" in json.dumps(history[4]["dropped"])  # refused alone, and its neighbours answered
    assert [row["completion"][0]["content"] for row in lines(out / "rows.jsonl")] == [
        "It is 2",
        "It is 3",
        "It is 4",
        "It is 5",
        "It is 2",
    ]
    # A kill in the middle of the last batch: the whole batch is asked again, with the same seeds.
    replies = out / "work" / "replies.jsonl"
    batches = replies.read_bytes().splitlines(keepends=True)
    assert 1 <= len(batches) <= 3 and len(json.loads(batches[0])) >= 12
    replies.write_bytes(b"".join(batches[:-1]) + batches[-1][:-9])
    (out / "work" / "rows.jsonl").unlink()
    assert main(command) == 0
    assert {name: (out / name).read_bytes() for name in PUBLISHED} == calm
    capfd.readouterr()


def test_a_batch_answers_each_request_by_its_own_seed_whatever_stands_beside_it(tiny: Path, tmp_path: Path) -> None:
    from posttrain.recipe.schema import AskedModel, Chat
    from posttrain.rollout.engine import EngineOptions
    from posttrain.rollout.hf_engine import HfEngine
    from posttrain.sampling.engine_model import EngineModel

    engine = HfEngine(str(tiny), "v1", EngineOptions(context_tokens=128))
    model = EngineModel(
        engine,
        tiny,
        model=AskedModel.model_validate({"path": str(tiny), "max_tokens": 12}),
        chat=Chat.model_validate({**CHAT, "think": ("<think>", "</think>")}),
        recipe_dir=tmp_path,
        context_tokens=128,
    )

    def ask(seed: int, temperature: float, text: str = "1+1?") -> Ask:
        turns = ({"role": "user", "content": text},)
        return Ask(row=1, role="m", place="p", messages=turns, temperature=temperature, seed=seed, key=str(seed))

    first = model.answer([ask(1, 1.0), ask(2, 1.0), ask(3, 0.0), ask(4, 1.0, "x" * 400), ask(5, 0.0)])
    assert [type(answer) for answer in first] == [Reply, Reply, Reply, Refused, Reply]
    replies = [answer for answer in first if isinstance(answer, Reply)]
    assert replies[0].text != replies[1].text and replies[2].text == replies[3].text  # greedy ones are alike
    (again,) = model.answer([ask(2, 1.0)])
    assert isinstance(again, Reply) and again.text == replies[1].text and again.by == "v1"


@pytest.mark.ray
def test_a_run_asks_its_own_checkpoint_and_trains_on_the_rows_that_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A toy base as generator beside the rows' own answers, judged in the scorer; then sft on what is right."""
    monkeypatch.chdir(tmp_path)
    verify = {"kind": "verify", "name": "pick", "data": "worked", "verifier": "math", "generators": ["student"]}
    recipe = {
        "schema": 1,
        "name": "own",
        "base": {"path": "toy", "toy": {"hidden_size": 32, "layers": 1, "steps": 2}},
        "chat": {"template": "chatml_think", "stop": ["<|im_end|>"]},
        "engine": {"backend": "hf", "context_tokens": 256},
        "verifiers": {"math": {"kind": "math"}},
        "data": {
            "worked": {"source": "toy", "task": "stem_worked", "rows": 8, "difficulty": [1, 1]},
            "picked": {"source": "stage", "stage": "pick"},
        },
        "stages": [
            {**verify, "samples": 2, "models": {"student": {"stage": "base", "max_tokens": 8}}},
            {"kind": "sft", "name": "tune", "data": {"picked": 1.0}, "steps": 2, "batch_size": 4}
            | {"micro_batch_size": 4, "max_tokens": 256, "packing": False},
        ],
        "evaluate": {"after": "never"},
    }
    path = tmp_path / "recipe.yaml"
    path.write_text(json.dumps(recipe))
    assert main(["run", str(path), "--out", "run", "--store", "store", "--quiet"]) == 0
    history = lines(tmp_path / "run" / "stages" / "pick" / "history.jsonl")
    base = json.loads((tmp_path / "run" / "plan.json").read_text())["steps"][0]["id"]
    said = [event for record in history for event in record["events"] if event.get("role") == "student"]
    assert len(said) == 16 and {event["by"] for event in said} == {base}
    rows = lines(tmp_path / "run" / "stages" / "pick" / "rows.jsonl")
    tuned = json.loads((tmp_path / "run" / "stages" / "tune" / "manifest.json").read_text())["metrics"]
    assert len(rows) == 8 == tuned["rows"] and tuned["faulty_rows"] == 0


def test_a_model_made_elsewhere_also_ends_its_turns_as_the_recipe_says_where_it_knows_the_token(tmp_path: Path) -> None:
    from posttrain.recipe.schema import Chat, ToyModel
    from posttrain.sampling.engine_model import own_chat
    from posttrain.toy.make import make_model

    make_model(ToyModel(hidden_size=32, layers=1, steps=1), tmp_path / "toy", 0)
    chat = own_chat(tmp_path / "toy", Chat(stop=["<|im_end|>", "<|eot_id|>"]))
    assert chat.stop == ["<|endoftext|>", "<|im_end|>"] and chat.template is None

"""`posttrain profile`: the filter alone, on one model and a file of prompts, with a real engine and machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from posttrain.errors import InputError, StageError, Stopped
from posttrain.recipe.schema import Filter, Recipe
from posttrain.run import profile as module
from posttrain.run.profile import Question, profile
from posttrain.store.jsonl import write_lines

pytestmark = pytest.mark.ray

BAND = Filter(k=8, wave=4)


@pytest.fixture(scope="module", autouse=True)
def ray_kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One Ray for every machine of this file."""
    from posttrain.machine.cluster import Cluster

    cluster = Cluster(address="local", placement_timeout_seconds=60, logs=tmp_path_factory.mktemp("ray"))
    yield
    cluster.close()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from posttrain.rollout.tiny import tiny_model

    return tiny_model(tmp_path_factory.mktemp("tiny") / "model", sharpness=1.0)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> tuple[Recipe, Path]:
    data: dict[str, Any] = {
        "schema": 1,
        "name": "profiled",
        "base": {"path": "toy"},
        "chat": {"template": "chatml_think", "stop": ["<|im_end|>"]},
        "engine": {"backend": "hf", "context_tokens": 256},
        "verifiers": {"coin": {"kind": "tests.run.coin:toss", "on_truncated": "judge"}},
        "stages": [{"kind": "sft", "name": "warm", "data": {"rows": 1.0}, "steps": 1}],
    }
    return Recipe.model_validate(data), tmp_path_factory.mktemp("recipe")


@pytest.fixture
def problems(tmp_path: Path) -> Path:
    rows = [{"id": f"p{number}", "prompt": f"What is {number} + 1?", "gold": str(number + 1)} for number in range(8)]
    rows += [{"id": "hopeless", "prompt": "Who knows?", "gold": "never", "metadata": {"level": 3}}]
    write_lines(tmp_path / "problems.jsonl", rows)
    return tmp_path / "problems.jsonl"


def question(problems: Path, **parts: Any) -> Question:
    return Question(**{"data": str(problems), "verifier": "coin", "band": BAND, "max_tokens": 6, **parts})


def test_kept_prompts_are_rows_again_with_their_counts(
    model: Path, recipe: tuple[Recipe, Path], problems: Path, tmp_path: Path
) -> None:
    from posttrain.data.source import load_prompts
    from posttrain.recipe.schema import FileData

    out = tmp_path / "out"
    summary = profile(model, recipe, question(problems), out=out, logs=tmp_path / "logs")
    kept = [json.loads(line) for line in (out / "kept.jsonl").read_text().splitlines()]
    table = [json.loads(line) for line in (out / "table.jsonl").read_text().splitlines()]
    assert (summary.prompts, summary.k, len(table)) == (9, 8, 9)
    assert 0 < summary.kept == len(kept) < 9
    assert "hopeless" not in {row["id"] for row in kept}
    by_id = {row["id"]: row for row in table}
    for row in kept:
        counts = by_id[row["id"]]
        assert row["metadata"]["right"] == counts["right"]
        assert 1 <= row["metadata"]["right"] < row["metadata"]["asked"] <= 8
    spec = FileData.model_validate({"source": "file", "path": str(out / "kept.jsonl"), "card": ""})
    again = load_prompts("kept", spec, tmp_path)
    assert [(one.id, one.gold) for one in again.items] == [(row["id"], row["gold"]) for row in kept]
    assert sorted(path.name for path in out.iterdir()) == ["kept.jsonl", "summary.json", "table.jsonl"]
    with pytest.raises(InputError, match="finished profile"):
        profile(model, recipe, question(problems), out=out, logs=tmp_path / "logs")


def test_a_profile_that_was_cut_off_asks_only_what_is_missing(
    model: Path, recipe: tuple[Recipe, Path], problems: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    monkeypatch.setattr(module.shutil, "copyfile", _cut_off)
    with pytest.raises(Stopped):
        profile(model, recipe, question(problems), out=out, logs=tmp_path / "logs")
    monkeypatch.undo()
    (batch,) = (out / "unfinished" / "attempt-001" / "batches").iterdir()
    batch.write_text(batch.read_text().replace('"correct"', '"wrong"'))  # so that it shows who is believed
    with pytest.raises(StageError, match="they do not decide"):
        profile(model, recipe, question(problems), out=out, logs=tmp_path / "logs")


def _cut_off(*_: Any) -> None:
    raise Stopped("killed", remedy="")


def test_no_prompt_in_the_band_is_said_and_the_recipe_must_name_a_judge(
    model: Path, recipe: tuple[Recipe, Path], tmp_path: Path
) -> None:
    write_lines(tmp_path / "hard.jsonl", [{"prompt": "Who knows?", "gold": "never"}])
    with pytest.raises(StageError, match="no prompt of 1"):
        profile(model, recipe, question(tmp_path / "hard.jsonl"), out=tmp_path / "out", logs=tmp_path / "logs")
    with pytest.raises(InputError, match="no verifier for"):
        profile(
            model, recipe, question(tmp_path / "hard.jsonl", verifier=None), out=tmp_path / "b", logs=tmp_path / "logs"
        )
    with pytest.raises(InputError, match="no data set 'nothing"):
        profile(model, None, question(Path("nothing.jsonl")), out=tmp_path / "c", logs=tmp_path / "logs")

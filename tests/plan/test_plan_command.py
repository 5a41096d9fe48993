"""`posttrain plan|check|recipe` from the shell: output, exit codes, and that one clear error is all that a fault
prints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from posttrain.cli import main
from posttrain.plan import prepare
from posttrain.store.artefacts import Store
from tests.recipe.world import write_world


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    return write_world(tmp_path / "mine")


def test_plan_prints_each_step_with_its_state_and_why(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", str(recipe)]) == 0
    out = capsys.readouterr().out
    assert "stem.filter" in out and "never run here" in out and "small: 22 steps, 0 cached, 22 to run" in out


def test_plan_as_json_holds_ids_states_and_estimates(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", str(recipe), "--json", "--until", "cold_start"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert [step["name"] for step in plan["steps"]] == [
        "base",
        "fitness",
        "cold_start.tokens",
        "base.eval.stem",
        "base.few_shot.eval.stem",
        "cold_start",
        "cold_start.eval.stem",
    ]
    assert plan["steps"][5]["estimate"]["steps"] == 4
    assert plan["steps"][5]["id"].startswith("sft-")


@pytest.mark.parametrize(
    "change",
    [
        {"num_attention_heads": 0, "head_dim": None},
        {"hidden_size": float("inf")},
        {"hidden_size": [64]},
        {"rope_scaling": ["yarn"]},
    ],
    ids=str,
)
def test_an_odd_config_costs_nothing_but_the_estimate(
    recipe: Path, capsys: pytest.CaptureFixture[str], change: dict[str, Any]
) -> None:
    config = recipe.parent / "base" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | change))
    assert main(["plan", str(recipe)]) == 0
    assert "small: 22 steps, 0 cached, 22 to run" in capsys.readouterr().out


@pytest.mark.parametrize("link", ["base/notes.md", "data/warmup.jsonl"])
def test_what_cannot_be_read_is_one_error_with_its_place(
    recipe: Path, capsys: pytest.CaptureFixture[str], link: str
) -> None:
    path = recipe.parent / link
    path.unlink(missing_ok=True)
    path.symlink_to("x" * 300)  # too long a name: as root everything else can be read
    assert main(["plan", str(recipe)]) == 2
    said = capsys.readouterr().err
    assert str(path) in said and "cannot be read" in said and "remedy:" in said


def test_plan_compares_with_the_run_folders_last_plan(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import dataclasses

    _, plan = prepare(str(recipe), Store(Path("runs/.store")))
    run_dir = Path("runs/small")
    run_dir.mkdir(parents=True)
    (run_dir / "plan.json").write_text(
        json.dumps({"steps": [{**dataclasses.asdict(step), "why": ""} for step in plan.steps]})
    )
    assert main(["plan", str(recipe), "--set", "stages.stem.learning_rate=1e-3"]) == 0
    assert "learning_rate 1e-05 -> 0.001" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["plan", "no_such_recipe"], "no_such_recipe"),
        (["plan", "RECIPE", "--set", "stages.stme.steps=1"], "did you mean 'stem'"),
        (["plan", "RECIPE", "--until", "stme"], "did you mean 'stem'"),
        (["check", "RECIPE", "--from", "stem=nowhere"], "no folder"),
        (["recipe", "new", "--base", "nowhere"], "no folder 'nowhere'"),
    ],
)
def test_a_fault_is_exit_2_one_message_and_nothing_written(
    recipe: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    before = sorted(Path.cwd().rglob("*"))
    assert main([str(recipe) if argument == "RECIPE" else argument for argument in arguments]) == 2
    captured = capsys.readouterr()
    assert words in captured.err and captured.err.startswith("error: ") and "Traceback" not in captured.err
    assert captured.out == ""
    assert sorted(Path.cwd().rglob("*")) == before


def test_check_exits_2_when_a_finding_fails_and_remembers_digests(
    recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (recipe.parent / "data" / "warmup.jsonl").write_text('{"prompt": "a"}\n')
    assert main(["check", str(recipe), "--json", "--store", "store"]) == 2
    found = {finding["name"]: finding for finding in json.loads(capsys.readouterr().out)}
    assert found["data warmup"]["status"] == "fail"


def test_schema_and_new_reach_their_functions(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipe", "schema"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "posttrain recipe"
    assert main(["recipe", "new", "--base", "toy", "--like", "demo_cpu", "--out", "new.yaml"]) == 0
    assert main(["plan", "new.yaml"]) == 0  # the toy's cards come with the package
    assert "new: 48 steps" in capsys.readouterr().out

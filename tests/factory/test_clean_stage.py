"""`clean` as a stage of a recipe: rows of any data set go in, what is kept is rows for later stages."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from posttrain.cli import main
from posttrain.recipe.resolve import suites_against
from posttrain.recipe.schema import Clean, Recipe
from tests.factory.scripted import lines, write_recipe
from tests.recipe.world import write_jsonl

QUESTION = "A farmer sells {} crates of apples at the market on Monday and twice as many on Tuesday; how many in all?"
LOOKED_UP = {"role": "assistant", "content": "", "tool_calls": [{"name": "look_up", "arguments": {"what": "rivers"}}]}
FOUND = {"role": "tool", "content": "The Elbe, the Alster and the Bille."}


def test_without_names_it_looks_for_the_problems_of_every_suite() -> None:
    suites = {name: {"data": name, "verifier": "math"} for name in ("one", "two")}
    stage = {"kind": "clean", "name": "tidy", "data": "raw"}
    whole = {"schema": 1, "name": "x", "base": {"path": "b"}, "stages": [stage], "evaluate": {"suites": suites}}
    recipe = Recipe.model_validate(whole)
    assert isinstance(recipe.stages[0], Clean) and suites_against(recipe, recipe.stages[0]) == ["one", "two"]


def test_duplicates_and_problems_of_a_suite_are_taken_out_and_the_verdict_stands_on_the_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    stage = {"kind": "clean", "name": "tidy", "data": "raw", "against": ["held_out"], "min_words": 3}
    stage |= {"skip": ["near_duplicate"]}
    data = {
        "raw": {"source": "file", "path": "raw.jsonl", "card": "cards/sums.md"},
        "held_out": {"source": "file", "path": "held_out.jsonl", "card": "cards/sums.md"},
        "tidied": {"source": "stage", "stage": "tidy"},
    }
    recipe = write_recipe(tmp_path, [stage, {**stage, "name": "again", "data": "tidied"}], data=data)
    first: dict[str, object] = {"prompt": QUESTION.format(3), "completion": "Three and six make 9.", "gold": "9"}
    first["candidates"] = ["It is 9.", "It is 8."]
    rows = [
        {**first, "level": 1},
        {"messages": [{"role": "user", "content": QUESTION.format(5)}, {"role": "assistant", "content": "It is 15."}]},
        {**first, "level": 2},
        {"prompt": "What is the name of the longest river that flows through Hamburg?", "completion": "The Elbe."},
        {
            "messages": [
                {"role": "user", "content": "Which river is it?"},
                LOOKED_UP,
                FOUND,
                {**LOOKED_UP, "train": False},
            ]
        },
    ]
    write_jsonl(tmp_path / "raw.jsonl", rows)
    write_jsonl(tmp_path / "held_out.jsonl", [{"prompt": QUESTION.format(5), "gold": "15"}])
    assert main(["run", str(recipe), "--out", "run", "--store", "store", "--quiet", "--until", "again"]) == 0
    kept = lines(tmp_path / "run" / "stages" / "tidy" / "rows.jsonl")
    assert [row["made_from"][0]["row"] for row in kept] == [1, 4, 5]
    assert (kept[2]["prompt"][1]["train"], kept[2]["completion"][0]["train"]) == (True, False)
    assert kept[0]["metadata"] == {"level": 1} and kept[0]["gold"] == "9"
    assert kept[0]["candidates"] == ["Three and six make 9.", "It is 9.", "It is 8."] and "candidates" not in kept[1]
    report = json.loads((tmp_path / "run" / "stages" / "tidy" / "report.json").read_text())
    assert [(one["row"], one["rule"]) for one in report["removed"]] == [(2, "contamination"), (3, "exact_duplicate")]
    card = (tmp_path / "run" / "stages" / "tidy" / "card.md").read_text()
    assert "- held_out: contamination: checked against 1 rows, 1 hits removed" in card
    assert (report["file"], list(report["verdicts"])) == ("raw", ["held_out"]), "no folder of this machine"
    manifest = json.loads((tmp_path / "run" / "stages" / "again" / "manifest.json").read_text())
    assert manifest["metrics"]["kept"] == 3 and manifest["metrics"]["removed"] == {}

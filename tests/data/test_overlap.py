"""Held-out problems in the training data: every turn of a user is looked at, and what anybody might say is not one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from posttrain.data.overlap import held_out_overlap, telling_turns
from posttrain.recipe.schema import Recipe
from tests.recipe.world import write_jsonl

LONG = "A farmer has 17 sheep and buys 25 more of them. How many are there?"
SURE = "Are you sure?"


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def said(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


def overlap(folder: Path, trained: list[dict[str, str]], held_out: list[dict[str, str]]) -> int:
    """How many of two suites' problems are found: once as an SFT row, once as a GRPO prompt, once as a pair."""
    write_jsonl(folder / "sft.jsonl", [{"messages": [*trained, said("x")]}])
    write_jsonl(folder / "rl.jsonl", [{"messages": trained, "gold": "42"}])
    write_jsonl(folder / "pairs.jsonl", [{"messages": trained, "chosen": "a", "rejected": "b"}])
    write_jsonl(folder / "suite.jsonl", [{"messages": held_out, "gold": "42"}])
    names = ("sft", "rl", "pairs", "suite")
    stages: dict[str, dict[str, Any]] = {
        "sft": {"kind": "sft", "name": "a", "data": {"sft": 1.0}},
        "rl": {"kind": "grpo", "name": "b", "prompts": "rl", "verifier": "math"},
        "pairs": {"kind": "reward_model", "name": "c", "data": {"pairs": 1.0}},
    }
    counts = set()
    for stage in stages.values():
        recipe = Recipe.model_validate(
            {
                "schema": 1,
                "name": "r",
                "base": {"path": "toy"},
                "data": {name: {"source": "jsonl", "path": f"{name}.jsonl", "card": "c.md"} for name in names},
                "verifiers": {"math": {"kind": "math"}},
                "stages": [stage],
                "evaluate": {"suites": {"s": {"data": "suite", "verifier": "math"}}},
            }
        )
        counts.add(held_out_overlap(recipe, folder)["s"])
    assert len(counts) == 1, "all kinds of stages are looked at alike"
    return counts.pop()


@pytest.mark.parametrize(
    ("trained", "held_out", "found"),
    [
        ([user(LONG)], [user(LONG.upper() + "  ")], 1),
        ([user(LONG)], [user("17+25?")], 0),
        ([user("17+25?")], [user("17+25?")], 1),
        ([user(LONG), said("42"), user(SURE)], [user(LONG)], 1),
        ([user("Hi"), said("Hello"), user("17+25?")], [user("17+25?")], 1),
        ([user(LONG)], [user(LONG), said("41"), user(SURE)], 1),
        ([user(LONG)], [user("Hi"), said("Hello"), user(LONG)], 1),
        ([user("Name a tree."), said("Elm"), user(SURE)], [user("17+25?"), said("42"), user(SURE)], 0),
        ([user("Name a tree."), said("Elm"), user(SURE)], [user(LONG), said("42"), user(SURE)], 0),
        ([{"role": "system", "content": LONG}, user("Hi")], [user(LONG)], 0),
    ],
)
def test_a_problem_is_known_again_by_any_telling_turn(
    tmp_path: Path, trained: list[dict[str, str]], held_out: list[dict[str, str]], found: int
) -> None:
    assert overlap(tmp_path, trained, held_out) == found


@pytest.mark.parametrize(("skip", "found"), [([], 0), (["contamination"], 1)])
def test_rows_that_a_stage_takes_out_are_not_counted(tmp_path: Path, skip: list[str], found: int) -> None:
    write_jsonl(tmp_path / "raw.jsonl", [{"messages": [user(LONG)], "gold": "42"}])
    recipe = Recipe.model_validate(
        {
            "schema": 1,
            "name": "r",
            "base": {"path": "toy"},
            "data": {name: {"source": "jsonl", "path": "raw.jsonl", "card": "c.md"} for name in ("raw", "suite")},
            "verifiers": {"math": {"kind": "math"}},
            "stages": [{"kind": "clean", "name": "tidy", "data": "raw", "skip": skip}],
            "evaluate": {"suites": {"s": {"data": "suite", "verifier": "math"}}},
        }
    )
    assert held_out_overlap(recipe, tmp_path) == {"s": found}


def test_the_first_turn_tells_where_none_is_long() -> None:
    assert telling_turns([user("What is 17 + 25?"), said("42"), user(SURE)]) == ["what is 17 + 25?"]
    assert telling_turns([user("Hi"), said("Hello"), user(LONG)]) == [LONG.lower()]
    assert telling_turns([said("x")]) == []

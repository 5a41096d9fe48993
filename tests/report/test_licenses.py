"""The licence of a base or teacher comes from its own card, wherever the model lies, and reaches the card of what is
made of it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from posttrain.recipe import load_recipe
from posttrain.recipe.schema import ModelRef
from posttrain.report.card import write_card
from posttrain.stages.export import card_facts, model_license
from tests.recipe.world import write_world

CARD = "---\nlicense: {}\n---\n\nA model.\n"


def test_licences_of_base_and_teacher_reach_the_card(tmp_path: Path) -> None:
    recipe = load_recipe(write_world(tmp_path)).recipe
    (tmp_path / "base" / "README.md").write_text(CARD.format("gemma"))
    (tmp_path / "teacher" / "README.md").write_text(CARD.format("mit"))
    step = SimpleNamespace(inputs={"checkpoint": "preference"})
    context: Any = SimpleNamespace(
        recipe=recipe, recipe_dir=tmp_path, inputs={"checkpoint": tmp_path / "preference-1"}, step=step
    )
    write_card(tmp_path, card_facts(context, [], {}))
    text = (tmp_path / "README.md").read_text()
    assert "gemma" in text and "mit" in text


@pytest.mark.parametrize("card", [None, "words", "---\ntitle: x\n---\n"])
def test_a_model_whose_card_states_none_has_none(tmp_path: Path, card: str | None) -> None:
    if card is not None:
        (tmp_path / "README.md").write_text(card)
    assert model_license(ModelRef(path="."), tmp_path) is None


def test_a_model_below_a_home_has_the_licence_of_its_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "README.md").write_text(CARD.format("gemma"))
    assert model_license(ModelRef(path="~"), Path("/elsewhere")) == "gemma"


@pytest.mark.parametrize("odd", ["date: 2023-13-45", "x: !!python/name:os.system", "x: " + "[" * 3000])
def test_a_model_whose_card_is_odd_does_not_stop_the_export(tmp_path: Path, odd: str) -> None:
    (tmp_path / "README.md").write_text(f"---\nlicense: gemma\n{odd}\n---\n")
    assert model_license(ModelRef(path="."), tmp_path) in ("gemma", None)


def test_a_hub_models_licence_is_that_of_its_snapshot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    revision = "a" * 40
    snapshot = tmp_path / "models--owner--base" / "snapshots" / revision
    snapshot.mkdir(parents=True)
    (snapshot / "README.md").write_text(CARD.format("llama3"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.file_download.HF_HUB_CACHE", str(tmp_path), raising=False)
    assert model_license(ModelRef(path="owner/base", revision=revision), tmp_path) == "llama3"
    assert model_license(ModelRef(path="owner/other", revision=revision), tmp_path) is None

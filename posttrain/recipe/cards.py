"""Data cards: where a data set comes from, under which licence, and which bytes it is (Hugging Face front matter plus
digests).

Knows nothing of rows. Generated sources (toy, reasoning_gym) have cards that ship with the package.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from posttrain.errors import DataError
from posttrain.recipe.paths import full_path
from posttrain.recipe.schema import Data, GymData, StageData, ToyData
from posttrain.recipe.shipped import shipped_dir
from posttrain.recipe.yaml_core import read_text

REQUIRED = ("license",)


def card_path(spec: Data, recipe_dir: Path) -> Path | None:
    """The card's file; None for rows that a stage of this pipeline wrote."""
    if isinstance(spec, StageData):
        return None
    if isinstance(spec, ToyData):
        return shipped_dir("data_cards") / "toy.md"
    if isinstance(spec, GymData) and spec.card is None:
        return shipped_dir("data_cards") / "reasoning_gym.md"
    return full_path(str(spec.card), recipe_dir)


def read_card(path: Path) -> Mapping[str, Any]:
    """The front matter, read with the care of a recipe. Raises DataError: no file, no front matter, a required key
    missing."""
    if not path.is_file():
        raise DataError("no data card", where=str(path), remedy="copy data_cards/TEMPLATE.md and fill it in")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"the card is not UTF-8 (byte {error.start})", where=str(path), remedy="save it as UTF-8"
        ) from error
    if not text.startswith("---\n") or "\n---" not in text[4:]:
        raise DataError(
            "the card has no front matter between --- lines",
            where=str(path),
            remedy="start it as data_cards/TEMPLATE.md does",
        )
    facts = read_text(text[: text.index("\n---", 4)], str(path), DataError).data
    if not isinstance(facts, dict):
        raise DataError(
            "the card's front matter is not a mapping",
            where=str(path),
            remedy="start it as data_cards/TEMPLATE.md does",
        )
    missing = [key for key in REQUIRED if not facts.get(key)]
    if missing:
        raise DataError(f"the card lacks {', '.join(missing)}", where=str(path), remedy="state the licence of the rows")
    return facts


def is_blank_card(facts: Mapping[str, Any]) -> bool:
    """Whether a card is still the template, not filled in."""
    template = read_card(shipped_dir("data_cards") / "TEMPLATE.md")
    return any(facts.get(key) == template[key] for key in ("pretty_name", "provenance"))


def card_facts(name: str, spec: Data, recipe_dir: Path) -> dict[str, Any]:
    """What a model card carries over of one data set."""
    path = card_path(spec, recipe_dir)
    facts = read_card(path) if path else {}
    return {
        "name": name,
        "source": spec.source,
        "license": facts.get("license"),
        "title": facts.get("pretty_name") or name,
        "provenance": facts.get("provenance"),
        "rows": getattr(spec, "rows", None),
    }

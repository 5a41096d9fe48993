"""Data cards: where a data set comes from, under which licence, and which bytes it is (Hugging Face front matter plus
digests).

Knows nothing of rows. Generated sources (toy, reasoning_gym) have cards that ship with the package.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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


@dataclass(frozen=True, kw_only=True, slots=True)
class DataFacts:
    """What a model card carries over of one data set. Example: DataFacts(name="sums", title="Sums to 100",
    license="apache-2.0", provenance="Made from a seed")"""

    name: str  # in the recipe
    title: str
    license: str | None
    provenance: str | None


def data_facts(name: str, spec: Data, recipe_dir: Path) -> DataFacts:
    """From the data set's own card, where it has one. Raises DataError."""
    path = card_path(spec, recipe_dir)
    facts = read_card(path) if path else {}
    return DataFacts(
        name=name,
        title=str(facts.get("pretty_name") or name),
        license=facts.get("license"),
        provenance=facts.get("provenance"),
    )

"""Data cards: where a data set comes from, under which licence, and which bytes it is (Hugging Face front matter plus
digests).

Knows nothing of rows. Generated sources (toy, reasoning_gym) have cards that ship with the package.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posttrain.errors import DataError
from posttrain.recipe.paths import full_path
from posttrain.recipe.schema import Data, GymData, StageData, ToyData
from posttrain.recipe.shipped import shipped_dir
from posttrain.recipe.yaml_core import read_text
from posttrain.store.atomic import write_bytes
from posttrain.store.digests import file_sha256

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


_TO_FILL = ("provenance", "language", "source_url")


def write_card(out: Path, files: Sequence[Path], *, license_name: str, title: str | None = None) -> list[str]:
    """Write a card after the template with the files' digests; returns the keys that are left to fill in.

    Raises DataError: a file is missing, or `out` is there already.
    """
    if out.exists():
        raise DataError("a card is there already", where=str(out), remedy="give another --out, or edit that card")
    missing = [file for file in files if not file.is_file()]
    if missing:
        raise DataError("no such file", where=str(missing[0]), remedy="name the files that the recipe reads")
    text = (shipped_dir("data_cards") / "TEMPLATE.md").read_text(encoding="utf-8")
    _, front, body = text.split("---\n", 2)
    digests = "".join(f"\n  {json.dumps(file.name)}: sha256:{file_sha256(file)}" for file in files)
    name = title or files[0].stem
    lines = {"pretty_name": json.dumps(name), "license": json.dumps(license_name), "digests": digests}
    front = "".join(
        f"{key}:{'' if key == 'digests' else ' '}{lines[key]}\n" if (key := line.partition(":")[0]) in lines else line
        for line in front.splitlines(keepends=True)
    )
    write_bytes(out, f"---\n{front}---\n{body.replace('# Name of the data set', f'# {name}', 1)}".encode(), point=None)
    return list(_TO_FILL)


def check_card(path: Path, files: Sequence[Path]) -> str:
    """One line on a card that is filled in and whose digests are those of the files. Raises DataError."""
    facts = read_card(path)
    if is_blank_card(facts):
        raise DataError("the card is still the template", where=str(path), remedy="say whose rows these are, from what")
    digests = facts.get("digests") or {}
    for file in files:
        stated = digests.get(file.name)
        if stated is None:
            raise DataError(f"the card states no digest of {file.name}", where=str(path), remedy="add it to digests")
        if stated.removeprefix("sha256:") != file_sha256(file):
            raise DataError(
                f"{file.name} is not the file that the card speaks of",
                where=str(path),
                remedy="get that file again, or state its new digest and what changed",
            )
    checked = f", {len(files)} digests are right" if files else ""
    return f"license {facts['license']}, {len(digests)} digests stated{checked}"


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

"""Keys of a recipe about data sets: files, the hub, the toy world, and rows that a stage published."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from posttrain.recipe.schema_base import Column, Name, Positive, Share, Strict


class Quarantine(Strict):
    max_faulty_share: Share = Field(
        0.0, description="Share of rows that may be faulty: they are set aside with reasons; above it the run stops."
    )


class RowData(Quarantine):
    """How columns that go by other names are read. A column that nobody reads is refused by its name."""

    columns: dict[Column, str] = Field(
        default_factory=dict, description="Our key to their column ({prompt: problem, gold: answer}); a.b goes inside."
    )
    metadata: list[str] = Field(
        default_factory=list, description="Columns that are kept beside the row and not trained on."
    )
    gold_format: str = Field("auto", description="Format of the golds by its name (APPS, ...); auto: by the columns.")


class FileData(RowData):
    source: Literal["file", "jsonl", "parquet"] = Field(
        description="file: JSON, JSON Lines, CSV, TSV or Parquet, by name and content; the others hold to one format."
    )
    path: str = Field(description="File, folder or glob, relative to the recipe; files may be compressed.")
    card: str = Field(description="Data card, relative to the recipe.")
    limit: int | None = Field(None, ge=1, description="First rows only.")


class HubData(RowData):
    source: Literal["hub"]
    path: str = Field(description="owner/name on the hub, or a local folder of it, or one saved by `datasets`.")
    revision: str | None = Field(None, pattern=r"^[0-9a-f]{40}$", description="40 hex digits; required for a hub id.")
    subset: str | None = Field(None, description="Subset (configuration) of the data set; null: the only one.")
    split: str = Field("train", description="Split.")
    card: str = Field(description="Data card, relative to the recipe.")
    limit: int | None = Field(None, ge=1, description="First rows only.")


class ToyData(Strict):
    """Rows of the toy world, made from a seed."""

    source: Literal["toy"]
    task: str = Field(
        description="Task family: stem, code, preference, stem_collected, or a name that posttrain.toy lists."
    )
    rows: Positive = Field(description="Rows made.")
    difficulty: tuple[int, int] = Field((1, 3), description="Lowest and highest level, 1 to 5.")
    split: Literal["train", "held_out"] = Field("train", description="Problems of the two splits never overlap.")
    seed: int = Field(0, ge=0, description="Rows differ by seed; the split does not depend on it.")


class GymData(Strict):
    """Procedural problems of the reasoning_gym library."""

    source: Literal["reasoning_gym"]
    task: str = Field(description="Data set name of reasoning_gym, such as chain_sum.")
    rows: Positive = Field(description="Rows made.")
    seed: int = Field(0, ge=0, description="Seed of the generator.")
    split: Literal["train", "held_out"] = Field(
        "train", description="Problems of the two splits never overlap (by hash of the question)."
    )
    options: dict[str, Any] = Field(
        default_factory=dict, description="Arguments of the task, as reasoning_gym names them."
    )
    card: str | None = Field(None, description="Data card; null: the shipped card of reasoning_gym.")


class StageData(Strict):
    """Rows that an earlier stage published, such as the good answers of a dpd stage."""

    source: Literal["stage"]
    stage: Name = Field(description="Name of the dpd or data stage.")
    part: Name = Field(
        "chosen",
        description=(
            "Of a dpd or prefer stage: chosen (the good answers), rejected, pairs. Of a mix stage: a phase, or chosen "
            "for all. "
            "Of another data stage: chosen, the rows that it kept."
        ),
    )


Data = Annotated[FileData | HubData | ToyData | GymData | StageData, Field(discriminator="source")]

"""What all keys of a recipe are made of: names, shares, and the strictness of every record."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[int, Field(ge=1)]
Weight = Annotated[float, Field(gt=0, le=1e9)]  # of a data set in a mixture
Form = Literal["safetensors"]
Tracker = Literal["tensorboard", "wandb", "mlflow", "trackio"]
# What our loaders call the columns that they read.
# fmt: off
Column = Literal[
    "id", "messages", "prompt", "completion", "chosen", "rejected", "gold", "reference", "metadata", "system", "tools",
    "label", "instruction", "input", "output", "history", "reasoning",
]
# fmt: on


class Strict(BaseModel):
    """Every record of a recipe: unknown keys refused, no coercion, no infinities."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, populate_by_name=True, allow_inf_nan=False)

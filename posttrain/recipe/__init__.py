"""The recipe: schema, safe loading, cross-checks. `load_recipe` is the door; imports no torch, transformers, ray or
vllm."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from posttrain.recipe.load import Loaded


def load_recipe(path: Path | str, overrides: Sequence[str] = ()) -> Loaded:
    """Read, validate and cross-check a recipe; the disk is looked at by plan. Raises RecipeError with file, line and
    key path."""
    from posttrain.recipe.checks import check_references
    from posttrain.recipe.load import read_recipe

    loaded = read_recipe(Path(path), overrides)
    check_references(loaded)
    return loaded

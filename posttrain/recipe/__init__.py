"""The recipe: what a user may write, read safely, checked, and asked. `load_recipe` is the door.

    schema.py      every key, its unit, range and default       resolve.py   what follows from a recipe
    schema_*.py    its parts: models, machine, data, training, rows
    yaml_core.py   YAML text -> plain data with lines           smoke.py     the small recipe that --smoke runs
    load.py        a file and --set -> Recipe                   sizes.py     what a model weighs, from its config
    location.py    file, line and key path of an error          cards.py     data cards
    checks.py      names, references, numbers that must fit     shipped.py   recipes that come with posttrain
    files.py       what is named on disk: found, digested       new.py       write a recipe like a shipped one

Imports no torch, transformers, ray or vllm, and knows nothing of how a stage works.
"""

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

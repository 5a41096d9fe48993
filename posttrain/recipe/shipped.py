"""Where the recipes and data cards that come with posttrain lie: in a checkout at its top, in an installed wheel beside
the code.

Both places hold them side by side, so a recipe's `../data_cards/x.md` is right in either. Reads no recipe; knows only
names and paths.
"""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

from posttrain.errors import InputError

_PACKAGE = Path(__file__).resolve().parents[1]


def shipped_dir(kind: str) -> Path:
    """The folder of `recipes` or `data_cards`. Raises InputError when this installation holds none."""
    for folder in (_PACKAGE / "_shipped" / kind, _PACKAGE.parent / kind):
        if folder.is_dir():
            return folder
    raise InputError(
        f"this installation holds no {kind}",
        where=str(_PACKAGE),
        remedy="install posttrain from its wheel or a checkout",
    )


def recipe_names() -> list[str]:
    """Names that `posttrain run NAME` and `recipe new --like NAME` take: file names without .yaml, sorted."""
    return sorted(path.stem for path in shipped_dir("recipes").glob("*.yaml"))


def find_recipe(name_or_path: str) -> Path:
    """A file of that path, or else the shipped recipe of that name (`demo_cpu`, `recipes/demo_cpu.yaml`).

    Raises InputError, with near names, when there is neither.
    """
    path = Path(name_or_path)
    if path.is_file():
        return path
    stem = path.name.removesuffix(".yaml")
    if str(path.parent) in (".", "recipes") and stem in recipe_names():
        return shipped_dir("recipes") / f"{stem}.yaml"
    near = get_close_matches(stem, recipe_names(), n=3, cutoff=0.5)
    remedy = (
        f"did you mean {' or '.join(near)}?"
        if near
        else f"recipes that come with posttrain: {', '.join(recipe_names())}"
    )
    raise InputError(f"no recipe file {name_or_path!r}, and none of that name comes with posttrain", remedy=remedy)

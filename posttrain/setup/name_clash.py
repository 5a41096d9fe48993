"""Refuses to start when a folder of the user's hides ours: `rewards` and `sandbox` are common names.

A folder `rewards/` in the current directory wins over the installed package under `python -m posttrain` or with
PYTHONPATH set; the first import from it would then fail in words that help nobody. Standard library only; looks for
modules without importing them.
"""

from __future__ import annotations

import sys
from importlib.machinery import PathFinder
from pathlib import Path

from posttrain.errors import InputError

OURS = ("rewards", "sandbox")


def foreign_packages() -> dict[str, Path]:
    """Name -> the foreign file or folder that Python finds in place of ours; {} when all is well."""
    home = Path(__file__).resolve().parents[2]
    foreign = {}
    for name in OURS:
        spec = PathFinder.find_spec(name, sys.path)
        places = [] if spec is None else [spec.origin] if spec.origin else list(spec.submodule_search_locations or [])
        for place in places:
            found = Path(place).resolve()
            if not found.is_relative_to(home / name):
                foreign[name] = found.parent if found.name == "__init__.py" else found
    return foreign


def refuse_foreign_packages() -> None:
    """Raise InputError naming the path when `rewards` or `sandbox` would be imported from elsewhere. Call before
    importing them."""
    for name, place in foreign_packages().items():
        raise InputError(
            f"the name `{name}` belongs to posttrain, but Python would import {place} in its place",
            where=str(place),
            remedy=(
                f"rename {place.name}, or start posttrain from another directory and leave that one out of PYTHONPATH"
            ),
        )

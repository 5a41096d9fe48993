"""A path as a recipe or an option gives it -> where it lies. Relative paths start at the recipe's folder, `~` is a
home.

Knows nothing of what is there.
"""

from __future__ import annotations

import os
from pathlib import Path


def full_path(path: str | Path, folder: Path) -> Path:
    """Example: full_path("data/sums.jsonl", Path("/home/me/recipes")) -> /home/me/recipes/data/sums.jsonl

    The `~` of somebody who has no home here stays as it is, and whoever looks for the path says that nothing is there.
    """
    return folder / os.path.expanduser(path)

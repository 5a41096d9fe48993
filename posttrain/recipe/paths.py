"""A path as a recipe or an option gives it -> where it lies. Relative paths start at the recipe's folder, `~` is a
home.

Also which files a path of rows means: a file, all files of a folder, or those that a glob matches. Knows nothing of
what is in them.
"""

from __future__ import annotations

import glob
import os
import re
from pathlib import Path

_NO_ROWS = re.compile(r"(readme|licen[cs]e|notice|citation)\b.*|.*\.(md|lock|sha256|md5)", re.IGNORECASE)


def full_path(path: str | Path, folder: Path) -> Path:
    """Example: full_path("data/sums.jsonl", Path("/home/me/recipes")) -> /home/me/recipes/data/sums.jsonl

    The `~` of somebody who has no home here stays as it is, and whoever looks for the path says that nothing is there.
    """
    return folder / os.path.expanduser(path)


def data_files(path: str, folder: Path) -> list[Path]:
    """The files of rows that a path means, by name; [] where there is none. In a folder, hidden files and pages such as
    README.md hold no rows.

    Example: data_files("shards/*.jsonl", Path("/r")) -> [Path("/r/shards/a.jsonl"), Path("/r/shards/b.jsonl")]
    """
    whole = full_path(path, folder)
    if whole.is_file():
        return [whole]
    if whole.is_dir():
        return sorted(file for file in whole.rglob("*") if file.is_file() and _may_hold_rows(file.relative_to(whole)))
    pattern = os.path.join(glob.escape(str(folder)), os.path.expanduser(path))
    return sorted(Path(match) for match in glob.glob(pattern, recursive=True) if os.path.isfile(match))


def _may_hold_rows(relative: Path) -> bool:
    return not any(part.startswith((".", "_")) for part in relative.parts) and not _NO_ROWS.fullmatch(relative.name)

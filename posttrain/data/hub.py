"""Data sets of the Hugging Face hub as raw rows: by id and revision, from a local folder of one, or from a folder that
`datasets` saved.

Knows nothing of what a row means.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from posttrain.data.files import RawRow, without_nulls
from posttrain.errors import DataError
from posttrain.recipe.paths import full_path
from posttrain.recipe.schema import HubData


def read_hub(spec: HubData, recipe_dir: Path) -> Iterator[RawRow]:
    """The rows of one split. Raises DataError for what cannot be read."""
    try:
        import datasets
    except ImportError as error:
        raise DataError("source: hub needs the datasets package", remedy="pip install 'posttrain[cpu]'") from error
    local = full_path(spec.path, recipe_dir)
    if not local.is_dir() and spec.revision is None:
        raise DataError(
            f"no folder '{spec.path}', and hub data needs a revision",
            where=str(local),
            remedy="pin it: revision: <40 hex digits>",
        )
    try:
        table = _table(datasets, spec, local)
        for number, row in enumerate(table, start=1):
            yield RawRow(number=number, value=without_nulls(dict(row)))
    except DataError:
        raise
    # Missing files, unknown names, no network, a folder of another format, a torn file.
    except (OSError, ValueError, RuntimeError) as error:
        remedy = "check path, subset, split and revision"
        if local.is_dir():
            remedy = "give a folder of a hub data set with its subset and split, or one that `save_to_disk` wrote"
        raise DataError(f"data '{spec.path}' cannot be read: {error}", where=str(local), remedy=remedy) from error


def _table(datasets: Any, spec: HubData, local: Path) -> Any:
    if not local.is_dir():
        return datasets.load_dataset(spec.path, spec.subset, split=spec.split, revision=spec.revision)
    if not any((local / name).is_file() for name in ("state.json", "dataset_dict.json")):
        # Streamed, so that nothing is copied to the library's cache.
        return datasets.load_dataset(str(local), spec.subset, split=spec.split, streaming=True)
    loaded = datasets.load_from_disk(str(local))
    if not isinstance(loaded, datasets.DatasetDict):
        if spec.split not in ("train", str(loaded.split)):
            what = f"data '{spec.path}' was saved without splits, so it has no '{spec.split}'"
            raise DataError(what, where=str(local), remedy="leave split out, or save all splits together")
        return loaded
    if spec.split not in loaded:
        raise DataError(
            f"data '{spec.path}' has no split '{spec.split}'",
            where=str(local),
            remedy=f"one of {', '.join(sorted(loaded))}",
        )
    return loaded[spec.split]

"""A model made elsewhere, which a step refers to and does not copy: where it lies, and whether it is still the one
whose digest was taken.

    <store>/artefacts/<id>/reference.json    {"path", "digest", "files", "revision"}: as the step published it
    <store>/places/<id>.json                 {"paths"}: other folders that were seen to hold the same content

A step's id follows from the content alone, so any of these folders will do.

Knows nothing of recipes or of how a model is fetched.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from posttrain.errors import CheckpointError
from posttrain.store.atomic import write_json
from posttrain.store.digests import file_sha256, walk_files
from posttrain.store.jsonl import write_record

REFERENCE = "reference.json"


def write_reference(
    output: Path, folder: Path, *, digest: str, files: Iterable[str] | None = None, revision: str | None = None
) -> None:
    """What a step publishes in place of a model. `files`: the names that the digest covers; None for all, also any that
    come later."""
    record = {
        "path": str(folder),
        "digest": digest,
        "files": None if files is None else sorted(files),
        "revision": revision,
    }
    write_record(output / REFERENCE, record)


def is_reference(published: Path) -> bool:
    """Whether a published step refers to a model instead of holding one."""
    return (published / REFERENCE).is_file()


def read_reference(published: Path) -> dict[str, Any]:
    """The record of `write_reference`."""
    record: dict[str, Any] = json.loads((published / REFERENCE).read_text(encoding="utf-8"))
    return record


def model_dir(published: Path) -> Path:
    """The folder with config and weights of a published step: its model/, or the first folder it refers to that is
    there."""
    if not is_reference(published):
        return published / "model"
    places = _places(published)
    return next((place for place in places if place.is_dir()), places[0])


def note_place(published: Path, folder: Path) -> None:
    """The model that a step refers to is (also) at `folder`, which is looked at first from now on."""
    if is_reference(published) and _places(published)[0] != folder:
        others = [str(place) for place in _places(published) if place != folder]
        place_file(published).parent.mkdir(exist_ok=True)
        write_json(place_file(published), {"paths": [str(folder), *others]}, point="place", shared=True)


def check_reference(published: Path, check_stop: Callable[[], None] = lambda: None) -> None:
    """Hash the model that a step refers to, in full, at each place it may be; a step with a model/ passes.

    Raises CheckpointError where none holds the content that was referred to; what `check_stop` raises, between two
    files.
    """
    if not is_reference(published):
        return
    record = read_reference(published)
    there = [place for place in _places(published) if place.is_dir()]
    for place in there:
        if folder_digest(place, record["files"], check_stop) == record["digest"]:
            note_place(published, place)
            return
    remedy = "restore the folder, or name where it is now; the same command goes on"
    if record["revision"] is not None:
        remedy = (
            "remove the snapshot from the hub's cache (HF_HOME; driver and workers share it); the same command "
            "fetches it again"
        )
    what = "the model changed since it was first used" if there else "the model is not there any more"
    raise CheckpointError(what, where=str(_places(published)[0]), remedy=remedy)


def folder_digest(
    folder: Path, files: Iterable[str] | None = None, check_stop: Callable[[], None] = lambda: None
) -> str:
    """Digest of a folder's files (or of those named, one that is missing included as such), hashed now; equal to what
    plans remember."""
    wanted = dict(walk_files(folder))
    if files is not None:
        wanted = {name: folder / name for name in sorted(files)}
    whole = hashlib.sha256()
    for name, path in wanted.items():
        check_stop()
        content = f"sha256:{file_sha256(path)}" if path.is_file() else "missing"
        whole.update(f"{name}\0{content}\n".encode("utf-8", "surrogateescape"))
    return f"sha256:{whole.hexdigest()}"


def place_file(published: Path) -> Path:
    """The file that lists where the model lies beside the place it was published with."""
    artefact = published.resolve()  # a run folder's link, or the artefact itself
    return artefact.parent.parent / "places" / f"{artefact.name}.json"


def _places(published: Path) -> list[Path]:
    own = str(read_reference(published)["path"])
    noted = place_file(published)
    known = json.loads(noted.read_text(encoding="utf-8"))["paths"] if noted.is_file() else []
    return [Path(place) for place in dict.fromkeys([*known, own])]

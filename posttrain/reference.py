"""A model made elsewhere, which a step refers to and does not copy: where it lies, and whether it is still the one whose digest was taken.

    <store>/artefacts/<id>/reference.json    {"path", "digest", "revision"}: as the step published it
    <store>/places/<id>.json                 {"path"}: where the folder was moved to since; the id hangs on the content alone

Knows nothing of recipes or of how a model is fetched.
"""

from __future__ import annotations

import json
from pathlib import Path

from posttrain.atomic import write_json
from posttrain.digests import Digests
from posttrain.errors import CheckpointError
from posttrain.failpoints import failpoint

REFERENCE = "reference.json"


def write_reference(output: Path, folder: Path, *, digest: str, revision: str | None) -> None:
    """What a step publishes in place of a model."""
    failpoint("reference.before")
    record = {"path": str(folder), "digest": digest, "revision": revision}
    (output / REFERENCE).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    failpoint("reference.after")


def model_dir(published: Path) -> Path:
    """The folder with config and weights of a published step: its model/, or the one it refers to, where that lies now."""
    if not (published / REFERENCE).is_file():
        return published / "model"
    place = place_of(published)
    source = place if place.is_file() else published / REFERENCE
    return Path(json.loads(source.read_text(encoding="utf-8"))["path"])


def note_place(published: Path, folder: Path) -> None:
    """The recipe names the model at `folder`, with the content that the step refers to: look for it there from now on."""
    if (published / REFERENCE).is_file() and model_dir(published) != folder:
        place_of(published).parent.mkdir(exist_ok=True)
        write_json(place_of(published), {"path": str(folder)}, point="place", shared=True)


def is_lost(published: Path) -> bool:
    """Whether a step refers to a folder that is not there any more."""
    return (published / REFERENCE).is_file() and not model_dir(published).is_dir()


def check_reference(published: Path) -> None:
    """Hash the model that a step refers to, in full. Raises CheckpointError where it is gone or another; a step with a model/ passes."""
    if not (published / REFERENCE).is_file():
        return
    folder = model_dir(published)
    stated = json.loads((published / REFERENCE).read_text(encoding="utf-8"))["digest"]
    if not folder.is_dir():
        raise CheckpointError("the model is not there any more", where=str(folder), remedy="put it back; the same command goes on")
    found = folder_digest(folder)
    if found != stated:
        remedy = "restore it, or let the next run take it as a new base: the same command goes on"
        raise CheckpointError(
            f"the model changed since it was first used: digest {found}, it was {stated}", where=str(folder), remedy=remedy
        )


def folder_digest(folder: Path) -> str:
    """Digest of a folder's files, all of them hashed now; equal to what plans remember of it."""
    return Digests(folder / "nothing is remembered").folder(folder)


def place_of(published: Path) -> Path:
    """The file that says where the model lies, if it was moved since."""
    artefact = published.resolve()  # a run folder's link, or the artefact itself
    return artefact.parent.parent / "places" / f"{artefact.name}.json"

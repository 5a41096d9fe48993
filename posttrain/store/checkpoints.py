"""Resume state that is either whole or ignored: a checkpoint folder counts only with a seal that digests every file in
it.

    write_sealed(ctx.attempt, step=50, owner=ctx.step.id, fill=save_into)    make a folder and seal it
    seal(folder, step=50, owner=ctx.step.id)                                 seal one that a library wrote
    good = newest_good(ctx.previous, owner=ctx.step.id)                      torn and foreign ones are passed over
    cut_rows(old, new, last_step=good.step)                                  no row of metrics twice after a resume

Knows nothing of torch or of what the files mean.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posttrain.store.atomic import canonical_json, fsync_path, write_bytes
from posttrain.store.digests import file_sha256, walk_files
from posttrain.store.failpoints import failpoint

SEAL = "seal.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """A sealed folder whose digests were right when it was read. Example: Checkpoint(path=.../checkpoint-00000050,
    step=50)"""

    path: Path
    step: int


def seal(folder: Path, *, step: int, owner: str) -> None:
    """Declare a folder complete after `step` steps of the plan's step `owner`: fsync all, then write the seal as the
    last file."""
    files = digests(folder, [name for name, _ in walk_files(folder) if name != SEAL])
    write_seal(folder, step=step, owner=owner, files=files)


def digests(folder: Path, names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """{name: {"sha256", "size"}} of these files below the folder, each forced to the disk."""
    failpoint("seal.before")
    found = {}
    for name in names:
        path = folder / name
        fsync_path(path)
        found[name] = {"sha256": file_sha256(path), "size": path.stat().st_size}
    return found


def write_seal(folder: Path, *, step: int, owner: str, files: Mapping[str, Any]) -> None:
    """The second half of `seal`, for who has the digests of all files from several processes."""
    for parent, _, _ in os.walk(folder, topdown=False):
        fsync_path(Path(parent))
    failpoint("seal.after_sync")
    write_bytes(folder / SEAL, canonical_json({"step": step, "owner": owner, "files": files}), point="seal")


def write_sealed(parent: Path, *, step: int, owner: str, fill: Callable[[Path], None], keep: int = 2) -> Path:
    """Make `parent/checkpoint-<step>` by `fill(folder)`, seal it, and remove all but the newest `keep` sealed ones of
    `parent`."""
    folder = parent / f"checkpoint-{step:08d}"
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    fill(folder)
    seal(folder, step=step, owner=owner)
    fsync_path(parent)
    for old in sorted(path.parent for path in parent.glob(f"checkpoint-*/{SEAL}"))[:-keep]:
        (old / SEAL).unlink()  # first, so that a half-removed folder is never taken for a whole one
        failpoint("seal.before_rotate")
        shutil.rmtree(old)
    return folder


def newest_good(folders: Iterable[Path], *, owner: str) -> Checkpoint | None:
    """The sealed folder of the highest step directly below any of `folders` whose seal belongs to `owner` and whose
    digests are right."""
    found = []
    for folder in folders:
        for path in folder.glob(f"*/{SEAL}"):
            record = read_seal(path.parent)
            if record is not None and record.get("owner") == owner:
                found.append(Checkpoint(path=path.parent, step=int(record["step"])))
    for checkpoint in sorted(found, key=lambda item: item.step, reverse=True):
        if is_good(checkpoint.path):
            return checkpoint
    return None


def read_seal(folder: Path) -> Mapping[str, Any] | None:
    """The seal's record, or None where it is missing or unreadable."""
    try:
        record = json.loads((folder / SEAL).read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return record if isinstance(record, dict) and {"step", "owner", "files"} <= record.keys() else None


def is_good(folder: Path) -> bool:
    """True when every sealed file is there with the digest of the seal, and nothing else is."""
    record = read_seal(folder)
    if record is None:
        return False
    present = {name: path for name, path in walk_files(folder) if name != SEAL}
    if present.keys() != record["files"].keys():
        return False
    return all(file_sha256(path) == record["files"][name]["sha256"] for name, path in present.items())


def cut_rows(source: Path, target: Path, *, last_step: int) -> int:
    """Copy the JSON lines of `source` up to `last_step` (by their "step") to `target`, whole; returns how many.

    A torn last line is dropped; source and target may be the same file; a missing source gives an empty target.
    """
    kept = []
    lines = source.read_bytes().splitlines(keepends=True) if source.exists() else []
    for line in lines:
        if not line.endswith(b"\n"):
            break  # a kill in the middle of a write
        if int(json.loads(line)["step"]) <= last_step:
            kept.append(line)
    write_bytes(target, b"".join(kept), point="cut_rows")
    return len(kept)

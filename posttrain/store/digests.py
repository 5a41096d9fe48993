"""SHA-256 of files and folders, remembered by path, size, modification time and inode so that a second look costs a
`stat`.

Knows nothing of artefacts or recipes. A file changed within the last two seconds is hashed but not remembered: a later
change inside the same clock tick would leave size and time as they were.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from posttrain.store.atomic import write_json

SETTLED_SECONDS = 2.0


def file_sha256(path: Path) -> str:
    """64 hex digits of the file's content."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def walk_files(folder: Path) -> list[tuple[str, Path]]:
    """(relative POSIX path, path) of every entry below `folder` that is no folder, sorted; links to folders are
    entries, not followed."""
    found: list[tuple[str, Path]] = []
    for parent, folders, files in os.walk(folder):
        for name in [*files, *(entry for entry in folders if os.path.islink(os.path.join(parent, entry)))]:
            path = Path(parent, name)
            found.append((path.relative_to(folder).as_posix(), path))
    return sorted(found)


class Digests:
    """`Digests(path).file(p)` -> "sha256:<64 hex>"; `.save()` keeps what was learned. A lost or unreadable memory only
    costs time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._learned: dict[str, dict[str, Any]] = {}
        self._known = self._load()

    def file(self, path: Path) -> str:
        """Digest of a file's content. Raises FileNotFoundError."""
        absolute = os.path.abspath(path)
        entry = self._recall(absolute)
        if entry is not None:
            return f"sha256:{entry['sha256']}"
        before = os.stat(absolute)
        digest = file_sha256(Path(absolute))
        if time.time() - before.st_mtime > SETTLED_SECONDS:
            self._learned[absolute] = {**_stamp(before), "sha256": digest}
        return f"sha256:{digest}"

    def folder(self, path: Path) -> str:
        """Digest of all files below a folder, with their relative names. Raises FileNotFoundError; an empty folder has
        a digest too."""
        if not path.is_dir():
            raise FileNotFoundError(path)
        whole = hashlib.sha256()
        for relative, file in walk_files(path):
            whole.update(f"{relative}\0{self.file(file)}\n".encode("utf-8", "surrogateescape"))
        return f"sha256:{whole.hexdigest()}"

    def files(self, paths: Iterable[Path]) -> str:
        """Digest of several files in this order, with their names: what a glob matches. Raises FileNotFoundError."""
        whole = hashlib.sha256()
        for path in paths:
            whole.update(f"{path.name}\0{self.file(path)}\n".encode("utf-8", "surrogateescape"))
        return f"sha256:{whole.hexdigest()}"

    def of(self, path: Path) -> str:
        """Digest of a file or of a folder."""
        return self.folder(path) if path.is_dir() else self.file(path)

    def save(self) -> None:
        """Write what was learned, if anything, together with what other processes wrote meanwhile."""
        if not self._learned:
            return
        self._known = {**self._load(), **self._learned}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_json(self.path, self._known, point="digests", durable=False, shared=True)
        self._learned = {}

    def _recall(self, absolute: str) -> dict[str, Any] | None:
        entry = self._learned.get(absolute) or self._known.get(absolute)
        if entry is None:
            return None
        now = _stamp(os.stat(absolute))
        return entry if all(entry.get(key) == value for key, value in now.items()) else None

    def _load(self) -> dict[str, dict[str, Any]]:
        try:
            known = json.loads(self.path.read_bytes())
        except (FileNotFoundError, ValueError):
            return {}  # the memory is a cache: without it everything is hashed again
        return known if isinstance(known, dict) else {}


def _stamp(status: os.stat_result) -> dict[str, int]:
    return {"size": status.st_size, "mtime_ns": status.st_mtime_ns, "inode": status.st_ino}

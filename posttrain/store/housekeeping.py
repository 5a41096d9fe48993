"""Keeping the store in order: what is in it, who uses it, and what nobody needs any more.

    with gc_guard(store, exclusive=False):      what a run does before it starts
        register_run(store, run_dir)
    collect(store)                              what could go
    collect(store, remove=True)                 delete it

A run folder's plan.json and its links protect artefacts, and those their ancestors. Knows nothing of how artefacts are
made.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from posttrain.errors import RunFolderError
from posttrain.store import lock as locking
from posttrain.store.artefacts import MANIFEST, Store, entries, parse_manifest
from posttrain.store.atomic import write_json
from posttrain.store.digests import walk_files
from posttrain.store.reference import place_file

Found = TypeVar("Found")


@dataclass(frozen=True, kw_only=True, slots=True)
class Artefact:
    """A row of `posttrain store ls`.

    Example: Artefact(id="sft-3f9a", kind="sft", step="general", bytes=3500000, finished="2026-11-22T..",
    runs=("/home/me/runs/demo",))
    """

    id: str
    kind: str
    step: str
    bytes: int
    finished: str
    runs: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Garbage:
    """A folder that gc would remove. Example: Garbage(path=.../artefacts/sft-3f9a, bytes=3500000, why="no run folder
    names it")"""

    path: Path
    bytes: int
    why: str


def list_artefacts(store: Store) -> list[Artefact]:
    """A row for every published id. A damaged manifest gives kind "damaged"."""
    users = _users(store)
    rows = []
    for id in store.ids():
        manifest = parse_manifest((store.path(id) / MANIFEST).read_bytes()) or {"kind": "damaged"}
        size = sum(entry["size"] for entry in manifest.get("files", {}).values())
        runs = tuple(sorted(str(run) for run, named in users.items() if id in named))
        row = Artefact(
            id=id,
            kind=manifest["kind"],
            step=manifest.get("step", ""),
            bytes=size,
            finished=manifest.get("finished", ""),
            runs=runs,
        )
        rows.append(row)
    return rows


@contextmanager
def gc_guard(store: Store, *, exclusive: bool, waiting: Callable[[], None] = lambda: time.sleep(0.2)) -> Iterator[None]:
    """gc holds it exclusively; a run holds it shared while it registers and writes its plan.json, so gc sees its
    references.

    `waiting` is called again and again while the other side holds it; it takes the time between two looks, and may
    raise.
    """
    store.root.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(store.root / ".gc", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        while not _flock(descriptor, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH):
            waiting()
        yield
    finally:
        os.close(descriptor)


def _flock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def register_run(store: Store, run_dir: Path) -> None:
    """Remember that this run folder uses the store: its plan.json protects artefacts from gc. The folder is recorded by
    its path relative to the store, as its links into the store are relative to it: both can move together.
    """
    path = os.path.relpath(run_dir.resolve(), store.runs.resolve())
    record = store.runs / f"{hashlib.sha256(os.fsencode(path)).hexdigest()[:16]}.json"
    if not record.exists():
        store.runs.mkdir(parents=True, exist_ok=True)
        write_json(record, {"path": path}, point="register")


def collect(store: Store, *, remove: bool = False) -> list[Garbage]:
    """What no registered run folder names, and work folders nobody builds in. Only with `remove` is anything deleted.

    Raises RunFolderError where a run folder does not say what it needs.
    """
    if not store.root.is_dir():
        return []
    with gc_guard(store, exclusive=True):
        garbage = list(_garbage(store))
        if remove:
            for item in garbage:
                store.retire(item.path)
                (store.stats / f"{item.path.name}.json").unlink(missing_ok=True)
                if item.path.parent == store.artefacts:
                    place_file(item.path).unlink(missing_ok=True)
            for record, run_dir in _run_records(store):
                if not run_dir.exists():
                    record.unlink()
    return garbage


def missing_runs(store: Store) -> list[Path]:
    """Registered run folders that are not there: removed, moved, or on a disk that is not mounted. They protect
    nothing."""
    return sorted(run_dir for _, run_dir in _run_records(store) if not run_dir.exists())


def _garbage(store: Store) -> Iterator[Garbage]:
    named = _needed_ids(store)
    for entry in entries(store.artefacts):
        if entry.name not in named and not _is_building(store, entry.name):
            why = "no run folder names it" if store.is_published(entry.name) else "not a published folder"
            yield Garbage(path=entry, bytes=_tree_bytes(entry), why=why)
    for entry in entries(store.work):
        if _is_building(store, entry.name):
            continue
        if store.is_published(entry.name) or entry.name not in named:
            yield Garbage(
                path=entry,
                bytes=_tree_bytes(entry),
                why="work of a step that is published, or that no run folder names",
            )


def _needed_ids(store: Store) -> set[str]:
    """Ids that run folders name, and everything those were made from."""
    todo = [id for named in _users(store).values() for id in named]
    seen: set[str] = set()
    while todo:
        id = todo.pop()
        if id in seen:
            continue
        seen.add(id)
        todo.extend(store.inputs_of(id))
    return seen


def _users(store: Store) -> dict[Path, set[str]]:
    return {run_dir: _planned_ids(run_dir) for _, run_dir in _run_records(store)}


def _run_records(store: Store) -> Iterator[tuple[Path, Path]]:
    """(record, run folder) of every run folder that ever used the store."""
    for record in entries(store.runs):
        if record.suffix == ".json":
            path = _value_in(record, lambda value: str(value["path"]))
            yield record, Path(os.path.normpath(store.runs.resolve() / path))


def _value_in(path: Path, pick: Callable[[Any], Found]) -> Found:
    try:
        return pick(json.loads(path.read_bytes()))
    except (ValueError, KeyError, TypeError) as error:
        what = f"cannot be read ({error!r}), so it is unknown which artefacts are needed"
        raise RunFolderError(
            what, where=str(path), remedy="restore the file; or remove it, if nobody needs its run any more"
        ) from error


def _is_building(store: Store, id: str) -> bool:
    holder = locking.read_holder(store.locks / id)
    return holder is not None and not holder.released and locking.liveness(holder) != "dead"


def _planned_ids(run_dir: Path) -> set[str]:
    """Ids in the run folder's plan, and those it links to (stages that --until leaves out); none of a folder that was
    removed."""
    linked = {Path(os.readlink(link)).name for link in entries(run_dir / "stages") if link.is_symlink()}
    plan = run_dir / "plan.json"
    return linked | (_value_in(plan, lambda value: {step["id"] for step in value["steps"]}) if plan.exists() else set())


def _tree_bytes(folder: Path) -> int:
    return sum(os.lstat(path).st_size for _, path in walk_files(folder))

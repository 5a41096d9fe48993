"""The run folder: whose it is, its lock, its records and its links into the store. Holds no artefacts itself.

    run.json, recipe.json, plan.json        as of the last start: records/run_files.py
    results.json, progress.json             what each step came to, and how far the step at work is: records/results.py
    stages/<step>                           -> the step's artefact in the store
    model, MODEL_CARD.md                    -> the export's model/ and its README.md
    lock, stop, working.json, logs/<step>.log, report.html

Knows nothing of how a step runs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from posttrain.errors import RunFolderError
from posttrain.records.run_files import RUN, read_facts
from posttrain.records.step import Step
from posttrain.store import lock
from posttrain.store.atomic import replace_link

LOCK, STOP = "lock", "stop"
OURS_BEFORE_RUN_JSON = frozenset({".guard", LOCK, STOP, "logs", f".{LOCK}.tmp", f".{RUN}.tmp"})


def check_owner(folder: Path, name: str, *, smoke: bool = False) -> None:
    """Raise RunFolderError unless `folder` is new, empty, or a run folder of the recipe `name` with its links. Writes
    nothing.

    A smoke run does not go into the folder of a real one: its plan would take that one's place, and gc its protection.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise RunFolderError("the run folder is a file", where=str(folder), remedy="give another folder with --out")
    facts = read_facts(folder)
    if facts is None:
        foreign = sorted(entry.name for entry in folder.iterdir() if entry.name not in OURS_BEFORE_RUN_JSON)
        if foreign:
            what = f"the folder holds {foreign[0]!r} and no run.json, so it is no run folder"
            raise RunFolderError(what, where=str(folder), remedy="give an empty or new folder with --out")
    elif facts.name != name:
        what = f"the folder belongs to the recipe {facts.name!r}, not to {name!r}"
        raise RunFolderError(
            what, where=str(folder), remedy="give another folder with --out, or name the recipe as before"
        )
    elif smoke and not facts.smoke:
        what = "the folder holds a real run, which a smoke run would replace"
        raise RunFolderError(what, where=str(folder), remedy="give another folder with --out")
    for path in sorted((folder / "stages").glob("*")):
        if not path.is_symlink():
            remedy = "was the run folder copied without its links (`cp -a` keeps them)? give another folder with --out"
            raise RunFolderError("stages/ holds what is no link into the store", where=str(path), remedy=remedy)


def existing_run(folder: Path) -> Path:
    """`folder` if a run was ever started in it. Raises RunFolderError."""
    if not folder.is_dir() or read_facts(folder) is None:
        remedy = "name the folder given to `posttrain run --out`, such as runs/demo"
        raise RunFolderError("no run was started in this folder", where=str(folder), remedy=remedy)
    return folder


def acquire(folder: Path, name: str, *, smoke: bool = False, take_over: bool) -> lock.Lock:
    """Check the owner and take the folder's lock. Raises RunFolderError and leaves a foreign or held folder as it
    was."""
    check_owner(folder, name, smoke=smoke)
    held = lock.acquire(folder / LOCK, what=f"run folder {folder}", take_over=take_over)
    try:
        check_owner(folder, name, smoke=smoke)  # another run may have claimed it between the first look and the lock
    except RunFolderError:
        held.release()
        raise
    return held


def make_folders(folder: Path) -> None:
    """logs/ and stages/, once run.json has claimed the folder."""
    (folder / "logs").mkdir(exist_ok=True)
    (folder / "stages").mkdir(exist_ok=True)


def link_stage(folder: Path, step: Step, artefact: Path) -> None:
    """stages/<name>, and for an export model and MODEL_CARD.md."""
    replace_link(folder / "stages" / step.name, artefact, point="link_stage")
    if step.kind == "export":
        replace_link(folder / "model", artefact / "model", point="link_model")
        replace_link(folder / "MODEL_CARD.md", artefact / "model" / "README.md", point="link_card")


def unlink_stale(
    folder: Path, steps: Sequence[Step], inputs_of: Callable[[str], Collection[str]], *, partial: bool
) -> None:
    """Remove links that the plan does not stand for any more: an old model must not pass for the new one.

    A link goes when its step has another id now. One whose step the plan lacks goes too, unless the plan is `partial`
    (--until, --from) and all it was made from (`inputs_of`: id -> ids) is still valid. What stays linked is safe from
    gc.
    """
    wanted = {step.name: step.id for step in steps}
    links = {link: Path(os.readlink(link)).name for link in (folder / "stages").iterdir() if link.is_symlink()}
    valid = set(wanted.values())
    kept: set[Path] = set()
    growing = True
    while growing:
        found = {link for link, id in links.items() if wanted.get(link.name) == id}
        if partial:
            found |= {link for link, id in links.items() if link.name not in wanted and valid.issuperset(inputs_of(id))}
        growing = found != kept
        kept = found
        valid |= {links[link] for link in found}
    for link in links.keys() - kept:
        link.unlink()
    for name in ("model", "MODEL_CARD.md"):
        link = folder / name
        if link.is_symlink() and not valid & set(Path(os.readlink(link)).parts):
            link.unlink()

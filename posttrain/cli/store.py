"""`posttrain store ls|verify|gc`: look after the store that all runs share. Parses, calls posttrain.store.artefacts,
prints."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from posttrain.store.artefacts import Store

StorePath = Annotated[Path, typer.Option("--store", help="The store.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DEFAULT = Path("runs/.store")


def register(app: typer.Typer) -> None:
    """Add the `store` commands."""
    group = typer.Typer(help="List, verify or clean the store of artefacts.", no_args_is_help=True)
    group.command("ls")(ls)
    group.command("verify")(verify)
    group.command("gc")(gc)
    app.add_typer(group, name="store")


def _open_store(path: Path) -> Store:
    from posttrain.errors import InputError
    from posttrain.store.artefacts import Store

    if path != DEFAULT and not path.is_dir():
        raise InputError(
            "no store there", where=str(path), remedy=f"give the folder of one; a run without --store makes {DEFAULT}"
        )
    return Store(path)


def ls(store: StorePath = DEFAULT, as_json: AsJson = False) -> None:
    """Every published artefact: id, step, size, and the run folders that use it."""
    from posttrain.store.housekeeping import list_artefacts

    rows = list_artefacts(_open_store(store))
    if as_json:
        print(json.dumps([dataclasses.asdict(row) for row in rows]))
        return
    for row in rows:
        print(f"{row.id}  {row.step}  {megabytes(row.bytes)}  {row.finished[:19]}  {', '.join(row.runs) or '(no run)'}")
    print(f"{len(rows)} artefacts, {megabytes(sum(row.bytes for row in rows))}")


def verify(
    store: StorePath = DEFAULT,
    discard: Annotated[
        bool, typer.Option("--discard", help="Take damaged artefacts out; the next run builds them again.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Hash every published file and name each that is changed, missing or extra. Exit 1 when there is one."""
    artefacts = _open_store(store)
    faults = artefacts.verify()
    if as_json:
        print(json.dumps([dataclasses.asdict(fault) for fault in faults]))
    else:
        for fault in faults:
            print(f"{artefacts.path(fault.id) / fault.file}: {fault.what}")
        print(f"{len(artefacts.ids())} artefacts hashed, {len(faults)} faults")
    if discard:
        for id in sorted({fault.id for fault in faults}):
            artefacts.discard(id)
    if faults:
        raise typer.Exit(1)


def gc(
    store: StorePath = DEFAULT,
    yes: Annotated[bool, typer.Option("--yes", help="Delete; without it only say what would go.")] = False,
    as_json: AsJson = False,
) -> None:
    """What no run folder needs any more. Only says so, unless --yes."""
    from posttrain.store.housekeeping import collect, missing_runs

    artefacts = _open_store(store)
    missing = missing_runs(artefacts)
    garbage = collect(artefacts, remove=yes)
    if as_json:
        print(json.dumps([{"path": str(item.path), "bytes": item.bytes, "why": item.why} for item in garbage]))
        return
    for item in garbage:
        print(f"{item.path}  {megabytes(item.bytes)}  {item.why}")
    for run_dir in missing:
        print(
            f"{run_dir} is not there any more, and keeps nothing; if it was moved, run its recipe there once before "
            "you delete"
        )
    verb = "deleted" if yes else "would be deleted (repeat with --yes)"
    print(f"{len(garbage)} folders, {megabytes(sum(item.bytes for item in garbage))}, {verb}")


def megabytes(size: int) -> str:
    """Example: megabytes(3500000) -> "3.5 MB"."""
    return f"{size / 1e6:.1f} MB"

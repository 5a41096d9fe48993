"""`posttrain run|status|stop|report`: parses, calls posttrain.plan, run and report, prints. No logic of its own."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from posttrain.records.results import RunResults
    from posttrain.run.status import RunStatus

DEFAULT_STORE = Path("runs/.store")
PIPED_WIDTH = 200


def register(app: typer.Typer) -> None:
    """Add run, status, stop and report."""
    app.command("run")(run_command)
    app.command("status")(status_command)
    app.command("stop")(stop_command)
    app.command("report")(report_command)


def run_command(
    recipe: Annotated[
        str, typer.Argument(metavar="RECIPE", help="A recipe file, or the name of one that comes with posttrain.")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", help="Run folder; runs/NAME (runs/NAME-smoke) when not given.")
    ] = None,
    store: Annotated[Path, typer.Option("--store", help="Store that all runs share.")] = DEFAULT_STORE,
    override: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override, such as stages.cold_start.learning_rate=1e-5."),
    ] = None,
    until: Annotated[str | None, typer.Option("--until", metavar="STAGE", help="End after this stage.")] = None,
    start: Annotated[
        list[str] | None,
        typer.Option("--from", metavar="STAGE=CHECKPOINT", help="Start at a stage from a checkpoint made elsewhere."),
    ] = None,
    smoke: Annotated[
        bool, typer.Option("--smoke", help="Two steps a stage with the real shapes, before hours are spent.")
    ] = False,
    take_over: Annotated[
        bool, typer.Option("--take-over", help="Take the lock of a dead run on another machine.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print errors only.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON event a line on stdout.")] = False,
) -> None:
    """Run a recipe, or go on with it: finished steps are skipped, a broken one continues from its last checkpoint."""
    from posttrain.plan import plan_status, prepare, previous_steps
    from posttrain.recipe.load import dump_resolved
    from posttrain.run import folder as run_folder
    from posttrain.run.driver import RunOptions, run
    from posttrain.store.artefacts import Store
    from posttrain.telemetry import open_display

    artefacts = Store(store)
    _, plan = prepare(
        recipe, artefacts, overrides=override or (), until=until, starts=start or (), smoke_run=smoke, remember=True
    )
    run_dir = out if out is not None else Path("runs") / plan.recipe.name
    run_folder.check_owner(run_dir, plan.recipe.name, smoke=smoke)
    rows = plan_status(plan.steps, artefacts, previous_steps(run_dir), image=plan.recipe.sandbox.image)
    options = RunOptions(
        run_dir=run_dir,
        store=artefacts,
        recipe_dir=plan.recipe_dir,
        smoke=smoke,
        partial=until is not None or bool(start),
        take_over=take_over,
        command=("posttrain", *sys.argv[1:]),
        why={row.step.name: row.why for row in rows},
    )
    display = open_display("json" if as_json else "quiet" if quiet else "auto")
    for row in rows:
        for change in row.drift:
            display.message(f"warning: {row.step.name} was made with other versions: {change}")
    results = run(plan.steps, plan.recipe, dump_resolved(plan.recipe), options, display)
    if not quiet and not as_json:
        _print_outcome(run_dir, results)
        if smoke:
            print(
                "smoke: every step ran with the recipe's own shapes; two steps a stage teach nothing, so the scores "
                "mean nothing"
            )


def report_command(run_dir: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder.")]) -> None:
    """Write RUN/report.html anew: one page that opens offline."""
    from posttrain.report.html import write_report
    from posttrain.run.folder import existing_run

    print(write_report(existing_run(run_dir)))


def status_command(
    run_dir: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """What a run has done, does, and who holds it."""
    from posttrain.records.codec import as_json as record_json
    from posttrain.run.status import read_status

    status = read_status(run_dir)
    if as_json:
        print(json.dumps(record_json(status)))
    else:
        _print_status(status)


def stop_command(run_dir: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder.")]) -> None:
    """Ask the process that holds RUN to save a checkpoint at its next safe point and end with exit code 75."""
    from posttrain.run.status import request_stop

    print(request_stop(run_dir))


def _print_outcome(run_dir: Path, results: RunResults) -> None:
    """The table of scores, where there are any, and where to look."""
    if results.evaluations:
        from posttrain.evaluate.table import print_table

        print_table(run_dir)
    for what, name in (("report", "report.html"), ("model", "model"), ("model card", "MODEL_CARD.md")):
        if (run_dir / name).exists():
            print(f"{what}: {run_dir / name}")


def _print_status(status: RunStatus) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_edge=False)
    console = Console(width=None if sys.stdout.isatty() else PIPED_WIDTH)  # Rich takes a pipe for 80 columns
    at_work = status.progress.step if status.progress is not None else None
    rows = []
    for row in status.stages:
        shown = "running" if row.name == at_work and row.status == "pending" else str(row.status)
        rows.append((row.name, row.kind, shown, f"{row.seconds:.1f}" if row.seconds is not None else "", row.note))
    titles = ("stage", "kind", "status", "seconds", "")
    widths = [
        max(len(title), *(len(row[i]) for row in rows)) if rows else len(title) for i, title in enumerate(titles[:4])
    ]
    # What does not fit is cut from the note, and from nothing else.
    for title, width in zip(titles, (*widths, None), strict=True):
        table.add_column(title, no_wrap=True, min_width=width, overflow="ellipsis")
    for cells in rows:
        table.add_row(*map(Text, cells))
    console.print(f"{status.run}: {status.shown}", markup=False, highlight=False)
    console.print(table)

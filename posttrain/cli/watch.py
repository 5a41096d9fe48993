"""`posttrain watch`: a run at work, in a terminal. Parse, look, draw."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from posttrain.cli.rollouts import folded

if TYPE_CHECKING:
    from rich.console import Group

    from posttrain.run.live import Moment

# The numbers shown, in this order, of those that a step has; the first word is what people call it.
SHOWN = {
    "reward": "reward",
    "held": "held_out_accuracy",
    "loss": "loss",
    "length": "completion_tokens",
    "cut off": "truncated_share",
    "signal": "signal_share",
    "faults": "fault_share",
    "entropy": "entropy",
    "gap": "mismatch_mean",
    "sync": "sync_gap",
    "grad norm": "grad_norm",
}
BARS = "▁▂▃▄▅▆▇█"


def register(app: typer.Typer) -> None:
    app.command("watch")(watch_command)


def watch_command(
    run_dir: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder.")],
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks.")] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Look once and end.")] = False,
) -> None:
    """A live view of a run: reward, length, entropy, gap, faults, tokens a second, time left, an answer. Ends with the
    run, or by Ctrl-C, which leaves the run alone."""
    from rich.console import Console
    from rich.live import Live

    from posttrain.run.live import Observer

    observer, console = Observer(run_dir), Console(highlight=False)
    moment = observer.look()
    if once or moment.status.state != "running":
        console.print(_drawn(moment))
        return
    with Live(_drawn(moment), console=console, auto_refresh=False) as live:
        while moment.status.state == "running":
            time.sleep(every)
            moment = observer.look()
            live.update(_drawn(moment), refresh=True)


def _drawn(moment: Moment) -> Group:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from posttrain.records.results import Status
    from posttrain.telemetry import time_left_words

    status, progress = moment.status, moment.status.progress
    done = sum(row.status not in (Status.PENDING, Status.FAILED) for row in status.stages)
    lines = [Text(f"{status.run}: {status.shown}, {done} of {len(status.stages)} steps done", "bold")]
    if progress is not None:
        total = f"/{progress.total}" if progress.total else ""
        pace = f"{moment.tokens_per_second:,.0f} tokens/s" if moment.tokens_per_second else ""
        said = (f"{progress.step}: {progress.what} {progress.done}{total}", pace, time_left_words(moment.seconds_left))
        lines.append(Text("  ".join(part for part in said if part)))
    table = Table(box=None, pad_edge=False, show_header=False)
    for title, name in SHOWN.items():
        values = [row.values[name] for row in moment.rows if name in row.values]
        if values:
            table.add_row(Text(title, "dim"), Text(f"{values[-1]:.4g}"), Text(bars(values), "cyan"))
    answer = moment.answer
    if answer is None:
        return Group(*lines, table)
    colour = {"correct": "green", "wrong": "red"}.get(answer.outcome, "yellow")
    head = Text.assemble(
        (f"{answer.prompt_id} #{answer.index}  ", "bold"), (answer.outcome, colour), f"  {answer.reason}"
    )
    return Group(*lines, table, head, Text(answer.prompt, "dim"), Text(folded(answer.text)))


def bars(values: Sequence[float]) -> str:
    """The newest values as a line of bars between their least and greatest; those that are no number are left out."""
    finite = [value for value in values[-40:] if value - value == 0]
    low, high = min(finite, default=0.0), max(finite, default=0.0)
    if high == low:
        return BARS[0] * len(finite)
    return "".join(BARS[round((value - low) / (high - low) * (len(BARS) - 1))] for value in finite)

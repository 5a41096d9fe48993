"""`posttrain data verify|prefer|refine|reconstruct|tests`: the stages that make rows by asking models, on a file.
Parse, call, print."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

Rows = Annotated[Path, typer.Argument(help="A file of rows, of any kind that recipes read.")]
Part = Annotated[Path, typer.Option("--config", metavar="PART.yaml", help="The stage's keys, as in a recipe.")]
Out = Annotated[
    Path, typer.Option(help="Folder for rows.jsonl (or pairs.jsonl), history.jsonl, summary.json and card.md.")
]
Card = Annotated[Path | None, typer.Option(help="Data card of the rows, whose licence is carried on.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")]


def register_rows(app: typer.Typer) -> None:
    """Add a command for each kind of stage."""
    app.command("verify")(verify_command)
    app.command("prefer")(prefer_command)
    app.command("refine")(refine_command)
    app.command("reconstruct")(reconstruct_command)
    app.command("tests")(tests_command)


def verify_command(rows: Rows, part: Part, out: Out, card: Card = None, as_json: AsJson = False) -> None:
    """Judge candidates by rules and a model, and keep the best right one of each row."""
    _make("verify", rows, part, out=out, card=card, as_json=as_json)


def prefer_command(rows: Rows, part: Part, out: Out, card: Card = None, as_json: AsJson = False) -> None:
    """Make pairs of a better and a worse answer to each row, by rules or by a judge."""
    _make("prefer", rows, part, out=out, card=card, as_json=as_json)


def refine_command(rows: Rows, part: Part, out: Out, card: Card = None, as_json: AsJson = False) -> None:
    """Write drafts, score them by a checklist, revise the best, and keep it."""
    _make("refine", rows, part, out=out, card=card, as_json=as_json)


def reconstruct_command(rows: Rows, part: Part, out: Out, card: Card = None, as_json: AsJson = False) -> None:
    """Write a chain of thought that leads to each row's answer, without having known it."""
    _make("reconstruct", rows, part, out=out, card=card, as_json=as_json)


def tests_command(rows: Rows, part: Part, out: Out, card: Card = None, as_json: AsJson = False) -> None:
    """Write tests for problems of code, or problems for tests, and keep what the judge's audit lets pass."""
    _make("tests", rows, part, out=out, card=card, as_json=as_json)


def _make(kind: str, rows: Path, part: Path, *, out: Path, card: Path | None, as_json: bool) -> None:
    from posttrain.run.rows_alone import make_rows_of_file
    from posttrain.telemetry import open_display

    display = open_display("quiet" if as_json else "auto")
    try:
        figures = make_rows_of_file(kind, rows, part=part, out=out, card=card, display=display)
    finally:
        display.close()
    print(json.dumps(figures)) if as_json else print_figures(figures, out)


def print_figures(figures: Any, out: Path) -> None:
    """A few lines on what was kept, why the rest was not, and what it took."""
    print(f"{figures['rows']:,} rows, {figures['kept']:,} kept in {out}")
    for reason, count in figures["set_aside"].items():
        print(f"  set aside {count:>6,} x  {reason}")
    if figures["agreement"]:
        print("  rules/judge: " + ", ".join(f"{pair} {count:,}" for pair, count in figures["agreement"].items()))
    for name, count in figures["counts"].items():
        print(f"  {name} {count:,}")
    for role, use in figures["roles"].items():
        tokens = f"{use['prompt_tokens']:,} + {use['generated_tokens']:,} tokens"
        print(f"  {role}: {use['requests']:,} requests, {tokens}, cost {use['cost']:,.2f} ({use['model']})")

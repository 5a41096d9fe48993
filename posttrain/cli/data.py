"""`posttrain data`: rows as they are read and trained on, what a data set is like, its card. Parse, call, print."""

from __future__ import annotations

import json
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from posttrain.cli.data_clean import clean_command
from posttrain.cli.data_rows import register_rows
from posttrain.errors import InputError

data_app = typer.Typer(help="Look at rows and their cards.", no_args_is_help=True)
card_app = typer.Typer(help="Write or check a data card.", no_args_is_help=True)
data_app.add_typer(card_app, name="card")
data_app.command("clean")(clean_command)
register_rows(data_app)

Target = Annotated[str, typer.Argument(help="A file of rows, RECIPE[:STAGE_OR_DATA] or RUN[:STAGE_OR_DATA].")]
As = Annotated[
    Literal["conversations", "prompts", "pairs"] | None,
    typer.Option("--as", help="How to read a file; else as its first rows can be read."),
]
RecipeOption = Annotated[Path | None, typer.Option(help="Recipe whose chat settings and base's tokenizer to use.")]
BaseOption = Annotated[Path | None, typer.Option(help="Model folder whose tokenizer to use, in place of the base's.")]


@data_app.command("show")
def show_command(
    target: Target,
    row: Annotated[int | None, typer.Option(min=1, help="Number of the row in its file.")] = None,
    rows: Annotated[int, typer.Option(min=1, help="How many rows of each data set.")] = 3,
    kind: As = None,
    tokens: Annotated[bool, typer.Option(help="What template and tokenizer make of it; needs a recipe.")] = False,
    recipe: RecipeOption = None,
    base: BaseOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a row.")] = False,
) -> None:
    """Print rows: roles, what is trained on in green, special tokens visible; faulty rows with their reasons. Of a
    stage that makes rows, or the folder of `data verify --out`: each row's history."""
    from posttrain.cli.rows import print_fault, print_row
    from posttrain.data.views import view
    from posttrain.run.data_targets import find_targets
    from posttrain.run.row_history import find_history

    if (history := find_history(target)) is not None:
        _show_history(history, target, row, rows, as_json)
        return
    template = _template(target, recipe, base) if tokens else None
    shown = False
    for one in find_targets(target, kind):
        read = one.rows(None if row is not None else rows)
        if not as_json:
            about = "".join(f"; {words}" for words in read.about)
            print(f"{one.name}: {len(read.items):,} rows read, {len(read.faults):,} faulty{about}")
        wanted = [pair for pair in zip(read.numbers, read.items, strict=True) if row is None or pair[0] == row]
        for number, item in islice(wanted, None if row is not None else rows):
            shown = True
            seen = view(number, item, template)
            print(json.dumps({"data": one.name, **asdict(seen)}, ensure_ascii=False)) if as_json else print_row(seen)
        for fault in [fault for fault in read.faults if row is None or fault.row == row][: 1 if row else rows]:
            shown = True
            print(json.dumps({"data": one.name, **asdict(fault)})) if as_json else print_fault(fault)
    if not shown:
        raise InputError(f"no row {row}" if row else "no rows", where=target, remedy="rows count from 1")


def _show_history(path: Path, target: str, row: int | None, rows: int, as_json: bool) -> None:
    from posttrain.cli.row_history import print_history
    from posttrain.run.row_history import histories

    shown = False
    for record in islice(histories(path, row), None if row is not None else rows):
        shown = True
        print(json.dumps(record, ensure_ascii=False)) if as_json else print_history(record)
    if not shown:
        raise InputError(f"no row {row}", where=target, remedy="rows go by their numbers in the data that was read")


@data_app.command("stats")
def stats_command(
    target: Target,
    kind: As = None,
    recipe: RecipeOption = None,
    base: BaseOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a data set.")] = False,
) -> None:
    """Turns, tools, languages, lengths, faults by kind; with a recipe also tokens and the trained share."""
    from posttrain.cli.rows import print_statistics
    from posttrain.data.counts import data_statistics
    from posttrain.data.views import view
    from posttrain.run.data_targets import find_targets

    template = _template(target, recipe, base) if recipe or base else None
    for one in find_targets(target, kind):
        read = one.rows()
        views = [view(n, item, template) for n, item in zip(read.numbers, read.items, strict=True)] if template else []
        found = data_statistics(read, views)
        print(json.dumps({"data": one.name, **asdict(found)})) if as_json else print_statistics(one.name, found)


@card_app.command("new")
def card_new_command(
    files: Annotated[list[Path], typer.Argument(help="Files of the data set; their digests go into the card.")],
    out: Annotated[Path, typer.Option(help="The card to write.")],
    license_name: Annotated[str, typer.Option("--license", help="SPDX name, or other.")],
    title: Annotated[str | None, typer.Option(help="Name of the data set.")] = None,
) -> None:
    """Write a card with digests; what is left to fill in is marked."""
    from posttrain.recipe.cards import write_card

    left = write_card(out, files, license_name=license_name, title=title)
    print(f"{out}: digests of {len(files)} files written; still to be filled in: {', '.join(left)}")


@card_app.command("check")
def card_check_command(
    card: Annotated[Path, typer.Argument(help="A data card.")],
    files: Annotated[list[Path] | None, typer.Argument(help="Files whose digests must be the card's.")] = None,
) -> None:
    """Is a card complete, and are the files those it speaks of? Exit 2 where not."""
    from posttrain.recipe.cards import check_card

    print(f"{card}: {check_card(card, files or [])}")


def _template(target: str, recipe: Path | None, base: Path | None) -> Any:
    """The chat template with its tokenizer. Raises InputError where nothing says which."""
    from posttrain.run.data_targets import template_for

    return template_for(target, recipe, base)

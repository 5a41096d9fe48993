"""`posttrain data clean`: rows that should not be trained on are taken out of a file. Parse, call, print."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from posttrain.errors import InputError


def clean_command(
    rows: Annotated[Path, typer.Argument(help="JSON lines, of any kind of row.")],
    out: Annotated[Path, typer.Option(help="The rows that are kept, byte for byte, in order.")],
    report: Annotated[Path, typer.Option(help="JSON: each removed row with its rule, figures, samples.")],
    against: Annotated[
        list[Path] | None, typer.Option(help="A suite (JSON lines) that must not stand in the rows; repeatable.")
    ] = None,
    language: Annotated[
        list[str] | None, typer.Option(help="A language that may stand (en, French); repeatable. Without: all.")
    ] = None,
    min_words: Annotated[int, typer.Option(min=0, help="Shortest row, words.")] = 1,
    max_words: Annotated[int | None, typer.Option(min=1, help="Longest row, words. Without: no bound.")] = None,
    max_repetition: Annotated[
        float, typer.Option(min=0, max=1, help="Share of an answer's runs of 8 words that came before in it.")
    ] = 0.5,
    near: Annotated[float, typer.Option(min=0.5, max=1, help="Share of words (Jaccard) of a near duplicate.")] = 0.7,
    skip: Annotated[list[str] | None, typer.Option(metavar="RULE", help="A rule to leave out; repeatable.")] = None,
    remove_numbers_changed: Annotated[
        bool, typer.Option(help="Also remove rows that are a suite's question with other numbers.")
    ] = False,
    processes: Annotated[int | None, typer.Option(min=1, help="Worker processes. Without: one a core.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Remove duplicates, problems of suites, secrets, personal data, refusals, and what is out of bounds."""
    from posttrain.factory.clean import clean_file
    from posttrain.factory.examine import RULES, CleanOptions
    from rewards.prose.languages import language_code

    unknown = sorted(set(skip or ()) - set(RULES))
    if unknown:
        raise InputError(f"no rule '{unknown[0]}'", where="--skip", remedy=f"one of {', '.join(RULES)}")
    codes = {name: language_code(name) for name in language or ()}
    for name, code in codes.items():
        if code is None:
            raise InputError(f"unknown language '{name}'", where="--language", remedy="a code or a name: en, French")
    options = CleanOptions(
        languages=tuple(sorted(code for code in codes.values() if code)),
        min_words=min_words,
        max_words=max_words,
        max_repetition=max_repetition,
        near=near,
        skip=frozenset(skip or ()),
        remove_numbers_changed=remove_numbers_changed,
    )
    found = clean_file(rows, against or [], out=out, report=report, options=options, processes=processes)
    if as_json:
        print(json.dumps(asdict(found)))
        return
    print(f"{rows}: {found.rows:,} rows, {found.kept:,} kept in {out}")
    for rule, count in found.removed.items():
        print(f"  {rule}: {count:,} removed")
    for rule, count in found.suspects.items():
        print(f"  {rule}: {count:,} kept, listed as suspects in {report}")
    for suite, verdict in found.verdicts.items():
        print(f"  {suite}: {verdict}")
    for note in found.notes:
        print(f"  {note}")

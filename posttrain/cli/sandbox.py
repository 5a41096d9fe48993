"""`posttrain sandbox ...`: the code judge from the shell. Parses, calls, prints, exits; knows nothing of judging.

`run` reads JSON lines on stdin and answers each on stdout, in order; progress and the level used go to stderr.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from enum import StrEnum
from typing import Annotated, Any

import typer

from posttrain.cli import sandbox_proof
from posttrain.cli.chunks import chunks
from posttrain.cli.judge_options import AllowUnsafe, Backend, Image, JudgeOptions, MinLevel, open_judge
from sandbox.errors import ProgramError, SandboxError

sandbox_app = typer.Typer(help="Run generated programs against tests, isolated.", no_args_is_help=True)
_CHUNK = 256  # lines judged together at most: bounds memory, keeps every slot busy


class Source(StrEnum):
    """What `build` makes an image of."""

    INTERPRETER = "interpreter"
    DEBIAN = "debian"
    DOCKERFILE = "dockerfile"


@sandbox_app.command()
def run(
    backend: Backend = "auto",
    min_level: MinLevel = None,
    slots: Annotated[
        int, typer.Option(min=1, help="Programs judged at once. Default: the machine's CPUs.")
    ] = os.cpu_count() or 1,
    fail_fast: Annotated[
        bool,
        typer.Option(
            "--fail-fast",
            help="Mark the tests after a program's first failure not_run; a fraction counts them as not passed.",
        ),
    ] = False,
    allow_unsafe: AllowUnsafe = False,
    image: Image = None,
) -> None:
    """Judge JSON lines from stdin. Exit 0 when every line was answered."""
    options = JudgeOptions(backend=backend, min_level=min_level, allow_unsafe=allow_unsafe, image=image, slots=slots)
    with open_judge(options) as judge:
        _answer_all(judge, fail_fast)


def _answer_all(judge: Any, fail_fast: bool) -> None:
    answered = faulty = 0
    for chunk in chunks(sys.stdin.buffer, _CHUNK):
        faulty += _answer(judge, chunk, fail_fast, first=answered + 1)
        answered += len(chunk)
        typer.echo(f"{answered} programs" + (f", {faulty} of them invalid lines" if faulty else ""), err=True)


def _answer(judge: Any, lines: list[bytes], fail_fast: bool, first: int) -> int:
    """Answer lines, the first of them number `first`; returns how many are no program."""
    from sandbox.judging.judgements import invalid_judgement
    from sandbox.program_json import parse_program, read_json_line

    records: list[Any] = []
    programs = []
    for number, line in enumerate(lines, start=first):
        row: Any = None
        try:
            row = read_json_line(line)
            programs.append((parse_program(row), row["id"]))
            records.append(None)
        except (ValueError, RecursionError) as error:  # ProgramError and UnicodeDecodeError are ValueErrors
            reason = str(error) if isinstance(error, ProgramError) else f"not JSON: {error}"
            reason = f"line {number}: {reason}"
            identity = row.get("id") if isinstance(row, dict) else None
            # The rest is no id, and may be no JSON either.
            identity = identity if isinstance(identity, str | int) else None
            records.append({**invalid_judgement(str(identity), reason, judge.backend).to_json(), "id": identity})
    judged = iter(judge.run([program for program, _ in programs], fail_fast))
    given = iter(identity for _, identity in programs)
    for record in records:
        # an id comes back as it was given: scripts join on it
        sys.stdout.write(json.dumps(record or {**next(judged).to_json(), "id": next(given)}) + "\n")
    sys.stdout.flush()
    return len(lines) - len(programs)


@sandbox_app.command()
def doctor(as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False) -> None:
    """What each level would give on this machine, and why not."""
    from sandbox.backends.isolation import levels

    for row in levels():
        if as_json:
            typer.echo(json.dumps(asdict(row)))
        else:
            text = "yes" if row.available else f"no: {row.why_not}\n{'':24}remedy: {row.remedy}"
            typer.echo(f"{row.level.value:<11} {row.backend:<11} {text}")


@sandbox_app.command()
def build(
    source: Annotated[Source, typer.Option("--from", help="What the image is made of.")] = Source.INTERPRETER,
    suite: Annotated[str | None, typer.Option(help="debian: the release. Default: bookworm.")] = None,
    mirror: Annotated[
        str | None, typer.Option(help="debian: where its packages are. Default: as apt is configured.")
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(help="dockerfile: the image to start from; pulled when absent. Default: python:3.11-slim."),
    ] = None,
) -> None:
    """Make an image and load it into Docker; prints its id, for `--image` and a recipe's `sandbox: {image: ID}`.

    The interpreter's needs no naming: it is what boxes run by default. Only the base of a Dockerfile is ever pulled.
    """
    from sandbox.backends.docker_backend import connect
    from sandbox.images import docker_image
    from sandbox.images.debian import SUITE

    for name, given, owner in (
        ("suite", suite, Source.DEBIAN),
        ("mirror", mirror, Source.DEBIAN),
        ("base", base, Source.DOCKERFILE),
    ):
        if given is not None and source is not owner:
            raise typer.BadParameter(f"--{name} belongs to --from {owner.value}")
    try:
        client = connect()
        if source is Source.DEBIAN:
            typer.echo(docker_image.from_debian(client, suite or SUITE, mirror))
        elif source is Source.DOCKERFILE:
            typer.echo(docker_image.from_dockerfile(client, base or docker_image.DEFAULT_BASE))
        else:
            typer.echo(docker_image.ensure_image(client))
    except SandboxError as error:
        raise _stop(error) from error


@sandbox_app.command()
def clean() -> None:
    """Remove containers whose judge is dead or whose time is up, and root trees and their images unused for a day;
    prints their names.

    Nothing unlabelled is touched, nor an image built on request.
    """
    from sandbox.backends.docker_backend import connect, remove_orphans
    from sandbox.images import docker_image, root_tree

    for name in root_tree.prune():
        typer.echo(name)
    try:
        client = connect()
        for name in (*remove_orphans(client), *docker_image.prune(client)):
            typer.echo(name)
    except SandboxError as error:
        raise _stop(error) from error


def _stop(error: Exception) -> typer.Exit:
    typer.echo(str(error), err=True)
    return typer.Exit(getattr(error, "exit_code", 2))


for command in sandbox_proof.COMMANDS:
    sandbox_app.command()(command)

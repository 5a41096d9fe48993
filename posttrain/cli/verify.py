"""`posttrain verify` and `posttrain verifier ...`: any verifier from the shell. Parses, calls, prints, exits; judges
nothing itself.

`verify` reads JSON lines on stdin and answers each on stdout, in order. Malformed lines are answered too, as `invalid`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer

from posttrain.cli.chunks import chunks
from posttrain.errors import BackendError, InputError

if TYPE_CHECKING:
    from rewards.base import Built
    from rewards.plugins.kit.examine import Sample
    from rewards.serialization import Line
    from rewards.types import Verdict
    from sandbox.judge import Judge

_SANDBOX = {
    "backend": "auto",
    "min_level": "container",
    "allow_unsafe": None,
    "slots": 2,
}  # of `verifier test` without a recipe
_CHUNK = 512  # lines judged together at most: bounds memory, keeps every worker busy

verifier_app = typer.Typer(help="Write and check a verifier of your own.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add `verify` and `verifier`."""
    app.command("verify")(verify_command)
    app.add_typer(verifier_app, name="verifier")


def verify_command(
    verifier: Annotated[
        str, typer.Option("--verifier", help="A kind, module:Name of your own, or a verifier of the recipe.")
    ],
    recipe: Annotated[
        str | None, typer.Option("--recipe", help="Take the verifier, thinking tags and sandbox of this recipe.")
    ] = None,
    option: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="An option of the verifier.")
    ] = None,
    audit: Annotated[
        Path | None, typer.Option("--audit", help='Judge this labelled file ("expected": true|false) and report.')
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the audit as JSON.")] = False,
    backend: Annotated[
        str, typer.Option(help="Code judge without a recipe: auto, docker, namespaces or local.")
    ] = "auto",
    min_level: Annotated[
        str, typer.Option(help="Weakest isolation accepted: none, namespaces, container or kernel.")
    ] = "container",
    allow_unsafe: Annotated[
        bool, typer.Option("--allow-unsafe", help="Accept that programs run as you, without isolation.")
    ] = False,
) -> None:
    """Judge JSON lines {"id", "response", "gold", ...} from stdin. Exit 0 when every line was answered."""
    with ExitStack() as stack:
        from sandbox.types import UNSAFE_SENTENCE

        sandbox = {
            "backend": backend,
            "min_level": min_level,
            "allow_unsafe": UNSAFE_SENTENCE if allow_unsafe else None,
            "slots": 2,
        }
        spec, think, sandbox = _spec(verifier, recipe, option or [], sandbox)
        built = _build(spec, think, sandbox, stack)
        if audit is not None:
            _audit(built, audit, as_json)
            return
        for line, verdict in _judged(built, sys.stdin.buffer, labelled=False):
            _write(line, verdict)


@verifier_app.command("new")
def new_command(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Module name, such as unit_verifier.")],
    folder: Annotated[Path, typer.Option(help="Where to write.")] = Path("."),
) -> None:
    """Write a working verifier, its test and labelled samples."""
    from rewards.plugins.scaffold import write_example

    for path in write_example(name, folder):
        typer.echo(path)


@verifier_app.command("test")
def test_command(
    verifier: Annotated[
        str, typer.Argument(metavar="NAME", help="module:Name of your own, a kind, or a verifier of the recipe.")
    ],
    recipe: Annotated[
        str | None, typer.Option("--recipe", help="Take the verifier, thinking tags and sandbox of this recipe.")
    ] = None,
    option: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="An option of the verifier.")
    ] = None,
    samples: Annotated[
        Path | None,
        typer.Option("--samples", help='Answers to ask it, as for `verify`; with "expected" they are labels.'),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
    with_ray: Annotated[bool, typer.Option("--ray/--no-ray", help="Also judge in a Ray actor.")] = True,
) -> None:
    """Check that a verifier keeps what training relies on. Exit 0: every check passed, 1: one failed, 2: there is none
    to check."""
    from rewards.plugins.kit.examine import examine
    from rewards.plugins.kit.finding import as_json as to_json
    from rewards.plugins.kit.finding import as_text, failed
    from rewards.workers.client import RuledVerifier

    with ExitStack() as stack:
        spec, think, sandbox = _spec(verifier, recipe, option or [], _SANDBOX)
        built = _build(spec, think, sandbox, stack)
        findings, settled = examine(built, _samples(samples) if samples else ())
        if with_ray and settled.requests and isinstance(built, RuledVerifier):
            from posttrain.machine.verifier_in_actor import ray_finding

            findings.append(ray_finding(spec, think, settled))
    typer.echo(json.dumps(to_json(verifier, findings)) if as_json else as_text(verifier, findings))
    if failed(findings):
        raise typer.Exit(1)


def _samples(path: Path) -> list[Sample]:
    from rewards.plugins.kit.examine import Sample
    from rewards.serialization import read_line

    if not path.is_file():
        raise InputError(
            f"there is no file {path}", where="--samples", remedy="give a file of JSON lines as for `posttrain verify`"
        )
    lines = [read_line(raw) for raw in path.read_bytes().splitlines() if raw.strip()]
    for number, line in enumerate(lines, start=1):
        if line.error:
            raise InputError(line.error, where=f"{path}, row {number}", remedy="mend the row")
    found = [Sample(request=line.request, expected=line.expected) for line in lines if line.request is not None]
    if not found:
        raise InputError("there are no rows", where=str(path), remedy="give at least one answer")
    return found


def _spec(
    name: str, recipe: str | None, options: list[str], sandbox: dict[str, Any]
) -> tuple[dict[str, Any], tuple[str, str], dict[str, Any]]:
    """The verifier's spec, checked, with the thinking tags and the sandbox that go with it."""
    from rewards.load import check_spec

    spec: dict[str, Any] = {"kind": name}
    think = ("<think>", "</think>")
    if recipe is not None:
        from posttrain.recipe.load import read_recipe
        from posttrain.recipe.shipped import find_recipe

        loaded = read_recipe(find_recipe(recipe)).recipe
        if name not in loaded.verifiers:
            known = ", ".join(sorted(loaded.verifiers)) or "none"
            raise InputError(f"no verifier {name!r}", where=f"{recipe}: verifiers", remedy=f"the recipe has: {known}")
        spec, think, sandbox = loaded.verifiers[name].model_dump(), loaded.chat.think, loaded.sandbox.model_dump()
    for entry in options:
        _set(spec, entry)
    check_spec(spec, where=f"verifiers.{name}" if recipe else "verifier")
    return spec, think, sandbox


def _build(spec: dict[str, Any], think: tuple[str, str], sandbox: dict[str, Any], stack: ExitStack) -> Built:
    from rewards.load import build_verifier
    from rewards.services import Services

    return build_verifier(spec, Services(judge=_judge_opener(sandbox, stack), think=think))


def _set(spec: dict[str, Any], entry: str) -> None:
    """Apply `key=value` or `steps.0.key=value`; the value is JSON where it reads as JSON, else text."""
    path, sign, text = entry.partition("=")
    if not sign or not path:
        raise InputError(f"{entry!r} is no KEY=VALUE", where="--set", remedy="write it as deadline_seconds=5")
    try:
        value: Any = json.loads(text)
    except ValueError:
        value = text
    *parents, last = path.split(".")
    target: Any = spec
    try:
        for part in parents:
            target = target[int(part)] if isinstance(target, list) else target[part]
        if not isinstance(target, dict):
            raise KeyError(last)
    except (KeyError, IndexError, ValueError, TypeError) as error:
        raise InputError(
            f"there is no {'.'.join(parents)!r} to set {last!r} in", where="--set", remedy="steps are numbered from 0"
        ) from error
    target[last] = value


def _judge_opener(sandbox: dict[str, Any], stack: ExitStack) -> Callable[[], Judge]:
    opened: list[Judge] = []

    def open_judge() -> Judge:
        from sandbox.errors import SandboxError
        from sandbox.judge import Judge

        if not opened:
            try:
                judge = Judge(**sandbox)
            except SandboxError as error:
                raise BackendError(error.what, where=error.where, remedy=error.remedy) from error
            banner = "  UNSAFE: programs run as you, with your files and network" if judge.level == "none" else ""
            typer.echo(f"code is judged at level {judge.level}{banner}", err=True)
            opened.append(stack.enter_context(judge))
        return opened[0]

    return open_judge


def _judged(built: Built, raw: BinaryIO, *, labelled: bool) -> Iterator[tuple[Line, Verdict | None]]:
    """Each line with its verdict, in order; None for a line that could not be read."""
    from rewards.serialization import read_line

    for texts in chunks(raw, _CHUNK):
        chunk = [read_line(text, labelled=labelled) for text in texts]
        groups = [[line.request] for line in chunk if line.request is not None]
        verdicts = iter(built.verify_many(groups) if groups else [])
        for line in chunk:
            yield line, None if line.request is None else next(verdicts)[0]


def _write(line: Line, verdict: Verdict | None) -> None:
    from rewards.serialization import invalid_row, verdict_row

    row = invalid_row(line) if verdict is None else verdict_row(line, verdict)
    sys.stdout.write(json.dumps(row) + "\n")
    sys.stdout.flush()


def _audit(built: Built, path: Path, as_json: bool) -> None:
    from rewards.accuracy import Judged, as_text, report

    if not path.is_file():
        raise InputError(
            f"there is no file {path}", where="--audit", remedy="give a file of JSON lines with expected: true or false"
        )
    rows = []
    with path.open("rb") as handle:
        for number, (line, verdict) in enumerate(_judged(built, handle, labelled=True), start=1):
            if verdict is None or line.request is None or line.expected is None:
                raise InputError(
                    line.error, where=f"{path}, row {number}", remedy="mend the row; an audit counts every row"
                )
            rows.append(Judged(id=line.id, gold=line.request.gold, expected=line.expected, verdict=verdict))
    if not rows:
        raise InputError("there are no rows", where=str(path), remedy="give labelled rows")
    figures = report(rows)
    typer.echo(json.dumps(figures) if as_json else as_text(figures))

"""`posttrain verify` and `posttrain verifier ...`: any verifier from the shell. Parses, calls, prints, exits; judges
nothing itself.

`verify` reads JSON lines on stdin and answers each on stdout, in order. Malformed lines are answered too, as `invalid`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer

from posttrain.cli.chunks import chunks
from posttrain.errors import BackendError, InputError

if TYPE_CHECKING:
    from rewards.contract.verifier import BatchVerifier
    from rewards.kit.examine import Sample
    from rewards.types import Verdict
    from rewards.verify.serialization import Line
    from sandbox.judge import Judge

_CHUNK = 512  # lines judged together at most: bounds memory, keeps every worker busy

verifier_app = typer.Typer(help="Write and check a verifier of your own.", no_args_is_help=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Choice:
    """A verifier as it is asked for: its spec, checked, with the thinking tags and the sandbox that go with it."""

    spec: dict[str, Any]
    think: tuple[str, str]
    sandbox: dict[str, Any]


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
        str | None, typer.Option(help="Code judge without a recipe: auto (unless given), docker, namespaces or local.")
    ] = None,
    min_level: Annotated[
        str | None,
        typer.Option(help="Weakest isolation accepted: none, namespaces, container (unless given) or kernel."),
    ] = None,
    allow_unsafe: Annotated[
        bool, typer.Option("--allow-unsafe", help="Accept that programs run as you, without isolation.")
    ] = False,
) -> None:
    """Judge JSON lines {"id", "response", "gold", ...} from stdin. Exit 0 when every line was answered.

    Each is answered by a line {"id", "outcome", "score", "extracted", "reason", "certain", "seconds", "certificate",
    "parts"}. certain: the answer was judged, and not as a mere likelihood, so that a cascade would stop there.
    """
    with ExitStack() as stack:
        from sandbox.types import UNSAFE_SENTENCE

        asked = {"backend": backend, "min_level": min_level, "allow_unsafe": UNSAFE_SENTENCE if allow_unsafe else None}
        choice = _choose(verifier, recipe, option or [], {key: value for key, value in asked.items() if value})
        built = _build(choice, stack)
        if audit is not None:
            _print_audit(built, audit, as_json)
            return
        for line, verdict in _verdicts_of_lines(built, sys.stdin.buffer, labelled=False):
            _print_verdict(line, verdict)


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
    from rewards.kit.examine import examine
    from rewards.kit.finding import as_json as to_json
    from rewards.kit.finding import as_text, failed_checks
    from rewards.workers.client import RuleVerifier

    with ExitStack() as stack:
        choice = _choose(verifier, recipe, option or [], {})
        built = _build(choice, stack)
        findings, baseline = examine(built, _samples(samples) if samples else ())
        if with_ray and baseline.requests and isinstance(built, RuleVerifier):
            from posttrain.machine.verifier_in_actor import ray_finding

            findings.append(ray_finding(choice.spec, choice.think, baseline))
    typer.echo(json.dumps(to_json(verifier, findings)) if as_json else as_text(verifier, findings))
    if failed_checks(findings):
        raise typer.Exit(1)


def _samples(path: Path) -> list[Sample]:
    from rewards.kit.examine import Sample
    from rewards.verify.serialization import read_line

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


def _choose(name: str, recipe: str | None, options: list[str], sandbox: dict[str, Any]) -> _Choice:
    """The verifier that the command line names. A recipe's sandbox counts; without a recipe that of `sandbox`, where it
    has a key, and the defaults of a recipe elsewhere."""
    from posttrain.recipe.schema import Sandbox
    from rewards.load import check_spec
    from rewards.services import Services

    spec: dict[str, Any] = {"kind": name}
    think, sandbox = Services().think, Sandbox().model_dump() | sandbox
    if recipe is not None:
        from posttrain.recipe.load import read_recipe
        from posttrain.recipe.shipped import find_recipe

        loaded = read_recipe(find_recipe(recipe)).recipe
        if name not in loaded.verifiers:
            known = ", ".join(sorted(loaded.verifiers)) or "none"
            raise InputError(f"no verifier {name!r}", where=f"{recipe}: verifiers", remedy=f"the recipe has: {known}")
        spec, think, sandbox = loaded.verifiers[name].model_dump(), loaded.chat.think, loaded.sandbox.model_dump()
    for entry in options:
        _apply_option(spec, entry)
    check_spec(spec, where=f"verifiers.{name}" if recipe else "verifier")
    return _Choice(spec=spec, think=think, sandbox=sandbox)


def _build(choice: _Choice, stack: ExitStack) -> BatchVerifier:
    from rewards.load import build_verifier
    from rewards.services import Services

    return build_verifier(choice.spec, Services(judge=_judge_opener(choice.sandbox, stack), think=choice.think))


def _apply_option(spec: dict[str, Any], entry: str) -> None:
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


def _verdicts_of_lines(built: BatchVerifier, raw: BinaryIO, *, labelled: bool) -> Iterator[tuple[Line, Verdict | None]]:
    """Each line with its verdict, in order; None for a line that could not be read."""
    from rewards.verify.serialization import read_line

    for texts in chunks(raw, _CHUNK):
        chunk = [read_line(text, labelled=labelled) for text in texts]
        groups = [[line.request] for line in chunk if line.request is not None]
        verdicts = iter(built.verify_many(groups) if groups else [])
        for line in chunk:
            yield line, None if line.request is None else next(verdicts)[0]


def _print_verdict(line: Line, verdict: Verdict | None) -> None:
    from rewards.verify.serialization import invalid_row, verdict_row

    row = invalid_row(line) if verdict is None else verdict_row(line, verdict)
    sys.stdout.write(json.dumps(row) + "\n")
    sys.stdout.flush()


def _print_audit(built: BatchVerifier, path: Path, as_json: bool) -> None:
    from rewards.verify.accuracy import LabelledVerdict, as_text, report

    if not path.is_file():
        raise InputError(
            f"there is no file {path}", where="--audit", remedy="give a file of JSON lines with expected: true or false"
        )
    rows = []
    with path.open("rb") as handle:
        for number, (line, verdict) in enumerate(_verdicts_of_lines(built, handle, labelled=True), start=1):
            if verdict is None or line.request is None or line.expected is None:
                raise InputError(
                    line.error, where=f"{path}, row {number}", remedy="mend the row; an audit counts every row"
                )
            rows.append(LabelledVerdict(id=line.id, gold=line.request.gold, expected=line.expected, verdict=verdict))
    if not rows:
        raise InputError("there are no rows", where=str(path), remedy="give labelled rows")
    figures = report(rows)
    typer.echo(json.dumps(figures) if as_json else as_text(figures))

"""What proves the judge on a user's own machine: `posttrain sandbox attack`, `audit`, `bench`. Parses, calls, prints,
exits.

sandbox.py puts these commands into its group. Knows nothing of judging, attacking, auditing or measuring.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from posttrain.cli.judge_options import AllowUnsafe, Backend, Image, JudgeOptions, MinLevel, open_judge

if TYPE_CHECKING:
    from sandbox.attacks.siege import Result

AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a row on stdout, instead of the table.")]

_CHUNK = 64  # problems audited before the first of them is reported


def attack(
    backend: Backend = "auto",
    min_level: MinLevel = None,
    allow_unsafe: AllowUnsafe = False,
    image: Image = None,
    group: Annotated[list[str] | None, typer.Option(help="Only this group; may be given more than once.")] = None,
    as_json: AsJson = False,
) -> None:
    """Run the attack corpus at the reached level. Exit 0 when nothing passed, nothing was left behind and the judge was
    never hurt."""
    from sandbox.attacks.corpus import GROUPS
    from sandbox.attacks.siege import besiege, containers_of, control_words, reason_not_run

    unknown = set(group or ()) - GROUPS.keys()
    if unknown:
        typer.echo(
            f"unknown group {', '.join(sorted(unknown))}\n  remedy: the groups are {', '.join(GROUPS)}", err=True
        )
        raise typer.Exit(2)
    chosen = {name: attacks for name, attacks in GROUPS.items() if not group or name in group}
    results: list[Result] = []
    # Unscaled: what an attack burns is fixed too, and must stay beyond its limit on a slow machine, whose limits would
    # be longer.
    options = JudgeOptions(
        backend=backend, min_level=min_level, allow_unsafe=allow_unsafe, image=image, slots=1, cpu_scale=1.0
    )
    with open_judge(options) as judge:
        for name, attacks in chosen.items():
            typer.echo(f"{name}: {len(attacks)} rows, first against the naive control", err=True)
            tried = [one for one in attacks if not reason_not_run(one, judge.level)]
            said = control_words(tried, os.cpu_count() or 1)
            controls = dict(zip([one.row["id"] for one in tried], said, strict=True))
            for result in besiege(judge, name, attacks, [controls.get(one.row["id"], "") for one in attacks]):
                results.append(result)
                if as_json:
                    typer.echo(json.dumps(asdict(result)))
        level = judge.level
    orphans = containers_of(judge) if judge.backend.name == "docker" else []
    if not as_json:
        for line in table(results):
            typer.echo(line)
    failures = [line for result in results for line in complaints(result)] + [
        f"container {name} was left" for name in orphans
    ]
    for line in failures:
        typer.echo(line, err=True)
    typer.echo(f"level {level}: {'NOT HELD' if failures else 'held'}", err=True)
    raise typer.Exit(1 if failures else 0)


def table(results: Iterable[Result]) -> list[str]:
    """Lines for people: each group's rows, how many count, false passes, outcomes; then what was not run, or does not
    count, and why."""
    results = list(results)
    lines = [
        f"{'group':<12}{'programs':>9}{'rows':>6}{'not run':>9}{'counted':>9}"
        f"{'false passes':>14}{'left behind':>13}  outcomes"
    ]
    groups = [
        (name, [one for one in results if one.group == name]) for name in dict.fromkeys(one.group for one in results)
    ]
    for name, rows in [*groups, ("all", results)]:
        ran = [one for one in rows if one.outcome]
        counted, left = sum(one.counts for one in ran), sum(len(one.left) for one in ran)
        outcomes = ", ".join(
            f"{outcome} {count}" for outcome, count in Counter(one.outcome for one in ran).most_common()
        )
        head = f"{name:<12}{len({one.name for one in rows}):>9}{len(rows):>6}{len(rows) - len(ran):>9}{counted:>9}"
        lines.append(f"{head}{sum(one.false_pass for one in ran):>14}{left:>13}  {outcomes}")
    others = [one for one in results if one.outcome and one.named and one.outcome != one.named]
    lines += [
        f"named otherwise: {one.name}/{one.form} {one.outcome} for {one.named}: {one.detail[:80]}" for one in others
    ]
    for why, count in Counter(one.why for one in results if one.why).most_common():
        names = sorted({one.name for one in results if one.why == why})
        kind = "not run" if any(one.why == why and not one.outcome for one in results) else "does not count"
        lines.append(f"{kind} ({count} rows), {why}: {', '.join(names)}")
    return lines


def complaints(result: Result) -> list[str]:
    """What makes the siege a failure: a pass, a hurt judge, something left."""
    name = f"{result.group} {result.name}/{result.form}"
    found = [f"FALSE PASS {name}"] if result.false_pass else []
    found += [f"JUDGE HURT {name}: {result.outcome} {result.detail}"] if result.hurt else []
    return found + [f"LEFT BEHIND {name}: {'; '.join(result.left)}"[:300]] * bool(result.left)


def audit(
    file: Annotated[
        Path,
        typer.Argument(
            help="JSON lines as `sandbox run` reads them; each program is the reference solution. - for stdin."
        ),
    ],
    backend: Backend = "auto",
    min_level: MinLevel = None,
    allow_unsafe: AllowUnsafe = False,
    image: Image = None,
    slots: Annotated[int, typer.Option(min=1, help="Programs judged at once.")] = os.cpu_count() or 1,
    mutants: Annotated[int, typer.Option(min=1, help="Wrong versions of each reference solution, at most.")] = 10,
    reruns: Annotated[int, typer.Option(min=1, help="Runs of each reference solution, to find flaky tests.")] = 3,
    least_caught: Annotated[
        float, typer.Option(min=0, max=1, help="Drop a problem whose tests fail a smaller share of the mutants.")
    ] = 0.5,
    drop: Annotated[
        Path | None, typer.Option(help="Write the ids to drop here, one JSON string or number a line.")
    ] = None,
) -> None:
    """Are these tests worth training on? One JSON object a problem on stdout. Exit 0: keep all; 1: drop some, or a
    fault; 2: bad lines."""
    from sandbox.proof.audit import audit_problems

    lines = _lines(file)
    bad = [finding for finding in lines if isinstance(finding, dict)]
    problems = [problem for problem in lines if not isinstance(problem, dict)]
    for finding in bad:
        typer.echo(f"line {finding['line']}: {finding['error']}", err=True)
    dropped, undecided = [], 0
    options = JudgeOptions(backend=backend, min_level=min_level, allow_unsafe=allow_unsafe, image=image, slots=slots)
    with open_judge(options) as judge:
        for start in range(0, len(problems), _CHUNK):
            for found in audit_problems(
                judge, problems[start : start + _CHUNK], most_mutants=mutants, reruns=reruns, least_caught=least_caught
            ):
                typer.echo(json.dumps({**asdict(found), "keep": not found.drop and not found.undecided}))
                dropped += [found.id] if found.drop else []
                undecided += found.undecided
            typer.echo(f"{min(start + _CHUNK, len(problems))} of {len(problems)} problems", err=True)
    if drop is not None:
        drop.write_text("".join(json.dumps(identity) + "\n" for identity in dropped), encoding="utf-8")
    kept = len(problems) - len(dropped) - undecided
    typer.echo(f"keep {kept}, drop {len(dropped)}, undecided {undecided}, unreadable lines {len(bad)}", err=True)
    raise typer.Exit(2 if bad else 1 if dropped or undecided else 0)


def _lines(file: Path) -> list[Any]:
    """Programs, and for lines that hold none a dict with the line's number and what is wrong. An unreadable file ends
    the command."""
    from sandbox.program_json import parse_program

    try:
        data = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        typer.echo(f"{file}: {error.strerror}\n  remedy: name a file of JSON lines, or - for stdin", err=True)
        raise typer.Exit(2) from error
    found: list[Any] = []
    for number, line in enumerate(data.splitlines(), 1):
        if not line.strip():
            continue
        try:
            program = parse_program(json.loads(line))
            compile(program.program, "reference solution", "exec", dont_inherit=True)
            found.append(program)
        except (ValueError, RecursionError, SyntaxError, MemoryError) as error:  # ProgramError is a ValueError
            found.append({"line": number, "error": str(error)})
    if not found:
        typer.echo(f"{file}: no problem in it\n  remedy: one JSON object a line, with id, program and tests", err=True)
        raise typer.Exit(2)
    return found


def bench(
    backend: Backend = "auto",
    min_level: MinLevel = None,
    allow_unsafe: AllowUnsafe = False,
    image: Image = None,
    tests: Annotated[int, typer.Option(min=20, help="Trivial tests a round.")] = 400,
    as_json: AsJson = False,
) -> None:
    """How fast the judge is on this machine at the reached level, beside a plain subprocess (and `docker run`) a
    test."""
    from sandbox.proof.bench import measure

    options = JudgeOptions(backend=backend, min_level=min_level, allow_unsafe=allow_unsafe, image=image, slots=1)
    for figure in measure(lambda slots: open_judge(replace(options, slots=slots)), tests):
        typer.echo(json.dumps(asdict(figure)) if as_json else f"{figure.name:<48}{figure.value:>10.1f} {figure.unit}")


COMMANDS: tuple[Any, ...] = (attack, audit, bench)

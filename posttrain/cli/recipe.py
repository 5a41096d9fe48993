"""`posttrain plan`, `check`, `recipe schema` and `recipe new`. Parses, calls posttrain.plan and posttrain.recipe,
prints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from posttrain.plan import Estimate, Plan, StepStatus

RecipeName = Annotated[
    str, typer.Argument(metavar="RECIPE", help="A recipe file, or the name of one that comes with posttrain.")
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override, such as stages.cold_start.learning_rate=1e-5."),
]
StorePath = Annotated[Path, typer.Option("--store", help="The store.")]
Out = Annotated[Path | None, typer.Option("--out", help="Run folder to compare with; runs/NAME when not given.")]
Until = Annotated[str | None, typer.Option("--until", metavar="STAGE", help="End after this stage.")]
From = Annotated[
    list[str] | None,
    typer.Option("--from", metavar="STAGE=CHECKPOINT", help="Start at a stage from a checkpoint made elsewhere."),
]
Smoke = Annotated[bool, typer.Option("--smoke", help="Two steps a stage and few rows, with the recipe's real shapes.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DEFAULT_STORE = Path("runs/.store")

recipe_app = typer.Typer(help="Describe recipes, or write a new one.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add `plan`, `check` and `recipe`."""
    app.command("plan")(plan_command)
    app.command("check")(check_command)
    app.add_typer(recipe_app, name="recipe")


def plan_command(
    recipe: RecipeName,
    override: Set = None,
    store: StorePath = DEFAULT_STORE,
    out: Out = None,
    until: Until = None,
    start: From = None,
    smoke: Smoke = False,
    as_json: AsJson = False,
) -> None:
    """What would run, what is cached and why, and what it will cost. Writes nothing."""
    from posttrain.plan import estimate, plan_status, prepare, previous_steps
    from posttrain.store.artefacts import Store

    artefacts = Store(store)
    _, plan = prepare(recipe, artefacts, overrides=override or (), until=until, starts=start or (), smoke_run=smoke)
    before = previous_steps(out or Path("runs") / plan.recipe.name)
    rows = plan_status(plan.steps, artefacts, before, image=plan.recipe.sandbox.image)
    estimates = estimate(plan)
    if as_json:
        print(json.dumps(_plan_json(plan, rows, estimates)))
    else:
        _print_plan(plan, rows, estimates)


def check_command(
    recipe: RecipeName,
    override: Set = None,
    store: StorePath = DEFAULT_STORE,
    until: Until = None,
    start: From = None,
    smoke: Smoke = False,
    as_json: AsJson = False,
) -> None:
    """Plan, then look deeper: context lengths, tokenizers, chat template, golds, cards, disk. Exit 2 when something is
    wrong."""
    import dataclasses

    from posttrain.plan import prepare
    from posttrain.preflight.check import check_plan
    from posttrain.store.artefacts import Store

    artefacts = Store(store)
    _, plan = prepare(
        recipe, artefacts, overrides=override or (), until=until, starts=start or (), smoke_run=smoke, remember=True
    )
    findings = check_plan(plan, artefacts.root)
    failed = [finding for finding in findings if finding.status == "fail"]
    if as_json:
        print(json.dumps([dataclasses.asdict(finding) for finding in findings]))
    else:
        width = max(len(finding.name) for finding in findings)
        for finding in findings:
            print(f"{finding.status:<5}  {finding.name:<{width}}  {finding.detail}")
            if finding.remedy:
                print(f"{'':<5}  {'':<{width}}  remedy: {finding.remedy}")
        print(
            f"{len(findings)} checks, {len(failed)} failed, "
            f"{sum(finding.status == 'later' for finding in findings)} left to the run"
        )
    if failed:
        raise typer.Exit(2)


@recipe_app.command("schema")
def schema_command() -> None:
    """The JSON Schema of a recipe, for editors."""
    from posttrain.recipe.schema import json_schema

    print(json.dumps(json_schema(), indent=2))


@recipe_app.command("new")
def new_command(
    base: Annotated[str, typer.Option("--base", help="Local folder, hub id (owner/name) or toy.")],
    like: Annotated[
        str, typer.Option("--like", metavar="NAME", help="A recipe that comes with posttrain, to start from.")
    ] = "nanbeige4_3b_thinking",
    revision: Annotated[str | None, typer.Option("--revision", help="40 hex digits, for a hub id.")] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="Name of the recipe; from the file's name when not given.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="File to write.")] = Path("recipe.yaml"),
) -> None:
    """Write a recipe like a shipped one, with your base. Data paths are yours to fill in; `posttrain check` says what
    is left."""
    from posttrain.recipe.new import new_recipe

    new_recipe(base=base, revision=revision, like=like, name=name, out=out)
    print(f"wrote {out}; next: edit its data paths, then posttrain check {out}")


# ---------------------------------------------------------------- printing


def _plan_json(plan: Plan, rows: list[StepStatus], estimates: dict[str, Estimate]) -> dict[str, Any]:
    import dataclasses

    steps = [
        {
            "name": row.step.name,
            "kind": row.step.kind,
            "id": row.step.id,
            "inputs": dict(row.step.inputs),
            "state": row.state,
            "why": row.why,
            "drift": list(row.drift),
            "estimate": dataclasses.asdict(estimates[row.step.name]),
        }
        for row in rows
    ]
    return {"recipe": plan.recipe.name, "smoke": plan.smoke, "steps": steps}


def _print_plan(plan: Plan, rows: list[StepStatus], estimates: dict[str, Estimate]) -> None:
    table = [("step", "state", "steps", "tokens <=", "memory", "disk", "inputs; why")]
    for row in rows:
        guess = estimates[row.step.name]
        named = dict.fromkeys(name for name in row.step.inputs.values() if plan.step(name).kind != "evaluate")
        inputs = " + ".join(named) or "-"
        numbers = (_count(guess.steps), _count(guess.tokens), _bytes(guess.memory_bytes), _bytes(guess.disk_bytes))
        table.append((row.step.name, row.state, *numbers, f"{inputs}; {row.why}" if row.state != "cached" else inputs))
    widths = [max(len(line[column]) for line in table) for column in range(6)]
    for line in table:
        print("  ".join(f"{cell:<{width}}" for cell, width in zip(line[:6], widths, strict=True)) + "  " + line[6])
    for row in rows:
        seen = estimates[row.step.name].seen
        if seen is not None:
            print(f"{row.step.name}: {seen.said()}")
        for change in row.drift:
            print(f"warning: {row.step.name} was made with other versions: {change}")
    cached = sum(row.state == "cached" for row in rows)
    print(f"{plan.recipe.name}: {len(rows)} steps, {cached} cached, {len(rows) - cached} to run")


def _count(value: int | None) -> str:
    if value is None:
        return "-"
    for unit, size in (("T", 10**12), ("G", 10**9), ("M", 10**6), ("k", 10**4)):
        if value >= size:
            return f"{value / (1000 if unit == 'k' else size):.1f}{unit}"
    return str(value)


def _bytes(value: int | None) -> str:
    if value is None:
        return "-"
    for unit, size in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6)):
        if value >= size:
            return f"{value / size:.1f} {unit}"
    return f"{value // 1000} kB"

"""`posttrain plan`, `check`, `recipe schema` and `recipe new`. Parses, calls posttrain.plan and posttrain.recipe,
prints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from posttrain.plan import Estimate, Plan, StepStatus, Verdict

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
    """What would run, what is cached and why, and what it will cost. Writes nothing. Exit 2 where the recipe cannot fit
    its hardware."""
    from posttrain.plan import estimate, look, plan_ahead, plan_status, previous_steps
    from posttrain.store.artefacts import Store

    artefacts = Store(store)
    loaded, plan = plan_ahead(
        recipe, artefacts, overrides=override or (), until=until, starts=start or (), smoke_run=smoke
    )
    before = previous_steps(out or Path("runs") / plan.recipe.name)
    rows = plan_status(plan.steps, artefacts, before, image=plan.recipe.sandbox.image)
    estimates = estimate(plan)
    verdict = look(plan, estimates)
    if as_json:
        print(json.dumps(_plan_json(plan, rows, estimates, verdict)))
    else:
        _print_plan(plan, rows, estimates)
        _print_hardware(plan, estimates, verdict)
    verdict.refuse(loaded.source)


def check_command(
    recipe: RecipeName,
    override: Set = None,
    store: StorePath = DEFAULT_STORE,
    until: Until = None,
    start: From = None,
    smoke: Smoke = False,
    as_json: AsJson = False,
    all_rows: Annotated[
        bool, typer.Option("--all-rows", help="Read data sets to their last row, not the first 10,000 rows alone.")
    ] = False,
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
    findings = check_plan(plan, artefacts.root, all_rows=all_rows)
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
    gpus: Annotated[int | None, typer.Option("--gpus", min=1, help="GPUs of your machine, which it is to fit.")] = None,
    gpu_memory: Annotated[float, typer.Option("--gpu-memory", min=1, help="Memory of each, GB.")] = 80.0,
) -> None:
    """Write a recipe like a shipped one, with your base. Data paths are yours to fill in; `posttrain check` says what
    is left."""
    from posttrain.plan.propose import new_fitting_recipe
    from posttrain.recipe.new import new_recipe

    if gpus is None:
        new_recipe(base=base, revision=revision, like=like, name=name, out=out)
    else:
        layout = new_fitting_recipe(
            base=base, revision=revision, like=like, name=name, out=out, gpus=gpus, gpu_memory_gb=gpu_memory
        )
        print(f"fits {gpus} GPUs of {gpu_memory:g} GB: {layout.said()}")
    print(f"wrote {out}; next: edit its data paths, then posttrain check {out}")


# ---------------------------------------------------------------- printing


def _plan_json(plan: Plan, rows: list[StepStatus], estimates: dict[str, Estimate], verdict: Verdict) -> dict[str, Any]:
    """Ids are null where they hang on something that is not here yet."""
    import dataclasses

    unsettled = plan.unsettled()
    steps = [
        {
            "name": row.step.name,
            "kind": row.step.kind,
            "id": None if row.step.name in unsettled else row.step.id,
            "inputs": dict(row.step.inputs),
            "state": row.state,
            "why": row.why,
            "drift": list(row.drift),
            "estimate": dataclasses.asdict(estimates[row.step.name]),
            "tokens": estimates[row.step.name].tokens,
            **_rounded(dataclasses.asdict(verdict.needs[row.step.name])),
        }
        for row in rows
    ]
    return {
        "recipe": plan.recipe.name,
        "smoke": plan.smoke,
        "fits": verdict.fits,
        "misfits": [
            {"key": ".".join(map(str, one.key)), "what": one.what, "remedy": one.remedy} for one in verdict.misfits
        ],
        "absent": list(plan.absent),
        "assumed": assumptions(),
        "steps": steps,
    }


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    return round(value, 4) if isinstance(value, float) and value < 1e6 else value


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
        asked = estimates[row.step.name].asked
        if asked is not None:
            print(f"{row.step.name}: {asked.said()}")
        for said in estimates[row.step.name].mixed:
            print(f"{row.step.name}.{said}")
        for change in row.drift:
            print(f"warning: {row.step.name} was made with other versions: {change}")
    cached = sum(row.state == "cached" for row in rows)
    print(f"{plan.recipe.name}: {len(rows)} steps, {cached} cached, {len(rows) - cached} to run")


def _print_hardware(plan: Plan, estimates: dict[str, Estimate], verdict: Verdict) -> None:
    """Which steps ask what of GPUs; nothing where none does."""
    parts = ("weights", "gradients", "optimizer", "activations", "logits", "engine", "total")
    table = [["step", "GPUs", *parts, "host", "FLOPs", "GPU-hours <="]]
    notes = []
    for name, need in verdict.needs.items():
        if not need.gpus:
            continue
        memory = [_gb(getattr(need.gpu_memory_gb, part)) for part in parts]
        flops = "-" if need.flops is None else f"{need.flops:.1e}"
        hours = "-" if need.gpu_hours is None else f"{need.gpu_hours:,.1f}"
        table.append([name, f"{need.gpus:g}", *memory, _gb(need.host_memory_gb), flops, hours])
        notes += [f"{name}: {'; '.join(need.notes)}"] if need.notes else []
    if plan.absent:
        print(f"not here yet: {', '.join(plan.absent)}")
    if len(table) == 1:
        return
    print("\nGB on the fullest GPU, each part at its own peak; total is the peak over phases")
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
    for line in table:
        print("  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip())
    print("\n".join(notes))
    print("; ".join(f"{key}: {value}" for key, value in assumptions().items()))
    if verdict.fits is None:
        print("whether it fits is not known: state hardware.gpu_memory_gb, and the shape of models that are not here")


def assumptions() -> dict[str, str]:
    """What the figures of `plan` rest on, in words."""
    from posttrain.plan import compute, hardware, memory

    return {
        "GPU": f"H100 SXM, {compute.PEAK_FLOPS / 1e12:g} TFLOP/s in bf16, {compute.PEAK_BYTES / 1e12:g} TB/s",
        "MFU": f"{compute.MFU:g} in training",
        "MBU": f"{compute.MBU:g} in generation",
        "length": f"every row and answer as long as its max_tokens, prompts of {memory.PROMPT_TOKENS} tokens",
        "kept free": f"{hardware.RESERVED_GB:g} GB of each GPU",
    }


def _gb(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


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

"""From what the command line gives to a plan: the one entry that `plan`, `check` and `run` share, so that all three see
the same steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from posttrain.errors import InputError, RecipeError
from posttrain.plan.estimate import estimate
from posttrain.plan.hardware import look
from posttrain.plan.steps import Plan, build_plan, recorded_steps
from posttrain.recipe import load_recipe
from posttrain.recipe.load import Loaded
from posttrain.recipe.shipped import find_recipe
from posttrain.records.step import Step
from posttrain.store.artefacts import Store


def prepare(
    recipe: str,
    store: Store,
    *,
    overrides: Sequence[str] = (),
    until: str | None = None,
    starts: Sequence[str] = (),
    smoke_run: bool = False,
    remember: bool = False,
) -> tuple[Loaded, Plan]:
    """Load, check and plan a recipe by path or shipped name. `starts` are "STAGE=FOLDER". `remember` keeps new file
    digests in the store.

    Raises RecipeError (also where it cannot fit its `hardware`), DataError, CheckpointError (all exit 2); InputError
    for a file that the system does not let us read.
    """
    with _unreadable(recipe):
        loaded = load_recipe(find_recipe(recipe), overrides)
        plan = build_plan(loaded, store.digests, until=until, starts=parse_starts(starts), smoke_run=smoke_run)
        if plan.recipe.hardware is not None:
            look(plan, estimate(plan)).refuse(loaded.source)
    if remember:
        store.digests.save()
    return loaded, plan


def plan_ahead(
    recipe: str,
    store: Store,
    *,
    overrides: Sequence[str] = (),
    until: str | None = None,
    starts: Sequence[str] = (),
    smoke_run: bool = False,
) -> tuple[Loaded, Plan]:
    """The same for looking only: local data, and models whose `shape` is stated, need not be here yet (Plan.absent),
    and whether the plan fits is for the caller to ask."""
    with _unreadable(recipe):
        loaded = load_recipe(find_recipe(recipe), overrides)
        parsed = parse_starts(starts)
        plan = build_plan(loaded, store.digests, until=until, starts=parsed, smoke_run=smoke_run, may_lack=True)
    return loaded, plan


@contextmanager
def _unreadable(recipe: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:  # no right to read it, a name too long, a link to nowhere inside a model folder
        what, place = error.strerror or str(error), str(error.filename or recipe)
        raise InputError(f"cannot be read: {what}", where=place, remedy="name one that can be read") from error


def parse_starts(starts: Sequence[str]) -> Mapping[str, Path]:
    """["stem=runs/a/stages/general"] -> {"stem": Path(...)}. Raises RecipeError."""
    parsed: dict[str, Path] = {}
    for start in starts:
        stage, equals, folder = start.partition("=")
        if not equals or not stage or not folder:
            raise RecipeError(
                f"{start!r} is not STAGE=CHECKPOINT",
                where="--from",
                remedy="such as --from stem=runs/demo/stages/general",
            )
        if stage in parsed:
            raise RecipeError(f"stage '{stage}' is given twice", where="--from", remedy="give one checkpoint a stage")
        parsed[stage] = Path(folder)
    return parsed


def previous_steps(run_dir: Path) -> tuple[Step, ...]:
    """Steps that a run folder recorded last; none for a new folder. Raises RunFolderError."""
    path = run_dir / "plan.json"
    return recorded_steps(path.read_bytes(), str(path)) if path.is_file() else ()

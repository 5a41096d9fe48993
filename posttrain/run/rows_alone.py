"""A stage that makes rows, on a file and outside a run: `posttrain data verify FILE --config PART.yaml --out FOLDER`.

PART.yaml holds the stage's keys, and beside them `verifiers`, `chat`, `engine`, `cluster`, `sandbox` and `seed` as a
recipe would. FOLDER/work keeps every reply: the same command goes on after a kill, and one with another PART.yaml asks
only what is new. Rules are judged in this process.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from posttrain.errors import InputError, RecipeError
from posttrain.factory.asking import ask_key
from posttrain.plan.identity import data_stage_params
from posttrain.plan.seating import gpus_of
from posttrain.recipe.checks import check_references
from posttrain.recipe.files import check_model_folder, prompt_files
from posttrain.recipe.load import Loaded, validate
from posttrain.recipe.location import Source
from posttrain.recipe.paths import full_path
from posttrain.recipe.schema import AskingStage, Recipe
from posttrain.recipe.yaml_core import read_file
from posttrain.records.step import Step, derive_seed
from posttrain.run.driver import LazyMachine
from posttrain.run.one_checkpoint import find_model
from posttrain.signals.stopping import StopRequest
from posttrain.stages import STAGES
from posttrain.stages.protocol import StepContext
from posttrain.stages.rows import make_rows
from posttrain.store.digests import Digests, file_sha256
from posttrain.store.lock import acquire
from posttrain.store.reference import write_reference
from posttrain.telemetry import Display

SHARED = ("verifiers", "chat", "engine", "cluster", "sandbox", "seed")
ROWS = "rows"


def load_part(kind: str, part: Path, rows: Path, card: Path | None) -> Loaded:
    """A recipe of this one stage, from its part of one. Raises RecipeError with the part's lines, DataError."""
    document = read_file(part)
    if not isinstance(document.data, dict):
        raise RecipeError(f"it holds no keys of a {kind} stage", where=str(part), remedy="see docs/factory.md")
    ours = {key: value for key, value in document.data.items() if key in SHARED}
    own = {key: value for key, value in document.data.items() if key not in SHARED}
    for key in ("kind", "name", "data"):
        if key in own:
            remedy = "leave it out: the command says which stage it is, and on which rows"
            raise RecipeError(f"'{key}' is not a key here", where=str(part), remedy=remedy)
    data = {
        "schema": 1,
        "name": f"data-{kind}",
        "base": {"path": "toy"},
        **ours,
        "data": {ROWS: {"source": "file", "path": str(rows.absolute()), "card": str((card or Path("-")).absolute())}},
        "stages": [{"kind": kind, "name": kind, "data": ROWS, **own}],
        "evaluate": {"after": "never"},
    }
    lines = {
        (key if key[:1] and key[0] in SHARED else ("stages", 0, *key)): line for key, line in document.lines.items()
    }
    source = Source(file=str(part), data=data, lines=lines)
    loaded = Loaded(recipe=validate(source), recipe_dir=part.parent.absolute(), source=source)
    check_references(loaded)
    return loaded


def make_rows_of_file(
    kind: str, rows: Path, *, part: Path, out: Path, card: Path | None, display: Display
) -> Mapping[str, Any]:
    """Publish the stage's files in `out`; returns its figures. Raises Stopped, StageError and InputErrors as a run."""
    loaded = load_part(kind, part, rows, card)
    recipe, stage = loaded.recipe, loaded.recipe.stages[0]
    assert isinstance(stage, AskingStage), "only stages that ask models are made this way"
    if not rows.is_file():
        raise InputError(f"no file '{rows}'", where=str(rows), remedy="give a file of rows")
    for name, path in prompt_files(stage, loaded.recipe_dir).items():
        if not path.is_file():
            loaded.source.fail(("stages", 0, "prompts", name), f"no file {path}", "paths are relative to the part")
    work = out / "work"
    work.mkdir(parents=True, exist_ok=True)
    held = acquire(work / "lock", what=f"folder {out}")
    try:
        with StopRequest(work / "stop") as stop:
            asked = {f"data-{role}" for role, model in stage.models.items() if model.endpoint is None}
            machine = LazyMachine(recipe, work, seats=math.ceil(gpus_of(recipe, asked)))
            scorer = _OwnScorer(recipe)
            try:
                ctx = _context(loaded, stage, work, machine=machine, stop=stop, display=display)
                metrics = make_rows(ctx, scorer=scorer.open, has_card=card is not None)
            finally:
                machine.close()
                scorer.close()
        for file in sorted(ctx.output.iterdir()):
            os.replace(file, out / file.name)
        return metrics
    finally:
        held.release()


class _OwnScorer:
    """The verifiers of a recipe in this process, opened with the first answer to judge."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self._scorer: Any = None

    def open(self) -> Any:
        if self._scorer is None:
            from posttrain.machine.scorer import Scorer

            recipe = self._recipe
            specs = {name: spec.model_dump() for name, spec in recipe.verifiers.items()}
            self._scorer = Scorer(specs, recipe.sandbox.model_dump(), recipe.chat.think)
        return self._scorer

    def close(self) -> None:
        if self._scorer is not None:
            self._scorer.close()


def _context(
    loaded: Loaded, stage: AskingStage, work: Path, *, machine: LazyMachine, stop: StopRequest, display: Display
) -> StepContext:
    """What a run would give the stage. Its id is of all but the rows, whose content counts row by row."""
    recipe = loaded.recipe
    inputs, digests = _models(loaded, stage, work)
    prompts = {name: file_sha256(path) for name, path in prompt_files(stage, loaded.recipe_dir).items()}
    version = STAGES[stage.kind].VERSION
    whole = (stage.kind, version, data_stage_params(recipe, stage), prompts, digests)
    output = work / "output"
    output.mkdir(exist_ok=True)
    for file in output.iterdir():  # of a try that was killed while it wrote them
        file.unlink()
    return StepContext(
        step=Step(name=stage.name, kind=stage.kind, version=version, params={}, stage=stage.name, id=ask_key(*whole)),
        recipe=recipe,
        recipe_dir=loaded.recipe_dir,
        inputs=inputs,
        input_steps={},
        output=output,
        attempt=work,
        previous=(),
        seed=derive_seed(recipe.seed, stage.name),
        machine=machine,  # type: ignore[arg-type]
        smoke=False,
        progress=display.progress,
        check_stop=stop.check,
        stop_file=stop.stop_file,
    )


def _models(loaded: Loaded, stage: AskingStage, work: Path) -> tuple[dict[str, Path], dict[str, str]]:
    """(role -> a reference to the folder of its checkpoint, named by the digest of its content; role -> digest)."""
    inputs: dict[str, Path] = {}
    found: dict[str, str] = {}
    digests = Digests(work / "digests.json")
    for role, model in stage.models.items():
        key = ("stages", 0, "models", role)
        if model.stage is not None:
            loaded.source.fail((*key, "stage"), "outside a run there is no stage", "give its folder as path")
        if model.path is None:
            continue
        if model.path == "toy" or model.revision is not None:
            loaded.source.fail((*key, "path"), f"'{model.path}' is no folder", "give a local folder")
        folder = find_model(full_path(model.path, loaded.recipe_dir).absolute())
        check_model_folder(
            folder, loaded.source.where((*key, "path")), has_template=loaded.recipe.chat.template is not None
        )
        found[role] = digests.of(folder)
        published = work / "models" / found[role].removeprefix("sha256:")[:20]
        published.mkdir(parents=True, exist_ok=True)
        write_reference(published, folder, digest=found[role])
        inputs[f"model.{role}"] = published
    digests.save()
    return inputs, found

"""What `posttrain data show` and `stats` are pointed at: a file, a recipe or a run, whole or a stage or data set of it.

    rows.jsonl                        a file of any format that recipes read
    recipes/x.yaml[:STAGE_OR_DATA]    data sets as a recipe names them
    runs/x[:STAGE_OR_DATA]            those, the pairs that a stage of the run published among them

Knows which loader reads what; nothing of how rows are shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from posttrain.data.source import Rows, load_conversations, load_pairs, load_prompts
from posttrain.data.source_rows import load_asked_rows, load_source_rows, plain
from posttrain.data.survey import readers
from posttrain.errors import DataError, InputError
from posttrain.recipe.location import near
from posttrain.recipe.resolve import data_of, is_made_by_data_stage, maker_of
from posttrain.recipe.schema import Data, FileData, HubData, Recipe, StageData
from posttrain.stages.data_at_hand import made_rows

Kind = Literal["conversations", "prompts", "pairs"]
LOADERS: dict[Kind, Callable[..., Rows[Any]]] = {
    "pairs": load_pairs,
    "conversations": load_conversations,
    "prompts": load_prompts,
}
_TRIED = 50


@dataclass(frozen=True, kw_only=True, slots=True)
class DataTarget:
    """One data set and how to read it. Faulty rows are counted, never an error."""

    name: str
    spec: Data
    folder: Path  # which paths are relative to
    load: Callable[..., Rows[Any]]
    stage_folders: Mapping[str, Path]

    def rows(self, limit: int | None = None) -> Rows[Any]:
        """Its rows, at most `limit` where it is a file. Raises DataError: it cannot be read, or no row can be used."""
        spec = _tolerant(self.spec, limit)
        sources = (load_source_rows, load_asked_rows)
        further = () if self.load in (load_prompts, *sources) else (self.stage_folders,)
        rows: Rows[Any] = self.load(self.name, spec, self.folder, *further)
        return replace(rows, items=tuple(map(plain, rows.items))) if self.load in sources else rows


def find_targets(target: str, kind: Kind | None = None) -> list[DataTarget]:
    """The data sets that a target names. kind: how to read a file; None: as its first rows can be read.

    Raises InputError: nothing of that name is there; RecipeError, DataError.
    """
    path = Path(target)
    if path.exists() and path.suffix != ".yaml" and not (path / "recipe.json").is_file():
        return [_file(path, kind)]
    base, _, part = target.rpartition(":") if ":" in target and not path.exists() else (target, "", "")
    if not Path(base).exists() and not base.endswith(".yaml"):
        raise InputError(
            f"nothing is at {base!r}",
            remedy="give a file of rows, a recipe (recipes/x.yaml) or a run folder, the last two with :STAGE or :DATA",
        )
    recipe, folder, published = _recipe_of(Path(base))
    return _of_recipe(recipe, folder, part, published)


def template_for(target: str, recipe: Path | None, base: Path | None) -> Any:
    """The chat template of a recipe (or of the target's) with the tokenizer of its base. base: another model folder.

    Raises InputError where no recipe says how to chat, or the base is not on this machine yet.
    """
    from posttrain.data.template import ChatTemplate
    from posttrain.recipe.schema import Chat

    path = Path(target if Path(target).exists() else target.rpartition(":")[0])
    own = path.suffix == ".yaml" or (path / "recipe.json").is_file()
    if recipe is None and not own:
        if base is None:
            raise InputError("tokens need to know the template", remedy="give --recipe RECIPE or --base MODEL_FOLDER")
        return ChatTemplate.load(base, Chat.model_validate({}), Path.cwd())
    found, folder, stages = _recipe_of(recipe or path)
    return ChatTemplate.load(base or _base_folder(found, folder, stages), found.chat, folder)


def _base_folder(recipe: Recipe, folder: Path, stages: Path | None) -> Path:
    from posttrain.recipe.paths import full_path
    from posttrain.store.reference import model_dir

    if stages is not None and (stages / "base").exists():
        return model_dir(stages / "base")
    local = full_path(recipe.base.path, folder)
    if not local.is_dir():
        raise InputError(
            f"the base '{recipe.base.path}' is not a folder on this machine",
            where="base.path",
            remedy="give --base MODEL_FOLDER, whose tokenizer is used, or a run folder as the target",
        )
    return local


def _file(path: Path, kind: Kind | None) -> DataTarget:
    # Neither loader reads the card; a recipe would.
    spec = FileData.model_validate({"source": "file", "path": str(path.absolute()), "card": ""})
    target = {
        name: DataTarget(name=path.name, spec=spec, folder=Path.cwd(), load=load, stage_folders={})
        for name, load in LOADERS.items()
    }
    if kind is not None:
        return target[kind]
    found: dict[Kind, int] = {}
    reasons: dict[Kind, DataError] = {}
    for name, one in target.items():
        try:
            found[name] = len(one.rows(_TRIED).items)
        except DataError as error:
            reasons[name] = error
    if not found:
        errors = reasons.values()
        if len({error.what for error in errors}) == 1:
            raise next(iter(errors))
        words = "; ".join(f"as {name}: {error.what.rpartition('row 1: ')[2]}" for name, error in reasons.items())
        raise DataError(
            f"no reading fits its rows. {words}",
            where=str(path),
            remedy="; ".join(dict.fromkeys(error.remedy for error in errors if error.remedy)),
        )
    return target[max(found, key=lambda name: found[name])]


def _tolerant(spec: Data, limit: int | None) -> Data:
    if not isinstance(spec, FileData | HubData):
        return spec
    least = min((number for number in (limit, spec.limit) if number is not None), default=None)
    return spec.model_copy(update={"max_faulty_share": 1.0, "limit": least})


def _recipe_of(path: Path) -> tuple[Recipe, Path, Path | None]:
    """(recipe, folder that its paths are relative to, the run's stages/ where it is a run)."""
    from posttrain.recipe import load_recipe
    from posttrain.recipe.load import load_resolved
    from posttrain.recipe.shipped import find_recipe
    from posttrain.records.run_files import RECIPE, read_facts

    facts = read_facts(path) if path.is_dir() else None
    if facts is not None:
        recipe = load_resolved((path / RECIPE).read_text(encoding="utf-8"))
        return recipe, Path(facts.recipe_dir), path / "stages"
    loaded = load_recipe(find_recipe(str(path)))
    return loaded.recipe, loaded.recipe_dir, None


def _of_recipe(recipe: Recipe, folder: Path, part: str, published: Path | None) -> list[DataTarget]:
    stages = {stage.name: stage for stage in recipe.stages}
    if part in recipe.data:
        names = [part]
    elif part in stages:
        names = list(data_of(stages[part]))
    elif part:
        raise InputError(
            f"no stage or data set '{part}'", where=str(folder), remedy=near(part, [*stages, *recipe.data])
        )
    else:
        names = list(recipe.data)
    loaders: dict[str, Callable[..., Rows[Any]]] = {
        name: load_source_rows if is_made_by_data_stage(recipe, name) else load_prompts for name in names
    }
    loaders |= readers(recipe, set(stages))
    folders = {
        name: published / maker
        for name, spec in recipe.data.items()
        if isinstance(spec, StageData)
        and published is not None
        and (published / (maker := maker_of(recipe, spec))).is_dir()
    }
    specs: dict[str, Data] = {
        name: made_rows(folders[name], spec) if name in folders and is_made_by_data_stage(recipe, name) else spec
        for name, spec in recipe.data.items()
    }
    found = [
        DataTarget(name=name, spec=specs[name], folder=folder, load=loaders[name], stage_folders=folders)
        for name in names
        if not isinstance(recipe.data[name], StageData) or name in folders or part
    ]
    return [*found, *_published_pairs(part, folder, published)]


def _published_pairs(stage: str, folder: Path, published: Path | None) -> list[DataTarget]:
    """The pairs that a dpd stage of the run was trained on, where they are made already."""
    name = f"{stage}.pairs"
    if published is None or not (published / name).is_dir():
        return []
    spec = StageData(source="stage", stage=stage, part="pairs")
    return [DataTarget(name=name, spec=spec, folder=folder, load=load_pairs, stage_folders={name: published / name})]

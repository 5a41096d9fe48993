"""What a recipe names on disk: data, cards, chat template, base and teacher folders. Found, checked and digested,
relative to the recipe.

Reads sizes, small JSON files, card headers and remembered digests; hashes a file whose digest is not remembered.
Downloads nothing.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from posttrain.errors import CheckpointError, DataError, InputError
from posttrain.recipe.cards import card_path, read_card
from posttrain.recipe.load import Loaded
from posttrain.recipe.location import near
from posttrain.recipe.paths import data_files, full_path
from posttrain.recipe.resolve import PROMPTS, models_of, plugin_modules
from posttrain.recipe.schema import AskingStage, Data, FileData, HubData, ModelRef
from posttrain.recipe.yaml_core import Key
from posttrain.store.digests import Digests

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
TEMPLATES = Path(__file__).parent.parent / "data" / "templates"
SHIPPED_PROMPTS = Path(__file__).parent.parent / "factory" / "prompts"
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json")
SHOWN_ABSENT = 6
_NEEDED_REMEDY = "save the base with model.save_pretrained and tokenizer.save_pretrained"


@dataclass(frozen=True, kw_only=True, slots=True)
class Files:
    """Everything found, by role: "base", "distil.teacher", "data.general", "card.general", "chat.template",
    "code.my_rules" (the module of a verifier of the user's own).

    Example: Files(paths={"data.general": Path("/r/general.jsonl")}, digests={"data.general": "sha256:.."})
    """

    paths: dict[str, Path]
    digests: dict[str, str]
    absent: list[str] = field(default_factory=list)  # roles of what is not here yet, where that was allowed


ABSENT = "absent"
"""Stands for the digest of what is not here yet. No file has it, so nothing made from it is ever found in a store."""


def find_files(loaded: Loaded, digests: Digests, *, may_lack: bool = False) -> Files:
    """Check and digest all that the recipe names. Raises RecipeError, DataError, CheckpointError (exit 2) with the
    recipe's line.

    The first fault is the error; its remedy lists the other paths that lead nowhere, so that a new recipe is filled in
    at one go. may_lack: local data, cards and models with a `shape` may be missing; what is there is checked as ever.
    """
    try:
        return _find_files(loaded, digests, may_lack)
    except InputError as error:
        others = [key for key in _keys_that_lead_nowhere(loaded) if not str(error.where).endswith(f": {key}")]
        if others:
            more = f" and {len(others) - SHOWN_ABSENT} more" if len(others) > SHOWN_ABSENT else ""
            error.remedy = f"{error.remedy}. Not there either: {', '.join(others[:SHOWN_ABSENT])}{more}"
        raise


def _keys_that_lead_nowhere(loaded: Loaded) -> list[str]:
    """Keys of local paths, of models, data and cards, that lead nowhere; hub ids with a revision aside."""
    named = {
        ".".join([*_shown_key(loaded, key), "path"]): model.path
        for _, key, model in models_of(loaded.recipe)
        if model.path != "toy" and not model.revision
    }
    for name, spec in loaded.recipe.data.items():
        if isinstance(spec, FileData) or (isinstance(spec, HubData) and not spec.revision):
            named[f"data.{name}.path"] = spec.path
        if isinstance(spec, FileData | HubData):
            named[f"data.{name}.card"] = spec.card
    return [
        key
        for key, path in named.items()
        if not full_path(path, loaded.recipe_dir).exists() and not data_files(path, loaded.recipe_dir)
    ]


def _shown_key(loaded: Loaded, key: Key) -> list[str]:
    """A key as messages show it: a stage by its name."""
    names = [stage.name for stage in loaded.recipe.stages]
    return [names[part] if isinstance(part, int) else str(part) for part in key]


def _find_files(loaded: Loaded, digests: Digests, may_lack: bool) -> Files:
    found = Files(paths={}, digests={})
    _find_template(loaded, digests, found)
    _find_prompts(loaded, digests, found)
    for step, key, model in models_of(loaded.recipe):
        if may_lack and model.shape is not None and _is_absent(model.path, model.revision, loaded):
            _lack(found, step)
            continue
        if may_lack and (config := _config_alone(model, loaded)) is not None:
            _lack(found, step)
            found.paths[step] = config
            continue
        folder = _model_folder(model, key, loaded)
        if folder is not None:
            check_model_folder(
                folder, loaded.source.where((*key, "path")), has_template=loaded.recipe.chat.template is not None
            )
            _add(found, digests, step, folder)
    for name, spec in loaded.recipe.data.items():
        if isinstance(spec, FileData | HubData):
            revision = spec.revision if isinstance(spec, HubData) else None
            if may_lack and _is_absent(spec.path, revision, loaded):
                _lack(found, f"data.{name}")
            else:
                _find_data(name, spec, loaded, digests, found)
        card = card_path(spec, loaded.recipe_dir)
        if may_lack and card is not None and not card.exists() and not card.is_symlink():
            _lack(found, f"card.{name}")
        else:
            _find_card(name, spec, loaded, digests, found)
    for verifier in loaded.recipe.verifiers.values():
        for module in plugin_modules(verifier.model_dump(mode="json")):
            _find_code(module, digests, found)
    return found


def is_hub_id(path: str) -> bool:
    """Whether a path has the shape owner/name of the hub."""
    return HUB_ID.fullmatch(path) is not None


def check_model_folder(folder: Path, where: str, *, has_template: bool) -> None:
    """Config, weights as safetensors, a tokenizer and (unless the recipe brings one) a chat template. Raises
    CheckpointError."""
    if not (folder / "config.json").is_file():
        raise CheckpointError(
            f"no config.json in {folder}", where=where, remedy=f"{_NEEDED_REMEDY}, and name that folder"
        )
    _json_object(folder / "config.json", where)
    if not any(folder.glob("*.safetensors")):
        other = next((path.name for path in sorted(folder.glob("*.bin"))), None)
        what = (
            f"weights of {folder} are pickled ({other}), which can run code"
            if other
            else f"no *.safetensors in {folder}"
        )
        raise CheckpointError(what, where=where, remedy=_NEEDED_REMEDY)
    for index in sorted(folder.glob("*.safetensors.index.json")):
        shards = _json_object(index, where).get("weight_map")
        missing = (
            sorted({str(name) for name in shards.values() if not (folder / str(name)).is_file()})
            if isinstance(shards, dict)
            else []
        )
        if missing:
            raise CheckpointError(
                f"{index} names {missing[0]}, which is not there", where=where, remedy="copy or download all of it"
            )
    for path in sorted(folder.glob("*.safetensors")):
        if not _is_whole(path):
            raise CheckpointError(
                f"{path} is torn: its header does not fit its size", where=where, remedy="copy or download it again"
            )
    if not any((folder / name).is_file() for name in _TOKENIZER_FILES):
        raise CheckpointError(f"no tokenizer in {folder}", where=where, remedy=_NEEDED_REMEDY)
    if not has_template and not has_chat_template(folder, where):
        raise CheckpointError(
            f"the tokenizer in {folder} has no chat template",
            where=where,
            remedy="set chat.template: a preset such as chatml_think, or a Jinja file",
        )


def _is_whole(path: Path) -> bool:
    """Whether the size of a safetensors file is what its header says: 8 bytes of length, a JSON header, the tensors end
    to end."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > path.stat().st_size:
            return False
        try:
            header = json.loads(file.read(length))
            end = max((row["data_offsets"][1] for name, row in header.items() if name != "__metadata__"), default=0)
        except (ValueError, TypeError, KeyError, AttributeError, IndexError):
            return False
    return bool(8 + length + end == path.stat().st_size)


def has_chat_template(folder: Path, where: str) -> bool:
    """Whether a checkpoint brings its own chat template."""
    if (folder / "chat_template.jinja").is_file() or (folder / "chat_template.json").is_file():
        return True
    config = folder / "tokenizer_config.json"
    return config.is_file() and bool(_json_object(config, where).get("chat_template"))


def template_file(template: str, recipe_dir: Path) -> Path | None:
    """The Jinja file a recipe means by chat.template: a shipped preset, else a file beside the recipe; None when there
    is neither."""
    for path in (TEMPLATES / f"{template}.jinja", recipe_dir / template):
        if path.is_file():
            return path
    return None


def template_presets() -> list[str]:
    """Names of the shipped chat templates."""
    return sorted(path.stem for path in TEMPLATES.glob("*.jinja"))


# ---------------------------------------------------------------- one kind of file each


def _is_absent(path: str, revision: str | None, loaded: Loaded) -> bool:
    """Whether a local path leads nowhere. A pinned hub id is fetched by the run."""
    whole = full_path(path, loaded.recipe_dir)
    there = path and (whole.exists() or whole.is_symlink() or bool(data_files(path, loaded.recipe_dir)))
    return revision is None and not there


def _config_alone(model: ModelRef, loaded: Loaded) -> Path | None:
    """The folder of a model of which only config.json is here, no weights."""
    folder = full_path(model.path, loaded.recipe_dir).absolute()
    alone = model.path not in ("", "toy") and (folder / "config.json").is_file()
    return folder if alone and not any(folder.glob("*.safetensors")) and not any(folder.glob("*.bin")) else None


def _lack(found: Files, role: str) -> None:
    found.digests[role] = ABSENT
    found.absent.append(role)


def _add(found: Files, digests: Digests, role: str, path: Path) -> None:
    found.paths[role] = path
    found.digests[role] = digests.of(path)


def _find_code(module: str, digests: Digests, found: Files) -> None:
    """The file of a module outside this project. One that is not there is for whoever loads the verifier to report."""
    try:
        spec = None if module.partition(".")[0] in ("posttrain", "rewards", "sandbox") else find_spec(module)
    except (ImportError, ValueError):
        return
    if spec is not None and spec.origin is not None and Path(spec.origin).is_file():
        _add(found, digests, f"code.{module}", Path(spec.origin))


def _find_template(loaded: Loaded, digests: Digests, found: Files) -> None:
    template = loaded.recipe.chat.template
    if template is None:
        return
    path = template_file(template, loaded.recipe_dir)
    if path is None:
        if "/" in template or template.endswith((".jinja", ".j2")):
            loaded.source.fail(
                ("chat", "template"), f"no file {loaded.recipe_dir / template}", "paths are relative to the recipe"
            )
        loaded.source.fail(
            ("chat", "template"),
            f"no preset '{template}' and no such file beside the recipe",
            near(template, template_presets()),
        )
    _add(found, digests, "chat.template", path)


def _find_prompts(loaded: Loaded, digests: Digests, found: Files) -> None:
    """The prompts of data stages, by role: "clean_sums.prompt.judge"."""
    for index, stage in enumerate(loaded.recipe.stages):
        if isinstance(stage, AskingStage):
            for name, path in prompt_files(stage, loaded.recipe_dir).items():
                if not path.is_file():
                    key: Key = ("stages", index, "prompts", name)
                    loaded.source.fail(key, f"no file {path}", "paths are relative to the recipe")
                _add(found, digests, f"{stage.name}.prompt.{name}", path)


def prompt_files(stage: AskingStage, recipe_dir: Path) -> dict[str, Path]:
    """The Jinja file of each prompt that a data stage shows: its own, or the shipped one."""
    return {
        name: full_path(stage.prompts[name], recipe_dir)
        if name in stage.prompts
        else SHIPPED_PROMPTS / f"{stage.kind}_{name}.jinja"
        if (SHIPPED_PROMPTS / f"{stage.kind}_{name}.jinja").is_file()
        else SHIPPED_PROMPTS / f"{name}.jinja"
        for name in PROMPTS[type(stage)]
    }


def _model_folder(model: ModelRef, key: Key, loaded: Loaded) -> Path | None:
    """The local folder of a reference, None for a toy or a pinned hub id."""
    if model.path == "toy":
        return None
    if not model.path:
        loaded.source.fail(
            (*key, "path"), "a shape alone can be planned, not run", "add path: a local folder or a hub id"
        )
    folder = full_path(model.path, loaded.recipe_dir).absolute()
    if folder.is_dir():
        if model.revision is not None:
            loaded.source.fail(
                (*key, "revision"),
                f"{folder} is a local folder, which has no revision",
                "remove it; the content is digested",
            )
        return folder
    if is_hub_id(model.path):
        if model.revision is None:
            what = f"no folder {folder}, and hub id '{model.path}' has no revision"
            loaded.source.fail(
                (*key, "path"), what, "pin it: revision: <40 hex digits>, or give a folder that exists", CheckpointError
            )
        return None
    loaded.source.fail(
        (*key, "path"),
        f"no folder {folder}",
        "give a local folder, a hub id (owner/name) with revision, or toy",
        CheckpointError,
    )


def _find_data(name: str, spec: FileData | HubData, loaded: Loaded, digests: Digests, found: Files) -> None:
    key: Key = ("data", name, "path")
    path = full_path(spec.path, loaded.recipe_dir).absolute()
    if isinstance(spec, HubData):
        if not path.is_dir():
            if not is_hub_id(spec.path):
                loaded.source.fail(
                    key,
                    f"no folder {path}",
                    "give a folder saved by `datasets`, or a hub id (owner/name) with revision",
                    DataError,
                )
            if spec.revision is None:
                loaded.source.fail(
                    key,
                    f"no folder {path}, and hub id '{spec.path}' has no revision",
                    "pin it: revision: <40 hex digits>",
                )
            return
        _add(found, digests, f"data.{name}", path)
        return
    files = data_files(spec.path, loaded.recipe_dir)
    if not files:
        what = f"no file of rows in {path}" if path.is_dir() else f"no file {path}"
        loaded.source.fail(key, what, "paths are relative to the recipe", DataError)
    for file in files:
        if file.stat().st_size == 0:
            loaded.source.fail(key, f"{file} is empty", "give a file with at least one row", DataError)
    found.paths[f"data.{name}"] = path
    found.digests[f"data.{name}"] = digests.of(path) if path.exists() else digests.files(files)


def _find_card(name: str, spec: Data, loaded: Loaded, digests: Digests, found: Files) -> None:
    """The card of a data set, and the digest that it states for the file, if any."""
    path = card_path(spec, loaded.recipe_dir)
    if path is None:
        return
    key: Key = ("data", name, "card")
    try:
        facts = read_card(path)
    except DataError as error:
        loaded.source.fail(
            key, f"{error.what}: {error.where}", error.remedy or "write one from data_cards/TEMPLATE.md", DataError
        )
    _add(found, digests, f"card.{name}", path)
    stated, data = facts.get("digests") or {}, found.paths.get(f"data.{name}")
    if not isinstance(stated, dict):
        loaded.source.fail(
            key, f"'digests' of {path} is not a mapping", "write file name: sha256:<64 hex digits>", DataError
        )
    files = data_files(spec.path, loaded.recipe_dir) if isinstance(spec, FileData) else []
    for file in dict.fromkeys([*files, *([data] if data is not None and data.exists() else [])]):
        wanted = stated.get(file.name)
        if wanted is not None and str(wanted) != (digest := digests.of(file)):
            what = f"{file} has digest {digest}, but its card {path} states {wanted}"
            remedy = "restore the file, or write a new card once the change is understood"
            loaded.source.fail(key, what, remedy, DataError)


def _json_object(path: Path, where: str) -> dict[str, object]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{path} is not JSON: {error}", where=where, remedy="download or save the checkpoint again"
        ) from None
    if not isinstance(value, dict):
        raise CheckpointError(f"{path} holds no object", where=where, remedy="download or save the checkpoint again")
    return value

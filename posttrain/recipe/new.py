"""Write a recipe like a shipped one with another base: comments kept, only `name` and `base` replaced, and what a
caller edits.

Knows nothing of what the other keys mean; plan/propose.py lays a recipe out for GPUs.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from posttrain.errors import InputError, RecipeError
from posttrain.recipe.files import is_hub_id
from posttrain.recipe.load import read_recipe
from posttrain.recipe.paths import full_path
from posttrain.recipe.schema import AskingStage
from posttrain.recipe.shipped import find_recipe


def new_recipe(
    *,
    base: str,
    revision: str | None,
    like: str,
    name: str | None,
    out: Path,
    edit: Callable[[str], str] | None = None,
) -> None:
    """Write `out`, and beside it the files of chat template and prompts that the recipe names, where none are there.
    edit: changes the text after `name` and `base` are set.

    Raises InputError: the file exists, no such shipped recipe, a hub id without revision, or a name the schema refuses.
    """
    if out.exists():
        raise InputError(
            "the file exists", where=str(out), remedy="give another one with --out; nothing is overwritten"
        )
    local = full_path(base, Path.cwd())
    if base != "toy" and not local.is_dir():
        if not is_hub_id(base):
            raise InputError(
                f"no folder '{base}'", where="--base", remedy="give a local folder, a hub id (owner/name), or toy"
            )
        if revision is None:
            raise InputError(
                f"hub id '{base}' needs a revision",
                where="--base",
                remedy="add --revision with the 40 hex digits of a commit",
            )
    path = base if base == "toy" or not local.is_dir() else str(local.absolute())
    source = find_recipe(like)
    text = source.read_text(encoding="utf-8")
    chosen = name or re.sub(r"[^a-z0-9._-]", "-", out.stem.lower())
    text = with_value(text, "name", json.dumps(chosen))
    pinned = f", revision: {revision}" if revision else ""
    if path != "toy" or not re.search(r"(?m)^base: *\{path: toy\b", text):  # its toy is as it was measured with
        text = with_value(text, "base", f"{{path: {json.dumps(path)}{pinned}}}")
    if edit is not None:
        text = edit(text)
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_name(f".{out.name}.tmp")
    try:
        temporary.write_text(text, encoding="utf-8")
        recipe = read_recipe(temporary).recipe
        prompts = [path for stage in recipe.stages if isinstance(stage, AskingStage) for path in stage.prompts.values()]
        for beside in [*([recipe.chat.template] if recipe.chat.template else []), *prompts]:
            if (source.parent / beside).is_file() and not (out.parent / beside).exists():
                (out.parent / beside).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source.parent / beside, out.parent / beside)
        temporary.rename(out)
    except RecipeError as error:
        raise InputError(error.what, where=str(out), remedy=error.remedy) from error
    finally:
        temporary.unlink(missing_ok=True)


def with_value(text: str, key: str, value: str) -> str:
    """A recipe's text with one top-level key's value; following indented lines belong to it. The comment behind the old
    value goes with it. A key that is not there is put behind `base`."""
    line = f"{key}: {value}\n"
    found, count = re.subn(rf"(?m)^{key}:.*\n(?:[ \t]+.*\n)*", lambda _: line, text, count=1)
    return found if count else re.sub(r"(?m)^base:.*\n(?:[ \t]+.*\n)*", lambda base: base[0] + line, text, count=1)

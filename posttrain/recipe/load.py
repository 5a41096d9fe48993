"""A recipe file -> `Recipe`: safe YAML, `--set` overrides, strict validation, and one clear error with file, line and
full key path.

Checks one value at a time; what needs two values is in resolve.py, what needs the disk in files.py.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from posttrain.errors import RecipeError
from posttrain.recipe.location import Source, keys_at, near
from posttrain.recipe.schema import AnyStage, Recipe
from posttrain.recipe.yaml_core import Key, read_file, read_text

STAGE_KINDS = tuple(tag for tag in (get_args(one)[1].tag for one in get_args(get_args(AnyStage)[0])) if tag != "custom")
DATA_SOURCES = ("file", "jsonl", "parquet", "hub", "toy", "reasoning_gym", "stage")
RENAMED_KEYS = {
    "lr": "learning_rate",
    "batch": "batch_size",
    "num_steps": "steps",
    "max_length": "max_tokens",
    "num_generations": "group",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Loaded:
    """A recipe and where it came from. Relative paths of the recipe start at `recipe_dir`.

    Example: Loaded(recipe=Recipe(...), recipe_dir=Path("/home/me/recipes"), source=Source(file="recipes/demo.yaml",
    ...))
    """

    recipe: Recipe
    recipe_dir: Path
    source: Source


def read_recipe(path: Path, overrides: Sequence[str] = ()) -> Loaded:
    """Read and validate one file. `overrides` are "stages.cold_start.learning_rate=1e-5". Raises RecipeError."""
    document = read_file(path)
    source = Source(file=str(path), data=document.data, lines=document.lines)
    if not isinstance(document.data, dict):
        source.fail(
            (), f"a recipe is a mapping of keys, not {_describe(document.data)}", "start from `posttrain recipe new`"
        )
    for override in overrides:
        source = _with_override(source, override)
    return Loaded(recipe=validate(source), recipe_dir=path.parent.absolute(), source=source)


def validate(source: Source) -> Recipe:
    """Plain data -> Recipe. Raises RecipeError for the most telling fault: an unknown key before a missing one, then by
    line."""
    data = source.data
    if "schema" not in data:
        source.fail((), "no key 'schema'", "write `schema: 1` as the first line")
    if data["schema"] != 1 or isinstance(data["schema"], bool):
        source.fail(("schema",), f"schema {data['schema']!r} is not known", "this version reads schema: 1")
    for key in _non_finite_keys(data, ()):
        source.fail(key, "infinities and nan are not values of a recipe", "give a finite number")
    try:
        return Recipe.model_validate_json(json.dumps(data))
    except ValidationError as error:
        key, what, remedy = _most_telling_fault(error.errors(include_url=False), source)
        raise RecipeError(what, where=source.where(key), remedy=remedy) from None


def dump_resolved(recipe: Recipe) -> str:
    """The recipe with every default written out, as JSON that `load_resolved` reads back to an equal object."""
    return json.dumps(recipe.model_dump(mode="json", by_alias=True), indent=2, ensure_ascii=False) + "\n"


def load_resolved(text: str, name: str = "recipe.json") -> Recipe:
    """Inverse of dump_resolved, however the JSON is escaped: YAML reads half of "\\ud83e\\udd14" as a fault. Raises
    RecipeError."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RecipeError(f"not JSON: {error}", where=name, remedy="give the recipe.json of a run folder") from error
    if not isinstance(data, dict):
        raise RecipeError("not a resolved recipe", where=name, remedy="give the recipe.json of a run folder")
    return validate(Source(file=name, data=data))


# ---------------------------------------------------------------- overrides


def _with_override(source: Source, override: str) -> Source:
    """A new source with one value replaced. Every name but the last must exist, or be a known key of the record."""
    path, equals, text = override.partition("=")
    names = path.strip().split(".")
    if not equals or not all(names):
        raise RecipeError(
            "an override is KEY.PATH=VALUE",
            where=f"--set {override}",
            remedy="such as --set stages.cold_start.learning_rate=1e-5",
        )
    value = read_text(text, f"--set {override}").data if text.strip() else None
    data = copy.deepcopy(source.data)
    key: Key = ()
    at: Any = data
    for name in names[:-1]:
        at, key = _child_at(at, key, name, override, Source(file=source.file, data=data))
    last: str | int = names[-1]
    if isinstance(at, list):
        last = _position(at, str(last), key, override)
    elif not isinstance(at, dict):
        raise RecipeError(
            f"'{'.'.join(names[:-1])}' holds {_describe(at)}, not keys",
            where=f"--set {override}",
            remedy="set it whole",
        )
    else:
        known = keys_at(data, key)
        if known is not None and last not in known and not _takes_any_key(key):
            raise RecipeError(f"unknown key '{path}'", where=f"--set {override}", remedy=near(str(last), known))
    at[last] = value
    place = (*key, last)
    lines = {written: line for written, line in source.lines.items() if written[: len(place)] != place}
    return Source(file=source.file, data=data, lines=lines, options={**source.options, place: override})


def _takes_any_key(key: Key) -> bool:
    """True where a record takes keys of its own choosing (a verifier's arguments)."""
    return len(key) >= 2 and key[0] == "verifiers"


def _child_at(at: Any, key: Key, name: str, override: str, source: Source) -> tuple[Any, Key]:
    if isinstance(at, list):
        position = _position(at, name, key, override)
        return at[position], (*key, position)
    if not isinstance(at, dict):
        raise RecipeError(
            f"'{source.dotted(key)}' holds {_describe(at)}, not keys", where=f"--set {override}", remedy="set it whole"
        )
    if not isinstance(at.get(name), dict | list):
        known = keys_at(source.data, key)
        if known is None or name not in known:
            dotted = source.dotted((*key, name))
            raise RecipeError(
                f"unknown key '{dotted}'",
                where=f"--set {override}",
                remedy=near(name, known if known is not None else map(str, at)),
            )
        if at.get(name) is None:
            at[name] = {}
    return at[name], (*key, name)


def _position(items: list[Any], name: str, key: Key, override: str) -> int:
    places = [str(index) for index in range(len(items))]  # not int(name): to int, "²" is a digit and no number
    if name in places:
        return places.index(name)
    known = {
        item["name"]: index
        for index, item in enumerate(items)
        if isinstance(item, dict) and isinstance(item.get("name"), str)
    }
    if name not in known:
        what = "stage" if key == ("stages",) else f"item of {'.'.join(map(str, key))}"
        raise RecipeError(f"no {what} '{name}'", where=f"--set {override}", remedy=near(name, known))
    return known[name]


# ---------------------------------------------------------------- pydantic's words into ours


def _non_finite_keys(value: Any, key: Key) -> list[Key]:
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return [key]
    if isinstance(value, dict):
        return [found for name, inner in value.items() for found in _non_finite_keys(inner, (*key, name))]
    if isinstance(value, list):
        return [found for index, inner in enumerate(value) for found in _non_finite_keys(inner, (*key, index))]
    return []


def _most_telling_fault(errors: list[ErrorDetails], source: Source) -> tuple[Key, str, str]:
    placed = [(_key_of(error, source.data), error) for error in errors]
    # A union reports every alternative; the one that got furthest into the value is the one that was meant.
    placed = [((*key, tag) if (tag := _tag_key(key, error)) else key, error) for key, error in placed]
    deepest = [
        (key, error)
        for key, error in placed
        if not any(other != key and other[: len(key)] == key for other, _ in placed)
    ]
    rank = {"extra_forbidden": 0, "union_tag_invalid": 0, "missing": 2}
    key, error = min(deepest, key=lambda item: (rank.get(item[1]["type"], 1), source.lines.get(item[0], 0)))
    same_place = [other for place, other in deepest if place == key]
    return (key, *_fault_in_words(key, error, same_place, source))


def _key_of(error: ErrorDetails, data: Any) -> Key:
    """pydantic's loc without the labels of union members, which are no keys of the file."""
    place: Key = ()
    value = data
    loc = error["loc"]
    for index, part in enumerate(loc):
        if part == "[key]" or (len(place) == 2 and index == 2 and place[0] in ("stages", "data") and len(loc) > 2):
            continue  # the tag of a stage's kind or a data set's source
        inside = (isinstance(value, dict) and part in value) or (
            isinstance(value, list) and isinstance(part, int) and part < len(value)
        )
        if inside:
            value = value[part]  # type: ignore[index]
            place = (*place, part)
        elif index == len(loc) - 1 and error["type"] in ("missing", "extra_forbidden") and isinstance(value, dict):
            place = (*place, part)
    return place


def _tag_key(key: Key, error: ErrorDetails) -> str | None:
    """Of an unknown kind or source, the key that holds it."""
    tag = "kind" if key[:1] == ("stages",) else "source"
    return (
        tag
        if error["type"] == "union_tag_invalid" and isinstance(error["input"], dict) and tag in error["input"]
        else None
    )


def _value_at(data: Any, key: Key) -> Any:
    for part in key:
        data = data[part]
    return data


def _fault_in_words(key: Key, error: ErrorDetails, alternatives: list[ErrorDetails], source: Source) -> tuple[str, str]:
    """(what, remedy) of one pydantic error."""
    kind, last, context = error["type"], str(key[-1]) if key else "", error.get("ctx", {})
    given = _describe(error["input"])
    if kind == "extra_forbidden":
        known = keys_at(source.data, key[:-1]) or set()
        renamed = RENAMED_KEYS.get(last)
        return f"unknown key '{last}'", f"did you mean '{renamed}'?" if renamed in known else near(last, known)
    if kind == "missing" and isinstance(error["loc"][-1], int):
        wanted = int(error["loc"][-1]) + 1
        return f"{_describe(_value_at(source.data, key))} is too short", f"expected at least {wanted} entries"
    if kind == "missing":
        return f"key '{last}' is missing", "add it; `posttrain recipe schema` describes every key"
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        return _tag_fault_in_words(key, error, source)
    if "[key]" in error["loc"] and kind == "literal_error":
        ours = ", ".join(re.findall(r"'([^']*)'", str(context.get("expected", ""))))
        return f"'{last}' is not a key of ours", f"write our key first, then their column; ours are {ours}"
    if "[key]" in error["loc"]:
        return f"'{last}' is not a name", "names are small letters, digits and _, starting with a letter, at most 64"
    if kind == "literal_error":
        expected = re.findall(r"'([^']*)'", str(context.get("expected", "")))
        remedy = near(str(error["input"]), expected) if expected else str(context.get("expected"))
        return f"{given} is not one of the values", remedy
    if kind == "int_from_float" or (kind == "int_type" and isinstance(error["input"], float)):
        whole = float(error["input"]).is_integer()
        remedy = f"write it as {error['input']:.0f}" if whole else "expected a whole number"
        return f"{given} is not a whole number", remedy
    if len(alternatives) > 1:
        forms = sorted({_expectation(other) for other in alternatives})
        return f"{given} does not fit", f"expected {' or '.join(forms)}"
    return f"{given} does not fit", f"expected {_expectation(error)}"


def _tag_fault_in_words(key: Key, error: ErrorDetails, source: Source) -> tuple[str, str]:
    tag, known = ("kind", STAGE_KINDS) if key[:1] == ("stages",) else ("source", DATA_SOURCES)
    value = error["input"] if isinstance(error["input"], dict) else {}
    if tag not in value:
        return f"key '{tag}' is missing", f"one of: {', '.join(known)}"
    more = " (or module:Class of your own)" if tag == "kind" else ""
    return f"unknown {tag} {value[tag]!r}", near(str(value[tag]), known) + more


_EXPECTED = {
    "int_type": "a whole number",
    "float_type": "a number",
    "string_type": "text",
    "bool_type": "true or false",
    "dict_type": "a mapping of keys",
    "model_type": "a mapping of keys",
    "model_attributes_type": "a mapping of keys",
    "list_type": "a list",
    "tuple_type": "a list",
}


def _expectation(error: ErrorDetails) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind in _EXPECTED:
        return _EXPECTED[kind]
    if kind == "literal_error":
        return str(context["expected"])
    bounds = {
        "greater_than": ("gt", "above"),
        "greater_than_equal": ("ge", "at least"),
        "less_than": ("lt", "below"),
        "less_than_equal": ("le", "at most"),
    }
    if kind in bounds:
        name, word = bounds[kind]
        return f"a number {word} {context[name]}"
    if kind == "string_pattern_mismatch":
        return _PATTERNS.get(str(context["pattern"]), f"text that matches {context['pattern']}")
    if kind in ("too_short", "too_long"):
        return (
            f"at {'least' if kind == 'too_short' else 'most'} "
            f"{context.get('min_length', context.get('max_length'))} entries"
        )
    return error["msg"]


_PATTERNS = {
    r"^[0-9a-f]{40}$": "40 hex digits (a commit of the hub)",
    r"^[a-z][a-z0-9_]{0,63}$": "a name: small letters, digits and _, starting with a letter",
    r"^[a-z0-9][a-z0-9._-]{0,63}$": "small letters, digits, '.', '_' and '-'",
}


def _describe(value: Any) -> str:
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if value is None:
        return "nothing (null)"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."

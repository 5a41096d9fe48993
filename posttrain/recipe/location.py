"""Where a recipe's values were written: file and line, or the command-line option. Turns a place into the `where` of an
error.

Also finds, for any place, the schema keys that are valid there. Knows nothing of YAML or of what the values mean.
"""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, NoReturn

from pydantic import BaseModel

from posttrain.errors import InputError, RecipeError
from posttrain.recipe.schema import Recipe
from posttrain.recipe.yaml_core import Key


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """The origin of plain data. `options` maps a place to the --set that gave it.

    Example: Source(file="demo.yaml", data={...}, lines={("seed",): 3}, options={})
    """

    file: str
    data: Any
    lines: dict[Key, int] = field(default_factory=dict)
    options: dict[Key, str] = field(default_factory=dict)

    def dotted(self, key: Key) -> str:
        """("stages", 0, "learning_rate") -> "stages.cold_start.learning_rate"; stages go by name where they have
        one."""
        text = ""
        value = self.data
        for depth, part in enumerate(key):
            value = _step(value, part)
            if isinstance(part, int):
                name = value.get("name") if isinstance(value, dict) else None
                text += f".{name}" if key[:depth] == ("stages",) and isinstance(name, str) else f"[{part}]"
            else:
                text += f".{part}" if text else part
        return text

    def knows(self, key: Key) -> bool:
        """Whether a value was written at this very place."""
        return key in self.lines or key in self.options

    def where(self, key: Key) -> str:
        """ "demo.yaml:12: stages.cold_start.steps"; the line of the nearest enclosing value that was written."""
        for length in range(len(key), -1, -1):
            if key[:length] in self.options:
                return f"--set {self.options[key[:length]]}: {self.dotted(key)}"
            if key[:length] in self.lines:
                place = f"{self.file}:{self.lines[key[:length]]}"
                return f"{place}: {self.dotted(key)}" if key else place
        return f"{self.file}: {self.dotted(key)}" if key else self.file

    def fail(self, key: Key, what: str, remedy: str, kind: type[InputError] = RecipeError) -> NoReturn:
        """Raise `kind` with this place as its `where`."""
        raise kind(what, where=self.where(key), remedy=remedy)


def near(name: str, known: Iterable[str]) -> str:
    """A remedy: the nearest valid names, or all of them when none is near."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.55)
    if close:
        return f"did you mean {' or '.join(repr(item) for item in close)}?"
    return f"one of: {', '.join(names)}" if names else "none is defined"


def keys_at(data: Any, key: Key) -> set[str] | None:
    """Valid keys of the record at a place, by the schema; None where any name is allowed (a mapping) or no record
    belongs."""
    annotations: list[Any] = [Recipe]
    value = data
    for part in key:
        annotations = [inner for annotation in annotations for inner in _descend(annotation, part, value)]
        value = _step(value, part)
    models = [model for annotation in annotations for model in _models(annotation, value)]
    if not models:
        return None
    return {name for model in models for name in _fields(model)}


def _step(value: Any, part: str | int) -> Any:
    if isinstance(value, dict) and part in value:
        return value[part]
    if isinstance(value, list) and isinstance(part, int) and 0 <= part < len(value):
        return value[part]
    return None


def _fields(model: type[BaseModel]) -> dict[str, Any]:
    return {info.alias or name: info.annotation for name, info in model.model_fields.items()}


def _members(annotation: Any) -> list[Any]:
    """The alternatives of an annotation, without Annotated and None."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return _members(typing.get_args(annotation)[0])
    if origin in (typing.Union, types.UnionType):
        return [inner for member in typing.get_args(annotation) for inner in _members(member)]
    return [] if annotation is type(None) else [annotation]


def _models(annotation: Any, value: Any) -> list[type[BaseModel]]:
    """Records that may stand here: of several, the one whose kind or source the value names."""
    models = [member for member in _members(annotation) if isinstance(member, type) and issubclass(member, BaseModel)]
    if len(models) > 1 and isinstance(value, dict):
        tagged = [model for model in models if _tag_fits(model, value)]
        return tagged or models
    return models


def _tag_fits(model: type[BaseModel], value: dict[str, Any]) -> bool:
    for tag in ("kind", "source"):
        info = model.model_fields.get(tag)
        if info is not None:
            literal = typing.get_args(info.annotation) if typing.get_origin(info.annotation) is Literal else None
            given = value.get(tag)
            return given in literal if literal is not None else isinstance(given, str) and ":" in given
    return False


def _descend(annotation: Any, part: str | int, value: Any) -> list[Any]:
    found = []
    for model in _models(annotation, value):
        fields = _fields(model)
        if part in fields:
            found.append(fields[str(part)])
    for member in _members(annotation):
        origin, arguments = typing.get_origin(member), typing.get_args(member)
        if origin is dict and isinstance(part, str):
            found.append(arguments[1])
        elif origin in (list, tuple) and isinstance(part, int):
            found.append(arguments[0])
    return found

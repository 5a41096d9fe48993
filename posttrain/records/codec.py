"""Records as JSON and back: the one way in which what a run leaves on disk is written and read.

    as_json(record)                    a value that json.dumps takes; fields in the order in which the record has them
    from_json(Scores, value, where)    the record again; an unknown, missing or misshapen key is an error that names it

A field that has its default is left out of the file, so a file without it is read as the default. Knows the types that
records are made of (records, enums, tuples, mappings, optional values and plain ones) and nothing of any particular
record.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import types
import typing
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

from posttrain.errors import RecordError

Record = TypeVar("Record")
# A list of these alone is taken whole, because it may hold the tokens of a long answer.
_PLAIN = frozenset((int, float, str, bool, type(None)))
REMEDY = "it was written by another version of posttrain, or by hand: run the same `posttrain run` command again"


def as_json(value: Any) -> Any:
    """A record, or any value in one, as JSON knows it. A number that is not finite becomes null, because JSON has none;
    what is no JSON value becomes its text: a stage of the user's own is not to lose hours of work over one metric. A
    scalar of numpy or torch is its number.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {name: as_json(item) for name, item in _written(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, Mapping):
        return {str(key): as_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        plain = set(map(type, value)) <= _PLAIN and all(map(math.isfinite, filter(_is_float, value)))
        return list(value) if plain else [as_json(item) for item in value]
    return as_json(value.item()) if getattr(value, "shape", None) == () else str(value)


def from_json(record: type[Record], value: Any, where: str) -> Record:
    """The record that `as_json` made `value` from. `where` names the file in the error. Raises RecordError."""
    return typing.cast("Record", _record(record, value, where, ""))


def read_json(record: type[Record], path: Path) -> Record | None:
    """The record in a file of its own; None where there is no such file. Raises RecordError."""
    try:
        value = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise RecordError(f"cannot be read: {error}", where=str(path), remedy=REMEDY) from error
    return from_json(record, value, str(path))


def _is_float(value: Any) -> bool:
    return isinstance(value, float)


def _written(record: Any) -> Iterator[tuple[str, Any]]:
    """Name and value of each field that does not have its default."""
    for field in dataclasses.fields(record):
        value = getattr(record, field.name)
        if field.default is not dataclasses.MISSING:
            if value == field.default:
                continue
        elif field.default_factory is not dataclasses.MISSING and value == field.default_factory():
            continue
        yield field.name, value


@functools.cache
def _fields(record: type) -> dict[str, tuple[Any, bool]]:
    """Name -> (type, whether a value must be there), of each field of a record."""
    hints = typing.get_type_hints(record)
    return {
        field.name: (
            hints[field.name],
            field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING,
        )
        for field in dataclasses.fields(record)
    }


def _record(record: type, value: Any, where: str, place: str) -> Any:
    if not isinstance(value, Mapping):
        raise _misfit(value, "an object", where, place)
    fields = _fields(record)
    unknown = [str(key) for key in value if key not in fields]
    if unknown:
        raise RecordError(f"unknown key '{_below(place, unknown[0])}'", where=where, remedy=REMEDY)
    missing = [name for name, (_, required) in fields.items() if required and name not in value]
    if missing:
        raise RecordError(f"the key '{_below(place, missing[0])}' is missing", where=where, remedy=REMEDY)
    return record(**{name: _value(fields[name][0], item, where, _below(place, name)) for name, item in value.items()})


def _value(kind: Any, value: Any, where: str, place: str) -> Any:
    if kind is Any:
        return value
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _record(kind, value, where, place)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        inner = [one for one in arguments if one is not type(None)]
        if value is None and len(inner) < len(arguments):
            return None
        if len(inner) == 1:
            return _value(inner[0], value, where, place)
    elif origin is tuple:
        return _tuple(arguments, value, where, place)
    elif origin is not None and issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            raise _misfit(value, "an object", where, place)
        return {str(key): _value(arguments[1], item, where, _below(place, str(key))) for key, item in value.items()}
    elif isinstance(kind, type) and issubclass(kind, Enum):
        try:
            return kind(value)
        except ValueError:
            raise _misfit(value, f"one of {', '.join(str(one.value) for one in kind)}", where, place) from None
    elif kind in (int, float, str, bool) and _fits(kind, value):
        return float(value) if kind is float else value
    raise _misfit(value, getattr(kind, "__name__", str(kind)), where, place)


def _fits(kind: Any, value: Any) -> bool:
    """A whole number is a number, too; true and false are none."""
    return isinstance(value, (int, float) if kind is float else kind) and (kind is bool or not isinstance(value, bool))


def _tuple(arguments: tuple[Any, ...], value: Any, where: str, place: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise _misfit(value, "a list", where, place)
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        if arguments[0] in _PLAIN and set(map(type, value)) <= {arguments[0]}:
            return tuple(value)
        return tuple(_value(arguments[0], item, where, f"{place}[{index}]") for index, item in enumerate(value))
    if len(value) != len(arguments):
        raise _misfit(value, f"a list of {len(arguments)}", where, place)
    return tuple(
        _value(kind, item, where, f"{place}[{index}]")
        for index, (kind, item) in enumerate(zip(arguments, value, strict=True))
    )


def _below(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


def _misfit(value: Any, wanted: str, where: str, place: str) -> RecordError:
    what = f"'{place}' is" if place else "the whole is"
    return RecordError(f"{what} {str(value)[:60]!r}, not {wanted}", where=where, remedy=REMEDY)

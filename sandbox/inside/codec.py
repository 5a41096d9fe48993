"""Python values as tagged canonical JSON, so that a result crosses the wall as data and never as an object.

`pack` looks only at built-in storage (a subclass is reduced to its base by the base's own methods), so a class that
overrides `__eq__`, `__iter__` or `__class__` changes nothing. `unpack` rebuilds built-ins, on the trusted side for
arguments only. Knows nothing of equality: see compare.py, which works on packed trees.

    None, True, 1, 1.5, "a", [..]   as they are      {"t": "dict", "v": [[k, v], ..]}
    {"t": "tuple", "v": [..]}                        {"t": "set", "v": [..]}
    {"t": "bytes", "v": "latin-1"}                   {"t": "complex", "v": [re, im]}
    {"t": "int", "v": "hex"}   beyond 2**53          {"t": "float", "v": "nan"}
    {"t": "fraction", "v": "1/3"}                    {"t": "decimal", "v": "0.10"}
    {"t": "named", "v": [["x"], [1]]}   named tuple  {"t": "opaque", "v": "module.Class"}
    {"t": "deque", "v": [..]}, and so range, iterator, view
    {"t": "moment", "v": ["date", "2020-01-02"]}, and so datetime, time, timedelta
    {"t": "mapping", "v": ["Counter", [[k, v], ..]]}, OrderedDict, defaultdict with the name of what makes its items
    {"t": "array", "v": ["f8", [2], [0.5, 1.0]]} of numpy: kind and size, shape, items

In a split test whatever else there is crosses by number (object_exchange.py): {"t": "held", "v": [0, "module.Class"]},
lent, builtin. Scalars of numpy cross as numbers, and where it is not loaded an array is a list that knows its shape. An
iterator crosses with its first MOST_ITEMS items.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import islice
from typing import Any

MAX_DEPTH = 150
MOST_ITEMS = 2000
LARGEST_PLAIN_INT = 2**53
# Bounded, as the host works with them: a few characters can stand for a number that fills its memory.
FRACTION = re.compile(r"-?\d{1,400}/[1-9]\d{0,399}", re.ASCII)
DECIMAL = re.compile(r"-?\d{1,400}(\.\d{1,400})?(E[+-]\d{1,3})?", re.ASCII)
ARRAY_KIND = re.compile(r"[biufc]\d{1,2}|U\d{1,3}", re.ASCII)
_MAKERS = {"int": int, "float": float, "str": str, "list": list, "dict": dict, "set": set, "tuple": tuple, "bool": bool}
MAPPINGS = ("Counter", "OrderedDict", "defaultdict", *(f"defaultdict {name}" for name in _MAKERS))
_MOMENTS = ("date", "datetime", "time", "timedelta")
_VIEWS = ("dict_keys", "dict_values", "dict_items")


# How what has no plain form crosses all the same, in a process of a split test; see use_objects.
_pack_object: Callable[[Any, str], Any] | None = None
_unpack_object: Callable[[str, Any], Any] | None = None


def use_objects(pack_object: Callable[[Any, str], Any], unpack_object: Callable[[str, Any], Any]) -> None:
    """For this process: `pack_object` gives a packed form to a value that has none, `unpack_object` what such a form
    (tag, body) stands for."""
    global _pack_object, _unpack_object
    _pack_object, _unpack_object = pack_object, unpack_object


class Malformed(Exception):
    """Not a packed value: an unknown tag, a wrong shape, or nested too deep."""


def pack(value: Any, depth: int = 0) -> Any:
    """A packed tree of `value`. What has no plain form (a generator, a class of the program's own) becomes `opaque`."""
    kind = type(value)
    if value is None or kind is bool or kind is str:
        return value
    if depth > MAX_DEPTH:
        return {"t": "opaque", "v": "nested too deep"}
    if issubclass(kind, bool | int):
        number = int.__index__(value)
        return number if -LARGEST_PLAIN_INT <= number <= LARGEST_PLAIN_INT else {"t": "int", "v": format(number, "x")}
    if issubclass(kind, float):
        return _pack_float(float.__float__(value))
    if issubclass(kind, str):
        return str.__str__(value)
    if issubclass(kind, list):
        return [pack(item, depth + 1) for item in list.__iter__(value)]
    if issubclass(kind, tuple):
        if kind is not tuple and are_names(names := _field_names(kind)) and len(names) == tuple.__len__(value):
            return {"t": "named", "v": [names, [pack(item, depth + 1) for item in tuple.__iter__(value)]]}
        return {"t": "tuple", "v": [pack(item, depth + 1) for item in tuple.__iter__(value)]}
    if issubclass(kind, dict):
        pairs = [[pack(key, depth + 1), pack(item, depth + 1)] for key, item in dict.items(value)]
        name = kind is not dict and _mapping_name(value, kind)
        return {"t": "mapping", "v": [name, pairs]} if name else {"t": "dict", "v": pairs}
    if issubclass(kind, set):
        return {"t": "set", "v": _sorted_items([pack(item, depth + 1) for item in set.__iter__(value)])}
    if issubclass(kind, frozenset):
        return {"t": "frozenset", "v": _sorted_items([pack(item, depth + 1) for item in frozenset.__iter__(value)])}
    if issubclass(kind, bytes | bytearray | memoryview):
        return {"t": "bytes", "v": bytes(memoryview(value)).decode("latin-1")}
    if issubclass(kind, complex):
        plain = complex.__complex__(value)
        return {"t": "complex", "v": [_pack_float(plain.real), _pack_float(plain.imag)]}
    return _pack_other(value, kind, depth)


def _pack_other(value: Any, kind: type, depth: int) -> Any:
    """What is not built in, or not of itself a value. A class that only bears such a name chooses its answer, as any
    candidate does."""
    module, name = kind.__module__, kind.__qualname__
    if module == "numpy" and hasattr(value, "tolist"):
        items = pack(value.tolist(), depth + 1)
        # An empty one would be close to anything that it can be stretched to: numpy.allclose(zeros((0, 1)), [1, 2]).
        code = str(value.dtype.str)[1:] if name == "ndarray" and value.size else ""
        return (
            {"t": "array", "v": [code, list(value.shape), items]}
            if ARRAY_KIND.fullmatch(code) and isinstance(items, list)
            else items
        )
    if kind is range:
        return {"t": "range", "v": [pack(part, depth + 1) for part in (value.start, value.stop, value.step)]}
    if (module, name) == ("collections", "deque"):
        return {"t": "deque", "v": [pack(item, depth + 1) for item in value]}
    if module == "builtins" and name in _VIEWS:
        return {"t": "view", "v": [pack(item, depth + 1) for item in value]}
    if (module, name) == ("fractions", "Fraction") and FRACTION.fullmatch(
        text := f"{value.numerator}/{value.denominator}"
    ):
        return {"t": "fraction", "v": text}
    if (module, name) == ("decimal", "Decimal") and DECIMAL.fullmatch(text := str(value)):
        return {"t": "decimal", "v": text}
    if module in ("builtins", "itertools") and isinstance(value, Iterator):
        items = [pack(item, depth + 1) for item in islice(value, MOST_ITEMS + 1)]
        return {"t": "iterator", "v": [*items[:MOST_ITEMS], _CUT] if len(items) > MOST_ITEMS else items}
    if module == "datetime" and name in _MOMENTS and is_moment(found := [name, _moment_text(value)]):
        return {"t": "moment", "v": found}
    name = f"{module}.{name}"[:120]
    return {"t": "opaque", "v": name} if _pack_object is None else _pack_object(value, name)


_CUT = {"t": "opaque", "v": "more items than cross"}


def _mapping_name(value: Any, kind: type) -> str:
    """Empty for a class of the program's own, which crosses as a dict."""
    name = f"{kind.__qualname__}" if kind.__module__ == "collections" else ""
    if name == "defaultdict":
        maker = next((known for known, made in _MAKERS.items() if made is value.default_factory), "")
        name = f"{name} {maker}".rstrip()
    return name if name in MAPPINGS else ""


def _pack_float(value: float) -> Any:
    return value if math.isfinite(value) else {"t": "float", "v": repr(value)}


def _moment_text(value: Any) -> str:
    return (
        str((value.days * 86400 + value.seconds) * 10**6 + value.microseconds)
        if hasattr(value, "days")
        else str(value.isoformat())
    )


def _moment_of(name: str, text: str) -> Any:
    import datetime

    return (
        datetime.timedelta(microseconds=int(text))
        if name == "timedelta"
        else getattr(datetime, name).fromisoformat(text)
    )


def is_moment(body: Any) -> bool:
    """Whether this is the body of a packed date, datetime, time or timedelta."""
    if not (
        isinstance(body, list)
        and len(body) == 2
        and body[0] in _MOMENTS
        and isinstance(body[1], str)
        and len(body[1]) <= 40
    ):
        return False
    try:
        _moment_of(*body)
    except (ValueError, OverflowError):
        return False
    return True


def are_names(names: Any) -> bool:
    """Whether these can be the names of a named tuple."""
    return (
        isinstance(names, list)
        and 0 < len(names) <= 100
        and all(isinstance(name, str) and name.isidentifier() for name in names)
    )


def _field_names(kind: type) -> list[Any]:
    names = getattr(kind, "_fields", None)
    return list(names) if type(names) is tuple else []


@lru_cache(maxsize=100)
def _named_tuple_class(names: tuple[str, ...]) -> Any:
    from collections import namedtuple

    return namedtuple("named", names, rename=True)  # type: ignore[misc]  # the names are known only now


def _sorted_items(items: list[Any]) -> list[Any]:
    return sorted(items, key=lambda item: json.dumps(item, sort_keys=True))


def unpack(tree: Any) -> Any:
    """Built-ins from a packed tree that we made ourselves, or that has passed packed_values.validate. An opaque value
    becomes `Opaque`."""
    if isinstance(tree, list):
        return [unpack(item) for item in tree]
    if not isinstance(tree, dict):
        return tree
    tag, body = tree["t"], tree["v"]
    if tag == "dict":
        return {_hashable(unpack(key)): unpack(item) for key, item in body}
    if tag == "array":
        return _array_of(body[0], body[1], unpack(body[2]))
    if tag in ("tuple", "set", "frozenset"):
        return {"tuple": tuple, "set": set, "frozenset": frozenset}[tag](unpack(item) for item in body)
    if tag == "bytes":
        return body.encode("latin-1")
    if tag == "complex":
        return complex(*(unpack(part) for part in body))
    if tag == "int":
        return int(body, 16)
    if tag == "float":
        return float(body)
    if tag in ("held", "lent", "builtin", "error"):
        return Opaque(tag) if _unpack_object is None else _unpack_object(tag, body)
    return Opaque(body) if tag == "opaque" else _unpack_other(tag, body)


def _unpack_other(tag: str, body: Any) -> Any:
    if tag in ("fraction", "decimal"):
        # here, as few need them and each costs every fork some memory
        from decimal import Decimal
        from fractions import Fraction

        return Fraction(body) if tag == "fraction" else Decimal(body)
    if tag == "moment":
        return _moment_of(*body)
    if tag == "named":
        return _named_tuple_class(tuple(body[0]))(*(unpack(item) for item in body[1]))
    if tag == "mapping":
        return _mapping_of(body[0], {_hashable(unpack(key)): unpack(item) for key, item in body[1]})
    items = [unpack(item) for item in body]
    if tag == "deque":
        from collections import deque

        return deque(items)
    return range(*items) if tag == "range" else iter(items) if tag == "iterator" else items


def _mapping_of(name: str, items: dict[Any, Any]) -> Any:
    import collections

    kind, _, maker = name.partition(" ")
    return (
        collections.defaultdict(_MAKERS.get(maker), items)
        if kind == "defaultdict"
        else getattr(collections, kind)(items)
    )


def _array_of(code: str, shape: list[int], items: list[Any]) -> Any:
    numpy = sys.modules.get("numpy")
    # A program may leave anything under that name, in its own process.
    if numpy is None or not hasattr(numpy, "ndarray"):
        return Array(code, shape, items)
    return numpy.array(items, dtype=code).reshape(shape)


class Array(list[Any]):
    """Stands for an array of numpy where numpy is not loaded."""

    def __init__(self, code: str, shape: list[int], items: list[Any]) -> None:
        super().__init__(items)
        self.shape, self.ndim, self.size = tuple(shape), len(shape), math.prod(shape)
        self._code = code

    def __bool__(self) -> bool:
        """As numpy has it: one value says, several do not."""
        if self.size == 1:
            item: Any = self
            while isinstance(item, list):
                item = item[0]
            return bool(item)
        raise ValueError("the truth value of an array with more than one element is ambiguous")

    def tolist(self) -> list[Any]:
        return list(self)


def _hashable(key: Any) -> Any:
    try:
        hash(key)
    except TypeError as error:
        raise Malformed("a dict key that cannot be hashed") from error
    return key


class Opaque:
    """Stands for a value that has no plain form; equal to nothing, not even to itself."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __eq__(self, other: object) -> bool:
        return False

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        return f"<{self.name}>"

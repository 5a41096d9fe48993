"""Comparison, on the host only: bytes, tokens, tokens with a tolerance, unordered lines, and packed values.

Works on bytes of output and on packed trees (codec.py), so no object of a candidate is ever asked whether it is equal.
Sets and dicts are matched by a text made of each item: a candidate can choose values whose hashes collide, but not such
texts, so none can stall the host. Nothing is lower-cased, tokens are never compared as a set, NaN equals nothing.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections import Counter
from dataclasses import dataclass
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal
from fractions import Fraction
from itertools import count
from typing import Any

_NUMBER = re.compile(rb"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,4})?\Z")
_serial_numbers = count()
_WHOLE = 2**53  # beyond it floats leave whole numbers out, and two different ones would be the same float
_EXACT = Context(prec=60, Emax=MAX_EMAX, Emin=MIN_EMIN)  # rounds a difference, and never to nothing


@dataclass(frozen=True, kw_only=True, slots=True)
class Tolerance:
    """Two finite numbers agree when |a - b| <= abs, or |a - b| <= rel * |expected|. Example: Tolerance(abs=1e-9,
    rel=1e-6)."""

    abs: float = 0.0
    rel: float = 0.0

    def agrees(self, expected: float | Fraction, got: float | Fraction) -> bool:
        if any(isinstance(number, float) and not math.isfinite(number) for number in (expected, got)):
            return expected == got
        if -_WHOLE < expected < _WHOLE and -_WHOLE < got < _WHOLE:
            return abs(float(expected) - float(got)) <= max(self.abs, self.rel * abs(float(expected)))
        wanted = Fraction(expected)
        return abs(wanted - Fraction(got)) <= max(Fraction(self.abs), Fraction(self.rel) * abs(wanted))

    def agrees_in_text(self, expected: bytes, got: bytes) -> bool:
        """Of two numbers as they were printed, however many digits they have."""
        if abs(float(expected)) < _WHOLE and abs(float(got)) < _WHOLE:
            return self.agrees(float(expected), float(got))
        wanted, given = Decimal(expected.decode("ascii")), Decimal(got.decode("ascii"))
        room = max(Decimal(self.abs), _EXACT.multiply(Decimal(self.rel), wanted.copy_abs()))
        return _EXACT.subtract(wanted, given).copy_abs() <= room


@dataclass(frozen=True, kw_only=True, slots=True)
class Equality:
    """How two packed values are compared.

    `json`: the expectation came from JSON, which has no tuples and only text keys, so a tuple equals a list and a
    number key its text; but True is not 1. Otherwise Python's own `==` on plain built-ins: (1, 2) != [1, 2] and True ==
    1.
    """

    json: bool
    tolerance: Tolerance | None = None


# ---------------------------------------------------------------- output


def same_output(expected: bytes, got: bytes, mode: str, tolerance: Tolerance | None) -> bool:
    """`mode`: bytes, tokens, float or unordered_lines. Tokens are split at ASCII white space."""
    if mode == "bytes":
        return expected == got
    if mode == "unordered_lines":
        return Counter(_lines(expected)) == Counter(_lines(got))
    wanted, given = expected.split(), got.split()
    if mode == "tokens" or tolerance is None:
        return wanted == given
    return len(wanted) == len(given) and all(_same_token(a, b, tolerance) for a, b in zip(wanted, given, strict=True))


def _lines(text: bytes) -> list[bytes]:
    return [line.rstrip() for line in text.rstrip().split(b"\n")]


def _same_token(expected: bytes, got: bytes, tolerance: Tolerance) -> bool:
    if _NUMBER.match(expected) and _NUMBER.match(got):
        return expected == got or tolerance.agrees_in_text(expected, got)
    # "nan" is a word like any other here, and words that say "not a number" are never an answer.
    return expected == got and expected.lower().lstrip(b"+-") != b"nan"


# ---------------------------------------------------------------- values


def same_value(expected: Any, got: Any, how: Equality) -> bool:
    """Whether two packed trees are equal. `got` has passed packed_values.validate."""
    a, b = _kind(expected, how), _kind(got, how)
    if {a, b} == {"number", "complex"} and not how.json:  # 1 == 1 + 0j
        return all(
            _same_number(x, y, how)
            for x, y in zip(_real_and_imaginary(expected), _real_and_imaginary(got), strict=True)
        )
    if a != b:
        return False
    if a == "number":
        return _same_number(expected, got, how)
    if a == "sequence" or a == "tuple":
        left, right = _items(expected), _items(got)
        return len(left) == len(right) and all(same_value(x, y, how) for x, y in zip(left, right, strict=True))
    if a == "set":
        return Counter(_key(item, how) for item in expected["v"]) == Counter(_key(item, how) for item in got["v"])
    if a == "dict":
        left_map = {_key(key, how, is_dict_key=True): value for key, value in _pairs(expected)}
        right_map = {_key(key, how, is_dict_key=True): value for key, value in _pairs(got)}
        if len(right_map) < len(_pairs(got)):  # 1 and "1", which are one key in JSON
            return False
        return left_map.keys() == right_map.keys() and all(
            same_value(value, right_map[key], how) for key, value in left_map.items()
        )
    if a == "complex":
        return all(_same_number(x, y, how) for x, y in zip(expected["v"], got["v"], strict=True))
    return a != "opaque" and bool(expected == got)


def truth(tree: Any) -> bool | None:
    """Python's truth of a packed value; None for an opaque one, whose class would have to be asked."""
    if isinstance(tree, dict):
        tag, body = tree["t"], tree["v"]
        if tag in ("opaque", "held", "lent", "error"):
            return None
        if tag == "named":
            return True
        if tag in ("mapping", "array"):
            return len(body[-1]) > 0
        if tag == "complex":
            return any(truth(part) for part in body)
        if tag in ("fraction", "decimal"):
            return _number(tree) != 0
        if tag == "range":
            return bool(range(*(int(_number(part)) for part in body)))
        return True if tag in ("int", "float", "iterator") else len(body) > 0
    return bool(tree)


def _kind(tree: Any, how: Equality) -> str:
    if isinstance(tree, bool):
        return "bool" if how.json else "number"
    if isinstance(tree, int | float):
        return "number"
    if isinstance(tree, list):
        return "sequence"
    if not isinstance(tree, dict):
        return "none" if tree is None else "str"
    tag = str(tree["t"])
    if tag in ("tuple", "named"):
        return "sequence" if how.json else "tuple"
    if tag in ("mapping", "array"):
        return "dict" if tag == "mapping" else "sequence"
    return {"int": "number", "float": "number", "fraction": "number", "decimal": "number", "frozenset": "set"}.get(
        tag, tag
    )


def _items(tree: Any) -> list[Any]:
    if isinstance(tree, list):
        return tree
    return list(tree["v"][-1] if tree["t"] in ("named", "array") else tree["v"])


def _pairs(tree: Any) -> list[Any]:
    return list(tree["v"][1] if tree["t"] == "mapping" else tree["v"])


def _real_and_imaginary(tree: Any) -> list[Any]:
    """Real and imaginary part of a number of any kind."""
    return list(tree["v"]) if isinstance(tree, dict) and tree["t"] == "complex" else [tree, 0]


def _number(tree: Any) -> int | float | Fraction:
    if isinstance(tree, dict):
        if tree["t"] in ("fraction", "decimal"):
            exact = Fraction(tree["v"])
            return int(exact) if exact.denominator == 1 else exact
        return int(tree["v"], 16) if tree["t"] == "int" else float(tree["v"])
    return tree if isinstance(tree, float) else int(tree)


def _same_number(expected: Any, got: Any, how: Equality) -> bool:
    a, b = _number(expected), _number(got)
    if a == b:
        return True
    return how.tolerance is not None and how.tolerance.agrees(a, b)


def _key(tree: Any, how: Equality, *, is_dict_key: bool = False) -> str:
    """Text that is equal for equal values. NaN gets a fresh one each time."""
    kind = _kind(tree, how)
    if kind == "complex" and not how.json and _number(tree["v"][1]) == 0:
        return _key(tree["v"][0], how)
    if kind == "number" or kind == "bool":
        value = _number(tree)
        if isinstance(value, float) and math.isnan(value):
            return f"nan{next(_serial_numbers)}"
        if how.json and is_dict_key and (not isinstance(tree, dict) or isinstance(value, float)):
            return "s" + json.dumps(value if isinstance(tree, dict) else tree)  # what JSON makes of such a key
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, Fraction):
            with contextlib.suppress(OverflowError):  # beyond what a float holds it equals none
                value = near if (near := float(value)) == value else value
        return (kind[0] if kind == "bool" else "n") + (format(value, "x") if isinstance(value, int) else repr(value))
    if kind == "str":
        return "s" + tree
    if kind == "none":
        return "snull" if how.json and is_dict_key else "none"
    if kind == "opaque":
        return f"opaque{next(_serial_numbers)}"
    if kind in ("sequence", "tuple", "set"):
        keys = [_key(item, how) for item in _items(tree)]
        # Each with its length: quoting would double what it holds with every level.
        return kind + "".join(f"{len(key)}:{key}" for key in (sorted(keys) if kind == "set" else keys))
    return kind + json.dumps(tree["v"])

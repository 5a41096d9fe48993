"""Packed trees that come from a candidate's process: whether they are what the codec makes, and what they hold.

On the host only. Knows nothing of equality (compare.py) and rebuilds no value.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sandbox.inside.codec import (
    ARRAY_KIND,
    DECIMAL,
    FRACTION,
    LARGEST_PLAIN_INT,
    MAPPINGS,
    MAX_DEPTH,
    Malformed,
    are_names,
    is_moment,
    unpack,
)


def validate(tree: Any, depth: int = 0) -> None:
    """Raises Malformed unless `tree` is what `pack` can make."""
    if depth > MAX_DEPTH + 2:
        raise Malformed("nested too deep")
    if tree is None or isinstance(tree, bool | int | float | str):
        return
    if isinstance(tree, list):
        _validate_items(tree, depth)
        return
    if not isinstance(tree, dict) or set(tree) != {"t", "v"}:
        raise Malformed("an object that is not a tagged value")
    check = _CHECKS.get(tree["t"]) if isinstance(tree["t"], str) else None
    if check is None or not check(tree["v"], depth):
        raise Malformed("an unknown tag or a body of the wrong type")


def is_lineage(names: Any) -> bool:
    """Whether these are the names of a class and of its bases."""
    return (
        isinstance(names, list)
        and 0 < len(names) <= 20
        and all(isinstance(name, str) and len(name) <= 100 for name in names)
    )


def holds_class(tree: Any) -> bool:
    """Whether there is a class among what `tree` holds: called by the test with what it expects, `bool` or `int` would
    judge itself."""
    if isinstance(tree, list):
        return any(map(holds_class, tree))
    return isinstance(tree, dict) and (tree["t"] in ("builtin", "error") or holds_class(tree["v"]))


# ---------------------------------------------------------------- checks of a tag's body
#
# Each is False for a body of the wrong type and raises Malformed for one of the right type that `pack` does not make.


def _validate_items(body: Any, depth: int) -> bool:
    if not isinstance(body, list):
        return False
    for item in body:
        validate(item, depth + 1)
    return True


def _validate_pairs(body: Any, depth: int) -> bool:
    if not isinstance(body, list):
        return False
    for pair in body:
        if not isinstance(pair, list) or len(pair) != 2:
            raise Malformed("a dict entry that is not a pair")
        _validate_items(pair, depth)
    return True


def _validate_complex(body: Any, depth: int) -> bool:
    if not isinstance(body, list) or len(body) != 2:
        return False
    for part in body:
        if not isinstance(part, int | float) and not (
            isinstance(part, dict) and part.get("t") == "float" and _is_special_float(part.get("v"), depth)
        ):
            raise Malformed("a complex part that is not a number")
    return True


def _validate_int(body: Any, depth: int) -> bool:
    if not isinstance(body, str):
        return False
    try:
        int(body, 16)
    except ValueError as error:
        raise Malformed("an integer that is not hexadecimal") from error
    return True


def _validate_range(body: Any, depth: int) -> bool:
    if not _validate_items(body, depth):
        return False
    if not (len(body) == 3 and all(_is_whole(part) for part in body) and unpack(body[2])):
        raise Malformed("a range that is not three integers, the last of them not 0")
    return True


def _validate_named_tuple(body: Any, depth: int) -> bool:
    if not isinstance(body, list) or len(body) != 2 or not isinstance(body[1], list):
        return False
    if not are_names(body[0]) or len(body[0]) != len(body[1]):
        raise Malformed("a named tuple whose names do not fit")
    return _validate_items(body[1], depth)


def _validate_mapping(body: Any, depth: int) -> bool:
    return isinstance(body, list) and len(body) == 2 and body[0] in MAPPINGS and _validate_pairs(body[1], depth)


def _validate_array(body: Any, depth: int) -> bool:
    if not isinstance(body, list) or len(body) != 3 or not isinstance(body[0], str) or not isinstance(body[2], list):
        return False
    code, shape, items = body
    if (
        not ARRAY_KIND.fullmatch(code)
        or not isinstance(shape, list)
        or not all(type(size) is int and size > 0 for size in shape)
    ):
        raise Malformed("an array of an unknown kind or without a shape")
    validate(items, depth + 1)
    return True


def _validate_number_of_object(body: Any, depth: int) -> bool:
    if not isinstance(body, list) or len(body) != 2:
        return False
    if type(body[0]) is not int or not 0 <= body[0] < LARGEST_PLAIN_INT or not isinstance(body[1], str):
        raise Malformed("an object without a number")
    return True


def _validate_fraction(body: Any, depth: int) -> bool:
    if isinstance(body, str) and not FRACTION.fullmatch(body):
        raise Malformed("a fraction that is none, or too long")
    return isinstance(body, str)


def _validate_decimal(body: Any, depth: int) -> bool:
    if isinstance(body, str) and not DECIMAL.fullmatch(body):
        raise Malformed("a decimal that is none, or too long")
    return isinstance(body, str)


def _is_special_float(body: Any, depth: int) -> bool:
    return body in ("nan", "inf", "-inf")


def _is_whole(tree: Any) -> bool:
    return isinstance(tree, int) or (isinstance(tree, dict) and tree["t"] == "int")


_CHECKS: dict[str, Callable[[Any, int], bool]] = {
    **dict.fromkeys(("tuple", "set", "frozenset", "deque", "iterator", "view"), _validate_items),
    **dict.fromkeys(("bytes", "opaque", "builtin"), lambda body, _: isinstance(body, str)),
    **dict.fromkeys(("held", "lent"), _validate_number_of_object),
    "dict": _validate_pairs,
    "complex": _validate_complex,
    "int": _validate_int,
    "range": _validate_range,
    "named": _validate_named_tuple,
    "error": lambda body, _: is_lineage(body),
    "mapping": _validate_mapping,
    "array": _validate_array,
    "fraction": _validate_fraction,
    "decimal": _validate_decimal,
    "moment": lambda body, _: is_moment(body),
    "float": _is_special_float,
}

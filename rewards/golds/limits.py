"""Limits of a code problem by their usual names and units, as limits of our judge."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from rewards.errors import GoldError
from rewards.golds.problem import Row

_SECONDS = ("time_limit", "timeout", "time_limit_seconds", "timeout_seconds", "cpu_seconds", "time_limit_s")
_MILLISECONDS = ("time_limit_ms", "timeout_ms", "time_limit_milliseconds")
_MEMORY = {
    "memory_limit_bytes": 1.0,
    "memory_limit_kb": 1024.0,
    "memory_limit_mb": 2.0**20,
    "memory_mb": 2.0**20,
    "memory_limit": None,  # the unit is in the text, or told by the size
}
_UNITS = {"b": 1.0, "k": 1024.0, "m": 2.0**20, "g": 2.0**30}
_AMOUNT = re.compile(r"\s*([0-9]*\.?[0-9]+)\s*([A-Za-z]*)")
_MOST_SECONDS, _DEFAULT_WALL = 3600.0, 15.0
_LEAST_MB = 64  # the interpreter itself takes 17; below that no program in Python can be right


def limits_of(*rows: Row | None) -> dict[str, Any]:
    """cpu_seconds, wall_seconds and memory_mb where one of these rows states them. 0 and null state none.

    A bare time limit of 100 or more is read as milliseconds; a bare memory limit below 16,384 as MiB, below 4,000,000
    as KiB, else as bytes: nobody means 100 seconds, or 16 GiB, or 4 MB. Wall time follows processor time.
    """
    found: dict[str, Any] = {}
    for row in rows:
        if row is None:
            continue
        seconds = _first(row, (*_SECONDS, *_MILLISECONDS), _seconds)
        memory = _first(row, tuple(_MEMORY), _megabytes)
        if seconds and "cpu_seconds" not in found:
            found["cpu_seconds"] = seconds
            if 3 * seconds > _DEFAULT_WALL:
                found["wall_seconds"] = 3 * seconds
        if memory and "memory_mb" not in found:
            found["memory_mb"] = memory
    return found


def _first(row: Row, names: tuple[str, ...], read: Any) -> Any:
    return next((value for name in names if row.has(name) and (value := read(row, name))), None)


def _seconds(row: Row, name: str) -> float | None:
    value = row.json(name)
    if isinstance(value, Mapping):  # CodeContests' protocol buffer
        parts = [value.get(part) or 0 for part in ("seconds", "nanos")]
        seconds = _amount(row, name, parts[0])[0] + _amount(row, name, parts[1])[0] / 1e9
    else:
        amount, unit = _amount(row, name, value)
        in_milliseconds = unit.startswith("ms") or unit.startswith("milli") or name in _MILLISECONDS
        seconds = amount / 1000 if in_milliseconds or (not unit and amount >= 100) else amount
    if seconds > _MOST_SECONDS:
        raise GoldError(f"{row.place(name)} is {value!r}: {seconds:g} seconds", remedy=f"at most {_MOST_SECONDS:g}")
    return seconds or None


def _megabytes(row: Row, name: str) -> int | None:
    value = row.get(name)
    amount, unit = _amount(row, name, value)
    size = _MEMORY[name] if _MEMORY[name] is not None else _UNITS.get(unit[:1])
    if size is None:
        size = 2.0**20 if amount < 16_384 else 1024.0 if amount < 4_000_000 else 1.0
    return max(_LEAST_MB, math.ceil(amount * size / 2**20)) if amount else None


def _amount(row: Row, name: str, value: Any) -> tuple[float, str]:
    """The number and its unit, lower-case. Raises GoldError for what is neither a number nor text of one."""
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0:
        return float(value), ""
    match = _AMOUNT.match(value) if isinstance(value, str) else None
    if match is None:
        raise GoldError(f"{row.place(name)} is {value!r}, which is no limit", remedy="write a number, or leave it out")
    return float(match[1]), match[2].lower()

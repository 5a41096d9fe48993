"""JSON lines to requests and verdicts to JSON lines: the format of `posttrain verify`. Knows nothing of streams or of
any kind."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from rewards.types import Request, Verdict

_TEXTS = ("response", "question", "stop_reason", "reference")


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One line read: `request` to judge, or `error` saying why there is none. `expected` is the label of an audit."""

    id: Any = None
    request: Request | None = None
    error: str = ""
    expected: bool | None = None


def read_line(raw: bytes, *, labelled: bool = False) -> Line:
    """Other keys are left alone. Never raises: a malformed line is a Line with `error` (and its id, where that could be
    read)."""
    try:
        row = json.loads(raw.decode("utf-8-sig"), parse_constant=_no_constant, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        return Line(error=f"not JSON: {error}"[:300])
    if not isinstance(row, dict):
        return Line(error=f"expected an object, got {type(row).__name__}")
    problem = _problem(row, labelled)
    if problem:
        return Line(id=row.get("id"), error=problem)
    metadata = dict(row.get("metadata") or {})
    if "options" in row:
        metadata["options"] = row["options"]
    request = Request(
        response=row["response"],
        gold=row.get("gold"),
        question=row.get("question"),
        messages=tuple(row.get("messages") or ()),
        stop_reason=row.get("stop_reason"),
        num_tokens=row.get("num_tokens"),
        reference=row.get("reference"),
        metadata=metadata,
    )
    return Line(id=row.get("id"), request=request, expected=row.get("expected"))


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Which of two values of one key counts depends on the reader: such a line is not judged."""
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = next(key for i, (key, _) in enumerate(pairs) if any(key == other for other, _ in pairs[:i]))
        raise ValueError(f"key {twice!r} is given twice")
    return found


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON value")


def _problem(row: dict[str, Any], labelled: bool) -> str:
    if "response" not in row:
        return "key 'response' is missing"
    for key in _TEXTS:
        if key in row and not isinstance(row[key], str) and not (key != "response" and row[key] is None):
            return f"{key!r} is {type(row[key]).__name__}, expected text"
    if row.get("messages") is not None and not (
        isinstance(row["messages"], list) and all(isinstance(m, dict) for m in row["messages"])
    ):
        return "'messages' is no list of objects"
    if row.get("metadata") is not None and not isinstance(row["metadata"], dict):
        return "'metadata' is no object"
    tokens = row.get("num_tokens")
    if tokens is not None and (isinstance(tokens, bool) or not isinstance(tokens, int) or tokens < 0):
        return "'num_tokens' is no count"
    if labelled and not isinstance(row.get("expected"), bool):
        return "'expected' is neither true nor false"
    return ""


def verdict_row(line: Line, verdict: Verdict) -> dict[str, Any]:
    """The answer to a line that was judged. `certain`: whether a cascade would stop at this verdict."""
    return {
        "id": line.id,
        "outcome": verdict.outcome.value,
        "score": verdict.score,
        "extracted": verdict.extracted,
        "reason": verdict.reason,
        "certain": verdict.decides,
        "seconds": round(verdict.seconds, 6),
        "certificate": verdict.certificate,
        "parts": verdict.parts,
    }


def invalid_row(line: Line) -> dict[str, Any]:
    """The answer to a malformed line."""
    empty = {"outcome": "invalid", "score": None, "extracted": None, "reason": "malformed_line", "seconds": 0.0}
    return {"id": line.id, **empty, "error": line.error}

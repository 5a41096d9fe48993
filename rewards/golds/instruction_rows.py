"""Shapes of checkable instructions, for the verifier `instructions`, which knows the constraints by IFEval's,
IFBench's and RLVR-IFeval's names, and refuses the others by name."""

from __future__ import annotations

from typing import Any

from rewards.errors import GoldError
from rewards.golds.problem import Problem, Row, decoded
from rewards.rules.constraint_names import FUNCTIONS

_IFEVAL_FAMILIES = {
    *("keywords", "language", "length_constraints", "detectable_content", "detectable_format", "combination"),
    *("startend", "change_case", "punctuation"),
}
_ARGUMENTS = {"func_name", *(argument for _, renamed, _ in FUNCTIONS.values() for argument in renamed)}


def if_eval(row: Row) -> Problem | None:
    """`prompt`, `instruction_id_list`, `kwargs` (padded with nulls)."""
    ids = row.peek("instruction_id_list")
    families = {str(name).partition(":")[0] for name in ids} if isinstance(ids, list) else set()
    return _listed(row) if families and families <= _IFEVAL_FAMILIES else None


def if_bench(row: Row) -> Problem | None:
    """IFEval's columns with constraints of other families."""
    return _listed(row) if row.has("instruction_id_list") else None


def rlvr_if_eval(row: Row) -> Problem | None:
    """`ground_truth`: func_name with its arguments padded with nulls, or a list of instruction_id with kwargs (the
    constraints of several). The function and its arguments may be columns, too."""
    truth = row.peek("ground_truth")
    if isinstance(truth, list):
        return _several(row, truth)
    holder = row.inner("ground_truth") if isinstance(truth, dict) else row
    name = holder.peek_raw("func_name") if holder is not None else None
    # Tests of code have a func_name, too: that of the function which is tested.
    if holder is None or not isinstance(name, str) or not name.startswith(("verify_", "validate_")):
        return None
    names = [key for key in holder.names() if holder is not row or key in _ARGUMENTS]
    gold = {key: value for key in names if (value := holder.json(key)) is not None}
    return Problem(format="", gold=gold, verifier="instructions")


def _several(row: Row, truth: list[Any]) -> Problem | None:
    if not truth or not all(isinstance(entry, dict) and "instruction_id" in entry for entry in truth):
        return None
    row.get("ground_truth")
    ids: list[Any] = []
    kwargs: list[Any] = []
    for entry in truth:
        names = _as_list(entry["instruction_id"])
        ids += names
        kwargs += _as_list(entry.get("kwargs"), len(names))
    return Problem(format="", gold=_gold(ids, kwargs), verifier="instructions")


def _listed(row: Row) -> Problem:
    ids = _as_list(row.json("instruction_id_list"))
    question = row.text("prompt") if isinstance(row.peek("prompt"), str) else None
    gold = _gold(ids, _as_list(row.json("kwargs"), len(ids)))
    return Problem(format="", gold=gold, verifier="instructions", question=question)


def _gold(ids: list[Any], kwargs: list[Any]) -> dict[str, Any]:
    if len(ids) != len(kwargs):
        raise GoldError(f"{len(ids)} instructions and {len(kwargs)} kwargs", remedy="mend or drop the row")
    objects = [decoded(entry) or {} for entry in kwargs]
    if not all(isinstance(entry, dict) for entry in objects):
        raise GoldError("kwargs holds what is no object", remedy="mend or drop the row")
    given = [{key: value for key, value in entry.items() if value is not None} for entry in objects]
    return {"instruction_id_list": ids, "kwargs": given}


def _as_list(value: Any, length: int = 1) -> list[Any]:
    value = decoded(value)
    return value if isinstance(value, list) else [value] * length

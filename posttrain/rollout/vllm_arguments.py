"""Which options the installed vLLM takes, read from its source: importing it costs tens of seconds, and changes the
process.

Names only; whether a value will do, vLLM says when it starts.
"""

from __future__ import annotations

import ast
import difflib
import importlib.util
from collections.abc import Iterable
from pathlib import Path

from posttrain.errors import BackendError, InputError

_SOURCE, _RECORD = Path("engine") / "arg_utils.py", "EngineArgs"


def vllm_arguments() -> frozenset[str]:
    """The fields of vLLM's EngineArgs. Raises BackendError where vLLM is not installed, or keeps them elsewhere."""
    found = importlib.util.find_spec("vllm")
    folders = list(found.submodule_search_locations or []) if found else []
    if not folders:
        raise BackendError(
            "vLLM is not installed, so its options cannot be checked",
            where="engine.options",
            remedy="`posttrain setup` installs it",
        )
    path = Path(folders[0]) / _SOURCE
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (OSError, SyntaxError) as error:
        raise BackendError(
            f"the options of this vLLM cannot be read: {error}",
            where=str(path),
            remedy="install the version that `posttrain doctor` names",
        ) from error
    records = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == _RECORD]
    names = [
        line.target.id
        for record in records
        for line in record.body
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name) and not line.target.id.startswith("_")
    ]
    if not names:
        raise BackendError(
            f"this vLLM has no {_RECORD}", where=str(path), remedy="install the version that `posttrain doctor` names"
        )
    return frozenset(names)


def refuse_unknown_options(options: Iterable[str], where: str) -> None:
    """Raise InputError for an option that vLLM does not have, with the nearest that it has."""
    asked = list(options)
    if not asked:
        return
    known = vllm_arguments()
    for name in asked:
        if name not in known:
            close = difflib.get_close_matches(name, sorted(known), n=3)
            remedy = f"one of vLLM's arguments; did you mean {', '.join(close)}?" if close else "remove it"
            raise InputError(f"vLLM has no option '{name}'", where=where, remedy=remedy)

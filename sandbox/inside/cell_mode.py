"""The mode `cells`: a notebook, each message a cell that is run in one lasting namespace.

An exception ends its cell, not the session. Knows nothing of the limits of a cell or a session: see cell_session.py.
Runs inside every box, in the forked child; standard library only.
"""

from __future__ import annotations

import ast
import contextlib
import linecache
import os
import sys
import traceback
from typing import Any, NoReturn

from sandbox.inside.child_messages import error_text, failure_message, read_message, write_message
from sandbox.inside.program import new_module


def cells(case: dict[str, Any]) -> NoReturn:
    """Cells in one namespace; stdout and stderr are one stream, in order. An exception ends its cell, not the
    session."""
    os.dup2(1, 2)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr] # so that a cell that is killed has shown what it printed
    sys.stderr = sys.stdout
    module = new_module("__main__")
    number = 0
    while (message := read_message()) is not None:
        number += 1
        answer = _run_cell(module.__dict__, message["source"], f"<cell {number}>")
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
        write_message(answer)
    os._exit(0)


def _run_cell(space: dict[str, Any], source: str, name: str) -> dict[str, Any]:
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    try:
        tree = ast.parse(source, name)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        body = compile(tree, name, "exec", dont_inherit=True)
        shown = None if last is None else compile(ast.Expression(last.value), name, "eval", dont_inherit=True)  # type: ignore[attr-defined]
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError) as error:
        traceback.print_exception(type(error), error, None)
        return {"k": "compile", "type": type(error).__name__, "message": error_text(error)}
    try:
        exec(body, space)
        # A cell's last expression is the program's own text, as all that runs here.
        if shown is not None and (value := eval(shown, space)) is not None:
            space["_"] = value
            print(repr(value))
    except BaseException as error:  # noqa: BLE001 - a program's own text is run here
        with contextlib.suppress(BaseException):  # its class is the program's own
            error.__traceback__ = error.__traceback__ and error.__traceback__.tb_next  # without our own frame
            traceback.print_exception(error)
        return failure_message(error, "call")
    return {"k": "done"}

"""A program's text turned into a module: compiled once for all its tests, run under the name that the mode wants.

Knows nothing of tests. Runs inside every box, in the forked child; standard library only.
"""

from __future__ import annotations

import builtins
import marshal
import os
import struct
import sys
import types
from typing import Any

from sandbox.inside.child_messages import OUTBOX_FD, error_text, failure_message, write_message

# Of a program's compiled code that is kept for its next test; goes into a pipe in one piece.
MOST_CODE_BYTES = 32 * 1024


def compile_program(case: dict[str, Any]) -> types.CodeType:
    """The program's code. The first test of a program hands it to the supervisor for the next ones, before anything of
    the program runs."""
    source = case["program"].removeprefix("\ufeff")
    if "__file__" in source or "inspect" in source:
        with open("program.py", "w", encoding="utf-8", newline="") as file:
            file.write(source)
    if case.get("code"):
        return marshal.loads(case["code"])  # type: ignore[no-any-return]  # bytes that the lines below made
    try:
        code = compile(source, "program.py", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError) as error:
        if "code" in case:
            os.write(OUTBOX_FD, struct.pack(">I", 0))
        write_message({"k": "compile", "type": type(error).__name__, "message": error_text(error)})
        os._exit(0)
    if "code" in case:
        data = marshal.dumps(code)
        data = data if len(data) <= MOST_CODE_BYTES else b""
        os.write(OUTBOX_FD, struct.pack(">I", len(data)) + data)
    return code


def new_module(name: str) -> types.ModuleType:
    """An empty module that the program finds under this name."""
    module = types.ModuleType(name)
    module.__dict__.update(__builtins__=builtins, __file__=f"{name}.py" if name == "test" else "program.py")
    sys.modules[name] = module
    return module


def load_program(case: dict[str, Any], name: str) -> types.ModuleType:
    """The program, run as a module of this name. One that raises ends the process with a message."""
    code = compile_program(case)
    module = new_module(name)
    try:
        exec(code, module.__dict__)
    except BaseException as error:  # noqa: BLE001 - a program's own text is run here
        write_message(failure_message(error, "load"))
        os._exit(0)
    return module

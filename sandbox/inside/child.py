"""What runs in the forked child: take on limits, give up descriptors, run the program in one of five modes.

    script   the program as `__main__`, judged by what it wrote (script_mode.py)
    call     load the program, answer calls of its functions (call_mode.py)
    check    the trusted test side, in a box of its own: its asserts run here and ask for the program (check_mode.py)
    pytest   program and test file in one process (pytest_mode.py)
    cells    a notebook in one lasting namespace (cell_mode.py)

Knows nothing of expected values, except in a check, which holds no candidate. Runs inside every box; standard library
only.
"""

from __future__ import annotations

import gc
import mmap
import os
import resource
import sys
from typing import Any, NoReturn

from sandbox.inside.call_mode import call
from sandbox.inside.cell_mode import cells
from sandbox.inside.check_mode import check
from sandbox.inside.child_messages import INBOX_FD
from sandbox.inside.frames import from_text
from sandbox.inside.pytest_mode import pytest_file
from sandbox.inside.script_mode import script


def enter(case: dict[str, Any], work_dir: str, begun: mmap.mmap) -> NoReturn:
    """Run one case and end the process. Descriptors 0 to 4 are in place; everything else is closed here.

    `begun` is a page shared with the supervisor: marked, and given up, when the program's turn comes.
    """
    os.closerange(5, 256)
    mode = case["mode"]
    if mode == "script":
        os.close(INBOX_FD)
    for kind, pair in case["rlimits"]:
        resource.setrlimit(kind, pair)
    os.chdir(work_dir)
    if mode != "check":
        sys.path.append(work_dir)  # a program may write a module and import it; at the end, where it hides none
    sys.argv = ["program.py"]
    if "files" in case:
        _place_files(case["files"])
    gc.enable()
    begun[0] = 1
    begun.close()
    _MODES[mode](case)
    os._exit(0)


def _place_files(files: dict[str, str]) -> None:
    sys.argv += files
    for name, data in files.items():
        with open(name, "wb") as file:
            file.write(from_text(data))


_MODES = {"script": script, "call": call, "check": check, "pytest": pytest_file, "cells": cells}

"""Importing a library on first need must not count against the answer that needed it. The worker installs its clock
here.

Outside a worker (a rule used directly) there is no clock, and `outside_deadline` does nothing.
"""

from __future__ import annotations

import builtins
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

_clock: Callable[[], AbstractContextManager[None]] = nullcontext


def outside_deadline() -> AbstractContextManager[None]:
    """The deadline of the item in progress stands still inside. For imports only: never around work on an answer."""
    return _clock()


def install_clock(clock: Callable[[], AbstractContextManager[None]]) -> None:
    global _clock
    _clock = clock


def pause_for_imports() -> None:
    """Stop the clock whenever an import of the main thread brings in a package that this process has not loaded. For
    processes of plug-ins.

    Without it a plug-in that imports torch where it needs it would have its first answer in each worker time out, and
    time out once more by itself.
    """
    plain_import = builtins.__import__
    if getattr(plain_import, "pauses", False):
        return
    importing: list[str] = []  # the package that is being imported: what it imports in turn needs no pause of its own
    tried_before: set[str] = set()  # a missing package is looked for at each answer: the clock stops the first time

    def import_beside_clock(name: str, *args: Any, **more: Any) -> Any:
        package = name.partition(".")[0]
        if (
            not package
            or package in sys.modules
            or package in tried_before
            or importing
            or threading.current_thread() is not threading.main_thread()
        ):
            return plain_import(name, *args, **more)
        importing.append(package)
        tried_before.add(package)
        try:
            with outside_deadline():
                return plain_import(name, *args, **more)
        finally:
            importing.clear()

    import_beside_clock.pauses = True  # type: ignore[attr-defined]
    builtins.__import__ = import_beside_clock

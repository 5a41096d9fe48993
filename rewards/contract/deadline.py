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

_hook: Callable[[], AbstractContextManager[None]] = nullcontext


def outside_deadline() -> AbstractContextManager[None]:
    """The deadline of the item in progress stands still inside. For imports only: never around work on an answer."""
    return _hook()


def install(hook: Callable[[], AbstractContextManager[None]]) -> None:
    global _hook
    _hook = hook


def pause_for_imports() -> None:
    """Stop the clock whenever a statement of the main thread brings in a package this process has not loaded. For
    processes of plug-ins.

    A plug-in that imports torch where it needs it would else have its first answer in each worker time out, and time
    out again alone.
    """
    usual = builtins.__import__
    if getattr(usual, "pauses", False):
        return
    busy: list[str] = []  # the package being imported; what it imports in turn is inside
    tried: set[str] = set()  # one that is missing is looked for at each answer: once on our time

    def bring(name: str, *args: Any, **more: Any) -> Any:
        package = name.partition(".")[0]
        if (
            not package
            or package in sys.modules
            or package in tried
            or busy
            or threading.current_thread() is not threading.main_thread()
        ):
            return usual(name, *args, **more)
        busy.append(package)
        tried.add(package)
        try:
            with outside_deadline():
                return usual(name, *args, **more)
        finally:
            busy.clear()

    bring.pauses = True  # type: ignore[attr-defined]
    builtins.__import__ = bring

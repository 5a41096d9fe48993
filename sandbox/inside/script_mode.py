"""The mode `script`: the program as `__main__`, judged by what it wrote and how it ended.

Ends the process as the interpreter would, at a fraction of the cost. Knows no channel to the judge: it is closed before
the program runs. Runs inside every box, in the forked child; standard library only.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any, NoReturn

from sandbox.inside.child_messages import OUTBOX_FD
from sandbox.inside.program import compile_program, new_module

# A container of more items than this is not taken apart at the end: that takes long, and its items have nothing to say.
_LARGE = 1000
End = Callable[..., NoReturn]  # of the process; a rehearsal goes on instead


def _threads() -> tuple[object, ...]:
    """What the interpreter waits for at its end: locks of threads, the main one's among them, and handlers."""
    return tuple(getattr(threading, "_shutdown_locks", ("unknown",))), len(getattr(threading, "_threading_atexits", ()))


_NO_THREADS = _threads()


def _finish(status: int, space: dict[str, Any]) -> NoReturn:
    """End as the interpreter would: wait for threads, run exit handlers, let go of the program's globals, flush;
    without the cost of tearing all modules down."""
    try:
        if _threads() != _NO_THREADS:
            threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        flush()
        let_go(space)
        flush()
    except SystemExit as stop:
        status = status or _exit_status(stop)
    except BaseException:  # noqa: BLE001 - a broken stream or handler of the program's own
        status = status or 120
    os._exit(status)


def let_go(space: dict[str, Any]) -> None:
    """By this files that are still open are flushed, and __del__ is called. A large container takes long and has
    nothing to say."""
    for name in list(space):
        value = space[name]
        if name != "__builtins__" and not (type(value) in (list, dict, set, tuple) and len(value) > _LARGE):
            space[name] = None


def flush() -> None:
    """Of streams that the program may have replaced or closed."""
    for stream in (sys.stdout, sys.__stdout__, sys.stderr):
        if stream is not None and not getattr(stream, "closed", False):
            stream.flush()


def script(case: dict[str, Any], end: End = _finish) -> NoReturn:
    """The program as `__main__`."""
    code = compile_program(case)
    os.close(OUTBOX_FD)
    main = new_module("__main__")
    status = 0
    try:
        exec(code, main.__dict__)
    except SystemExit as stop:
        status = _exit_status(stop)
    except BaseException as error:  # noqa: BLE001 - a program's own text is run here
        _report(error)
        status = 1
    end(status, main.__dict__)


def _exit_status(stop: SystemExit) -> int:
    if stop.code is None:
        return 0
    if isinstance(stop.code, int):
        return stop.code & 0xFF
    sys.stderr.write(f"{stop.code}\n")
    return 1


def _report(error: BaseException) -> None:
    try:
        if error.__traceback__ is not None:
            error.__traceback__ = error.__traceback__.tb_next  # our own frame; the hook reads it from the error
        sys.excepthook(type(error), error, error.__traceback__)
    except BaseException:  # noqa: BLE001 - a hook of the program's own may raise; the status stays 1 all the same
        traceback.print_exc()

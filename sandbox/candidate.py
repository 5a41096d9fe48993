"""What runs in the forked child: take on limits, give up descriptors, run the program in one of three ways.

    script   the program as `__main__`, stdin on descriptor 0, judged by what it wrote; no channel to the judge exists
             by then
    call     load the program, call a function, write one packed value a call to the outbox
    check    the trusted test side, in a box of its own: asserts run here and ask over the outbox and inbox, see
             testside.py
    pytest   program and test file in one process, see testfile.py
    cells    a notebook: each message is a cell run in one lasting namespace

A candidate owns this process and may forge whatever the outbox carries: it then chooses its own answer, which is judged
on the host against values that never come here. Knows nothing of expected values, except in a check, which holds no
candidate.
"""

from __future__ import annotations

import ast
import atexit
import builtins
import contextlib
import gc
import io
import json
import linecache
import marshal
import math
import mmap
import os
import resource
import struct
import sys
import threading
import traceback
import types
from collections.abc import Callable
from typing import Any, NoReturn

from sandbox import testfile, testside
from sandbox.codec import pack, unpack
from sandbox.frames import from_text
from sandbox.objects import Objects, attributes, lineage, operate

INBOX_FD, OUTBOX_FD = 3, 4
MOST_CODE_BYTES = (
    32 * 1024
)  # of a program's compiled code that is kept for its next test; goes into a pipe in one piece
# What most programs import. What few do (decimal, statistics) costs them a millisecond or two; here every fork of every
# program would pay.
_WARM = (
    *(
        "bisect",
        "collections",
        "contextlib",
        "copy",
        "dataclasses",
        "datetime",
        "enum",
        "functools",
        "heapq",
        "itertools",
        "math",
    ),
    *("operator", "queue", "random", "re", "string", "textwrap", "time", "typing"),
)
_SCIENCE = ("numpy", "sympy", "mpmath", "pytest")
_LARGE = 1000
End = Callable[..., NoReturn]  # of the process; a rehearsal goes on instead
_LASTING = (
    (resource.RLIMIT_NOFILE, 128),
    (resource.RLIMIT_CORE, 0),
    (resource.RLIMIT_MSGQUEUE, 0),  # a queue would outlive the test
    (resource.RLIMIT_STACK, 64 * 1024 * 1024),
)
_RAISABLE = (
    resource.RLIMIT_STACK,
)  # programs that recurse deeply ask for more, within RLIMIT_AS, and are stopped by a refusal
_AS_SLACK = 256 * 1024 * 1024  # thread stacks and allocator arenas reserve address space they never touch


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
        _place(case["files"])
    gc.enable()
    begun[0] = 1
    begun.close()
    _MODES[mode](case)
    os._exit(0)


def _place(files: dict[str, str]) -> None:
    sys.argv += files
    for name, data in files.items():
        with open(name, "wb") as file:
            file.write(from_text(data))


def rlimits(limits: dict[str, Any], base_vm_bytes: int, count_processes: bool) -> list[tuple[int, tuple[int, int]]]:
    """(resource, (soft, hard)) of each limit that the kernel keeps for one process; base_vm_bytes is the supervisor's
    address space."""
    # The supervisor polls the sum of all processes; this only stops one it lost sight of.
    cpu = math.ceil(limits.get("session_cpu_seconds", limits["cpu_seconds"])) + 1
    wanted = [
        (resource.RLIMIT_CPU, cpu),
        (resource.RLIMIT_FSIZE, limits["disk_mb"] * 1024 * 1024),
        (resource.RLIMIT_AS, base_vm_bytes + limits["memory_mb"] * 1024 * 1024 + _AS_SLACK),
    ]
    if count_processes:
        # A few more than allowed, so that the poll can see the limit passed and say so.
        wanted.append((resource.RLIMIT_NPROC, limits["processes"] + 8))
    return [_bounded(kind, value) for kind, value in wanted]


def take_lasting_rlimits() -> None:
    """Limits that are the same for every test: the supervisor takes them on itself, and each fork has them."""
    for kind, value in _LASTING:
        resource.setrlimit(*_bounded(kind, value))


def _bounded(kind: int, value: int) -> tuple[int, tuple[int, int]]:
    hard = resource.getrlimit(kind)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    return kind, (value, hard if kind in _RAISABLE else value)


def _write(message: dict[str, Any]) -> None:
    body = json.dumps(message, separators=(",", ":")).encode()
    view = memoryview(struct.pack(">I", len(body)) + body)
    while view:
        view = view[os.write(OUTBOX_FD, view) :]


def _read() -> dict[str, Any] | None:
    """One framed message from the inbox; None when the judge has closed it."""
    wanted, data = 4, bytearray()
    while len(data) < wanted:
        chunk = os.read(INBOX_FD, min(1 << 20, wanted - len(data)))
        if not chunk:
            return None
        data += chunk
        if len(data) == 4 and wanted == 4:
            wanted = 4 + struct.unpack(">I", data)[0]
    del data[:4]
    return json.loads(data)


def _compile(case: dict[str, Any]) -> types.CodeType:
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
        _write({"k": "compile", "type": type(error).__name__, "message": _short(error)})
        os._exit(0)
    if "code" in case:
        data = marshal.dumps(code)
        data = data if len(data) <= MOST_CODE_BYTES else b""
        os.write(OUTBOX_FD, struct.pack(">I", len(data)) + data)
    return code


def _short(error: BaseException) -> str:
    try:
        return str(error)[:300]
    except Exception:  # noqa: BLE001 - the program's own class answers here
        return ""


def _module(name: str) -> types.ModuleType:
    module = types.ModuleType(name)
    module.__dict__.update(__builtins__=builtins, __file__=f"{name}.py" if name == "test" else "program.py")
    sys.modules[name] = module
    return module


# ---------------------------------------------------------------- script


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
    code = _compile(case)
    os.close(OUTBOX_FD)
    main = _module("__main__")
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


# ---------------------------------------------------------------- call


def _load(case: dict[str, Any], name: str) -> types.ModuleType:
    code = _compile(case)
    module = _module(name)
    try:
        exec(code, module.__dict__)
    except BaseException as error:  # noqa: BLE001 - a program's own text is run here
        _write(_failure(error, "load"))
        os._exit(0)
    return module


def call(case: dict[str, Any], end: End = os._exit) -> NoReturn:
    """Load the program, then answer what is asked of it: the case itself, or one message after the other."""
    module = _load(case, "program")
    if case["interactive"]:
        objects = Objects(module.__dict__, _write, _read, lambda message: _answer_asked(module, message, objects))
        while (message := _read()) is not None:
            _write(_answer_asked(module, message, objects))
        os._exit(0)
    try:
        args, kwargs = (
            [unpack(item) for item in case["args"]],
            {key: unpack(item) for key, item in case["kwargs"].items()},
        )
        answer = {"k": "value", "v": pack(_resolve(module, case["name"])(*args, **kwargs))}
    except BaseException as error:  # noqa: BLE001 - a program's own function is called here
        answer = _failure(error, "call")
    _write(answer)
    end(0)


def _answer_asked(module: types.ModuleType, message: dict[str, Any], objects: Objects) -> dict[str, Any]:
    """The answer, and what was printed meanwhile, where the test has put something in place of its own stdout, or of
    Python's functions."""
    if "patched" in message:
        return _patched(message.pop("patched"), lambda: _answer_asked(module, message, objects))
    if not message.get("listen"):
        return _answer(module, message, objects)
    with contextlib.redirect_stdout(
        io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="surrogateescape", newline="")
    ) as said:
        answer = _answer(module, message, objects)
    try:
        said.flush()
        return {**answer, "said": said.buffer.getvalue().decode("utf-8", "replace")}  # type: ignore[attr-defined]
    except (ValueError, AttributeError):  # the program has closed or taken it
        return answer


def _patched(functions: dict[str, Any], answer: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    kept = {name: getattr(builtins, name) for name in functions}
    for name, packed in functions.items():
        setattr(builtins, name, unpack(packed))
    try:
        return answer()
    finally:
        for name, function in kept.items():
            setattr(builtins, name, function)


def _answer(module: types.ModuleType, message: dict[str, Any], objects: Objects) -> dict[str, Any]:
    """What the test side asks: `call` a name or a kept object, `look` at an attribute of one, `op` an operator, `get`
    what a name is."""
    try:
        kind, held = message["k"], message["held"]
        if kind == "get":
            return {"k": "value", "v": pack(_resolve(module, message["name"]))}
        if kind == "look":
            return {"k": "value", "v": pack(getattr(objects.kept[held], message["name"]))}
        objects.take(message.get("objects", []))
        args = [unpack(item) for item in message["args"]]
        if kind == "op":
            return {"k": "value", "v": pack(operate(message["name"], args))}
        found = _resolve(module, message["name"]) if held is None else objects.kept[held]
        value = pack(found(*args, **{key: unpack(item) for key, item in message["kwargs"].items()}))
        mutable = [(place, arg) for place, arg in enumerate(args) if isinstance(arg, list | dict | set)]
        changed = [[place, new] for place, arg in mutable if (new := pack(arg)) != message["args"][place]]
        return {"k": "value", "v": value, "changed": changed, "objects": objects.changed()}
    except BaseException as error:  # noqa: BLE001 - a program's own function is called here
        failure = _failure(error, "call")
        with contextlib.suppress(Exception):  # its class is the program's own
            state = [[key, pack(value)] for key, value in attributes(error).items()]
            named = (
                [error.filename]
                if isinstance(error, OSError) and error.filename is not None and len(error.args) == 2
                else []
            )
            failure |= {
                "bases": lineage(type(error)),
                "state": state,
                "args": [pack(arg) for arg in (*error.args, *named)],
            }
        return failure


def _resolve(module: types.ModuleType, name: str) -> Any:
    head, *rest = name.split(".")
    if head not in module.__dict__:
        raise NameError(f"name {head!r} is not defined by the program")
    found = module.__dict__[head]
    for part in rest:
        found = getattr(found() if isinstance(found, type) or not hasattr(found, part) else found, part)
    return found


def _failure(error: BaseException, phase: str) -> dict[str, Any]:
    kind = "exit" if isinstance(error, SystemExit) else "error"
    return {"k": kind, "phase": phase, "type": type(error).__name__, "message": _short(error)}


# ---------------------------------------------------------------- check


def _check(case: dict[str, Any]) -> NoReturn:
    candidate = testside.Candidate(_write, _read)
    error = testside.run(case, _module("test").__dict__, candidate)
    if error is None:
        _write({"k": "done"})
    else:
        kind = "assertion" if isinstance(error, AssertionError) else "raised"
        said = {"k": kind, "type": type(error).__name__, "message": _short(error)}
        _write({**said, "candidate": candidate.failed, "broken": testside.broken(error, case, candidate)})
    os._exit(0)


# ---------------------------------------------------------------- pytest


def _pytest(case: dict[str, Any]) -> NoReturn:
    _load(case, "solution")
    _write(testfile.run(case["source"]))
    os._exit(0)


# ---------------------------------------------------------------- cells


def _cells(case: dict[str, Any]) -> NoReturn:
    """Cells in one namespace; stdout and stderr are one stream, in order. An exception ends its cell, not the
    session."""
    os.dup2(1, 2)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr] # so that a cell that is killed has shown what it printed
    sys.stderr = sys.stdout
    module = _module("__main__")
    number = 0
    while (message := _read()) is not None:
        number += 1
        answer = _cell(module.__dict__, message["source"], f"<cell {number}>")
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
        _write(answer)
    os._exit(0)


def _cell(space: dict[str, Any], source: str, name: str) -> dict[str, Any]:
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    try:
        tree = ast.parse(source, name)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        body = compile(tree, name, "exec", dont_inherit=True)
        shown = None if last is None else compile(ast.Expression(last.value), name, "eval", dont_inherit=True)  # type: ignore[attr-defined]
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError) as error:
        traceback.print_exception(type(error), error, None)
        return {"k": "compile", "type": type(error).__name__, "message": _short(error)}
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
        return _failure(error, "call")
    return {"k": "done"}


def warm_up(folders: list[str]) -> None:
    """Import what honest programs use, once, so that every fork has it. Called by the supervisor before the first fork.

    `folders` hold the packages of the profile science, as far as they are installed.
    """
    import site

    sys.path += folders
    for name in _WARM:
        __import__(name)
    for name in _SCIENCE if folders else ():
        with contextlib.suppress(ImportError):
            __import__(name)
    # exit() and quit() are the business of `site`, which is not run; honest scripts call them.
    site.setquit()
    site.setcopyright()
    site.sethelper()
    for stream in (sys.stdin, sys.stdout):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="surrogateescape")


_MODES = {"script": script, "call": call, "check": _check, "pytest": _pytest, "cells": _cells}

"""The mode `call`: load the program, then answer what is asked of it, once or in a conversation (split tests).

A candidate owns this process and may forge whatever the outbox carries: it then chooses its own answer, which is judged
on the host against values that never come here. Runs inside every box, in the forked child; standard library only.
"""

from __future__ import annotations

import builtins
import contextlib
import io
import os
import types
from collections.abc import Callable
from typing import Any, NoReturn

from sandbox.inside.child_messages import failure_message, read_message, write_message
from sandbox.inside.codec import pack, unpack
from sandbox.inside.object_exchange import ObjectExchange, attributes, lineage, operate
from sandbox.inside.program import load_program
from sandbox.inside.script_mode import End


def call(case: dict[str, Any], end: End = os._exit) -> NoReturn:
    """Load the program, then answer what is asked of it: the case itself, or one message after the other."""
    module = load_program(case, "program")
    if case["interactive"]:
        objects = ObjectExchange(
            module.__dict__, write_message, read_message, lambda message: _answer_with_output(module, message, objects)
        )
        while (message := read_message()) is not None:
            write_message(_answer_with_output(module, message, objects))
        os._exit(0)
    try:
        args, kwargs = (
            [unpack(item) for item in case["args"]],
            {key: unpack(item) for key, item in case["kwargs"].items()},
        )
        value = _resolve(module, case["name"])(*args, **kwargs)
        # Only its class knows whether an object is true; an array of several values raises, as it would in an assert.
        answer = {"k": "value", "v": pack(bool(value) if case.get("truth") else value)}
    except BaseException as error:  # noqa: BLE001 - a program's own function is called here
        answer = failure_message(error, "call")
    write_message(answer)
    end(0)


def _answer_with_output(module: types.ModuleType, message: dict[str, Any], objects: ObjectExchange) -> dict[str, Any]:
    """The answer, and what was printed meanwhile, where the test has put something in place of its own stdout, or of
    Python's functions."""
    if "patched" in message:
        return _answer_with_patched_builtins(
            message.pop("patched"), lambda: _answer_with_output(module, message, objects)
        )
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


def _answer_with_patched_builtins(functions: dict[str, Any], answer: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    kept = {name: getattr(builtins, name) for name in functions}
    for name, packed in functions.items():
        setattr(builtins, name, unpack(packed))
    try:
        return answer()
    finally:
        for name, function in kept.items():
            setattr(builtins, name, function)


def _answer(module: types.ModuleType, message: dict[str, Any], objects: ObjectExchange) -> dict[str, Any]:
    """What the test side asks: `call` a name or a kept object, `look` at an attribute of one, `op` an operator, `get`
    what a name is."""
    try:
        kind, held = message["k"], message["held"]
        if kind == "get":
            return {"k": "value", "v": pack(_resolve(module, message["name"]))}
        if kind == "look":
            return {"k": "value", "v": pack(getattr(objects.kept[held], message["name"]))}
        objects.receive(message.get("objects", []))
        args = [unpack(item) for item in message["args"]]
        if kind == "op":
            return {"k": "value", "v": pack(operate(message["name"], args))}
        found = _resolve(module, message["name"]) if held is None else objects.kept[held]
        value = pack(found(*args, **{key: unpack(item) for key, item in message["kwargs"].items()}))
        mutable = [(place, arg) for place, arg in enumerate(args) if isinstance(arg, list | dict | set)]
        changed = [[place, new] for place, arg in mutable if (new := pack(arg)) != message["args"][place]]
        return {"k": "value", "v": value, "changed": changed, "objects": objects.changed()}
    except BaseException as error:  # noqa: BLE001 - a program's own function is called here
        failure = failure_message(error, "call")
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

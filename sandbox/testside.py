"""The trusted side of a split test: asserts run here, and what they ask of the program is answered by the candidate in another box.

Values cross as plain data. An object without a plain form stays there and is `Held` here: calls, attributes, items and length are asked
for. What a function changed in place comes back with its None and is done to the test's own arguments. Runs inside the box.
"""

from __future__ import annotations

import builtins
import os
from collections.abc import Callable
from typing import Any

from sandbox.codec import Opaque, pack, unpack

# What looks into an object. Neither == nor arithmetic, by which the candidate would judge itself.
_OPERATORS = ("__len__", "__getitem__", "__setitem__", "__iter__")


# What says that a test's own text is broken, unless it is the program's answer that says so.
BROKEN_TEST = (NameError, ImportError, SyntaxError)
_OWN_FILES = ("preamble.py", "test.py")


class CandidateError(Exception):
    """Raised in a test when the candidate raised something that is not a built-in exception."""


class Candidate:
    """The program, as its test sees it. `answered`: it was asked something; `failed`: it has raised something."""

    def __init__(self, write: Callable[[dict[str, Any]], None], read: Callable[[], dict[str, Any] | None]) -> None:
        self.answered = self.failed = False
        self._write = write
        self._read = read

    def function(self, name: str) -> Callable[..., Any]:
        def asked(*args: Any, **kwargs: Any) -> Any:
            return self.call(name, None, args, kwargs)

        asked.__name__ = name
        return asked

    def call(self, name: str, held: int | None, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A function by name, or an object by number. Raises what the candidate raised, where that is one of Python's own."""
        packed = [{"held": vars(arg)["number"]} if isinstance(arg, Held) else pack(arg) for arg in args]
        reply = self._ask(k="call", name=name, held=held, args=packed, kwargs={key: pack(value) for key, value in kwargs.items()})
        for place, new in reply["changed"]:
            _write_back(args[place], unpack(new))
        return self._value(reply)

    def look(self, held: int, name: str) -> Any:
        """An attribute of an object that stays there."""
        return self._value(self._ask(k="look", name=name, held=held))

    def _value(self, reply: dict[str, Any]) -> Any:
        return unpack(reply["v"]) if reply["held"] is None else Held(reply["v"]["v"], reply["held"], self)

    def _ask(self, **message: Any) -> dict[str, Any]:
        self._write(message)
        reply = self._read()
        if reply is None:
            os._exit(0)
        self.answered = True
        if reply["k"] == "value":
            return reply
        self.failed = True
        known = getattr(builtins, str(reply.get("type")), None)
        kind = known if isinstance(known, type) and issubclass(known, Exception) else CandidateError
        if issubclass(kind, StopIteration | StopAsyncIteration):
            kind = CandidateError  # it would end a loop of the test as if there were nothing more to check
        try:
            raised = kind(reply.get("message", ""))
        except TypeError:  # such as UnicodeDecodeError, which cannot be made of one text
            raised = CandidateError(f"{reply.get('type')}: {reply.get('message', '')}")
        raise raised


class Held(Opaque):
    """An object that stays with the candidate, under a number. Equal to nothing."""

    def __init__(self, name: str, number: int, candidate: Candidate) -> None:
        vars(self).update(shown=f"<{name}>", number=number, candidate=candidate)

    def __repr__(self) -> str:
        return str(vars(self)["shown"])

    def __bool__(self) -> bool:
        return True  # as of any object; Python would ask __len__

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        mine = vars(self)
        return mine["candidate"].call("", mine["number"], args, kwargs)

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("__"):
            return object.__getattribute__(self, name)
        return _look(self, name)


def _look(held: Held, name: str) -> Any:
    mine = vars(held)
    return mine["candidate"].look(mine["number"], name)


def _forward(name: str) -> Callable[..., Any]:
    return lambda held, *args: _look(held, name)(*args)


for _name in _OPERATORS:
    setattr(Held, _name, _forward(_name))


def _write_back(argument: Any, new: Any) -> None:
    if type(argument) is not type(new):
        return
    if isinstance(argument, list):
        argument[:] = new
    elif isinstance(argument, dict | set):
        argument.clear()
        argument.update(new)


def run(case: dict[str, Any], space: dict[str, Any], candidate: Candidate) -> BaseException | None:
    """Run `preamble` and the test's source in `space`, both trusted; the entry point and names in `borrowed` are the candidate's.

    Returns what a failed test raised.
    """
    lent = {name: candidate.function(name) for name in case["borrowed"]}
    space.update(lent)
    try:
        # The data set's own text, which the user answers for.
        exec(compile(case["preamble"], "preamble.py", "exec", dont_inherit=True), space)
        space.update(lent)  # a preamble may hold a stub of the function that is tested
        exec(compile(case["source"], "test.py", "exec", dont_inherit=True), space)
        if case["entry_point"] is not None:
            space["check"](candidate.function(case["entry_point"]))
    except BaseException as error:  # noqa: BLE001 - whatever a test raises is its verdict
        return error
    return None


def broken(error: BaseException, case: dict[str, Any], candidate: Candidate) -> bool:
    """Whether what a failed test raised says that its own text is broken. A test may evaluate, parse or load what the program answered:
    a name or a module that only the answer knows is the program's failure, as no answer may be a way out of a score."""
    if not isinstance(error, BROKEN_TEST):
        return False
    if not candidate.answered:
        return True
    if isinstance(error, ImportError):
        return bool(error.name) and str(error.name) in case["preamble"] + case["source"]
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    return isinstance(error, NameError) and frame is not None and frame.tb_frame.f_code.co_filename in _OWN_FILES

"""The program as its test sees it: what the test asks of it is answered by the candidate, in another box.

Values cross as plain data. An object of the program's stays there and is a `RemoteObject` here: calls, attributes and
operators are asked for. An object of the test's that it hands over is lent: its functions are called here, the rest is
made anew there (object_exchange.py). What a function changed in place comes back with its None and is done to the
test's own arguments. Knows nothing of asserts. Runs inside the box of the test side; standard library only.
"""

from __future__ import annotations

import builtins
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

from sandbox.inside import codec
from sandbox.inside.codec import Opaque, pack, unpack
from sandbox.inside.object_exchange import attributes, builtin_name

_ALSO_LOOKED_AT = ("__name__", "__qualname__", "__doc__", "__dict__", "__annotations__", "__wrapped__")
# What a test may put something in place of that the program is then to call.
_PATCHED = {"input": input, "print": print}
_JUDGES_ITSELF = "of an object of the program's and a value of the test's gave a value: the program would judge itself"


class CandidateError(Exception):
    """Raised in a test when the candidate raised something that is not a built-in exception. `kind` is its class's
    name."""

    kind = ""


class RemoteProgram:
    """The program, as its test sees it. `answered`: it was asked something; `failed`: it has raised something;
    `refused`: a function of the test's that the program called has failed an assertion, which the program may have
    caught."""

    def __init__(self, write: Callable[[dict[str, Any]], None], read: Callable[[], dict[str, Any] | None]) -> None:
        self.answered = self.failed = False
        self.refused: AssertionError | None = None
        self._write = write
        self._read = read
        self._remote: dict[int, RemoteObject] = {}
        # Subclasses that differ in name only, so that type(x).__name__ is as the program has it.
        self._remote_classes: dict[str, type[RemoteObject]] = {}
        self._lent: list[Any] = []
        self._lent_numbers: dict[int, int] = {}
        self._error_classes: dict[str, type[Exception]] = {}
        self._sent: list[Any] = []  # objects that go with the call being made
        self._stdout = sys.stdout  # what a program prints is told only where the test has put another in its place
        codec.use_objects(self._pack_object, self._unpack_object)

    def function(self, name: str) -> Callable[..., Any]:
        """A function that asks the candidate to call the program's function of this name."""

        def asked(*args: Any, **kwargs: Any) -> Any:
            return self.call(name, None, args, kwargs)

        asked.__name__ = name
        return asked

    def get(self, name: str) -> Any:
        """What a name of the program stands for: a value, or an object to look into, which is still called by its
        name."""
        try:
            found = self._ask(k="get", held=None, name=name)
        except Exception:  # noqa: BLE001 - not there, or not to be had: whoever calls it hears of it
            self.failed = False
            return self.function(name)
        if isinstance(found, RemoteObject):
            _own_fields(found)["called"] = name
        return found

    def call(self, name: str, held: int | None, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A function by name, or an object by number. Raises what the candidate raised, where that is one of Python's
        own."""
        self._sent = []
        packed = [pack(arg) for arg in args]
        named = {key: pack(value) for key, value in kwargs.items()}
        objects = []
        for number in self._sent:  # grows meanwhile, as one leads to the next
            state = [[key, pack(value)] for key, value in attributes(self._lent[number]).items()]
            objects.append([number, type(self._lent[number]).__name__, state])
        return self._ask(args, k="call", name=name, held=held, args=packed, kwargs=named, objects=objects)

    def look(self, held: int, name: str) -> Any:
        """An attribute of an object that stays there."""
        return self._ask(k="look", name=name, held=held)

    def operate(self, name: str, *args: Any) -> Any:
        """An operator on objects that stay there; see object_exchange.operate."""
        self._sent = []
        return self._ask(k="op", held=None, name=name, args=[pack(arg) for arg in args])

    def _ask(self, given: tuple[Any, ...] = (), **message: Any) -> Any:
        listening = sys.stdout if sys.stdout is not self._stdout else None
        if listening is not None:
            message["listen"] = True
        patched = {
            name: getattr(builtins, name) for name, own in _PATCHED.items() if getattr(builtins, name, own) is not own
        }
        if patched:
            message["patched"] = {name: pack(function) for name, function in patched.items()}
        self._write(message)
        while (reply := self._read()) is not None and reply["k"] == "ask":
            self._write(self._answer(reply))
        if reply is None:
            os._exit(0)
        self.answered = True
        if listening is not None:
            listening.write(reply.get("said", ""))
        if reply["k"] != "value":
            self._raise(reply)
        for place, new in reply["changed"]:
            _write_back(given[place], unpack(new))
        for number, state in reply["objects"]:
            _set_attributes(self._lent[number], state)
        return unpack(reply["v"])

    def _answer(self, question: dict[str, Any]) -> dict[str, Any]:
        """Call a function of the test's for the program."""
        try:
            function = self._lent[question["lent"]]
            result = function(
                *map(unpack, question["args"]), **{key: unpack(value) for key, value in question["kwargs"].items()}
            )
            return {"k": "answer", "v": pack(result)}
        except Exception as error:  # noqa: BLE001 - the program's arguments may be anything
            if isinstance(error, AssertionError):
                self.refused = error
            return {
                "k": "answer",
                "type": getattr(error, "kind", "") or type(error).__name__,
                "message": str(error)[:300],
            }

    def _raise(self, reply: dict[str, Any]) -> None:
        self.failed = True
        name, message = str(reply.get("type")), reply.get("message", "")
        kind = self._error_class([name, *reply.get("bases", ())])
        try:
            raised = kind(*map(unpack, reply.get("args", [message])))
            if str(raised)[:300] != message:  # its class is the program's, and has its own way to say it
                raised = type(name, (kind,), {"__str__": lambda _: message})(*raised.args)
        except (TypeError, ValueError):  # such as UnicodeDecodeError with arguments that are no error's
            raised = CandidateError(f"{name}: {message}")
        for key, value in reply.get("state", ()):
            if not key.startswith("__") and not hasattr(raised, key):
                setattr(raised, key, unpack(value))
        if isinstance(raised, CandidateError):
            raised.kind = name
        raise raised

    def _error_class(self, names: list[str]) -> type[Exception]:
        """The exception class that stands for the program's of this name, whose bases follow: of the first that Python
        has."""
        for name in names:
            known = getattr(builtins, name, None)
            if isinstance(known, type) and issubclass(known, Exception):
                base = CandidateError if known is Exception and name != names[0] else known
                break
        else:
            base = CandidateError
        if issubclass(base, StopIteration | StopAsyncIteration):
            base = CandidateError  # it would end a loop of the test as if there were nothing more to check
        if names[0] == base.__name__:
            return base
        return self._error_classes.setdefault(names[0], type(names[0], (base,), {}))

    def _pack_object(self, value: Any, name: str) -> Any:
        if isinstance(value, RemoteObject):
            return {"t": "held", "v": [_own_fields(value)["number"], _own_fields(value)["name"]]}
        if isinstance(value, Opaque):
            return {"t": "opaque", "v": value.name}
        if (known := builtin_name(value)) is not None:
            return {"t": "builtin", "v": known}
        if id(value) not in self._lent_numbers:
            self._lent_numbers[id(value)] = len(self._lent)
            self._lent.append(value)
        number = self._lent_numbers[id(value)]
        if callable(value):
            return {"t": "lent", "v": [number, str(getattr(value, "__name__", name))]}
        if number not in self._sent:
            self._sent.append(number)
        return {"t": "lent", "v": [number, type(value).__name__]}

    def _unpack_object(self, tag: str, body: Any) -> Any:
        if tag == "lent":
            return self._lent[body[0]]
        if tag == "builtin":
            found = getattr(builtins, body)
            return found if isinstance(found, type) else Opaque(body)
        if tag == "error":
            return self._error_class(body)
        number, name = body
        if name == "builtins.coroutine":
            return self._wait_for(RemoteObject(name, number, self))
        if number not in self._remote:
            called = name.rpartition(".")[2]
            kind = self._remote_classes.setdefault(
                name, type(called, (RemoteObject,), {}) if called.isidentifier() else RemoteObject
            )
            self._remote[number] = kind(name, number, self)
        return self._remote[number]

    async def _wait_for(self, waiting: RemoteObject) -> Any:
        return self.operate("await", waiting)


class RemoteObject(Opaque):
    """An object that stays with the candidate, under a number.

    Two such objects are compared by the candidate, and the trust is low. With a plain value it is never equal: that
    value may be what the test expects, and the candidate must not learn it before it has answered. For the same reason
    an operator between such an object and a plain value must give an object again, which is then `mixed` with that
    value, and no operator on a mixed object may give a plain value.
    """

    def __init__(self, name: str, number: int, candidate: RemoteProgram) -> None:
        _own_fields(self).update(name=name, number=number, candidate=candidate, called="", mixed=False)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        mine = _own_fields(self)
        return mine["candidate"].call(mine["called"], None if mine["called"] else mine["number"], args, kwargs)

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("__") and name not in _ALSO_LOOKED_AT:
            return object.__getattribute__(self, name)
        mine = _own_fields(self)
        return mine["candidate"].look(mine["number"], name)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RemoteObject) and bool(_operate("eq", self, other))

    def __ne__(self, other: object) -> bool:
        return not isinstance(other, RemoteObject) or bool(_operate("ne", self, other))

    def __hash__(self) -> int:
        return int(_operate("hash", self))

    def __bool__(self) -> bool:
        return bool(_own_fields(self)["mixed"] or _operate("bool", self))

    def __repr__(self) -> str:
        return str(_operate("repr", self))

    def __str__(self) -> str:
        return str(_operate("str", self))

    def __format__(self, spec: str) -> str:
        return str(_operate("format", self, spec))

    def __iter__(self) -> Iterator[Any]:
        return iter(found) if (found := _operate("iter", self)) is not self else self

    def __next__(self) -> Any:
        candidate = _own_fields(self)["candidate"]
        try:
            return _operate("next", self)
        except CandidateError as error:
            if error.kind != "StopIteration":
                raise
            candidate.failed = False
            raise StopIteration from None

    def __enter__(self) -> Any:
        return _operate("enter", self)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        return bool(_operate("leave", self, None if kind is None else kind.__name__, str(error)))

    def __instancecheck__(self, instance: object) -> bool:
        return bool(_operate("isinstance", instance, self))

    def __subclasscheck__(self, subclass: type) -> bool:
        return bool(_operate("issubclass", subclass, self))

    def __deepcopy__(self, memo: object) -> Any:
        return _operate("deepcopy", self)


def _own_fields(held: RemoteObject) -> dict[str, Any]:
    found: dict[str, Any] = object.__getattribute__(held, "__dict__")
    return found


def _operate(name: str, *args: Any) -> Any:
    held = next(arg for arg in args if isinstance(arg, RemoteObject))
    return _own_fields(held)["candidate"].operate(name, *args)


def _operate_guarded(name: str, *args: Any) -> Any:
    """An operator whose result a candidate that knows what is expected could make up."""
    mixed = any(not isinstance(arg, RemoteObject) or _own_fields(arg)["mixed"] for arg in args)
    found = _operate(name, *args)
    if not mixed:
        return found
    if not isinstance(found, RemoteObject):
        raise TypeError(f"{name} {_JUDGES_ITSELF}")
    _own_fields(found)["mixed"] = True
    return found


def _binary(name: str) -> Callable[..., Any]:
    return lambda held, other: _operate_guarded(name, held, other)


def _reflected(name: str) -> Callable[..., Any]:
    return lambda held, other: _operate_guarded(name, other, held)


def _unary(name: str) -> Callable[..., Any]:
    def operator(held: RemoteObject, *args: Any) -> Any:
        found = _operate(name, held, *args)
        if _own_fields(held)["mixed"] and not isinstance(found, RemoteObject):
            raise TypeError(f"{name} {_JUDGES_ITSELF}")
        return found

    return operator


def _unguarded(name: str) -> Callable[..., Any]:
    return lambda held, *args: _operate(name, held, *args)


for _name in (
    "add",
    "sub",
    "mul",
    "truediv",
    "floordiv",
    "mod",
    "pow",
    "matmul",
    "and_",
    "or_",
    "xor",
    "lshift",
    "rshift",
):
    setattr(RemoteObject, f"__{_name.rstrip('_')}__", _binary(_name))
    setattr(RemoteObject, f"__r{_name.rstrip('_')}__", _reflected(_name))
for _name in ("lt", "le", "gt", "ge"):
    setattr(RemoteObject, f"__{_name}__", _binary(_name))
for _name in ("neg", "pos", "abs", "invert", "int", "float", "index", "round", "reversed"):
    setattr(RemoteObject, f"__{_name}__", _unary(_name))
for _name in ("len", "getitem", "setitem", "delitem", "setattr", "delattr", "copy"):
    setattr(RemoteObject, f"__{_name}__", _unguarded(_name))


def _set_attributes(lent: Any, state: list[Any]) -> None:
    """What the program has set on an object of the test's: data, in place of no method."""
    for name, value in state:
        if not name.startswith("__") and not callable(getattr(type(lent), name, None)):
            object.__setattr__(lent, name, unpack(value))


def _write_back(argument: Any, new: Any) -> None:
    if type(argument) is not type(new):
        return
    if isinstance(argument, list):
        argument[:] = new
    elif isinstance(argument, dict | set):
        argument.clear()
        argument.update(new)

"""Objects without a plain form in a split test, on the side of the program: what it keeps for the test, and what the
test lends it.

    held     an object of the program's: the test side knows its number, and asks by that for calls, attributes and
             operators
    lent     an object of the test's: for a function there is a stand-in here that asks the test side; any other object
             is made anew, of the program's class of that name, and the test side hears with the next answer which
             attributes the program has set on it

Runs inside the box, in the program's process, which may do with it what it likes: the test side takes from here only
data. Standard library only.
"""

from __future__ import annotations

import builtins
import operator
import threading
from collections.abc import Callable
from typing import Any

from sandbox.inside import codec
from sandbox.inside.codec import pack, unpack


class RemoteFunction:
    """A function of the test's. Calling it asks the test side."""

    def __init__(self, number: int, name: str, ask: Callable[[int, tuple[Any, ...], dict[str, Any]], Any]) -> None:
        self._number, self._ask = number, ask
        self.__name__ = self.__qualname__ = name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._ask(self._number, args, kwargs)


class ObjectExchange:
    """Both registries of one program's process. `write` and `read` are its channel, `serve` answers what the test side
    asks meanwhile."""

    def __init__(
        self,
        space: dict[str, Any],
        write: Callable[[dict[str, Any]], None],
        read: Callable[[], dict[str, Any] | None],
        serve: Callable[[dict[str, Any]], dict[str, Any]],
    ) -> None:
        self.kept: list[Any] = []
        self._space, self._write, self._read, self._serve = space, write, read, serve
        self._numbers: dict[int, int] = {}  # of what is kept, by identity: the same object has one number
        self._lent: dict[int, Any] = {}
        self._lent_numbers: dict[int, list[Any]] = {}  # number and name, as the test side gave them
        self._asking = threading.RLock()
        self._known_attributes: dict[int, list[Any]] = {}  # attributes of what is lent, as the test side knows them
        codec.use_objects(self.pack_object, self.unpack_object)

    def pack_object(self, value: Any, name: str) -> Any:
        """The packed form of what has no plain one."""
        if (known := builtin_name(value)) is not None:
            return {"t": "builtin", "v": known}
        if isinstance(value, type) and issubclass(value, Exception):
            return {"t": "error", "v": lineage(value)}
        if id(value) in self._lent_numbers:
            return {"t": "lent", "v": self._lent_numbers[id(value)]}
        if id(value) not in self._numbers:
            self._numbers[id(value)] = len(self.kept)
            self.kept.append(value)
        return {"t": "held", "v": [self._numbers[id(value)], name]}

    def unpack_object(self, tag: str, body: Any) -> Any:
        """What such a form stands for."""
        if tag == "held":
            return self.kept[body[0]]
        if tag == "builtin":
            return getattr(builtins, body)
        number, name = body
        if number not in self._lent:
            self._lend(number, name, RemoteFunction(number, name, self._ask))
        return self._lent[number]

    def receive(self, objects: list[Any]) -> None:
        """What the test lends with a call, each with its class's name and its attributes; these may name each other."""
        for number, name, _ in objects:
            if number not in self._lent:
                kind = self._space.get(name)
                self._lend(number, name, object.__new__(kind if isinstance(kind, type) else type(name, (), {})))
        for number, _, attributes in objects:
            for key, value in attributes:
                object.__setattr__(self._lent[number], key, unpack(value))
            self._known_attributes[number] = attributes

    def changed(self) -> list[Any]:
        """What the program has set on lent objects since the test side last heard of them."""
        found = []
        for number, known in self._known_attributes.items():
            state = attributes(self._lent[number])
            if (now := [[key, pack(value)] for key, value in state.items()]) != known:
                found.append([number, now])
                self._known_attributes[number] = now
        return found

    def _lend(self, number: int, name: str, made: Any) -> None:
        self._lent[number] = made
        self._lent_numbers[id(made)] = [number, name]

    def _ask(self, number: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        packed = {key: pack(value) for key, value in kwargs.items()}
        with self._asking:
            self._write({"k": "ask", "lent": number, "args": [pack(arg) for arg in args], "kwargs": packed})
            while (message := self._read()) is not None:
                if message["k"] != "answer":
                    self._write(self._serve(message))
                elif "type" in message:
                    kind = getattr(builtins, message["type"], None)
                    raise (kind if isinstance(kind, type) and issubclass(kind, Exception) else RuntimeError)(
                        message["message"]
                    )
                else:
                    return unpack(message["v"])
        raise SystemExit


def lineage(kind: type) -> list[str]:
    """The name of a class and of those it is made of. Example: lineage(KeyError)[:2] == ["KeyError", "LookupError"]"""
    return [str(one.__name__)[:100] for one in type.mro(kind)[:20]]


def builtin_name(value: Any) -> str | None:
    """The name of one of Python's own classes, which both sides have. Example: builtin_name(int) == "int" """
    if not isinstance(value, type):
        return None
    name = type.__getattribute__(value, "__name__")
    return name if vars(builtins).get(name) is value else None


def attributes(value: Any) -> dict[str, Any]:
    """What an object holds, in its __dict__ and its slots. Used on both sides."""
    found = dict(getattr(value, "__dict__", {}))
    for kind in type(value).__mro__:
        slots = vars(kind).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if not name.startswith("__") and hasattr(value, name):
                found[name] = getattr(value, name)
    return found


def operate(name: str, args: list[Any]) -> Any:
    """An operator, or a function of Python's own, on objects of the program's. Example: operate("add", [1, 2]) == 3"""
    return (_OPERATORS.get(name) or getattr(operator, name))(*args)


def _leave(manager: Any, kind: str | None, message: str) -> bool:
    if kind is None:
        return bool(manager.__exit__(None, None, None))
    found = getattr(builtins, kind, None)
    error = (found if isinstance(found, type) and issubclass(found, Exception) else Exception)(message)
    return bool(manager.__exit__(type(error), error, None))


def _await(waiting: Any) -> Any:
    import asyncio

    async def wait() -> Any:
        return await waiting

    return asyncio.run(wait())


def _copier(name: str) -> Callable[[Any], Any]:
    def copy_of(value: Any) -> Any:
        import copy

        return getattr(copy, name)(value)

    return copy_of


_OPERATORS: dict[str, Callable[..., Any]] = {
    **{
        kind.__name__: kind
        for kind in (repr, str, hash, bool, len, iter, next, int, float, format, round, reversed, divmod)
    },
    **{function.__name__: function for function in (isinstance, issubclass, setattr, delattr)},
    "enter": lambda manager: manager.__enter__(),
    "leave": _leave,
    "await": _await,
    "copy": _copier("copy"),
    "deepcopy": _copier("deepcopy"),
}

"""The trusted side of a split test: asserts run here, and what they ask of the program is answered by the candidate in
another box.

Values cross as plain data. An object of the program's stays there and is `Held` here: calls, attributes and operators
are asked for. An object of the test's that it hands over is lent: its functions are called here, the rest is made anew
there (objects.py). What a function changed in place comes back with its None and is done to the test's own arguments.
Runs inside the box.
"""

from __future__ import annotations

import builtins
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

from sandbox import codec
from sandbox.codec import Opaque, pack, unpack
from sandbox.objects import attributes, builtin_name

# What says that a test's own text is broken, unless it is the program's answer that says so.
BROKEN_TEST = (NameError, ImportError, SyntaxError)
_ALSO_LOOKED_AT = ("__name__", "__qualname__", "__doc__", "__dict__", "__annotations__", "__wrapped__")
_PATCHED = {
    "input": input,
    "print": print,
}  # what a test may put something in place of that the program is then to call
_TOLD = "of an object of the program's and a value of the test's gave a value: the program would judge itself"


class CandidateError(Exception):
    """Raised in a test when the candidate raised something that is not a built-in exception. `kind` is its class's
    name."""

    kind = ""


class Candidate:
    """The program, as its test sees it. `answered`: it was asked something; `failed`: it has raised something;
    `refused`: a function of the test's that the program called has failed an assertion, which the program may have
    caught."""

    def __init__(self, write: Callable[[dict[str, Any]], None], read: Callable[[], dict[str, Any] | None]) -> None:
        self.answered = self.failed = False
        self.refused: AssertionError | None = None
        self._write = write
        self._read = read
        self._held: dict[int, Held] = {}
        self._held_classes: dict[str, type[Held]] = {}  # none but in name: type(x).__name__ is as the program has it
        self._lent: list[Any] = []
        self._lent_numbers: dict[int, int] = {}
        self._error_classes: dict[str, type[Exception]] = {}
        self._sent: list[Any] = []  # objects that go with the call being made
        self._stdout = sys.stdout  # what a program prints is told only where the test has put another in its place
        codec.use_objects(self._keep, self._fetch)

    def function(self, name: str) -> Callable[..., Any]:
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
        if isinstance(found, Held):
            _mine(found)["called"] = name
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
        """An operator on objects that stay there; see objects.operate."""
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
            _set(self._lent[number], state)
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

    def _keep(self, value: Any, name: str) -> Any:
        if isinstance(value, Held):
            return {"t": "held", "v": [_mine(value)["number"], _mine(value)["name"]]}
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

    def _fetch(self, tag: str, body: Any) -> Any:
        if tag == "lent":
            return self._lent[body[0]]
        if tag == "builtin":
            found = getattr(builtins, body)
            return found if isinstance(found, type) else Opaque(body)
        if tag == "error":
            return self._error_class(body)
        number, name = body
        if name == "builtins.coroutine":
            return self._wait_for(Held(name, number, self))
        if number not in self._held:
            called = name.rpartition(".")[2]
            kind = self._held_classes.setdefault(name, type(called, (Held,), {}) if called.isidentifier() else Held)
            self._held[number] = kind(name, number, self)
        return self._held[number]

    async def _wait_for(self, waiting: Held) -> Any:
        return self.operate("await", waiting)


class Held(Opaque):
    """An object that stays with the candidate, under a number.

    Another such object it is compared with there, with the trust that this deserves. A plain value it equals never:
    that may be what the test expects, which nobody there is to learn before the answer. For the same reason what an
    operator makes of it and a plain value must be an object again (`told`), from which no operator makes a value.
    """

    def __init__(self, name: str, number: int, candidate: Candidate) -> None:
        _mine(self).update(name=name, number=number, candidate=candidate, called="", told=False)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        mine = _mine(self)
        return mine["candidate"].call(mine["called"], None if mine["called"] else mine["number"], args, kwargs)

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("__") and name not in _ALSO_LOOKED_AT:
            return object.__getattribute__(self, name)
        mine = _mine(self)
        return mine["candidate"].look(mine["number"], name)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Held) and bool(_operate("eq", self, other))

    def __ne__(self, other: object) -> bool:
        return not isinstance(other, Held) or bool(_operate("ne", self, other))

    def __hash__(self) -> int:
        return int(_operate("hash", self))

    def __bool__(self) -> bool:
        return bool(_mine(self)["told"] or _operate("bool", self))

    def __repr__(self) -> str:
        return str(_operate("repr", self))

    def __str__(self) -> str:
        return str(_operate("str", self))

    def __format__(self, spec: str) -> str:
        return str(_operate("format", self, spec))

    def __iter__(self) -> Iterator[Any]:
        return iter(found) if (found := _operate("iter", self)) is not self else self

    def __next__(self) -> Any:
        candidate = _mine(self)["candidate"]
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


def _mine(held: Held) -> dict[str, Any]:
    found: dict[str, Any] = object.__getattribute__(held, "__dict__")
    return found


def _operate(name: str, *args: Any) -> Any:
    held = next(arg for arg in args if isinstance(arg, Held))
    return _mine(held)["candidate"].operate(name, *args)


def _guarded(name: str, *args: Any) -> Any:
    """An operator whose result could be made up to fit, were it known what is expected."""
    told = any(not isinstance(arg, Held) or _mine(arg)["told"] for arg in args)
    found = _operate(name, *args)
    if not told:
        return found
    if not isinstance(found, Held):
        raise TypeError(f"{name} {_TOLD}")
    _mine(found)["told"] = True
    return found


def _binary(name: str) -> Callable[..., Any]:
    return lambda held, other: _guarded(name, held, other)


def _reflected(name: str) -> Callable[..., Any]:
    return lambda held, other: _guarded(name, other, held)


def _unary(name: str) -> Callable[..., Any]:
    def operator(held: Held, *args: Any) -> Any:
        found = _operate(name, held, *args)
        if _mine(held)["told"] and not isinstance(found, Held):
            raise TypeError(f"{name} {_TOLD}")
        return found

    return operator


def _plainly(name: str) -> Callable[..., Any]:
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
    setattr(Held, f"__{_name.rstrip('_')}__", _binary(_name))
    setattr(Held, f"__r{_name.rstrip('_')}__", _reflected(_name))
for _name in ("lt", "le", "gt", "ge"):
    setattr(Held, f"__{_name}__", _binary(_name))
for _name in ("neg", "pos", "abs", "invert", "int", "float", "index", "round", "reversed"):
    setattr(Held, f"__{_name}__", _unary(_name))
for _name in ("len", "getitem", "setitem", "delitem", "setattr", "delattr", "copy"):
    setattr(Held, f"__{_name}__", _plainly(_name))


class Space(dict[str, Any]):
    """The test's globals, where some names are read of the program anew each time: what they stand for may change."""

    def __init__(self, space: dict[str, Any], candidate: Candidate, names: list[str]) -> None:
        super().__init__(space)
        self.candidate, self.names = candidate, names

    def __missing__(self, name: str) -> Any:
        if name not in self.names:
            raise KeyError(name)
        return self.candidate.get(name)


def _set(lent: Any, state: list[Any]) -> None:
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


def _heed_empty_arrays(text: str) -> None:
    """numpy stretches an empty array to whatever it is compared with and finds nothing that differs: [] would be close
    to any number."""
    numpy = sys.modules.get("numpy")
    if numpy is None:
        return

    def heeding(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def heeds(a: Any, b: Any, *args: Any, **kwargs: Any) -> Any:
            if (numpy.size(a) == 0) != (numpy.size(b) == 0):
                raise AssertionError(f"{name} of something and nothing")
            return function(a, b, *args, **kwargs)

        return heeds

    for name in ("allclose", "isclose"):
        setattr(numpy, name, heeding(name, getattr(numpy, name)))
    if "testing" in text:
        import numpy.testing as testing

        for name in (
            "assert_allclose",
            "assert_equal",
            "assert_array_equal",
            "assert_almost_equal",
            "assert_array_almost_equal",
        ):
            setattr(testing, name, heeding(name, getattr(testing, name)))


def run(case: dict[str, Any], space: dict[str, Any], candidate: Candidate) -> BaseException | None:
    """Run `preamble` and the test's source in `space`, both trusted; the entry point and names in `borrowed` are the
    candidate's.

    Returns what a failed test raised.
    """
    _heed_empty_arrays(case["preamble"] + case["source"])
    lent = {name: candidate.function(name) for name in case["borrowed"] if name not in case["looked_at"]}
    if case["looked_at"]:
        space = Space(space, candidate, case["looked_at"])
    space.update(lent)
    try:
        # The data set's own text, which the user answers for.
        exec(compile(case["preamble"], "preamble.py", "exec", dont_inherit=True), space)
        space.update(lent)  # a preamble may hold a stub of the function that is tested
        for name in case["looked_at"]:
            space.pop(name, None)
        # As is this.
        exec(compile(case["source"], "test.py", "exec", dont_inherit=True), space)
        if case["entry_point"] is not None:
            space["check"](candidate.function(case["entry_point"]))
    except BaseException as error:  # noqa: BLE001 - whatever a test raises is its verdict
        return error
    return candidate.refused


def broken(error: BaseException, case: dict[str, Any], candidate: Candidate) -> bool:
    """Whether what a failed test raised says that its own text is broken. A test may evaluate, parse or load what the
    program answered, or bind a name only over some answers: what another answer would have spared it is the program's
    failure, as no answer may be a way out of a score."""
    if not isinstance(error, BROKEN_TEST):
        return False
    if not candidate.answered:
        return True
    if isinstance(error, ImportError):
        return bool(error.name) and str(error.name) in case["preamble"] + case["source"]
    return isinstance(error, NameError) and any(repr(name) in str(error) for name in case["late"])

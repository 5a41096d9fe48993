"""The mode `check`, the trusted side of a split test: its asserts run here, over the program as remote_program.py shows
it.

Knows nothing of how values cross. Runs inside a box of its own, which holds no candidate; standard library only.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from sandbox.inside.child_messages import error_text, read_message, write_message
from sandbox.inside.program import new_module
from sandbox.inside.remote_program import RemoteProgram

# What says that a test's own text is broken, unless it is the program's answer that says so.
BROKEN_TEST = (NameError, ImportError, SyntaxError)


class TestGlobals(dict[str, Any]):
    """The test's globals, where some names are read of the program anew each time: what they stand for may change."""

    def __init__(self, space: dict[str, Any], candidate: RemoteProgram, names: list[str]) -> None:
        super().__init__(space)
        self.candidate, self.names = candidate, names

    def __missing__(self, name: str) -> Any:
        if name not in self.names:
            raise KeyError(name)
        return self.candidate.get(name)


def _refuse_empty_arrays(text: str) -> None:
    """numpy stretches an empty array to whatever it is compared with and finds nothing that differs: [] would be close
    to any number."""
    numpy = sys.modules.get("numpy")
    if numpy is None:
        return

    def refusing_empty(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def refuses_empty(a: Any, b: Any, *args: Any, **kwargs: Any) -> Any:
            if (numpy.size(a) == 0) != (numpy.size(b) == 0):
                raise AssertionError(f"{name} of something and nothing")
            return function(a, b, *args, **kwargs)

        return refuses_empty

    for name in ("allclose", "isclose"):
        setattr(numpy, name, refusing_empty(name, getattr(numpy, name)))
    if "testing" in text:
        import numpy.testing as testing

        for name in (
            "assert_allclose",
            "assert_equal",
            "assert_array_equal",
            "assert_almost_equal",
            "assert_array_almost_equal",
        ):
            setattr(testing, name, refusing_empty(name, getattr(testing, name)))


def check(case: dict[str, Any]) -> NoReturn:
    """Run the test and say what it came to."""
    candidate = RemoteProgram(write_message, read_message)
    error = run_test(case, new_module("test").__dict__, candidate)
    if error is None:
        write_message({"k": "done"})
    else:
        kind = "assertion" if isinstance(error, AssertionError) else "raised"
        said = {"k": kind, "type": type(error).__name__, "message": error_text(error)}
        write_message({**said, "candidate": candidate.failed, "broken": is_broken_test(error, case, candidate)})
    os._exit(0)


def run_test(case: dict[str, Any], space: dict[str, Any], candidate: RemoteProgram) -> BaseException | None:
    """Run `preamble` and the test's source in `space`, both trusted; the entry point and names in `program_names` are
    the candidate's.

    Returns what a failed test raised.
    """
    _refuse_empty_arrays(case["preamble"] + case["source"])
    lent = {name: candidate.function(name) for name in case["program_names"] if name not in case["inspected_names"]}
    if case["inspected_names"]:
        space = TestGlobals(space, candidate, case["inspected_names"])
    space.update(lent)
    try:
        # The data set's own text, which the user answers for.
        exec(compile(case["preamble"], "preamble.py", "exec", dont_inherit=True), space)
        space.update(lent)  # a preamble may hold a stub of the function that is tested
        for name in case["inspected_names"]:
            space.pop(name, None)
        # As is this.
        exec(compile(case["source"], "test.py", "exec", dont_inherit=True), space)
        if case["entry_point"] is not None:
            space["check"](candidate.function(case["entry_point"]))
    except BaseException as error:  # noqa: BLE001 - whatever a test raises is its verdict
        return error
    return candidate.refused


def is_broken_test(error: BaseException, case: dict[str, Any], candidate: RemoteProgram) -> bool:
    """Whether what a failed test raised says that its own text is broken. A test may evaluate, parse or load what the
    program answered, or bind a name only over some answers: what another answer would have spared it is the program's
    failure, as no answer may be a way out of a score."""
    if not isinstance(error, BROKEN_TEST):
        return False
    if not candidate.answered:
        return True
    if isinstance(error, ImportError):
        return bool(error.name) and str(error.name) in case["preamble"] + case["source"]
    return isinstance(error, NameError) and any(repr(name) in str(error) for name in case["early_reads"])

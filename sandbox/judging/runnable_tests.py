"""Tests turned into what can be judged apart: a simple assert becomes a call with values, anything else a split test.

`assert f(ARGS) == LITERAL` (either side; also `is True/False/None`, `assert f(..)`, `assert not f(..)`) becomes a call:
the candidate's process gets the arguments, the literal stays here. Any other assert, and every check, runs as a split
test: the statement in a box of its own, each call of the program's names answered by the candidate in another.
"""

from __future__ import annotations

import ast
import builtins
import sys
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sandbox.errors import ProgramError
from sandbox.images.root_tree import science_packages
from sandbox.inside.codec import pack
from sandbox.judging.compare import Equality, Tolerance
from sandbox.judging.names_in_tests import early_reads_of, names_of_the_program
from sandbox.types import AssertTest, CallTest, CheckerTest, OutputTest, Program, PytestTest, StdinTest, Test


@dataclass(frozen=True, kw_only=True, slots=True)
class CallCase:
    """One call and what is expected of it, both packed. `truth` set: only the truth of the result counts.

    Example: CallCase(name="add", args=[1, 2], kwargs={}, expected=3, how=Equality(json=True))
    """

    name: str
    args: list[Any]
    kwargs: dict[str, Any]
    expected: Any
    how: Equality
    truth: bool | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitTest:
    """Test source that runs in a box of its own. `program_names` are the names of the program that it
    uses, `inspected_names` those of them that it does more with than call them. `low_trust`: it uses more than the one
    function tested, or it runs text (see runs_text). `early_reads`: names that it reads before it can have bound them,
    whatever the program answers, which says that the test is broken.

    Example: SplitTest(source="assert abs(f(2) - 1.41) < 0.01", entry_point=None, program_names=("f",), low_trust=False)
    """

    source: str
    entry_point: str | None
    program_names: tuple[str, ...]
    low_trust: bool
    inspected_names: tuple[str, ...] = ()
    early_reads: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class PytestFile:
    """A pytest file and the least number of its tests that must pass: as many as it defines. Example:
    PytestFile(source="...", least=2)"""

    source: str
    least: int


_RUNNING_NAMES = {"eval", "exec", "import_module", "run_path", "run_module", "sympify", "parse_expr"}
_LOADING_MODULES = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "yaml", "subprocess", "code"}
RunnableTest = StdinTest | OutputTest | CheckerTest | CallCase | SplitTest | PytestFile


def runnable_test(test: Test, program: Program) -> RunnableTest:
    """The form in which `test` is judged. Raises ProgramError for what cannot be."""
    tolerance = None if program.tolerance is None else Tolerance(abs=program.tolerance[0], rel=program.tolerance[1])
    if isinstance(test, StdinTest | OutputTest):
        return test
    if isinstance(test, CheckerTest):
        _parse(test.checker, "checker")
        return test
    if isinstance(test, PytestTest):
        return _pytest_file(test.source)
    if isinstance(test, CallTest):
        kwargs = {key: pack(value) for key, value in test.kwargs.items()}
        how = Equality(json=True, tolerance=tolerance)
        args = [pack(item) for item in test.args]
        return CallCase(name=program.entry_point or "", args=args, kwargs=kwargs, expected=pack(test.expected), how=how)
    if isinstance(test, AssertTest):
        return _assert_case(test.source, program, tolerance)
    tree = _parse(test.source, "check")
    if not any(isinstance(node, ast.FunctionDef) and node.name == "check" for node in tree.body):
        raise ProgramError("a check must define the function check(candidate)", where="check")
    return _split_test(test.source, tree, program, program.entry_point)


def _parse(source: str, where: str) -> ast.Module:
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ProgramError(f"the test's source does not parse: {error}", where=where) from error


def _pytest_file(source: str) -> PytestFile:
    if "pytest" not in {name for name, _, _ in science_packages()}:
        raise ProgramError("pytest is not installed, so no box has it", where="pytest", remedy="pip install pytest")
    tree = _parse(source, "pytest")
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name.startswith("Test")]
    bodies = [tree.body, *(node.body for node in classes)]
    functions = [node for body in bodies for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    least = sum(node.name.startswith("test") for node in functions)
    if not least:
        raise ProgramError("a pytest file must define at least one test function", where="pytest")
    return PytestFile(source=source, least=least)


def _assert_case(source: str, program: Program, tolerance: Tolerance | None) -> CallCase | SplitTest:
    tree = _parse(source.strip(), "assert")
    if not tree.body or not any(isinstance(node, ast.Assert) for node in ast.walk(tree)):
        raise ProgramError(f"no assert statement in {source!r:.80}", where="assert")
    if len(tree.body) == 1 and isinstance(tree.body[0], ast.Assert) and not program.preamble:
        call = _call_of_comparison(tree.body[0].test, tolerance, program.entry_point)
        if call is not None:
            return call
    split = _split_test(source.strip(), tree, program, None)
    if not split.program_names:
        what = f"the assert {source!r:.80} calls nothing of the program"
        raise ProgramError(
            what,
            where="assert",
            remedy="name the function in entry_point, also where it is named like one of Python's own",
        )
    return split


def _split_test(source: str, tree: ast.Module, program: Program, entry_point: str | None) -> SplitTest:
    """A module that the test expects the program to have imported is the test side's own: `math` in `math.isclose(f(2),
    1.41)`."""
    program_names = names_of_the_program(tree, _parse(program.preamble, "preamble"), program.entry_point)
    reads = Counter(node.id for node in ast.walk(tree) if isinstance(node, ast.Name))
    looks = Counter(
        node.value.id for node in ast.walk(tree) if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    )
    imports = {
        name: _import_of(name) for name in program_names if name != program.entry_point and reads[name] == looks[name]
    }
    names = tuple(name for name in program_names if not imports.get(name))
    tested = {program.entry_point} if program.entry_point or entry_point else set(names[:1])
    lines = [line for line in imports.values() if line]
    calls = Counter(
        node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    )
    inspected_names = tuple(name for name in names if reads[name] > calls[name])
    low_trust = bool(set(names) - tested) or runs_text(source) or runs_text(program.preamble)
    text = "\n".join([*lines, source])
    return SplitTest(
        source=text,
        entry_point=entry_point,
        program_names=names,
        low_trust=low_trust,
        inspected_names=inspected_names,
        early_reads=early_reads_of(tree),
    )


@lru_cache(maxsize=256)
def runs_text(source: str) -> bool:
    """Whether trusted code evaluates text or loads objects: what a program answers may be such, and would then run
    beside the test."""
    nodes = list(ast.walk(_parse(source, "test")))
    names = {node.id for node in nodes if isinstance(node, ast.Name)} | {
        node.attr for node in nodes if isinstance(node, ast.Attribute)
    }
    modules = {alias.name.partition(".")[0] for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    modules |= {str(node.module).partition(".")[0] for node in nodes if isinstance(node, ast.ImportFrom)}
    return bool(names & _RUNNING_NAMES or modules & _LOADING_MODULES)


def _import_of(name: str) -> str:
    if name == "np":
        return "import numpy as np"
    return f"import {name}" if name in sys.stdlib_module_names or name == "numpy" else ""


def _call_of_comparison(test: ast.expr, tolerance: Tolerance | None, entry_point: str | None) -> CallCase | None:
    python_equality = Equality(json=False, tolerance=tolerance)
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return _call_case(test.operand, None, python_equality, entry_point, truth=False)
    if isinstance(test, ast.Call):
        return _call_case(test, None, python_equality, entry_point, truth=True)
    if not isinstance(test, ast.Compare) or len(test.ops) != 1:
        return None
    operator, left, right = test.ops[0], test.left, test.comparators[0]
    if (
        isinstance(operator, ast.Is)
        and isinstance(right, ast.Constant)
        and (right.value is None or isinstance(right.value, bool))
    ):
        return _call_case(left, right, Equality(json=True), entry_point)
    if not isinstance(operator, ast.Eq):
        return None
    return _call_case(left, right, python_equality, entry_point) or _call_case(
        right, left, python_equality, entry_point
    )


def _call_case(
    call: ast.expr, expected: ast.expr | None, how: Equality, entry_point: str | None, truth: bool | None = None
) -> CallCase | None:
    """A CallCase when `call` is NAME(literals), NAME not one of Python's own unless tested, and `expected` a literal;
    otherwise None."""
    name = _name_called(call)
    if (
        not isinstance(call, ast.Call)
        or name is None
        or (name.partition(".")[0] in dir(builtins) and name != entry_point)
    ):
        return None
    if any(keyword.arg is None for keyword in call.keywords):
        return None
    try:
        args = [pack(ast.literal_eval(item)) for item in call.args]
        kwargs = {str(keyword.arg): pack(ast.literal_eval(keyword.value)) for keyword in call.keywords}
        value = None if expected is None else pack(ast.literal_eval(expected))
    except (ValueError, TypeError, RecursionError, MemoryError):
        return None
    return CallCase(name=name, args=args, kwargs=kwargs, expected=value, how=how, truth=truth)


def _name_called(call: ast.expr) -> str | None:
    """f of f(..), and Solution.f of Solution().f(..), as an entry point may be named."""
    function = call.func if isinstance(call, ast.Call) else None
    if isinstance(function, ast.Name):
        return function.id
    made = function.value if isinstance(function, ast.Attribute) else None
    if isinstance(function, ast.Attribute) and isinstance(made, ast.Call) and not made.args and not made.keywords:
        return f"{made.func.id}.{function.attr}" if isinstance(made.func, ast.Name) else None
    return None

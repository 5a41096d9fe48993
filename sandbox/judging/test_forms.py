"""Tests turned into what can be judged apart: a simple assert becomes a call with values, anything else a split test.

`assert f(ARGS) == LITERAL` (either side; also `is True/False/None`, `assert f(..)`, `assert not f(..)`) is lifted by
its syntax tree: the candidate's process gets the arguments, the literal stays here. Whatever cannot be lifted runs as a
split test: the statement in a box of its own, each call of the program's names answered by the candidate in another.
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
from sandbox.types import AssertTest, CallTest, CheckerTest, Program, PytestTest, StdinTest, Test


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """One call and what is expected of it, both packed. `truth` set: only the truth of the result counts.

    Example: Call(name="add", args=[1, 2], kwargs={}, expected=3, how=Equality(json=True))
    """

    name: str
    args: list[Any]
    kwargs: dict[str, Any]
    expected: Any
    how: Equality
    truth: bool | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Split:
    """Test source that runs in a box of its own. `borrowed` are the program's names it uses; `low_trust` when more than
    the one tested, or when it runs text (see runs_text). `looked_at`: of those borrowed, the names that it does more
    with than call them. `late`: names that it reads before it binds them, whatever the program answers.

    Example: Split(source="assert abs(f(2) - 1.41) < 0.01", entry_point=None, borrowed=("f",), low_trust=False)
    """

    source: str
    entry_point: str | None
    borrowed: tuple[str, ...]
    low_trust: bool
    looked_at: tuple[str, ...] = ()
    late: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class TestFile:
    """A pytest file and the least number of its tests that must pass: as many as it defines. Example:
    TestFile(source="...", least=2)"""

    __test__ = False  # pytest: not a test class

    source: str
    least: int


_RUNNING_NAMES = {"eval", "exec", "import_module", "run_path", "run_module", "sympify", "parse_expr"}
_LOADING_MODULES = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "yaml", "subprocess", "code"}
Judged = StdinTest | CheckerTest | Call | Split | TestFile


def lift(test: Test, program: Program) -> Judged:
    """The form in which `test` is judged. Raises ProgramError for what cannot be."""
    tolerance = None if program.tolerance is None else Tolerance(abs=program.tolerance[0], rel=program.tolerance[1])
    if isinstance(test, StdinTest):
        return test
    if isinstance(test, CheckerTest):
        _parse(test.checker, "checker")
        return test
    if isinstance(test, PytestTest):
        return _test_file(test.source)
    if isinstance(test, CallTest):
        kwargs = {key: pack(value) for key, value in test.kwargs.items()}
        how = Equality(json=True, tolerance=tolerance)
        args = [pack(item) for item in test.args]
        return Call(name=program.entry_point or "", args=args, kwargs=kwargs, expected=pack(test.expected), how=how)
    if isinstance(test, AssertTest):
        return _assertion(test.source, program, tolerance)
    tree = _parse(test.source, "check")
    if not any(isinstance(node, ast.FunctionDef) and node.name == "check" for node in tree.body):
        raise ProgramError("a check must define the function check(candidate)", where="check")
    return _split(test.source, tree, program, program.entry_point)


def _parse(source: str, where: str) -> ast.Module:
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ProgramError(f"the test's source does not parse: {error}", where=where) from error


def _test_file(source: str) -> TestFile:
    if "pytest" not in {name for name, _, _ in science_packages()}:
        raise ProgramError("pytest is not installed, so no box has it", where="pytest", remedy="pip install pytest")
    tree = _parse(source, "pytest")
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name.startswith("Test")]
    bodies = [tree.body, *(node.body for node in classes)]
    functions = [node for body in bodies for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    least = sum(node.name.startswith("test") for node in functions)
    if not least:
        raise ProgramError("a pytest file must define at least one test function", where="pytest")
    return TestFile(source=source, least=least)


def _assertion(source: str, program: Program, tolerance: Tolerance | None) -> Call | Split:
    tree = _parse(source.strip(), "assert")
    if not tree.body or not any(isinstance(node, ast.Assert) for node in ast.walk(tree)):
        raise ProgramError(f"no assert statement in {source!r:.80}", where="assert")
    if len(tree.body) == 1 and isinstance(tree.body[0], ast.Assert) and not program.preamble:
        lifted = _comparison(tree.body[0].test, tolerance, program.entry_point)
        if lifted is not None:
            return lifted
    split = _split(source.strip(), tree, program, None)
    if not split.borrowed:
        what = f"the assert {source!r:.80} calls nothing of the program"
        raise ProgramError(
            what,
            where="assert",
            remedy="name the function in entry_point, also where it is named like one of Python's own",
        )
    return split


def _split(source: str, tree: ast.Module, program: Program, entry_point: str | None) -> Split:
    """A module that the test expects the program to have imported is the test side's own: `math` in `math.isclose(f(2),
    1.41)`."""
    borrowed = _borrowed(tree, program)
    reads = Counter(node.id for node in ast.walk(tree) if isinstance(node, ast.Name))
    looks = Counter(
        node.value.id for node in ast.walk(tree) if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    )
    imports = {
        name: _import_of(name) for name in borrowed if name != program.entry_point and reads[name] == looks[name]
    }
    names = tuple(name for name in borrowed if not imports.get(name))
    tested = {program.entry_point} if program.entry_point or entry_point else set(names[:1])
    lines = [line for line in imports.values() if line]
    calls = Counter(
        node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    )
    looked_at = tuple(name for name in names if reads[name] > calls[name])
    low_trust = bool(set(names) - tested) or runs_text(source) or runs_text(program.preamble)
    text = "\n".join([*lines, source])
    return Split(
        source=text, entry_point=entry_point, borrowed=names, low_trust=low_trust, looked_at=looked_at, late=_late(tree)
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


def _comparison(test: ast.expr, tolerance: Tolerance | None, entry_point: str | None) -> Call | None:
    python = Equality(json=False, tolerance=tolerance)
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return _call(test.operand, None, python, entry_point, truth=False)
    if isinstance(test, ast.Call):
        return _call(test, None, python, entry_point, truth=True)
    if not isinstance(test, ast.Compare) or len(test.ops) != 1:
        return None
    operator, left, right = test.ops[0], test.left, test.comparators[0]
    if (
        isinstance(operator, ast.Is)
        and isinstance(right, ast.Constant)
        and (right.value is None or isinstance(right.value, bool))
    ):
        return _call(left, right, Equality(json=True), entry_point)
    if not isinstance(operator, ast.Eq):
        return None
    return _call(left, right, python, entry_point) or _call(right, left, python, entry_point)


def _call(
    call: ast.expr, expected: ast.expr | None, how: Equality, entry_point: str | None, truth: bool | None = None
) -> Call | None:
    """A Call when `call` is NAME(literals), NAME not one of Python's own unless tested, and `expected` a literal;
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
    return Call(name=name, args=args, kwargs=kwargs, expected=value, how=how, truth=truth)


def _name_called(call: ast.expr) -> str | None:
    """f of f(..), and Solution.f of Solution().f(..), as an entry point may be named."""
    function = call.func if isinstance(call, ast.Call) else None
    if isinstance(function, ast.Name):
        return function.id
    made = function.value if isinstance(function, ast.Attribute) else None
    if isinstance(function, ast.Attribute) and isinstance(made, ast.Call) and not made.args and not made.keywords:
        return f"{made.func.id}.{function.attr}" if isinstance(made.func, ast.Name) else None
    return None


def _borrowed(tree: ast.Module, program: Program) -> tuple[str, ...]:
    """Names that the test reads and nobody binds: neither the test, nor the preamble, nor Python. Sorted by first use.

    The entry point is the program's, whoever else has such a name, and also where only the preamble reads it. No other
    name that Python or the preamble has is: a program may define its own `all`, and must not answer for the test's.
    """
    preamble = _parse(program.preamble, "preamble")
    of_the_test = _bound(tree)
    bound = set(dir(builtins)) | of_the_test | _bound(preamble)
    if program.entry_point and program.entry_point not in of_the_test:
        bound.discard(program.entry_point)
    used = [name for name in _read(tree) if name not in bound]
    return tuple(used) + tuple(
        name for name in _read(preamble) if name == program.entry_point and name not in {*bound, *used}
    )


def _late(tree: ast.Module) -> tuple[str, ...]:
    """Names that a straight run through the test reads before it can have bound them. One that some answer would bind
    is not of these."""
    found: list[str] = []
    scopes: list[ast.Module | ast.FunctionDef] = [
        tree,
        *(node for node in tree.body if isinstance(node, ast.FunctionDef)),
    ]
    for scope in scopes:
        bound: set[str] = set() if isinstance(scope, ast.Module) else _bound(scope.args)
        own = {name for line in scope.body for name in _bound(line)}
        for line in scope.body:
            found += [name for name in _surely_read(line) if name in own and name not in bound]
            bound |= _bound(line)
    return tuple(dict.fromkeys(found))


def _surely_read(node: ast.AST) -> list[str]:
    """Names that are read whenever this statement or expression is reached, and ends. Example: of `assert a and b, c`
    only a"""
    if isinstance(node, ast.Name):
        return [node.id] if isinstance(node.ctx, ast.Load) else []
    parts: list[ast.AST | None]
    match node:
        case ast.AugAssign(target=ast.Name(id=name)):
            return [name, *_surely_read(node.value)]
        case ast.Assert() | ast.If() | ast.While() | ast.IfExp():
            parts = [node.test]
        case ast.For() | ast.comprehension():
            parts = [node.iter]
        case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
            parts = [node.generators[0]]
        case ast.With():
            parts = [item.context_expr for item in node.items]
        case ast.BoolOp():
            parts = [node.values[0]]
        case ast.Compare():
            parts = [node.left, node.comparators[0]]
        case ast.Expr() | ast.Assign() | ast.AnnAssign() | ast.Return():
            parts = [node.value]
        case ast.Lambda() | ast.stmt():
            parts = []
        case _:
            parts = list(ast.iter_child_nodes(node))
    return [name for part in parts if part is not None for name in _surely_read(part)]


def _read(tree: ast.Module) -> list[str]:
    return list(
        dict.fromkeys(
            node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
        )
    )


def _bound(tree: ast.AST) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            names.add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ExceptHandler) and node.name:
            names.add(node.name)
    return names

"""Names in a test's source, by its syntax tree: which it reads, which it binds, which only the program can provide.

Knows nothing of how a test is run.
"""

from __future__ import annotations

import ast
import builtins


def names_of_the_program(tree: ast.Module, preamble: ast.Module, entry_point: str | None) -> tuple[str, ...]:
    """Names that the test reads and only the program can bind: neither the test does, nor the preamble, nor Python.
    Sorted by first use.

    The entry point is the program's, whoever else has such a name, and also where only the preamble reads it. No other
    name that Python or the preamble has is: a program may define its own `all`, and must not answer for the test's.
    """
    of_the_test = _names_bound(tree)
    bound = set(dir(builtins)) | of_the_test | _names_bound(preamble)
    if entry_point and entry_point not in of_the_test:
        bound.discard(entry_point)
    used = [name for name in _names_read(tree) if name not in bound]
    return tuple(used) + tuple(
        name for name in _names_read(preamble) if name == entry_point and name not in {*bound, *used}
    )


def early_reads_of(tree: ast.Module) -> tuple[str, ...]:
    """Names that a straight run through the test reads before it can have bound them. One that some answer would bind
    is not of these."""
    found: list[str] = []
    scopes: list[ast.Module | ast.FunctionDef] = [
        tree,
        *(node for node in tree.body if isinstance(node, ast.FunctionDef)),
    ]
    for scope in scopes:
        bound: set[str] = set() if isinstance(scope, ast.Module) else _names_bound(scope.args)
        own = {name for line in scope.body for name in _names_bound(line)}
        for line in scope.body:
            found += [name for name in _names_surely_read(line) if name in own and name not in bound]
            bound |= _names_bound(line)
    return tuple(dict.fromkeys(found))


def _names_surely_read(node: ast.AST) -> list[str]:
    """Names that are read whenever this statement or expression is reached, and ends. Example: of `assert a and b, c`
    only a"""
    if isinstance(node, ast.Name):
        return [node.id] if isinstance(node.ctx, ast.Load) else []
    parts: list[ast.AST | None]
    match node:
        case ast.AugAssign(target=ast.Name(id=name)):
            return [name, *_names_surely_read(node.value)]
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
    return [name for part in parts if part is not None for name in _names_surely_read(part)]


def _names_read(tree: ast.Module) -> list[str]:
    return list(
        dict.fromkeys(
            node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
        )
    )


def _names_bound(tree: ast.AST) -> set[str]:
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

"""Small wrong changes to a program, by its syntax tree: what a test suite that is worth its time should notice.

One change a mutant: a comparison, an operator, a constant, a condition, a return value, a statement left out. First of
all the program whose functions do nothing. Some mutants are no worse than the original (equivalent); who counts
survivors must expect a few.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator

_SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.GtE, ast.LtE: ast.Gt, ast.Gt: ast.LtE, ast.GtE: ast.Lt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.And: ast.Or, ast.Or: ast.And,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
}  # fmt: skip


def mutants(source: str, most: int) -> list[tuple[str, str]]:
    """At most `most` pairs (what was changed, program), spread over the whole program; always the same ones. Raises
    SyntaxError."""
    tree = ast.parse(source)
    empty = _program_that_does_nothing(tree)
    found = [("functions do nothing", empty)] if empty != ast.unparse(tree) else []
    sites = list(_sites(tree))
    wanted = max(0, most - len(found))
    step = max(1.0, len(sites) / wanted) if wanted else 1.0
    for index in sorted({int(number * step) for number in range(wanted) if int(number * step) < len(sites)}):
        found.append(_mutant(tree, *sites[index]))
    return found


def _program_that_does_nothing(tree: ast.Module) -> str:
    changed = copy.deepcopy(tree)
    for node in ast.walk(changed):
        if isinstance(node, ast.FunctionDef):
            node.body = [ast.Pass()]
    kept = (ast.FunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)
    changed.body = [node for node in changed.body if isinstance(node, kept)] or [ast.Pass()]
    return ast.unparse(changed)


def _sites(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """(place in ast.walk, kind of change), returns and conditions first: they change most."""
    order = {"return": 0, "condition": 1, "operator": 2, "constant": 3, "statement": 4}
    places = [(number, kind) for number, node in enumerate(ast.walk(tree)) if (kind := _kind_of_change(node))]
    yield from sorted(places, key=lambda place: (order[place[1]], place[0]))


def _kind_of_change(node: ast.AST) -> str:
    if isinstance(node, ast.Return) and node.value is not None:
        return "return"
    if isinstance(node, ast.If | ast.While):
        return "condition"
    if isinstance(node, ast.Compare) and type(node.ops[0]) in _SWAPS:
        return "operator"
    if isinstance(node, ast.BinOp | ast.BoolOp | ast.AugAssign) and type(node.op) in _SWAPS:
        return "operator"
    if isinstance(node, ast.Constant) and isinstance(node.value, int):
        return "constant"
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        return "statement"
    return ""


def _mutant(tree: ast.Module, place: int, kind: str) -> tuple[str, str]:
    changed = copy.deepcopy(tree)
    node = next(node for number, node in enumerate(ast.walk(changed)) if number == place)
    if isinstance(node, ast.Return):
        node.value = ast.Constant(None)
    elif isinstance(node, ast.If | ast.While):
        node.test = ast.UnaryOp(op=ast.Not(), operand=node.test)
    elif isinstance(node, ast.Compare):
        node.ops[0] = _SWAPS[type(node.ops[0])]()  # type: ignore[call-overload]
    elif isinstance(node, ast.BinOp | ast.BoolOp | ast.AugAssign):
        node.op = _SWAPS[type(node.op)]()  # type: ignore[assignment]
    elif isinstance(node, ast.Constant):
        node.value = (not node.value) if isinstance(node.value, bool) else node.value + 1  # type: ignore[operator]
    elif isinstance(node, ast.Expr):
        node.value = ast.Constant(None)
    return f"{kind} in line {getattr(node, 'lineno', 0)}", ast.unparse(ast.fix_missing_locations(changed))

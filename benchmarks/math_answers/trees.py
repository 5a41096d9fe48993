"""Expressions for the generator of identities: a tree, its LaTeX, its value by mpmath, rewritings that keep the value,
one-token changes.

Shares no code with the verifier and reads no text: it only writes. Trees are tuples:
("num", Fraction) ("var", name) ("const", name) ("add"|"sub"|"mul"|"frac"|"pow", a, b) ("neg"|"sqrt", a) ("fn", name, a)
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import mpmath

Tree = tuple[Any, ...]
FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "\\sin": mpmath.sin, "\\cos": mpmath.cos, "\\tan": mpmath.tan, "\\ln": mpmath.log,
}  # fmt: skip
CONSTANTS: dict[str, Callable[[], Any]] = {
    "\\pi": lambda: +mpmath.pi,
    "e": lambda: +mpmath.e,
    "i": lambda: mpmath.mpc(0, 1),
}
_TIGHT = {
    "add": 1,
    "sub": 1,
    "neg": 1,
    "mul": 2,
    "frac": 3,
    "pow": 3,
    "num": 4,
    "var": 4,
    "const": 4,
    "sqrt": 4,
    "fn": 2.5,
}


def num(value: int | Fraction) -> Tree:
    return ("num", Fraction(value))


def var(name: str) -> Tree:
    return ("var", name)


def tex(tree: Tree) -> str:
    """LaTeX with as few brackets as are needed."""
    kind = tree[0]
    if kind == "num":
        value = tree[1]
        whole = f"{abs(value.numerator)}"
        text = whole if value.denominator == 1 else f"\\frac{{{whole}}}{{{value.denominator}}}"
        return f"-{text}" if value < 0 else text
    if kind in ("var", "const"):
        return str(tree[1])
    if kind == "add":
        return f"{tex(tree[1])}+{_wrapped(tree[2], 1.5)}"
    if kind == "sub":
        return f"{tex(tree[1])}-{_wrapped(tree[2], 1.5)}"
    if kind == "neg":
        return f"-{_wrapped(tree[1], 1.5)}"
    if kind == "mul":
        return _product(tree[1], tree[2])
    if kind == "frac":
        return f"\\frac{{{tex(tree[1])}}}{{{tex(tree[2])}}}"
    if kind == "pow":
        return f"{_wrapped(tree[1], 3.5)}^{{{tex(tree[2])}}}"
    if kind == "sqrt":
        return f"\\sqrt{{{tex(tree[1])}}}"
    return f"{tree[1]}\\left({tex(tree[2])}\\right)"


def _product(a: Tree, b: Tree) -> str:
    left, right = _wrapped(a, 2), _wrapped(b, 2.2)
    return (
        f"{left}\\cdot {right}"
        if right[0].isdigit() or right.startswith("\\frac") or right[0] == "i"
        else f"{left} {right}"
    )


def _wrapped(tree: Tree, floor: float) -> str:
    tight = _TIGHT[tree[0]]
    if tree[0] == "num" and (tree[1] < 0 or (tree[1].denominator > 1 and floor > 3)):
        tight = 1
    return f"\\left({tex(tree)}\\right)" if tight < floor else tex(tree)


def value(tree: Tree, at: dict[str, Any]) -> Any:
    """The value by mpmath; ZeroDivisionError or ValueError where there is none."""
    kind = tree[0]
    if kind == "num":
        return mpmath.mpf(tree[1].numerator) / tree[1].denominator
    if kind == "var":
        return at[tree[1]]
    if kind == "const":
        return CONSTANTS[tree[1]]()
    if kind == "fn":
        return FUNCTIONS[tree[1]](value(tree[2], at))
    values = [value(child, at) for child in tree[1:]]
    if kind == "neg":
        return -values[0]
    if kind == "sqrt":
        return mpmath.sqrt(values[0])
    a, b = values
    if kind == "pow":
        return mpmath.power(a, b)
    return {"add": lambda: a + b, "sub": lambda: a - b, "mul": lambda: a * b, "frac": lambda: a / b}[kind]()


def names(tree: Tree) -> set[str]:
    if tree[0] == "var":
        return {tree[1]}
    return set().union(*(names(child) for child in tree[1:] if isinstance(child, tuple)), set())


def equal(a: Tree, b: Tree, rng: random.Random) -> bool | None:
    """True where both agree at 8 random points to 30 digits, False where they differ at all of them by 1e-9, None for
    what is unclear."""
    free = sorted(names(a) | names(b))
    agree = differ = points = 0
    with mpmath.workdps(50):
        for _ in range(8 if free else 1):
            at = {name: mpmath.mpf(rng.randint(300, 2900)) / 1000 for name in free}
            try:
                left, right = value(a, at), value(b, at)
            except (ZeroDivisionError, ValueError, OverflowError):
                continue
            points += 1
            gap = abs(left - right) / max(abs(left), abs(right), mpmath.mpf(10) ** -40)
            agree += gap < mpmath.mpf(10) ** -30
            differ += gap > mpmath.mpf(10) ** -9
    if not points or points < len(free):
        return None
    return True if agree == points else False if differ == points else None


# ---------------------------------------------------------------- rewriting


def places(tree: Tree) -> Iterator[tuple[int, ...]]:
    """Paths to every node."""
    yield ()
    for i, child in enumerate(tree[1:], 1):
        if isinstance(child, tuple):
            yield from ((i, *path) for path in places(child))


def node_at(tree: Tree, path: tuple[int, ...]) -> Tree:
    for i in path:
        tree = tree[i]
    return tree


def put(tree: Tree, path: tuple[int, ...], new: Tree) -> Tree:
    if not path:
        return new
    i = path[0]
    return (*tree[:i], put(tree[i], path[1:], new), *tree[i + 1 :])


def _terms(a: Tree) -> list[Tree]:
    if a[0] == "add":
        return [*_terms(a[1]), *_terms(a[2])]
    if a[0] == "sub":
        return [*_terms(a[1]), *(_negated(t) for t in _terms(a[2]))]
    return [a]


def _negated(a: Tree) -> Tree:
    if a[0] == "num":
        return num(-a[1])
    return a[1] if a[0] == "neg" else ("neg", a)


def sum_of(terms: list[Tree]) -> Tree:
    """The sum as a tree, minus signs in front of negative terms."""
    total = terms[0]
    for term in terms[1:]:
        negative = term[0] == "neg" or (term[0] == "num" and term[1] < 0)
        total = ("sub", total, _negated(term)) if negative else ("add", total, term)
    return total


def rewrites(a: Tree) -> Iterator[Tree]:
    """Other ways to write the top of `a`. Some hold only where the checks at random points confirm them: the caller
    checks."""
    kind = a[0]
    if kind in ("add", "sub"):
        terms = _terms(a)
        yield sum_of([*terms[1:], terms[0]])
        yield ("neg", sum_of([_negated(term) for term in terms]))
    if kind == "mul":
        yield ("mul", a[2], a[1])
        for one, other in ((a[1], a[2]), (a[2], a[1])):
            if one[0] in ("add", "sub"):
                yield sum_of(
                    [("mul", other, t) if t[0] != "neg" else ("neg", ("mul", other, t[1])) for t in _terms(one)]
                )
            if one[0] == "frac":
                yield ("frac", ("mul", one[1], other), one[2])
    if kind == "pow" and a[2] == num(2):
        yield ("mul", a[1], a[1])
        if a[1][0] in ("add", "sub"):
            x, y = a[1][1], a[1][2]
            yield (a[1][0], ("add", ("pow", x, num(2)), ("pow", y, num(2))), ("mul", num(2), ("mul", x, y)))
    if kind == "pow" and a[1] == ("const", "e") and a[2][0] == "add":
        yield ("mul", ("pow", a[1], a[2][1]), ("pow", a[1], a[2][2]))
    if kind == "frac":
        if a[1][0] in ("add", "sub"):
            yield (a[1][0], ("frac", a[1][1], a[2]), ("frac", a[1][2], a[2]))
        yield ("mul", ("frac", num(1), a[2]), a[1])
        if a[1][0] == a[2][0] == "num":
            yield ("frac", num(3 * a[1][1]), num(3 * a[2][1]))
        else:
            yield ("frac", ("mul", num(3), a[1]), ("mul", num(3), a[2]))
        yield ("frac", _negated(a[1]), _negated(a[2]))
    if kind == "sqrt":
        yield ("pow", a[1], num(Fraction(1, 2)))
        if a[1][0] == "frac":
            yield ("frac", ("sqrt", a[1][1]), ("sqrt", a[1][2]))
    if kind == "fn":
        yield from _function_rewrites(a)
    if kind == "num" and a[1].denominator == 1 and 3 < a[1] < 40:
        yield ("frac", num(2 * a[1]), num(2))


def _function_rewrites(a: Tree) -> Iterator[Tree]:
    name, u = a[1], a[2]
    if name == "\\tan":
        yield ("frac", ("fn", "\\sin", u), ("fn", "\\cos", u))
    if name == "\\sin":
        yield ("mul", num(2), ("mul", ("fn", "\\sin", ("frac", u, num(2))), ("fn", "\\cos", ("frac", u, num(2)))))
        yield ("fn", "\\cos", ("sub", ("frac", ("const", "\\pi"), num(2)), u))
    if name == "\\cos":
        yield ("sub", num(1), ("mul", num(2), ("pow", ("fn", "\\sin", ("frac", u, num(2))), num(2))))
    if name == "\\ln" and u[0] == "mul":
        yield ("add", ("fn", "\\ln", u[1]), ("fn", "\\ln", u[2]))
    if name == "\\ln" and u[0] == "pow":
        yield ("mul", u[2], ("fn", "\\ln", u[1]))
    if name == "\\ln" and u[0] == "frac":
        yield ("sub", ("fn", "\\ln", u[1]), ("fn", "\\ln", u[2]))


def rewritten(tree: Tree, rng: random.Random, steps: int = 3) -> Tree | None:
    """`tree` written differently, confirmed equal; None where no rewriting was found."""
    now = tree
    for _ in range(steps):
        path = rng.choice(list(places(now)))
        options = list(rewrites(node_at(now, path)))
        if options:
            now = put(now, path, rng.choice(options))
    return now if tex(now) != tex(tree) and len(tex(now)) < 160 and equal(tree, now, rng) is True else None


_SWAPS = {"add": "sub", "sub": "add"}
_OTHER_FUNCTION = {"\\sin": "\\cos", "\\cos": "\\sin", "\\tan": "\\sin", "\\ln": "\\sin"}


def one_token_off(tree: Tree, rng: random.Random, gold: Tree) -> Tree | None:
    """`tree` with one number, sign, name or function changed, confirmed different from `gold`; None where the change
    does not show."""
    path = rng.choice(list(places(tree)))
    node = node_at(tree, path)
    if node[0] == "num":
        new: Tree = num(node[1] + rng.choice((-1, 1)))
    elif node[0] in _SWAPS:
        new = (_SWAPS[node[0]], node[1], node[2])
    elif node[0] == "fn":
        new = ("fn", _OTHER_FUNCTION[node[1]], node[2])
    elif node[0] == "neg":
        new = node[1]
    elif node[0] == "var":
        new = var(rng.choice(sorted(names(gold) - {node[1]}) or [node[1]]))
    elif node[0] == "sqrt":
        new = node[1]
    else:
        return None
    off = put(tree, path, new)
    return off if equal(gold, off, rng) is False else None

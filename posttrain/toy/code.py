"""Code problems: a small Python function described in words; the answer's source is run by the judge against the gold's
tests.

Levels: 1 one operation; 2 two; 3 three; 4 three, told out of order; 5 a choice by parity, then one more operation.
A careful answer plans the operations in order and writes one line for each; a terse one writes a single nested
expression. The expected values are computed here by Python functions, never by running the source that the answer
shows.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from posttrain.toy.problem import Problem

ENTRY_POINT = "f"


@dataclass(frozen=True, kw_only=True, slots=True)
class Operation:
    """One thing to do to x. `source` holds {x} and, if it takes a number, {k}."""

    phrases: tuple[str, ...]
    source: str
    run: Callable[[int, int], int]


OPERATIONS = (
    Operation(phrases=("add {k}", "increase by {k}"), source="{x}+{k}", run=lambda x, k: x + k),
    Operation(phrases=("subtract {k}", "decrease by {k}"), source="{x}-{k}", run=lambda x, k: x - k),
    Operation(phrases=("multiply by {k}", "scale by {k}"), source="{x}*{k}", run=lambda x, k: x * k),
    Operation(phrases=("take the remainder by {k}", "reduce modulo {k}"), source="{x}%{k}", run=lambda x, k: x % k),
    Operation(phrases=("cap at {k}", "limit to at most {k}"), source="min({x},{k})", run=min),
    Operation(phrases=("raise to at least {k}", "keep at least {k}"), source="max({x},{k})", run=max),
    Operation(phrases=("double", "multiply by two"), source="{x}*2", run=lambda x, k: x * 2),
    Operation(phrases=("negate", "flip the sign"), source="-{x}", run=lambda x, k: -x),
)

Step = tuple[int, int, int]
"""Index into OPERATIONS, number k, index of the phrase used."""


def draw(rng: random.Random, level: int) -> Problem:
    """One problem of a level, 1 to 5."""
    steps = [_step(rng) for _ in range({1: 1, 2: 2}.get(level, 3))]
    phrases = [OPERATIONS[operation].phrases[phrase].format(k=k) for operation, k, phrase in steps]
    if level == 5:
        question = f"Write f(x): if x is even {phrases[0]}, otherwise {phrases[1]}; then {phrases[2]}."
    elif level == 4:
        question = f"Write f(x): {phrases[1]}, then {phrases[2]}, but first {phrases[0]}."
    else:
        question = f"Write f(x): {', then '.join(phrases)}."
    shape = "if" if level == 5 else "seq"
    key = f"code/{shape}/" + ",".join(_source(step, "x") for step in steps)
    tests = [{"args": [x], "expected": _run(steps, x, level == 5)} for x in sorted(rng.sample(range(-30, 31), 6))]
    gold = {"entry_point": ENTRY_POINT, "tests": tests}
    return Problem(key=key, question=question, gold=gold, level=level, facts={"steps": steps, "branch": level == 5})


def worked(problem: Problem, rng: random.Random, careful: bool) -> tuple[str, str]:
    """(thinking, answer) of a right solution."""
    steps, branch = problem.facts["steps"], problem.facts["branch"]
    plan = ";".join(_source(step, "x") for step in steps)
    lines = _branch_lines(steps, careful) if branch else _lines(steps) if careful else [f"return {_nest(steps)}"]
    body = "\n".join(f"    {line}" for line in lines)
    return plan if careful else "", f"```python\ndef f(x):\n{body}\n```"


def _step(rng: random.Random) -> Step:
    return rng.randrange(len(OPERATIONS)), rng.randint(2, 9), rng.randrange(2)


def _source(step: Step, x: str) -> str:
    return OPERATIONS[step[0]].source.format(x=x, k=step[1])


def _nest(steps: list[Step]) -> str:
    inner = "x"
    for number, step in enumerate(steps):
        # A call needs no parentheses inside an operator; anything else does.
        plain = number == 0 or (inner.endswith(")") and inner.startswith(("min(", "max(", "abs(")))
        bare = OPERATIONS[step[0]].source.startswith(("min(", "max(", "abs("))
        inner = _source(step, inner if plain or bare else f"({inner})")
    return inner


def _lines(steps: list[Step]) -> list[str]:
    return [*(f"x={_source(step, 'x')}" for step in steps), "return x"]


def _branch_lines(steps: list[Step], careful: bool) -> list[str]:
    even, odd, last = (_source(step, "x") for step in steps)
    if careful:
        return ["if x%2==0:", f"    x={even}", "else:", f"    x={odd}", f"x={last}", "return x"]
    return [f"x={even} if x%2==0 else {odd}", f"return {last}"]


def _run(steps: list[Step], x: int, branch: bool) -> Any:
    chosen = [steps[0] if x % 2 == 0 else steps[1], steps[2]] if branch else steps
    for operation, k, _ in chosen:
        x = OPERATIONS[operation].run(x, k)
    return x

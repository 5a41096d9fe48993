"""STEM problems: sums and word problems of one or two operations on small whole numbers. No intermediate result is
negative.

Levels: 1 plus one digit; 2 plus two digits; 3 minus two digits; 4 two operations, the second with one digit; 5 with two
digits. A careful answer writes each operation out in columns, from the right; a terse one only its result. Knows
nothing of splits or rows.
"""

from __future__ import annotations

import random
from itertools import zip_longest

from posttrain.toy.problem import Problem

Term = tuple[str, int]
"""An operation and its operand, such as ("+", 48); the first term's operation is ""."""

NAMES = ("Tom", "Ann", "Eva")
THINGS = ("pens", "eggs", "coins")


def draw(rng: random.Random, level: int) -> Problem:
    """One problem of the level, as a sum or as a story."""
    terms = _terms(rng, level)
    expression = as_expression(terms)
    form = rng.random()
    if form < 0.4:
        question = f"Compute {expression}."
    elif form < 0.6:
        question = f"What is{''.join(f' {operation} {operand}'.replace('  ', ' ') for operation, operand in terms)}?"
    else:
        question = _story(rng, terms)
    return Problem(
        key=f"stem/{expression}", question=question, gold=str(value(terms)), level=level, facts={"terms": terms}
    )


def as_expression(terms: list[Term]) -> str:
    return "".join(f"{operation}{operand}" for operation, operand in terms)


def value(terms: list[Term]) -> int:
    total = terms[0][1]
    for operation, operand in terms[1:]:
        total = apply(total, operation, operand)
    return total


def apply(left: int, operation: str, right: int) -> int:
    return left + right if operation == "+" else left - right


def worked(problem: Problem, rng: random.Random, careful: bool) -> tuple[str, str]:
    """(thinking, answer) of a right solution."""
    return solution(problem.facts["terms"], careful), f"\\boxed{{{problem.gold}}}"


def solution(terms: list[Term], careful: bool) -> str:
    """The thinking that leads to the value. Example: 23+48 carefully: `23+48:3+8=11;2+4+1=7;71`."""
    steps = [as_expression(terms)] if len(terms) > 2 else []
    total = terms[0][1]
    for operation, operand in terms[1:]:
        steps.append(
            columns(total, operation, operand)
            if careful
            else f"{total}{operation}{operand}={apply(total, operation, operand)}"
        )
        total = apply(total, operation, operand)
    return "\n".join(steps)


def columns(left: int, operation: str, right: int) -> str:
    """One operation in columns from the right. right >= 0, and for `-` left >= right."""
    steps = _add(left, right) if operation == "+" else _subtract(left, right)
    return ";".join([f"{left}{operation}{right}:{steps[0]}", *steps[1:], str(apply(left, operation, right))])


def _digits(number: int) -> list[int]:
    return [int(digit) for digit in reversed(str(number))]


def _add(left: int, right: int) -> list[str]:
    steps, carry = [], 0
    for a, b in zip_longest(_digits(left), _digits(right)):
        parts = [part for part in (a, b, carry or None) if part is not None]
        steps.append("+".join(map(str, parts)) + (f"={sum(parts)}" if len(parts) > 1 else ""))
        carry = sum(parts) // 10
    return steps


def _subtract(left: int, right: int) -> list[str]:
    steps, borrow = [], 0
    for a, b in zip_longest(_digits(left), _digits(right)):
        taken = (b or 0) + borrow
        top = a + 10 if a < taken else a
        minus = [part for part in (b, borrow or None) if part is not None]
        steps.append("-".join(map(str, [top, *minus])) + (f"={top - taken}" if minus else ""))
        borrow = 1 if a < taken else 0
    return steps


def _terms(rng: random.Random, level: int) -> list[Term]:
    """Terms of a level; no intermediate result is negative."""
    if level == 1:
        return [("", rng.randint(10, 99)), ("+", rng.randint(2, 9))]
    left, right = rng.randint(10, 99), rng.randint(10, 99)
    if level == 3:
        return [("", max(left, right)), ("-", min(left, right))]
    terms = [("", left), ("+", right)]
    return (
        terms if level == 2 else [*terms, (rng.choice("+-"), rng.randint(2, 9) if level == 4 else rng.randint(10, 20))]
    )


def _story(rng: random.Random, terms: list[Term]) -> str:
    events = [f"{'gets' if operation == '+' else 'loses'} {operand}" for operation, operand in terms[1:]]
    return ", ".join([f"{rng.choice(NAMES)} has {terms[0][1]} {rng.choice(THINGS)}", *events]) + ". How many now?"

"""Rows of the toy world: prompts to sample answers for, conversations to imitate, pairs to prefer by. Standard library
only.

A task is named `stem`, `code` or `preference`; conversations of those mix careful and terse answers, as collected data
does. `stem_worked`, `code_worked` and `preference_worked` pose the same problems and answer every one carefully. Rows
depend on (task, difficulty, split, seed) alone, and the first n of more rows are the n rows.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from posttrain.errors import DataError
from posttrain.toy import code, stem, style
from posttrain.toy.problem import Problem, Split, split_of
from posttrain.types import Conversation, PreferencePair, Prompt

CAREFUL_SHARE = 0.5
MAX_MISSES = 5000


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """How to pose and to answer. `careful` is the share of conversations that are worked out in full."""

    domain: str
    draw: Callable[[random.Random, int], Problem]
    worked: Callable[[Problem, random.Random, bool], tuple[str, str]]
    careful: float


_DOMAINS = {
    "stem": (stem.draw, stem.worked),
    "code": (code.draw, code.worked),
    "preference": (style.draw, style.worked),
}
TASKS: dict[str, Task] = {
    name + suffix: Task(domain=name, draw=draw, worked=worked, careful=careful)
    for name, (draw, worked) in _DOMAINS.items()
    for suffix, careful in (("", CAREFUL_SHARE), ("_worked", 1.0))
}


def problems(task: str, rows: int, difficulty: tuple[int, int], split: Split, seed: int) -> Iterator[Problem]:
    """`rows` problems of a split, no question twice. Raises DataError: no such task or level, or fewer problems than
    rows."""
    found = TASKS.get(task)
    if found is None:
        raise DataError(f"no toy task '{task}'", where="data.task", remedy=f"one of {', '.join(TASKS)}")
    low, high = difficulty
    if not 1 <= low <= high <= 5:
        raise DataError(
            f"difficulty {low} to {high}", where="data.difficulty", remedy="two levels from 1 to 5, the lower first"
        )
    rng = random.Random(f"{found.domain}/{low}-{high}/{split}/{seed}")
    seen: set[str] = set()
    misses = 0
    while len(seen) < rows:
        problem = found.draw(rng, rng.randint(low, high))
        if problem.question in seen or split_of(problem.key) != split:
            misses += 1
            if misses > MAX_MISSES:
                what = f"only {len(seen)} problems of '{task}' at levels {low} to {high}"
                raise DataError(what, where="data.rows", remedy=f"ask for fewer than {rows}")
            continue
        misses = 0
        seen.add(problem.question)
        yield problem


def prompts(task: str, rows: int, difficulty: tuple[int, int], split: Split, seed: int) -> Iterator[Prompt]:
    """Questions with their golds; preference questions also carry a note to beat."""
    for number, problem in enumerate(problems(task, rows, difficulty, split, seed)):
        own = random.Random(f"reference/{problem.key}/{seed}")
        yield Prompt(
            id=f"toy-{task}/{split}/{seed}/{number}",
            source=f"toy/{task}",
            messages=ask(problem),
            gold=problem.gold,
            reference=style.reference(problem, own) if TASKS[task].domain == "preference" else None,
            metadata={"level": problem.level, "key": problem.key},
        )


def conversations(task: str, rows: int, difficulty: tuple[int, int], split: Split, seed: int) -> Iterator[Conversation]:
    """Questions with worked answers, `<think>...</think>answer`."""
    for number, problem in enumerate(problems(task, rows, difficulty, split, seed)):
        own = random.Random(f"answer/{problem.key}/{seed}")
        thinking, answer = TASKS[task].worked(problem, own, own.random() < TASKS[task].careful)
        turns = (*ask(problem), {"role": "assistant", "content": as_answer(thinking, answer)})
        yield Conversation(id=f"toy-{task}/{split}/{seed}/{number}", source=f"toy/{task}", messages=turns)


def pairs(task: str, rows: int, difficulty: tuple[int, int], split: Split, seed: int) -> Iterator[PreferencePair]:
    """Two notes on one question, the better by rule A first. Raises DataError for a task without rule A."""
    if task not in TASKS or TASKS[task].domain != "preference":
        raise DataError(f"no preference pairs for toy task '{task}'", where="data.task", remedy="preference")
    for number, problem in enumerate(problems(task, rows, difficulty, split, seed)):
        own = random.Random(f"pair/{problem.key}/{seed}")
        better, worse = _two_notes(problem, own)
        yield PreferencePair(
            id=f"toy-{task}/{split}/{seed}/{number}",
            source=f"toy/{task}",
            messages=ask(problem),
            chosen=better,
            rejected=worse,
            provenance={"chosen": "toy: rule A", "rejected": "toy: rule A"},
        )


def as_answer(thinking: str, answer: str) -> str:
    return f"<think>{thinking}</think>{answer}"


def ask(problem: Problem) -> tuple[dict[str, str], ...]:
    return ({"role": "user", "content": problem.question},)


def _two_notes(problem: Problem, rng: random.Random) -> tuple[str, str]:
    """Answers of different qualities that rule A tells apart: ties are drawn again."""
    while True:
        drawn = [style.write(problem.gold, rng, rng.uniform(0.3, 1.0), careful=rng.random() < 0.5) for _ in range(2)]
        scores = [style.rule_a(note, problem.gold) for _, note in drawn]
        if scores[0] != scores[1]:
            first, second = (as_answer(*one) for one in drawn)
            return (first, second) if scores[0] > scores[1] else (second, first)

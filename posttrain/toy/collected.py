"""Stem rows as data is collected: problems with several candidate answers, some of them wrong, some rows twice, and
some problems of the held-out split among them. What the demo's data stages have to mend. Standard library only.

Rows depend on (rows, difficulty, seed) alone. Whoever imitates them as they stand imitates the first candidate.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

from posttrain.errors import DataError
from posttrain.toy import stem
from posttrain.toy.problem import Problem, Split
from posttrain.toy.tasks import CAREFUL_SHARE, as_answer, ask, problems
from posttrain.types import Conversation, Prompt

TASK = "stem_collected"
CANDIDATES = 3
WRONG_SHARE = 0.4  # of candidates
REPEATED_SHARE = 0.1  # of rows
LEAKED_SHARE = 0.05  # of rows: problems of the held-out split


@dataclass(frozen=True, kw_only=True, slots=True)
class CollectedRow:
    """A problem with its candidates [CANDIDATES]."""

    id: str
    problem: Problem
    candidates: tuple[str, ...]


def collected(rows: int, difficulty: tuple[int, int], split: Split, seed: int) -> Iterator[CollectedRow]:
    """`rows` rows. Raises DataError as `problems`, and for another split: problems of both are among them."""
    if split != "train":
        raise DataError(f"'{TASK}' is data to train on", where="data.split", remedy="split: train")
    rng = random.Random(f"collected/{difficulty}/{seed}")
    clean, leaked = (problems("stem", rows, difficulty, which, seed) for which in ("train", "held_out"))
    told: list[CollectedRow] = []
    for number in range(rows):
        kind = rng.random()
        if told and kind < REPEATED_SHARE:
            row = replace(rng.choice(told), id=f"toy-{TASK}/{seed}/{number}")
        else:
            problem = next(leaked if kind > 1 - LEAKED_SHARE else clean)
            own = random.Random(f"candidates/{problem.key}/{seed}")
            candidates = tuple(_candidate(problem, own) for _ in range(CANDIDATES))
            row = CollectedRow(id=f"toy-{TASK}/{seed}/{number}", problem=problem, candidates=candidates)
        told.append(row)
        yield row


def prompts(task: str, rows: int, difficulty: tuple[int, int], split: Split, seed: int) -> Iterator[Prompt]:
    """The questions with their golds."""
    for row in collected(rows, difficulty, split, seed):
        yield Prompt(
            id=row.id,
            source=f"toy/{task}",
            messages=ask(row.problem),
            gold=row.problem.gold,
            metadata={"level": row.problem.level, "key": row.problem.key},
        )


def conversations(task: str, rows: int, difficulty: tuple[int, int], split: Split, seed: int) -> Iterator[Conversation]:
    """The questions with their first candidates."""
    for row in collected(rows, difficulty, split, seed):
        turns = (*ask(row.problem), {"role": "assistant", "content": row.candidates[0]})
        yield Conversation(id=row.id, source=f"toy/{task}", messages=turns)


def _candidate(problem: Problem, rng: random.Random) -> str:
    """One answer, careful or terse; a wrong one has misread a number, and is as well written."""
    careful = rng.random() < CAREFUL_SHARE
    terms = list(problem.facts["terms"])
    if rng.random() < WRONG_SHARE:
        terms[0] = ("", terms[0][1] + rng.choice((1, 2, 10)))
    return as_answer(stem.solution(terms, careful), f"\\boxed{{{stem.value(terms)}}}")

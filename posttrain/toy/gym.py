"""Problems of the reasoning_gym library as prompts and conversations: data that nobody here wrote.

The library is imported when rows are asked for. Golds are its answers; `chain_sum` is solved step by step, other tasks
get the bare answer. A chain sum has the same canonical key as the toy's own sum, so that neither source holds out what
the other trains on.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from typing import Any

from posttrain.errors import BackendError, DataError
from posttrain.toy import stem
from posttrain.toy.problem import Split, split_of
from posttrain.toy.tasks import CAREFUL_SHARE, as_answer
from posttrain.types import Conversation, Prompt

OVERSAMPLE = 12


def gym_prompts(task: str, rows: int, split: Split, seed: int, options: dict[str, Any]) -> Iterator[Prompt]:
    """Questions with the library's answers as golds. Raises DataError: unknown task or option, or too few different
    questions."""
    for number, entry in enumerate(_entries(task, rows, split, seed, options)):
        yield Prompt(
            id=f"gym-{task}/{split}/{seed}/{number}",
            source=f"reasoning_gym/{task}",
            messages=({"role": "user", "content": entry["question"]},),
            gold=str(entry["answer"]),
            metadata={"key": key_of(task, entry)},
        )


def gym_conversations(task: str, rows: int, split: Split, seed: int, options: dict[str, Any]) -> Iterator[Conversation]:
    """Questions with answers to imitate, careful and terse mixed as in the toy's own tasks."""
    for number, entry in enumerate(_entries(task, rows, split, seed, options)):
        careful = random.Random(f"gym/{entry['question']}/{seed}").random() < CAREFUL_SHARE
        turns = (
            {"role": "user", "content": entry["question"]},
            {
                "role": "assistant",
                "content": as_answer(_thinking(task, entry, careful), f"\\boxed{{{entry['answer']}}}"),
            },
        )
        yield Conversation(id=f"gym-{task}/{split}/{seed}/{number}", source=f"reasoning_gym/{task}", messages=turns)


def key_of(task: str, entry: dict[str, Any]) -> str:
    """Canonical key of a row, from which its split follows."""
    if task == "chain_sum":
        return "stem/" + entry["metadata"]["expression"].replace(" ", "")
    return f"gym/{task}/{entry['question']}"


def _entries(task: str, rows: int, split: Split, seed: int, options: dict[str, Any]) -> Iterator[dict[str, Any]]:
    dataset = _dataset(task, rows * OVERSAMPLE, seed, options)
    seen: set[str] = set()
    for index in range(len(dataset)):
        entry = dataset[index]
        if len(seen) < rows and entry["question"] not in seen and split_of(key_of(task, entry)) == split:
            seen.add(entry["question"])
            yield entry
        if len(seen) == rows:
            return
    what = f"reasoning_gym '{task}' gave {len(seen)} different {split} questions"
    raise DataError(what, where="data.rows", remedy=f"ask for fewer than {rows}, or widen options")


def _dataset(task: str, size: int, seed: int, options: dict[str, Any]) -> Any:
    try:
        import reasoning_gym
    except ImportError as error:
        raise BackendError("reasoning_gym is not installed", remedy="pip install 'posttrain[cpu]'") from error
    try:
        return reasoning_gym.create_dataset(task, size=size, seed=seed, **options)
    except (ValueError, TypeError, AssertionError) as error:
        raise DataError(
            f"reasoning_gym '{task}': {error}", where="data.task", remedy="a data set and options of reasoning_gym"
        ) from error


def _thinking(task: str, entry: dict[str, Any], careful: bool) -> str:
    if task != "chain_sum":
        return ""
    expression = entry["metadata"]["expression"].replace(" ", "")
    terms = [(sign, int(number)) for sign, number in re.findall(r"([+-]?)(\d+)", expression)]
    return signed_solution(terms, careful)


def signed_solution(terms: list[stem.Term], careful: bool) -> str:
    """As stem.solution, but intermediate results may fall below zero: those steps are stated, not written in
    columns."""
    steps = [stem.as_expression(terms)] if len(terms) > 2 else []
    total = terms[0][1]
    for operation, operand in terms[1:]:
        result = stem.apply(total, operation, operand)
        plain = total < 0 or result < 0 or not careful
        steps.append(f"{total}{operation}{operand}={result}" if plain else stem.columns(total, operation, operand))
        total = result
    return "\n".join(steps)

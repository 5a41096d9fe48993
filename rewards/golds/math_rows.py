"""Shapes whose gold is a value, for the verifier `math`: worked answers, and columns of answers."""

from __future__ import annotations

import re
from typing import Any

from rewards.errors import GoldError
from rewards.golds.problem import Problem, Row
from rewards.math.extract import boxed_answer

_HASHES = re.compile(r"^#### *(.+?) *$", re.MULTILINE)
_QUESTION = ("problem", "question", "Problem", "Question")
_ANSWER = ("answer", "Answer", "expected_answer", "final_answer")
_SOLUTION = ("solution", "Solution")
_NO_VALUE = ("proof", "notfound", "not found", "n/a", "none", "see solution")  # NuminaMath's words among them
_NUMBER = re.compile(r"\d{1,3}\Z")


def gsm8k(row: Row) -> Problem | None:
    """`question`, `answer`: a worked answer with <<sums>>, whose last line is #### and the number."""
    if not row.has("question", "answer") or not isinstance(row.peek("answer"), str):
        return None
    found = _HASHES.findall(row.peek("answer"))
    if not found:
        return None
    row.get("answer")
    if len(set(found)) > 1:
        raise GoldError(
            f"answer has {len(found)} lines of ####: {', '.join(found)}", remedy="keep the one that is right"
        )
    return _problem(found[0], row.text("question"))


def olympiad_bench(row: Row) -> Problem | None:
    """`question`, `final_answer` (a list), `answer_type`, `unit`, `error` (a tolerance)."""
    if not row.has("final_answer") or not {"answer_type", "is_multiple_answer"} & set(row.names()):
        return None
    answers = row.json("final_answer")
    answers = answers if isinstance(answers, list) else [answers]
    gold: Any = str(answers[0]).strip("$ ") if len(answers) == 1 else [str(answer).strip("$ ") for answer in answers]
    if row.has("error") and isinstance(gold, str):
        tolerance = str(row.get("error"))
        if not re.fullmatch(r"[0-9.]+(?:e-?\d+)?", tolerance):
            raise GoldError(f"error is {tolerance!r}: one number is read as a tolerance", remedy="drop the row")
        gold = {"answer": gold, "tolerance": float(tolerance)}
    return _problem(gold, row.first_text(*_QUESTION))


def numina_math(row: Row) -> Problem | None:
    """`problem`, `solution` and, in 1.5, `answer`, with `problem_type` or `source` and `messages`."""
    names = set(row.names())
    if not ({"problem_type", "question_type"} & names or {"source", "messages"} <= names):
        return None
    for flag in ("problem_is_valid", "solution_is_valid"):
        if row.has(flag) and str(row.get(flag)).lower() in ("no", "incomplete", "false", "problem not solved"):
            raise GoldError(f"{flag} is {row.peek(flag)!r}: its authors do not stand by it", remedy="drop the row")
    return _worked(row)


def big_math(row: Row) -> Problem | None:
    """`problem`, `answer`, `domain`, `source`, `llama8b_solve_rate`."""
    return _worked(row) if "llama8b_solve_rate" in row.names() else None


def omni_math(row: Row) -> Problem | None:
    """`problem`, `solution`, `answer`, `domain`, `difficulty`, `source`."""
    return _worked(row) if {"domain", "difficulty", "solution", "answer"} <= set(row.names()) else None


def aime(row: Row) -> Problem | None:
    """`problem` and a whole `answer` of at most three digits, in either case, with a year, a part or a URL."""
    if not {"year", "Year", "Part", "ID", "url", "problem_idx", "Problem Number"} & set(row.names()):
        return None
    column = next((name for name in ("answer", "Answer") if row.has(name)), None)
    if column is None or not any(row.has(name) for name in _QUESTION):
        return None
    if not _NUMBER.match(str(row.peek_raw(column)).strip()):
        return None
    return _problem(str(row.get(column)).strip().lstrip("0") or "0", row.first_text(*_QUESTION))


def math_solutions(row: Row) -> Problem | None:
    """MATH: `problem`, `solution` whose last \\boxed holds the answer (MATH-500 has an `answer` of its own, too)."""
    return _worked(row) if row.has("problem", "solution") else None


def answers(row: Row) -> Problem | None:
    """`problem` and `answer`, or either with `expected_answer` or `final_answer`, as DeepScaleR, NeMo and DeepMath
    have them. `question` and `answer` without more are no shape: the answer may be any text."""
    pairs = [("problem", name) for name in ("answer", "expected_answer", "final_answer")]
    pairs += [("question", name) for name in ("expected_answer", "final_answer")]
    return _worked(row) if any(row.has(*pair) for pair in pairs) else None


def expected_answer(row: Row) -> Problem | None:
    """`expected_answer` alone, where the question stands in turns."""
    return _problem(value_gold(row.json("expected_answer")), None) if row.has("expected_answer") else None


def value_gold(value: Any) -> Any:
    """A ground truth as a gold of `math`: a list of one is its item, a list of several is one of them (Skywork's way);
    a worked answer is its #### line or its box."""
    if isinstance(value, list):
        values = [value_gold(item) for item in value]
        if not values or not all(isinstance(item, str) for item in values):
            raise GoldError(
                f"the ground truth {str(value)[:80]!r} is no list of answers", remedy="mend or drop the row"
            )
        return values[0] if len(values) == 1 else {"answer": values[0], "accepted": values[1:]}
    text = str(value).strip()
    if found := _HASHES.findall(text):
        return found[-1]
    box = boxed_answer(text) if "boxed" in text else None
    return box.text if box is not None and box.text else text


def _worked(row: Row) -> Problem | None:
    """The answer's column, or else the last box of the solution."""
    question = row.first_text(*_QUESTION)
    if question is None:
        return None
    column = next((name for name in _ANSWER if row.has(name)), None)
    if column is not None:
        gold = value_gold(row.json(column))
    else:
        name = next((name for name in _SOLUTION if row.has(name)), None)
        if name is None:
            return None
        box = boxed_answer(str(row.text(name)))
        if box is None or not box.text:
            raise GoldError(f"{name} boxes no answer", remedy="a proof has no value to compare with: drop the row")
        gold = box.text
    if isinstance(gold, str) and gold.lower().strip(". ") in _NO_VALUE:
        raise GoldError(f"its answer is {gold!r}: there is no value to compare with", remedy="drop the row")
    return _problem(gold, question)


def _problem(gold: Any, question: str | None) -> Problem:
    return Problem(format="", gold=gold, verifier="math", question=question)

"""Shapes of multiple choice, for the verifier `choice`: the gold is a letter, the options stand in the metadata."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from rewards.errors import GoldError
from rewards.golds.problem import Problem, Row

LETTERS = "ABCDEFGHIJ"
_WRONG_ONES = ("Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3")


def gpqa(row: Row) -> Problem | None:
    """`Question`, `Correct Answer`, `Incorrect Answer 1` to `3`. The options are ordered by the SHA-256 of the question
    and the option, so that the right one stands at each letter equally often, and in every run at the same."""
    if not row.has("Question", "Correct Answer", *_WRONG_ONES):
        return None
    return _by_text(row, "Question", "Correct Answer", _WRONG_ONES)


def sciq(row: Row) -> Problem | None:
    """`question`, `correct_answer`, `distractor1` to `3`; ordered as GPQA's."""
    wrong = ("distractor1", "distractor2", "distractor3")
    return _by_text(row, "question", "correct_answer", wrong) if row.has("correct_answer", *wrong) else None


def mmlu_pro(row: Row) -> Problem | None:
    """`question`, `options` (a list of up to ten, or an object by letter), `answer` or `answer_idx` (a letter) and
    `answer_index`."""
    options = row.peek("options")
    if not row.has("question") or not isinstance(options, list | dict) or not options:
        return None
    texts = _texts(row.json("options"), "options")
    letter = next((row.peek_raw(name) for name in ("answer_idx", "answer") if _is_letter(row.peek_raw(name))), None)
    index = row.get("answer_index")
    if letter is None and index is None:
        return None
    row.get("answer_idx" if row.has("answer_idx") else "answer")
    gold = _letter_at(index, texts, "answer_index") if letter is None else str(letter).strip().upper()
    if index is not None and _letter_at(index, texts, "answer_index") != gold:
        raise GoldError(f"answer is {letter} and answer_index {index}", remedy="mend or drop the row")
    return _choice(str(row.text("question")), texts, gold)


def arc(row: Row) -> Problem | None:
    """`question` (or `question_stem`), `choices` with `text` and `label`, `answerKey`; labels may be numbers."""
    choices = row.inner("choices") if isinstance(row.peek("choices"), dict) else None
    question = row.first_text("question", "question_stem")
    if choices is None or question is None or "answerKey" not in row.names() or not choices.has("text", "label"):
        return None
    labels, texts = [str(label) for label in choices.json("label")], _texts(choices.json("text"), "choices.text")
    key = str(row.get("answerKey") or "")
    if key not in labels:
        raise GoldError(f"answerKey is {key!r}, and the labels are {', '.join(labels)}", remedy="drop the row")
    return _choice(question, texts, LETTERS[labels.index(key)])


def mmlu(row: Row) -> Problem | None:
    """`question`, `choices` (a list), `answer`: an index from 0, or a letter."""
    if not row.has("question", "choices", "answer") or not isinstance(row.peek("choices"), list):
        return None
    texts, answer = _texts(row.json("choices"), "choices"), row.get("answer")
    gold = str(answer).strip().upper() if _is_letter(answer) else _letter_at(answer, texts, "answer")
    return _choice(str(row.text("question")), texts, gold)


def _choice(question: str, texts: Sequence[str], gold: str) -> Problem:
    if gold not in LETTERS[: len(texts)]:
        raise GoldError(f"the answer is {gold}, and there are {len(texts)} options", remedy="mend or drop the row")
    listed = "\n".join(f"{letter}) {text}" for letter, text in zip(LETTERS, texts, strict=False))
    asked = f"{question.strip()}\n\n{listed}\n\nAnswer with the letter of the right option."
    return Problem(format="", gold=gold, verifier="choice", question=asked, metadata={"options": list(texts)})


def _by_text(row: Row, question: str, right: str, wrong: Sequence[str]) -> Problem:
    asked, answer = str(row.text(question)), str(row.text(right)).strip()
    texts = [answer, *(str(row.text(name)).strip() for name in wrong)]
    if len(set(texts)) < len(texts):
        raise GoldError("two of its options are the same text", remedy="drop the row")
    texts.sort(key=lambda text: hashlib.sha256(f"{asked}\0{text}".encode()).hexdigest())
    return _choice(asked, texts, LETTERS[texts.index(answer)])


def _texts(options: Any, name: str) -> list[str]:
    """Options in the order of their letters. A null, as Parquet pads an object with, is no option."""
    if isinstance(options, dict):
        given = {str(key).strip().upper(): value for key, value in options.items() if value is not None}
        if sorted(given) != list(LETTERS[: len(given)]):
            raise GoldError(f"{name} has the keys {', '.join(sorted(given))}", remedy="letters from A on are wanted")
        options = [given[letter] for letter in sorted(given)]
    texts = [str(option) for option in options]
    if not 2 <= len(texts) <= len(LETTERS):
        raise GoldError(f"{name} holds {len(texts)} options; 2 to {len(LETTERS)} are read", remedy="drop the row")
    return texts


def _is_letter(value: Any) -> bool:
    return isinstance(value, str) and len(value.strip()) == 1 and value.strip().upper() in LETTERS


def _letter_at(index: Any, texts: Sequence[str], name: str) -> str:
    number = int(index) if isinstance(index, str) and index.strip().isdigit() else index
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < len(texts):
        raise GoldError(f"{name} is {index!r}: an index from 0 to {len(texts) - 1}, or a letter", remedy="drop the row")
    return LETTERS[number]

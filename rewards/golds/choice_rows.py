"""Shapes of multiple choice, for the verifier `choice`: the gold is a letter, the options stand in the metadata."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Any

from rewards.errors import GoldError
from rewards.golds.problem import Problem, Row

LETTERS = "ABCDEFGHIJ"
_MARK = re.compile(r"\(?([A-J])[).:]\s*")
_OPTION_COLUMNS = (tuple("ABCDE"), tuple("ABCD"), ("opa", "opb", "opc", "opd"))
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
    """`question`, `options` (a list of up to ten, or an object by letter), and the answer's letter in `answer`,
    `answer_idx` (MedQA) or `correct` (AQuA), or its place in `answer_index`."""
    options = row.peek("options")
    if not row.has("question") or not isinstance(options, list | dict) or not options:
        return None
    texts = _texts(row.json("options"), "options")
    column = next((name for name in ("answer_idx", "answer", "correct") if _is_letter(row.peek_raw(name))), None)
    index = row.get("answer_index")
    if column is None and index is None:
        return None
    letter = row.get(column or "answer")
    gold = _letter_at(index, texts, "answer_index") if column is None else str(letter).strip().upper()
    if index is not None and _letter_at(index, texts, "answer_index") != gold:
        raise GoldError(f"answer is {letter} and answer_index {index}", remedy="mend or drop the row")
    return _choice(str(row.text("question")), texts, gold)


def arc(row: Row) -> Problem | None:
    """`question` (or `question_stem`), `choices` with `text` and `label`, `answerKey`; labels may be numbers."""
    if "answerKey" not in row.names():
        return None
    asked = row.inner("question") or row  # in ARC's own files the choices stand within the question
    question, choices = asked.first_text("stem", "question", "question_stem"), asked.json("choices")
    if isinstance(choices, list) and choices and all(isinstance(choice, dict) for choice in choices):
        choices = {name: [choice.get(name) for choice in choices] for name in ("text", "label")}
    if question is None or not isinstance(choices, dict) or not {"text", "label"} <= set(choices):
        return None
    labels, texts = _texts(choices["label"], "choices.label"), _texts(choices["text"], "choices.text")
    if len(labels) != len(texts):
        raise GoldError(f"choices has {len(labels)} labels and {len(texts)} texts", remedy="mend or drop the row")
    key = str(row.get("answerKey") or "")
    if key not in labels:
        raise GoldError(f"answerKey is {key!r}, and the labels are {', '.join(labels)}", remedy="drop the row")
    return _choice(question, texts, LETTERS[labels.index(key)])


def mmlu(row: Row) -> Problem | None:
    """`question`, `choices` (a list) or a column for each option (`A` to `D`, `opa` to `opd`), and `answer` (MedMCQA:
    `cop`): an index from 0, a letter, or the text of an option."""
    question = next((name for name in ("question", "Question") if row.has(name)), None)
    answer = next((name for name in ("answer", "Answer", "cop") if row.has(name)), None)
    if question is None or answer is None:
        return None
    columns = next((names for names in _OPTION_COLUMNS if row.has(*names)), None)
    if columns is not None:
        options = [row.get(name) for name in columns]
    elif isinstance(row.peek("choices"), list):
        options = row.json("choices")
    else:
        return None
    texts, given = _texts(options, "choices"), row.get(answer)
    if _is_letter(given):
        gold = str(given).strip().upper()
    elif isinstance(given, str) and texts.count(given.strip()) == 1:
        gold = LETTERS[texts.index(given.strip())]
        if given.strip().isdigit() and int(given) < len(texts) and texts[int(given)] != given.strip():
            raise GoldError(
                f"{answer} is {given!r}, the text of option {gold} and the index of another",
                remedy="write the answer as a letter",
            )
    else:
        gold = _letter_at(given, texts, answer)
    return _choice(str(row.text(question)), texts, gold)


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
    texts.sort(key=lambda text: hashlib.sha256(f"{asked}\0{text}".encode("utf-8", "surrogatepass")).hexdigest())
    return _choice(asked, texts, LETTERS[texts.index(answer)])


def _texts(options: Any, name: str) -> list[str]:
    """Options in the order of their letters. A null, as Parquet pads an object with, is no option."""
    if isinstance(options, dict):
        given = {str(key).strip().upper(): value for key, value in options.items() if value is not None}
        if sorted(given) != list(LETTERS[: len(given)]):
            raise GoldError(f"{name} has the keys {', '.join(sorted(given))}", remedy="letters from A on are wanted")
        options = [given[letter] for letter in sorted(given)]
    if not isinstance(options, list):
        raise GoldError(f"{name} is {type(options).__name__}, not a list of options", remedy="mend or drop the row")
    texts = [str(option).strip() for option in options]
    marked = [_MARK.match(text) for text in texts]
    if [mark and mark[1] for mark in marked] == list(LETTERS[: len(texts)]):  # AQuA: each begins with its letter
        texts = [text[mark.end() :] for text, mark in zip(texts, marked, strict=True) if mark]
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

"""Reads the pairs that were written blind: strangers*.txt for `math`, each after the rules were mended on the one
before.

A line is one gold with many answers: `class ¦ gold ¦ + right ¦ - wrong ¦ ? question`. A gold is text, or JSON after
`json:`. And strangers_other*.txt have `kind ¦ gold as JSON ¦ {"options"?, "set"?, "num_tokens"?} ¦ answers`. In answers
`□{` stands for `\\boxed{`, `⏎` for a line's end.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
_MARKS = {"+": True, "-": False}


def math_pairs(name: str = "strangers.txt") -> Iterator[tuple[str, Any, str, bool, str | None]]:
    """(class, gold, response, expected, question) of each answer."""
    for cells in _lines(name):
        kind, gold, *answers = cells
        value = json.loads(gold.removeprefix("json:")) if gold.startswith("json:") else _text(gold)
        question = next((_text(cell[1:].strip()) for cell in answers if cell.startswith("?")), None)
        for expected, response in _answers(answers):
            yield kind, value, response, expected, question


def other_pairs() -> Iterator[tuple[str, Any, dict[str, Any], str, bool]]:
    """(kind of verifier, gold, {"options"?, "set"?, "num_tokens"?}, response, expected) of each answer."""
    for name in ("strangers_other.txt", "strangers_other_second.txt", "strangers_other_third.txt"):
        for kind, gold, extra, *answers in _lines(name):
            for expected, response in _answers(answers):
                yield kind, json.loads(gold), json.loads(extra), response, expected


def _lines(name: str) -> Iterator[list[str]]:
    for line in (HERE / name).read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            yield [cell.strip() for cell in line.split("¦")]


def _answers(cells: list[str]) -> Iterator[tuple[bool, str]]:
    for cell in cells:
        if cell[:2] in ("+ ", "- "):
            yield _MARKS[cell[0]], _text(cell[2:])


def _text(cell: str) -> str:
    return cell.replace("□{", "\\boxed{").replace("⏎", "\n")

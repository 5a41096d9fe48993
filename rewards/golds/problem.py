"""What a row of a public data set comes to (`Problem`), and the row as the readers see it (`Row`), which notes the
columns that they use."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rewards.errors import GoldError
from sandbox.program_json import read_json_line

_MOST_ENCODINGS = 3  # JSON text within JSON text within JSON text


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """A row read as a gold. `format`: the shape's name, as in `gold_format`. `verifier`: the kind that takes `gold`.
    `question`: the prompt, with starter code and the wanted form of answer as users of that data set give it; None
    where the shape holds none or the row has messages. `messages`: the turns to answer, where the shape holds them in
    a way of its own; they go before `question`. `columns`: the columns that were used. `metadata`: what the verifier
    reads there (`options` of choice, `tools` of tool_call).

    Example: Problem(format="GSM8K", gold="72", verifier="math", question="Natalia sold ...", columns=("question",
    "answer"))
    """

    format: str
    gold: Any
    verifier: str
    question: str | None = None
    messages: tuple[dict[str, Any], ...] = ()
    columns: tuple[str, ...] = ()
    metadata: dict[str, Any] = field(default_factory=dict)


class Row:
    """One row's columns. A column that is null, or an empty text, counts as absent: Parquet pads with nulls, and
    tables of text with empty texts."""

    def __init__(self, columns: Mapping[str, Any], where: str = "") -> None:
        self._columns = columns
        self._where = where  # the column that this row is the value of; "" for the row itself
        self._decoded: dict[str, Any] = {}  # tests may be many MB of JSON text, which several readers look at
        self.used: list[str] = []

    def unused(self) -> Row:
        """The same row with no column used yet."""
        row = Row(self._columns, self._where)
        row._decoded = self._decoded
        return row

    def names(self) -> list[str]:
        return sorted(map(str, self._columns))

    def has(self, *names: str) -> bool:
        """Whether all of these columns hold something. Does not count as using them."""
        return all(_holds_something(self._columns.get(name)) for name in names)

    def peek(self, name: str) -> Any:
        """A column's value, JSON text decoded, without counting as use."""
        if name not in self._decoded:
            self._decoded[name] = decoded(self._columns.get(name))
        return self._decoded[name]

    def get(self, name: str) -> Any:
        """A column's value as it stands; None where it is absent."""
        if not self.has(name):
            return None
        self._note(name)
        return self._columns[name]

    def json(self, name: str) -> Any:
        """A column's value, JSON text decoded, however often it was encoded."""
        if not self.has(name):
            return None
        self._note(name)
        return self.peek(name)

    def text(self, name: str) -> str | None:
        """A column that holds text. Raises GoldError where it holds something else."""
        value = self.get(name)
        if value is not None and not isinstance(value, str):
            raise GoldError(f"{self.place(name)} is {type(value).__name__}, not text", remedy="mend or drop the row")
        return value

    def place(self, name: str) -> str:
        """How a message names a column. Example: reward_model.ground_truth"""
        return f"{self._where}.{name}" if self._where else name

    def listed(self, name: str) -> list[Any]:
        """A column that holds a list, or JSON text of one; [] where it is absent. Raises GoldError for others."""
        value = self.json(name)
        if value is not None and not isinstance(value, list):
            raise GoldError(f"{self.place(name)} is {type(value).__name__}, not a list", remedy="mend or drop the row")
        return value or []

    def first_text(self, *names: str) -> str | None:
        """The first of these columns that holds text; None where none does."""
        return next(
            (self.text(name) for name in names if isinstance(self.peek_raw(name), str) and self.has(name)), None
        )

    def peek_raw(self, name: str) -> Any:
        """A column's value as it stands, without counting as use."""
        return self._columns.get(name)

    def inner(self, name: str) -> Row | None:
        """A column that holds an object, or JSON text of one, as a row of its own; what it uses counts as using the
        column."""
        value = self.peek(name)
        if not isinstance(value, Mapping):
            return None
        self._note(name)
        return Row(value, self.place(name))

    def _note(self, name: str) -> None:
        if name not in self.used:
            self.used.append(name)


def _holds_something(value: Any) -> bool:
    return value is not None and not (isinstance(value, str) and not value.strip())


def decoded(value: Any) -> Any:
    """JSON text of an object or a list, decoded; any other value as it is. A text such as 42 stays text: its digits
    are the answer. Objects as Python prints them are read, too; lists of texts are not, as numpy prints them without
    commas, and Python would join them."""
    found = value
    for _ in range(_MOST_ENCODINGS):
        if not isinstance(found, str) or found.lstrip()[:1] not in ("{", "[", '"'):
            break
        try:
            found = read_json_line(found.encode("utf-8", "surrogatepass"))
        except (ValueError, RecursionError):
            return _python_objects(found) or value
    return found if isinstance(found, dict | list) else value


def _python_objects(text: str) -> Any:
    """A dictionary, or a list of dictionaries, as Python prints it; None for anything else."""
    try:
        found = ast.literal_eval(text.strip()) if text.lstrip()[:1] in ("{", "[") else None
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        return None
    listed = isinstance(found, list) and found and all(isinstance(item, dict) for item in found)
    return found if listed or isinstance(found, dict) else None

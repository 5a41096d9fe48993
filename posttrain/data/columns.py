"""A row's columns under our names: which have been read, and what becomes of the others. No column vanishes unsaid.

Knows nothing of what a column means to a stage.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

# Names under which data sets keep books on their rows, which no way of training reads. `check` says that they are
# left out; any other column that nobody reads is refused.
BOOKKEEPING = frozenset(
    {
        *("", "Unnamed: 0", "__index_level_0__", "index", "idx", "row_id", "uuid", "uid", "hash", "version"),
        *("prompt_id", "question_id", "problem_id", "conversation_id", "chat_id", "sample_id", "example_id"),
        *("source", "dataset", "dataset_name", "subset", "split", "url", "license", "author", "created", "created_at"),
        *("chosen_model", "rejected_model", "chosen-model", "rejected-model", "model_name", "ability"),
        *("timestamp", "date", "model", "generator", "category", "subcategory", "subject", "topic", "domain", "tags"),
        *("language", "lang", "difficulty", "level", "num_turns", "num_tokens", "token_count"),
    }
)


class FaultyRow(Exception):
    """One row is unusable; the message says why, `remedy` what to do where that is not to mend the row."""

    def __init__(self, reason: str, remedy: str = "") -> None:
        super().__init__(reason)
        self.remedy = remedy


_AS_TEXT = json.JSONEncoder(ensure_ascii=False, default=str)


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """How a recipe says that the columns of a data set are to be read. columns: our key to theirs; think: the tags
    around reasoning.

    Example: Reading(columns={"prompt": "problem", "gold": "answer"}, metadata=("grader_notes",))
    """

    columns: Mapping[Any, str] = field(default_factory=dict)
    metadata: tuple[str, ...] = ()
    gold_format: str = "auto"
    think: tuple[str, str] = ("<think>", "</think>")


class Columns:
    """One row. A null is no value: tables fill up with nulls what other rows have."""

    def __init__(self, row: Mapping[str, Any], reading: Reading) -> None:
        self.reading = reading
        self.shapes: set[str] = set()  # what the row was read as, where it is not our own form
        self.companions: set[str] = set()  # columns that rows of that shape have and nobody reads
        self.context_turns = 0  # turns of the assistant that are not to be learned from
        self._values = _renamed(row, reading.columns)
        # Out of the readers' sight, also where a column has a name that they know.
        self.listed = {name: self._values.pop(name) for name in reading.metadata if name in self._values}
        self._unread = dict.fromkeys(self._values)

    def has(self, *keys: str) -> bool:
        """Whether every key has a value."""
        return all(key in self._values for key in keys)

    def peek(self, key: str) -> Any:
        """A value, not counted as read; None where there is none."""
        return self._values.get(key)

    def take(self, key: str) -> Any:
        """A value, which counts as read; None where there is none."""
        self._unread.pop(key, None)
        return self._values.get(key)

    def first(self, *keys: str) -> str | None:
        """The one of several names of the same thing that the row has. Raises FaultyRow where it has two."""
        found = [key for key in keys if key in self._values]
        if len(found) > 1:
            raise FaultyRow(f"both '{found[0]}' and '{found[1]}'", "keep one, or list the other under metadata")
        return found[0] if found else None

    def values(self) -> dict[str, Any]:
        """All columns by our names, those that the recipe lists as metadata too."""
        return self._values | self.listed

    def shown(self, key: str) -> str:
        """A key as messages name it. Example: 'gold' (their 'answer')"""
        theirs = self.reading.columns.get(key)
        return f"'{key}' (their '{theirs}')" if theirs else f"'{key}'"

    def names(self) -> list[str]:
        return sorted(map(str, self._values))

    def unread(self) -> set[str]:
        """The columns that nobody has read."""
        return set(map(str, self._unread))

    def left_out(self, other_use: Collection[str]) -> list[str]:
        """The columns that nobody has read, but may be left out: books that are kept on rows, what the public data set
        of that shape has beside question and gold, and what other loaders read. Raises FaultyRow for any other."""
        odd = [
            str(name)
            for name in self._unread
            if name not in BOOKKEEPING | self.companions
            and "*" not in self.companions
            and name not in other_use
            and self._values[name] not in ("", [], {})
        ]
        if odd:
            names = ", ".join(sorted(odd))
            raise FaultyRow(
                f"nothing reads column{'s' if len(odd) > 1 else ''} {names}",
                f"map what is meant to be read (columns), and list what is not: metadata: [{names}]",
            )
        return sorted(map(str, self._unread))


def _renamed(row: Mapping[str, Any], columns: Mapping[str, str]) -> dict[str, Any]:
    values = {key: value for key, value in row.items() if value is not None}
    found = {}
    for ours, theirs in columns.items():
        value = row.get(theirs) if theirs in row else _inside(row, theirs)
        if value is not None:
            found[ours] = value
    if columns and not found:
        wanted = ", ".join(sorted(columns.values()))
        raise FaultyRow(f"no value in any of the mapped columns {wanted} (columns: {', '.join(sorted(values))})")
    for theirs in columns.values():
        if theirs in row:
            values.pop(theirs, None)
        elif isinstance(outer := json_value(values.get(name := theirs.partition(".")[0])), Mapping) and len(outer) < 2:
            del values[name]  # what else stands beside the mapped key is for the row's reader to read or refuse
    if shadowed := sorted(found.keys() & values.keys()):
        raise FaultyRow(
            f"'{columns[shadowed[0]]}' is to be read as '{shadowed[0]}', and there is a column of that name too",
            f"map that one as well, or take it out of columns: {shadowed[0]}",
        )
    return values | found


def _inside(row: Mapping[str, Any], path: str) -> Any:
    """The value that a path such as reward_model.ground_truth leads to."""
    value: Any = row
    for part in path.split("."):
        value = json_value(value)
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def json_value(value: Any) -> Any:
    """JSON text of a list or an object, decoded, as tables of text hold them; any other value as it is."""
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
        try:
            found = json.loads(value)
        except (ValueError, RecursionError):
            return value
        return found if isinstance(found, list | dict) else value
    return value


def check_unicode(value: Any, where: str) -> None:
    """JSON can spell half a surrogate pair, which no tokenizer takes and no file can hold. Raises FaultyRow."""
    try:
        _AS_TEXT.encode(value).encode("utf-8")
    except UnicodeEncodeError:
        raise FaultyRow(f"'{where}' holds half a surrogate pair") from None


def check_json(value: Any, where: str) -> None:
    """What is published with the answers to a prompt has to be JSON: no NaN, which Python reads, nor a date or bytes of
    a parquet file. Raises FaultyRow."""
    check_unicode(value, where)
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise FaultyRow(f"'{where}' is not JSON: {error}") from None

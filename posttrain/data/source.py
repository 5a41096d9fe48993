"""Data sources: rows of a file, a hub data set, the toy world or an earlier stage, as Conversation, Prompt or
PreferencePair.

Faulty rows are set aside with their number and reason; above the stated share the read stops. Knows nothing of tokens
or models.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from posttrain.data.columns import Columns, FaultyRow, Reading
from posttrain.data.files import RawRow, read_files
from posttrain.data.hub import read_hub
from posttrain.data.pairs import read_pair
from posttrain.data.shapes import OTHER_USE, read_conversation, read_prompt
from posttrain.errors import DataError
from posttrain.recipe.schema import Chat, Data, FileData, GymData, HubData, StageData, ToyData
from posttrain.store.jsonl import read_lines, write_lines
from posttrain.types import Conversation, PreferencePair, Prompt

Row = TypeVar("Row")
Think = tuple[str, str]
THINK: Think = Chat().think
SET_ASIDE = "set_aside.jsonl"
READERS: dict[type, Callable[[str, int, Columns], Any]] = {
    Conversation: read_conversation,
    Prompt: read_prompt,
    PreferencePair: read_pair,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """A row set aside. Example: Fault(row=17, reason="no key 'prompt' or 'messages'"). Rows count from 1."""

    row: int
    reason: str
    remedy: str = ""  # where it is another than to mend the row


@dataclass(frozen=True, kw_only=True, slots=True)
class Rows(Generic[Row]):
    """What a source gave: good rows [N] in order, and the faulty ones. numbers: [N], the row of each good one, from
    1; about: what `check` says of how they were read, such as "read as ShareGPT"."""

    name: str
    items: tuple[Row, ...]
    faults: tuple[Fault, ...] = ()
    numbers: tuple[int, ...] = ()
    about: tuple[str, ...] = ()


def load_conversations(
    name: str, spec: Data, recipe_dir: Path, stage_folders: Mapping[str, Path] | None = None
) -> Rows[Conversation]:
    """Rows to imitate. Raises DataError: missing file, no rows, too many faulty ones."""
    if isinstance(spec, ToyData):
        return _made(
            name,
            toy_world(spec).conversations(spec.task, spec.rows, spec.difficulty, spec.split, spec.seed),
            Conversation,
        )
    if isinstance(spec, GymData):
        from posttrain.toy.gym import gym_conversations

        return _made(name, gym_conversations(spec.task, spec.rows, spec.split, spec.seed, spec.options), Conversation)
    if isinstance(spec, StageData):
        if spec.part == "pairs":
            raise DataError(
                f"data '{name}' holds pairs, not conversations", where=f"data.{name}.part", remedy="part: chosen"
            )
        pairs = _stage_pairs(name, spec, stage_folders or {})
        answers = [pair.chosen if spec.part == "chosen" else pair.rejected for pair in pairs]
        items = tuple(
            Conversation(
                id=pair.id,
                source=name,
                messages=(*pair.messages, {"role": "assistant", "content": answer}),
                tools=pair.tools,
            )
            for pair, answer in zip(pairs, answers, strict=True)
        )
        return Rows(name=name, items=items, numbers=tuple(range(1, len(items) + 1)))
    return _read(name, spec, recipe_dir, Conversation)


def load_prompts(name: str, spec: Data, recipe_dir: Path) -> Rows[Prompt]:
    """Questions to sample answers for. Raises DataError as load_conversations."""
    if isinstance(spec, ToyData):
        return _made(
            name, toy_world(spec).prompts(spec.task, spec.rows, spec.difficulty, spec.split, spec.seed), Prompt
        )
    if isinstance(spec, GymData):
        from posttrain.toy.gym import gym_prompts

        return _made(name, gym_prompts(spec.task, spec.rows, spec.split, spec.seed, spec.options), Prompt)
    if isinstance(spec, StageData):
        raise DataError(f"data '{name}' holds answers of a stage, not prompts", remedy="name a prompt data set here")
    return _read(name, spec, recipe_dir, Prompt)


def load_problems(name: str, spec: Data, recipe_dir: Path) -> Rows[Prompt]:
    """Questions of a suite: as load_prompts, but an id that stands twice is a fault, because scores know a problem by
    its id."""
    rows = load_prompts(name, spec, recipe_dir)
    first: dict[str, int] = {}
    owners = [first.setdefault(prompt.id, number) for prompt, number in zip(rows.items, rows.numbers, strict=True)]
    reasons = [
        None if owner == number else f"its id {prompt.id!r} is that of row {owner}"
        for prompt, number, owner in zip(rows.items, rows.numbers, owners, strict=True)
    ]
    return set_aside(rows, spec, reasons)


def load_pairs(
    name: str,
    spec: Data,
    recipe_dir: Path,
    stage_folders: Mapping[str, Path] | None = None,
    *,
    think: Think = THINK,
) -> Rows[PreferencePair]:
    """Better and worse answers. think: the recipe's tags around reasoning, without which two answers must differ.
    Raises DataError as load_conversations."""
    if isinstance(spec, ToyData):
        from posttrain.toy.tasks import pairs

        return _made(name, pairs(spec.task, spec.rows, spec.difficulty, spec.split, spec.seed), PreferencePair)
    if isinstance(spec, StageData):
        items = tuple(_stage_pairs(name, spec, stage_folders or {}))
        return Rows(name=name, items=items, numbers=tuple(range(1, len(items) + 1)))
    if isinstance(spec, GymData):
        raise DataError(f"data '{name}' (reasoning_gym) has no preference pairs", remedy="name a data set of pairs")
    return _read(name, spec, recipe_dir, PreferencePair, think)


def toy_world(spec: ToyData) -> Any:
    """The module that makes the rows of a toy data set."""
    from posttrain.toy import collected, tasks

    return collected if spec.task == collected.TASK else tasks


def _made(name: str, rows: Iterable[Any], kind: type[Row]) -> Rows[Row]:
    items = tuple(replace(row, source=name) for row in rows)
    if not items:
        raise DataError(f"data '{name}' made no rows", where=f"data.{name}", remedy="widen difficulty or rows")
    return Rows(name=name, items=items, numbers=tuple(range(1, len(items) + 1)))


def _stage_pairs(name: str, spec: StageData, stage_folders: Mapping[str, Path]) -> list[PreferencePair]:
    folder = stage_folders.get(name)
    if folder is None:
        raise DataError(
            f"data '{name}' comes from stage '{spec.stage}', which has not run yet", remedy="run the pipeline in order"
        )
    return read_pairs(folder / "pairs.jsonl", name)


def read_pairs(path: Path, name: str) -> list[PreferencePair]:
    """Pairs that a `pairs` step published."""
    found = []
    for row in read_lines(path):
        turns, tools = tuple(row["messages"]), tuple(row.get("tools", ()))
        found.append(PreferencePair(**{**row, "messages": turns, "tools": tools, "source": row.get("source", name)}))
    return found


# ---------------------------------------------------------------- files and hub


def raw_rows(spec: FileData | HubData, recipe_dir: Path, *, parse: bool = True) -> Iterator[RawRow]:
    """The rows of a file or of the hub as they are, up to the data set's limit. parse: as in read_files."""
    rows = read_files(spec, recipe_dir, parse=parse) if isinstance(spec, FileData) else read_hub(spec, recipe_dir)
    return itertools.islice(rows, spec.limit)


class RowReader(Generic[Row]):
    """Makes records of the raw rows of one data set. `about`: what is to be said of how they were read."""

    def __init__(self, name: str, spec: FileData | HubData, kind: type[Row], think: Think = THINK) -> None:
        reading = Reading(
            columns=dict(spec.columns), metadata=tuple(spec.metadata), gold_format=spec.gold_format, think=think
        )
        self.name, self.about = name, _About(reading)
        self._convert, self._other_use = READERS[kind], OTHER_USE[kind]

    def read(self, raw: RawRow) -> Row | Fault:
        """The record of a row, or why it is none, whatever its values do to the code that reads them."""
        raw = raw.parsed()
        try:
            return self._converted(raw)
        except FaultyRow as fault:
            return Fault(row=raw.number, reason=in_words(fault, raw.place), remedy=fault.remedy)

    def _converted(self, raw: RawRow) -> Row:
        if not isinstance(raw.value, dict):
            raise FaultyRow(str(raw.value))
        try:
            row = Columns(raw.value, self.about.reading)
            item = self._convert(self.name, raw.number, row)
            self.about.add(row, row.left_out(self._other_use))
        except (TypeError, ValueError, AttributeError, KeyError, IndexError, RecursionError) as error:
            raise FaultyRow(f"cannot be read as a row: {type(error).__name__}: {error}") from error
        return item  # type: ignore[no-any-return]


def _read(name: str, spec: FileData | HubData, recipe_dir: Path, kind: type[Row], think: Think = THINK) -> Rows[Row]:
    items: list[Row] = []
    numbers: list[int] = []
    faults: list[Fault] = []
    reader = RowReader(name, spec, kind, think)
    for raw in raw_rows(spec, recipe_dir):
        found = reader.read(raw)
        if not isinstance(found, Fault):
            items.append(found)
            numbers.append(raw.number)
            continue
        faults.append(found)
        if spec.max_faulty_share == 0.0:
            break
    rows = Rows(
        name=name,
        items=tuple(items),
        faults=tuple(faults),
        numbers=tuple(numbers),
        about=reader.about.in_words(len(items)),
    )
    check_share(name, spec, faults[0] if faults else None, faulty=len(faults), good=len(items))
    return rows


def in_words(fault: FaultyRow, place: str) -> str:
    """The reason of a faulty row, with where it stands."""
    # It may quote half a surrogate pair of the row.
    reason = str(fault).encode("utf-8", "backslashreplace").decode()
    return f"{place}: {reason}" if place else reason


class _About:
    """What is to be said of how the rows were read. Mutable: counted while reading."""

    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self._shapes: Counter[str] = Counter()
        self._left_out: Counter[str] = Counter()
        self._context_turns = 0

    def add(self, row: Columns, left_out: Sequence[str]) -> None:
        self._shapes.update(row.shapes)
        self._left_out.update(left_out)
        self._context_turns += row.context_turns

    def in_words(self, total: int) -> tuple[str, ...]:
        words = [
            f"read as {shape}" if count == total else f"{count:,} read as {shape}"
            for shape, count in sorted(self._shapes.items())
        ]
        if self._context_turns:
            words.append(f"{self._context_turns:,} answers are context and not learned from")
        if self.reading.metadata:
            words.append(f"metadata {', '.join(self.reading.metadata)}")
        if self._left_out:
            words.append(f"not read: {', '.join(sorted(self._left_out))}")
        return tuple(words)


def set_aside(rows: Rows[Row], spec: Data, reasons: Sequence[str | None]) -> Rows[Row]:
    """Rows with a reason [N] go to the faulty ones, as if they had been read so. Raises DataError as the loaders do."""
    if not any(reasons):
        return rows
    faults: list[Fault] = [
        Fault(row=number, reason=reason) for number, reason in zip(rows.numbers, reasons, strict=True) if reason
    ]
    good = [index for index, reason in enumerate(reasons) if not reason]
    left = replace(
        rows,
        items=tuple(rows.items[index] for index in good),
        faults=tuple(sorted((*rows.faults, *faults), key=lambda fault: fault.row)),
        numbers=tuple(rows.numbers[index] for index in good),
    )
    first = left.faults[0] if left.faults else None
    check_share(rows.name, spec, first, faulty=len(left.faults), good=len(left.items))
    return left


def write_set_aside(folder: Path, faults: Mapping[str, Sequence[Fault]]) -> int:
    """Publish which rows a stage left out and why, a line {"data", "row", "reason"} each; no file where there is none.
    Returns how many."""
    lines = [
        {"data": name, "row": fault.row, "reason": fault.reason} for name in sorted(faults) for fault in faults[name]
    ]
    if lines:
        write_lines(folder / SET_ASIDE, lines)
    return len(lines)


def check_share(name: str, spec: Data, first: Fault | None, *, faulty: int, good: int) -> None:
    """Raises DataError above the stated share of faulty rows, of which `first` is one, and where no row is usable."""
    if first is None:
        if not good and isinstance(spec, FileData | HubData):
            raise DataError(f"data '{name}' has no rows", where=spec.path, remedy="give a file with at least one row")
        return
    where = f"{spec.path}:{first.row}" if isinstance(spec, FileData | HubData) else f"data.{name}"
    allowed = spec.max_faulty_share if isinstance(spec, FileData | HubData) else 0.0
    total = faulty + good
    if allowed == 0.0:
        remedy = first.remedy or f"mend the row, or set data.{name}.max_faulty_share to set such rows aside"
        if not isinstance(spec, FileData | HubData):
            remedy = "choose a verifier and a chat template that take these rows"
        raise DataError(f"row {first.row} of data '{name}': {first.reason}", where=where, remedy=remedy)
    if faulty > allowed * total:
        raise DataError(
            f"{faulty} of {total} rows of data '{name}' are faulty ({faulty / total:.1%}, allowed {allowed:.1%}); "
            f"the first is row {first.row}: {first.reason}",
            where=where,
            remedy=first.remedy or "mend the file, or raise max_faulty_share",
        )
    if not good:
        raise DataError(
            f"data '{name}' has no usable row; row {first.row}: {first.reason}",
            where=where,
            remedy=first.remedy or "mend the file",
        )

"""Data sources: rows of a file, a hub data set, the toy world or an earlier stage, as Conversation, Prompt or
PreferencePair.

Faulty rows are set aside with their number and reason; above the stated share the read stops. Knows nothing of tokens
or models.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from posttrain.errors import DataError
from posttrain.recipe.paths import full_path
from posttrain.recipe.schema import Data, FileData, GymData, HubData, StageData, ToyData
from posttrain.store.jsonl import read_lines, write_lines
from posttrain.types import Conversation, Message, PreferencePair, Prompt

Row = TypeVar("Row", Conversation, Prompt, PreferencePair)
SET_ASIDE = "set_aside.jsonl"
_ROLES = {"system", "user", "assistant", "tool"}
_SHAREGPT = {"human": "user", "gpt": "assistant", "system": "system", "tool": "tool"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """A row set aside. Example: Fault(row=17, reason="no key 'prompt' or 'messages'"). Rows count from 1."""

    row: int
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Rows(Generic[Row]):
    """What a source gave: good rows [N] in order, and the faulty ones. numbers: [N], the row of each good one, from
    1."""

    name: str
    items: tuple[Row, ...]
    faults: tuple[Fault, ...] = ()
    numbers: tuple[int, ...] = ()


class _FaultyRow(Exception):
    """One row is unusable; the message says why."""


def load_conversations(
    name: str, spec: Data, recipe_dir: Path, stage_folders: Mapping[str, Path] | None = None
) -> Rows[Conversation]:
    """Rows to imitate. Raises DataError: missing file, no rows, too many faulty ones."""
    if isinstance(spec, ToyData):
        from posttrain.toy.tasks import conversations

        return _made(name, conversations(spec.task, spec.rows, spec.difficulty, spec.split, spec.seed), Conversation)
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
            Conversation(id=pair.id, source=name, messages=(*pair.messages, {"role": "assistant", "content": answer}))
            for pair, answer in zip(pairs, answers, strict=True)
        )
        return Rows(name=name, items=items, numbers=tuple(range(1, len(items) + 1)))
    return _read(name, spec, recipe_dir, _conversation)


def load_prompts(name: str, spec: Data, recipe_dir: Path) -> Rows[Prompt]:
    """Questions to sample answers for. Raises DataError as load_conversations."""
    if isinstance(spec, ToyData):
        from posttrain.toy.tasks import prompts

        return _made(name, prompts(spec.task, spec.rows, spec.difficulty, spec.split, spec.seed), Prompt)
    if isinstance(spec, GymData):
        from posttrain.toy.gym import gym_prompts

        return _made(name, gym_prompts(spec.task, spec.rows, spec.split, spec.seed, spec.options), Prompt)
    if isinstance(spec, StageData):
        raise DataError(f"data '{name}' holds answers of a stage, not prompts", remedy="name a prompt data set here")
    return _read(name, spec, recipe_dir, _prompt)


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
    name: str, spec: Data, recipe_dir: Path, stage_folders: Mapping[str, Path] | None = None
) -> Rows[PreferencePair]:
    """Better and worse answers. Raises DataError as load_conversations."""
    if isinstance(spec, ToyData):
        from posttrain.toy.tasks import pairs

        return _made(name, pairs(spec.task, spec.rows, spec.difficulty, spec.split, spec.seed), PreferencePair)
    if isinstance(spec, StageData):
        items = tuple(_stage_pairs(name, spec, stage_folders or {}))
        return Rows(name=name, items=items, numbers=tuple(range(1, len(items) + 1)))
    if isinstance(spec, GymData):
        raise DataError(f"data '{name}' (reasoning_gym) has no preference pairs", remedy="name a data set of pairs")
    return _read(name, spec, recipe_dir, _pair)


def _made(name: str, rows: Iterable[Any], kind: type[Row]) -> Rows[Row]:
    from dataclasses import replace

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
        found.append(PreferencePair(**{**row, "messages": tuple(row["messages"]), "source": row.get("source", name)}))
    return found


# ---------------------------------------------------------------- files and hub


def _read(
    name: str, spec: FileData | HubData, recipe_dir: Path, convert: Callable[[str, int, dict[str, Any]], Row]
) -> Rows[Row]:
    items: list[Row] = []
    numbers: list[int] = []
    faults: list[Fault] = []
    for number, raw in _raw_rows(spec, recipe_dir):
        if spec.limit is not None and len(items) + len(faults) >= spec.limit:
            break
        try:
            if isinstance(raw, str):
                raise _FaultyRow(raw)
            items.append(convert(name, number, raw))
            numbers.append(number)
        except _FaultyRow as fault:
            # It may quote half a surrogate pair of the row.
            reason = str(fault).encode("utf-8", "backslashreplace").decode()
            faults.append(Fault(row=number, reason=reason))
            if spec.max_faulty_share == 0.0:
                break
    if not items and not faults:
        raise DataError(f"data '{name}' has no rows", where=spec.path, remedy="give a file with at least one row")
    rows = Rows(name=name, items=tuple(items), faults=tuple(faults), numbers=tuple(numbers))
    _check_share(rows, spec)
    return rows


def set_aside(rows: Rows[Row], spec: Data, reasons: Sequence[str | None]) -> Rows[Row]:
    """Rows with a reason [N] go to the faulty ones, as if they had been read so. Raises DataError as the loaders do."""
    if not any(reasons):
        return rows
    faults: list[Fault] = [
        Fault(row=number, reason=reason) for number, reason in zip(rows.numbers, reasons, strict=True) if reason
    ]
    good = [index for index, reason in enumerate(reasons) if not reason]
    left = Rows(
        name=rows.name,
        items=tuple(rows.items[index] for index in good),
        faults=tuple(sorted((*rows.faults, *faults), key=lambda fault: fault.row)),
        numbers=tuple(rows.numbers[index] for index in good),
    )
    _check_share(left, spec)
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


def _check_share(rows: Rows[Row], spec: Data) -> None:
    """Raises DataError above the stated share of faulty rows, and where none is usable."""
    if not rows.faults:
        return
    name, first = rows.name, rows.faults[0]
    where = f"{spec.path}:{first.row}" if isinstance(spec, FileData | HubData) else f"data.{name}"
    allowed = spec.max_faulty_share if isinstance(spec, FileData | HubData) else 0.0
    total = len(rows.faults) + len(rows.items)
    if allowed == 0.0:
        remedy = f"mend the row, or set data.{name}.max_faulty_share to set such rows aside"
        if not isinstance(spec, FileData | HubData):
            remedy = "choose a verifier and a chat template that take these rows"
        raise DataError(f"row {first.row} of data '{name}': {first.reason}", where=where, remedy=remedy)
    if len(rows.faults) > allowed * total:
        raise DataError(
            f"{len(rows.faults)} of {total} rows of data '{name}' are faulty ({len(rows.faults) / total:.1%}, "
            f"allowed {allowed:.1%}); "
            f"the first is row {first.row}: {first.reason}",
            where=where,
            remedy="mend the file, or raise max_faulty_share",
        )
    if not rows.items:
        raise DataError(
            f"data '{name}' has no usable row; row {first.row}: {first.reason}", where=where, remedy="mend the file"
        )


def _raw_rows(spec: FileData | HubData, recipe_dir: Path) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """(row number from 1, row); a row that is not an object comes as its reason."""
    if isinstance(spec, HubData):
        yield from _hub_rows(spec, recipe_dir)
        return
    path = full_path(spec.path, recipe_dir)
    if not path.is_file():
        raise DataError(f"no file '{spec.path}'", where=str(path), remedy="paths are relative to the recipe")
    if spec.source == "parquet":
        yield from _parquet_rows(path)
        return
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line.decode("utf-8"))
            except UnicodeDecodeError:
                yield number, "not UTF-8"
            except (ValueError, RecursionError) as error:  # not only JSONDecodeError: numbers of thousands of digits
                yield number, f"not JSON: {error}"
            else:
                yield number, row if isinstance(row, dict) else f"not an object but {type(row).__name__}"


def _parquet_rows(path: Path) -> Iterator[tuple[int, dict[str, Any] | str]]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise DataError("source: parquet needs the pyarrow package", remedy="pip install 'posttrain[cpu]'") from error
    number = 0
    try:
        for batch in pyarrow.parquet.ParquetFile(path).iter_batches():
            for row in batch.to_pylist():
                number += 1
                yield number, row
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(
            f"not a readable parquet file: {error}", where=str(path), remedy="write it again, or use source: jsonl"
        ) from error


def _hub_rows(spec: HubData, recipe_dir: Path) -> Iterator[tuple[int, dict[str, Any] | str]]:
    try:
        import datasets
    except ImportError as error:
        raise DataError("source: hub needs the datasets package", remedy="pip install 'posttrain[cpu]'") from error
    local = full_path(spec.path, recipe_dir)
    if not local.is_dir() and spec.revision is None:
        raise DataError(
            f"no folder '{spec.path}', and hub data needs a revision",
            where=str(local),
            remedy="pin it: revision: <40 hex digits>",
        )
    try:
        loaded = (
            datasets.load_from_disk(str(local))
            if local.is_dir()
            else datasets.load_dataset(spec.path, split=spec.split, revision=spec.revision)
        )
    except (
        OSError,
        ValueError,
        RuntimeError,
    ) as error:  # missing files, unknown names, no network, a folder of another format
        remedy = (
            "save it with `Dataset.save_to_disk`"
            if local.is_dir()
            else "check path and revision, or give a local folder"
        )
        raise DataError(f"data '{spec.path}' cannot be read: {error}", where=str(local), remedy=remedy) from error
    table = loaded
    if isinstance(loaded, datasets.DatasetDict):
        if spec.split not in loaded:
            raise DataError(
                f"data '{spec.path}' has no split '{spec.split}'",
                where=str(local),
                remedy=f"one of {', '.join(sorted(loaded))}",
            )
        table = loaded[spec.split]
    for number, row in enumerate(table, start=1):
        yield number, dict(row)


# ---------------------------------------------------------------- shapes of rows


def _messages(row: dict[str, Any], key_hint: str) -> tuple[Message, ...]:
    raw = row.get("messages") or row.get("conversations")
    if raw is None and isinstance(row.get("prompt"), list):
        raw = row["prompt"]  # as TRL's conversational data has it
    if raw is None:
        if not isinstance(row.get("prompt"), str):
            raise _FaultyRow(f"no key '{key_hint}' or 'messages' (keys: {', '.join(sorted(map(str, row))) or 'none'})")
        return ({"role": "user", "content": _text(row, "prompt")},)
    if not isinstance(raw, list) or not raw:
        raise _FaultyRow("'messages' is not a list of turns")
    turns = []
    for index, turn in enumerate(raw):
        if not isinstance(turn, dict):
            raise _FaultyRow(f"messages[{index}] is not an object")
        if "from" in turn and "value" in turn:
            turn = {"role": _SHAREGPT.get(str(turn["from"]), str(turn["from"])), "content": turn["value"]}
        if not isinstance(turn.get("role"), str) or turn["role"] not in _ROLES:
            raise _FaultyRow(f"messages[{index}].role is {turn.get('role')!r}, not one of {', '.join(sorted(_ROLES))}")
        if not isinstance(turn.get("content"), str):
            raise _FaultyRow(f"messages[{index}] has no text in 'content'")
        _check_unicode(turn, f"messages[{index}]")
        turns.append(turn)
    return tuple(turns)


def _answer(row: dict[str, Any], key: str) -> str:
    """Text, or the one assistant turn that stands for it in conversational data."""
    match row.get(key):
        case [{"role": "assistant", "content": str(content)}]:
            return _text({key: content}, key)
        case list():
            raise _FaultyRow(f"'{key}' is not text or one assistant turn")
    return _text(row, key)


def _text(row: dict[str, Any], key: str) -> str:
    value = row.get(key)
    if not isinstance(value, str) or not value.strip():
        raise _FaultyRow(f"no text in key '{key}'")
    _check_unicode(value, key)
    return value


def _check_unicode(value: Any, where: str) -> None:
    """JSON can spell half a surrogate pair, which no tokenizer takes and no file can hold."""
    try:
        json.dumps(value, ensure_ascii=False, default=str).encode("utf-8")
    except UnicodeEncodeError:
        raise _FaultyRow(f"'{where}' holds half a surrogate pair") from None


def _check_json(value: Any, where: str) -> None:
    """What is published with the answers to a prompt has to be JSON: no NaN, which Python reads, nor a date or bytes of
    a parquet file."""
    _check_unicode(value, where)
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise _FaultyRow(f"'{where}' is not JSON: {error}") from None


def _id(name: str, number: int, row: dict[str, Any]) -> str:
    given = row.get("id")
    _check_unicode(given, "id")
    return f"{name}/{number}" if given is None else str(given)


def _conversation(name: str, number: int, row: dict[str, Any]) -> Conversation:
    messages = _messages(row, "prompt")
    if messages[-1]["role"] != "assistant":
        if "completion" not in row and not isinstance(row.get("prompt"), str):
            raise _FaultyRow(f"it ends with a turn of the {messages[-1]['role']}, so there is no answer to learn from")
        messages = (*messages, {"role": "assistant", "content": _answer(row, "completion")})
    return Conversation(id=_id(name, number, row), source=name, messages=messages)


def _prompt(name: str, number: int, row: dict[str, Any]) -> Prompt:
    messages = _messages(row, "prompt")
    if messages[-1]["role"] == "assistant":
        raise _FaultyRow("a prompt must not end with an assistant turn")
    metadata = row.get("metadata") or {}
    if not isinstance(metadata, dict):
        raise _FaultyRow("'metadata' is not an object")
    reference = row.get("reference")
    if row.get("gold") is None and reference is None:
        raise _FaultyRow("no key 'gold' (or 'reference'); where the verifier needs none, write \"gold\": \"\"")
    for key, value in (
        ("messages", messages),
        ("gold", row.get("gold")),
        ("reference", reference),
        ("metadata", metadata),
    ):
        _check_json(value, key)
    return Prompt(
        id=_id(name, number, row),
        source=name,
        messages=messages,
        gold=row.get("gold"),
        reference=reference,
        metadata=metadata,
    )


def _pair(name: str, number: int, row: dict[str, Any]) -> PreferencePair:
    messages, chosen, rejected = _messages(row, "prompt"), _answer(row, "chosen"), _answer(row, "rejected")
    if chosen == rejected:
        raise _FaultyRow("'chosen' and 'rejected' are the same")
    return PreferencePair(
        id=_id(name, number, row),
        source=name,
        messages=messages,
        chosen=chosen,
        rejected=rejected,
        provenance={"chosen": "data", "rejected": "data"},
    )

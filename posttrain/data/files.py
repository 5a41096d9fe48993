"""Files as raw rows: JSON Lines, a JSON array, an object with one list, CSV, TSV, Parquet; plain or compressed, in any
Unicode encoding that a byte order mark tells, one file or many.

What is in a file is told by its first bytes; only CSV and TSV by name, because any text could be one. Knows nothing of
what a row means.
"""

from __future__ import annotations

import bz2
import codecs
import csv
import gzip
import io
import json
import lzma
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, cast

from posttrain.errors import DataError
from posttrain.recipe.paths import data_files, full_path
from posttrain.recipe.schema import FileData

_PEEK = 4096
_AS_FILE = "read it with source: file"
_MARKS = (  # the longer mark first: that of UTF-32 begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (b"{\0", "utf-16-le"),
    (b"\0{", "utf-16-be"),
    (b"[\0", "utf-16-le"),
    (b"\0[", "utf-16-be"),
)
_NO_ROWS = {  # first bytes -> (what it is, what to do)
    b"PK\x03\x04": ("a zip archive or a spreadsheet", "unpack it, or save the sheet as CSV"),
    b"ARROW1": ("an Arrow file", "save it as Parquet; a folder that `datasets` saved is source: hub"),
    b"version https://git-lfs": ("a pointer of Git LFS, not the data", "fetch the data: git lfs pull"),
    b"<!DOCTYPE": ("a web page", "download the file itself"),
    b"<html": ("a web page", "download the file itself"),
    b"SQLite format 3": ("a database", "export the table as CSV"),
}
_SPLITS = {"train": "train", "test": "test", "validation": "validation", "valid": "validation", "val": "validation"}
_SPLITS |= {"dev": "validation", "eval": "test"}
# A list of rows wrapped in an object goes by such a name, or its objects have such keys.
_WRAPPERS = {"data", "rows", "examples", "items", "instances", "records", "samples", "problems", "questions", "results"}
_WRAPPERS |= {"train", "test", "validation", "dataset", "conversations"}
_MOST_WRAPPER_KEYS = 4  # the list, and a name, a version or a count; a row of a code data set has more
_ROW_KEYS = {"messages", "conversations", "prompt", "chosen", "instruction", "question", "problem", "query", "text"}


@dataclass(frozen=True, kw_only=True, slots=True)
class RawRow:
    """A row as its file has it, or as text why it is none; bytes are a line of JSON that is not parsed yet. number:
    from 1 over all files; place: "" in a single file.

    Example: RawRow(number=17, value={"prompt": "1+1?"}, place="shard-2.jsonl:5")
    """

    number: int
    value: dict[str, Any] | str | bytes
    place: str = ""

    def parsed(self) -> RawRow:
        """The same with its line parsed."""
        return replace(self, value=_row(self.value)) if isinstance(self.value, bytes) else self


def read_files(spec: FileData, recipe_dir: Path, *, parse: bool = True) -> Iterator[RawRow]:
    """The rows of all files that the path means, in order of names. Raises DataError for what is no file of rows.

    parse: not where another process is to parse the lines of JSON.
    """
    path = full_path(spec.path, recipe_dir)
    files = data_files(spec.path, recipe_dir)
    if not files:
        what = f"no file of rows in the folder '{spec.path}'" if path.is_dir() else f"no file '{spec.path}'"
        raise DataError(what, where=str(path), remedy="paths are relative to the recipe")
    if (path / "state.json").is_file() or (path / "dataset_dict.json").is_file():
        raise DataError("a folder that `datasets` saved", where=str(path), remedy="read it with source: hub")
    _refuse_mixed_splits(files, spec.path)
    before = 0
    for file in files:
        number = 0
        for number, value in _rows_of(file, spec.source, parse):
            place = f"{file.name}:{number}" if len(files) > 1 else ""
            yield RawRow(number=before + number, value=value, place=place)
        before += number


def _refuse_mixed_splits(files: Sequence[Path], path: str) -> None:
    """Training on a folder's test split beside its train split would make its scores worthless."""
    parts = [file.name for file in files]
    folders = {file.parent for file in files}
    parts += [folder.name for folder in folders] if len(folders) > 1 else []
    words = (re.split(r"[^a-z]+", part.lower())[0] for part in parts)
    splits = sorted({_SPLITS[word] for word in words if word in _SPLITS})
    if len(splits) > 1:
        raise DataError(
            f"'{path}' holds several splits: {', '.join(splits)}", where=path, remedy="name one, such as folder/train*"
        )


# ---------------------------------------------------------------- one file


def _rows_of(file: Path, source: str, parse: bool) -> Iterator[tuple[int, dict[str, Any] | str | bytes]]:
    """(number from 1, row or reason or unparsed line) of one file."""
    try:
        with _unpacked(file) as stream:
            head = stream.peek(_PEEK)
            for mark, (what, remedy) in _NO_ROWS.items():
                if head.startswith(mark):
                    raise DataError(f"'{file.name}' is {what}", where=str(file), remedy=remedy)
            is_parquet = head.startswith(b"PAR1")
            if source == "parquet" or is_parquet:
                if source == "jsonl":
                    raise DataError(
                        "a Parquet file, not JSON Lines", where=str(file), remedy="read it with source: file"
                    )
                yield from _parquet_rows(stream, file)
            elif (delimiter := _delimiter(file, head)) is None:
                yield from _json_rows(stream, _encoding(head), file, parse)
            elif source == "jsonl":
                raise DataError("a CSV file, not JSON Lines", where=str(file), remedy=_AS_FILE)
            else:
                with io.TextIOWrapper(stream, _encoding(head), newline="") as text:
                    yield from _csv_rows(text, delimiter, file)
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:  # what a torn archive raises
        raise DataError(f"cannot be read: {error}", where=str(file), remedy="copy or download it again") from error
    except UnicodeError as error:
        raise DataError(
            f"not the text its first bytes say: {error}", where=str(file), remedy="save as UTF-8"
        ) from error


def _unpacked(file: Path) -> io.BufferedReader:
    """The bytes of a file, decompressed as its first bytes say."""
    with file.open("rb") as stream:
        head = stream.read(6)
    openers: dict[bytes, Callable[[Path], Any]] = {
        b"\x1f\x8b": gzip.open,
        b"BZh": bz2.open,
        b"\xfd7zXZ\0": lzma.open,
        b"\x28\xb5\x2f\xfd": lambda path: _pyarrow().input_stream(str(path), compression="zstd"),
    }
    for mark, opener in openers.items():
        if head.startswith(mark):
            return io.BufferedReader(opener(file))
    return file.open("rb")


def _pyarrow() -> Any:
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise DataError("Parquet and zstd need the pyarrow package", remedy="pip install 'posttrain[cpu]'") from error
    return pyarrow


def _encoding(head: bytes) -> str:
    return next((name for mark, name in _MARKS if head.startswith(mark)), "utf-8")


# ---------------------------------------------------------------- JSON


def _json_rows(
    stream: BinaryIO, encoding: str, file: Path, parse: bool
) -> Iterator[tuple[int, dict[str, Any] | str | bytes]]:
    lines: Iterator[tuple[int, bytes | str]]
    if encoding == "utf-8-sig":
        stream.read(len(codecs.BOM_UTF8))
    if encoding in ("utf-8", "utf-8-sig"):
        lines = enumerate(stream, start=1)  # decoded a line at a time, so that a bad byte is one row's fault
    else:
        lines = enumerate(_text_lines(stream, encoding), start=1)
    lines = ((number, line) for number, line in lines if line.strip())
    first = next(lines, None)
    if first is None:
        return
    second = next(lines, None)
    lines = chain([first], [] if second is None else [second], lines)
    start, row = _text(first[1]).lstrip()[:1], _parsed(first[1])
    if second is None and isinstance(row, list):
        yield from _listed(row)
    elif second is None and isinstance(row, dict):
        yield from _listed(_one_list(row, file))
    elif isinstance(row, str) and (start == "[" or (start == "{" and not _text(first[1]).rstrip().endswith("}"))):
        # One value over many lines, or lines that are none at all.
        kept = list(lines)
        whole = _parsed("".join(_text(line) for _, line in kept))
        if isinstance(whole, list | dict):
            yield from _listed(whole if isinstance(whole, list) else _one_list(whole, file))
        else:
            yield from ((number, _row(line)) for number, line in kept)
    else:
        yield from ((number, _row(line) if parse or isinstance(line, str) else line) for number, line in lines)


def _text_lines(stream: BinaryIO, encoding: str) -> Iterator[str]:
    with io.TextIOWrapper(cast(Any, stream), encoding, newline="\n") as text:
        yield from text


def _listed(rows: list[Any]) -> Iterator[tuple[int, dict[str, Any] | str]]:
    yield from ((number, _object(row)) for number, row in enumerate(rows, start=1))


def _one_list(value: dict[str, Any], file: Path) -> list[Any]:
    """The rows of an object that wraps one list of objects; an object that is itself a row, alone."""
    lists = {
        key: item
        for key, item in value.items()
        if isinstance(item, list) and item and isinstance(item[0], dict)
        and not item[0].keys() & {"role", "from"} and (key in _WRAPPERS or item[0].keys() & _ROW_KEYS)
    }  # fmt: skip
    if not lists or value.keys() & _ROW_KEYS - _WRAPPERS or len(value) > _MOST_WRAPPER_KEYS:
        return [value]
    if len(lists) > 1:
        raise DataError(
            f"an object with several lists: {', '.join(sorted(lists))}",
            where=str(file),
            remedy="write the list to read to its own file",
        )
    return next(iter(lists.values()))


def _row(line: bytes | str) -> dict[str, Any] | str:
    return _object(_parsed(line))


def _object(value: Any) -> dict[str, Any] | str:
    return value if isinstance(value, dict | str) else f"not an object but {type(value).__name__}"


def _parsed(line: bytes | str) -> Any:
    """The value of JSON text, or as text why it is none; text itself is no row and comes as a reason too."""
    try:
        value = json.loads(_text(line, strict=True), object_pairs_hook=_unique)
    except UnicodeDecodeError:
        return "not UTF-8"
    except (ValueError, RecursionError) as error:  # not only JSONDecodeError: numbers of thousands of digits
        return f"not JSON: {error}"
    return "not an object but str" if isinstance(value, str) else value


def _text(line: bytes | str, strict: bool = False) -> str:
    return line if isinstance(line, str) else line.decode("utf-8", "strict" if strict else "replace")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"key '{next(name for name in names if names.count(name) > 1)}' stands twice in one object")
    return row


# ---------------------------------------------------------------- CSV


def _delimiter(file: Path, head: bytes) -> str | None:
    """What parts the cells of a file named as CSV or TSV; None for any other. Spreadsheets of some countries write
    semicolons."""
    suffixes = [suffix.lower() for suffix in file.suffixes]
    if not {".csv", ".tsv"} & set(suffixes):
        return None
    header = head.decode(_encoding(head), "replace").split("\n", 1)[0]
    if "\t" in header:
        return "\t"
    return ";" if ";" in header and "," not in header else ","


def _csv_rows(text: io.TextIOWrapper, delimiter: str, file: Path) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """Rows by the header; an empty cell is no value."""
    csv.field_size_limit(2**31 - 1)  # a cell may hold a whole conversation; the library's limit is 131,072
    cells = (row for row in csv.reader(text, delimiter=delimiter, strict=True) if row)
    try:
        header = next(cells, [])
        if twice := sorted({name for name in header if header.count(name) > 1}):
            raise DataError(f"column '{twice[0]}' stands twice in the header", where=str(file), remedy="rename one")
        for number, row in enumerate(cells, start=1):
            if len(row) != len(header):
                yield number, f"{len(row)} cells under a header of {len(header)}"
            else:
                yield number, {name: cell for name, cell in zip(header, row, strict=True) if cell}
    except csv.Error as error:
        raise DataError(f"not CSV: {error}", where=str(file), remedy="write it with a CSV library") from error


# ---------------------------------------------------------------- Parquet


def _parquet_rows(stream: io.BufferedReader, file: Path) -> Iterator[tuple[int, dict[str, Any] | str]]:
    arrow = _pyarrow()
    number = 0
    try:
        packed = not isinstance(stream.raw, io.FileIO)
        source = arrow.BufferReader(stream.read()) if packed else str(file)
        for batch in arrow.parquet.ParquetFile(source).iter_batches():
            for row in batch.to_pylist():
                number += 1
                yield number, without_nulls(row)
    except (arrow.ArrowException, OSError, ValueError, OverflowError) as error:
        raise DataError(
            f"not a readable parquet file: {error}", where=str(file), remedy="write it again, or use source: jsonl"
        ) from error


def without_nulls(value: Any) -> Any:
    """A value of an Arrow table without keys that are null, at any depth: there, every object of a column has the keys
    of all rows, and a null says no more than that another row has the key."""
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value

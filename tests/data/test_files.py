"""Files of rows in every format, packing and encoding that people have; folders, globs and hub data sets."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from posttrain.data.source import load_conversations, load_prompts
from posttrain.errors import DataError
from posttrain.recipe.schema import FileData, HubData
from posttrain.types import Conversation

ROWS = [{"prompt": f"{n}+1?", "completion": f"ä {n + 1}"} for n in range(3)]
LINES = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS)
CALL: dict[str, Any] = {"type": "function", "function": {"name": "add", "arguments": {"a": 1}}}


def read(folder: Path, path: str, source: str = "file", **options: Any) -> Any:
    spec = FileData.model_validate({"source": source, "path": path, "card": "card.md", **options})
    return load_conversations("rows", spec, folder)


def answers(rows: Any) -> list[str]:
    return [row.messages[-1]["content"] for row in rows.items]


def refused(folder: Path, path: str, source: str = "file", **options: Any) -> DataError:
    with pytest.raises(DataError) as caught:
        read(folder, path, source, **options)
    assert caught.value.exit_code == 2 and caught.value.remedy and caught.value.where
    return caught.value


def csv_text(delimiter: str) -> str:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter)
    writer.writerows([["prompt", "completion"], *([row["prompt"], row["completion"]] for row in ROWS)])
    return text.getvalue()


# ---------------------------------------------------------------- one file


@pytest.mark.parametrize("source", ["file", "jsonl"])
@pytest.mark.parametrize(
    "text",
    [
        LINES,
        LINES.replace("\n", "\r\n"),
        LINES.rstrip(),
        json.dumps(ROWS),
        json.dumps(ROWS, indent=2),
        json.dumps({"version": 1, "data": ROWS}),
        json.dumps({"version": 1, "data": ROWS}, indent=2),
        "[\n" + ",\n".join(map(json.dumps, ROWS)) + "\n]\n",
    ],
    ids=["lines", "crlf", "no-last-newline", "array", "indented", "object", "indented-object", "array-of-lines"],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
def test_json_is_read_in_every_form_and_encoding(tmp_path: Path, text: str, encoding: str, source: str) -> None:
    (tmp_path / "rows.json").write_bytes(text.encode(encoding))
    assert answers(read(tmp_path, "rows.json", source)) == ["ä 1", "ä 2", "ä 3"]


@pytest.mark.parametrize("source", ["file", "jsonl"])
@pytest.mark.parametrize("name", ["rows.jsonl", "rows.jsonl.packed"])
@pytest.mark.parametrize(
    "pack",
    [gzip.compress, bz2.compress, lzma.compress, lambda data: pyarrow.compress(data, codec="zstd", asbytes=True)],
    ids=["gzip", "bz2", "xz", "zstd"],
)
def test_a_packed_file_is_known_by_its_first_bytes(
    tmp_path: Path, pack: Callable[[bytes], bytes], name: str, source: str
) -> None:
    (tmp_path / name).write_bytes(pack(LINES.encode()))
    assert answers(read(tmp_path, name, source)) == ["ä 1", "ä 2", "ä 3"]
    (tmp_path / name).write_bytes(pack(LINES.encode())[:-9])
    assert "copy or download it again" in str(refused(tmp_path, name, source).remedy)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_csv_is_read_by_its_header(tmp_path: Path, delimiter: str, encoding: str) -> None:
    name = "rows.tsv" if delimiter == "\t" else "rows.csv"
    (tmp_path / name).write_bytes(csv_text(delimiter).encode(encoding))
    assert answers(read(tmp_path, name)) == ["ä 1", "ä 2", "ä 3"]
    assert "source: file" in str(refused(tmp_path, name, "jsonl").remedy)


def test_a_cell_of_csv_may_hold_turns_and_an_empty_one_is_no_value(tmp_path: Path) -> None:
    turns = json.dumps([{"role": "user", "content": "1+1?\nnow"}, {"role": "assistant", "content": "2" * 200_000}])
    text = io.StringIO()
    csv.writer(text).writerows([["messages", "tools", "tone"], [turns, "", ""]])
    (tmp_path / "rows.csv.gz").write_bytes(gzip.compress(text.getvalue().encode()))
    row = read(tmp_path, "rows.csv.gz").items[0]
    assert row.messages[0]["content"] == "1+1?\nnow" and len(row.messages[1]["content"]) == 200_000


def test_a_row_of_csv_with_other_cells_than_the_header_is_faulty(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("prompt,completion\n1+1?,2\n1+1?,2,3\n")
    assert "row 2 of data 'rows': 3 cells under a header of 2" in refused(tmp_path, "rows.csv").what
    (tmp_path / "rows.csv").write_text("prompt,prompt\n1+1?,2\n")
    assert "stands twice" in refused(tmp_path, "rows.csv").what


def test_nulls_of_other_rows_keys_are_dropped_from_parquet_at_any_depth(tmp_path: Path) -> None:
    other: dict[str, Any] = {"type": "function", "function": {"name": "find", "arguments": {"city": "Ulm"}}}
    rows = [
        {
            "messages": [
                {"role": "user", "content": "?"},
                {"role": "assistant", "content": None, "tool_calls": [call]},
                {"role": "tool", "content": "2", "tool_call_id": "a"},
                {"role": "assistant", "content": "2"},
            ],
            "tools": [{"type": "function", "function": {"name": call["function"]["name"], "parameters": {
                "type": "object", "properties": {name: {"type": "string"} for name in call["function"]["arguments"]},
            }}}],
            "tone": None,
        }
        for call in (CALL, other)
    ]  # fmt: skip
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "rows.parquet")
    for source in ("file", "parquet"):
        first, second = read(tmp_path, "rows.parquet", source).items
        assert first.messages[1] == {"role": "assistant", "content": "", "tool_calls": [CALL]}
        assert second.messages[1]["tool_calls"] == [other] and set(first.messages[3]) == {"role", "content"}
        assert list(first.tools[0]["function"]["parameters"]["properties"]) == ["a"]
    (tmp_path / "rows.parquet.gz").write_bytes(gzip.compress((tmp_path / "rows.parquet").read_bytes()))
    assert len(read(tmp_path, "rows.parquet.gz").items) == 2
    assert "source: file" in str(refused(tmp_path, "rows.parquet", "jsonl").remedy)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"PK\x03\x04rest", "a zip archive"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS"),
        (b"<!DOCTYPE html><p>not found", "a web page"),
        (b'{"train": [{"prompt": "a"}], "test": [{"prompt": "b"}]}', "several lists: test, train"),
        (b'{"prompt": "a", "prompt": "b", "completion": "c"}\n', "key 'prompt' stands twice"),
        (b"\xff\xfe{\0\0\xd8\0\0", "not the text its first bytes say"),
    ],
)
def test_what_is_no_file_of_rows_is_told_by_name(tmp_path: Path, content: bytes, what: str) -> None:
    (tmp_path / "rows.jsonl").write_bytes(content)
    assert what in refused(tmp_path, "rows.jsonl").what


def test_a_single_row_with_a_list_is_a_row(tmp_path: Path) -> None:
    row = {"messages": [{"role": "user", "content": "?"}, {"role": "assistant", "content": "2"}]}
    for indent in (None, 2):
        (tmp_path / "rows.json").write_text(json.dumps(row, indent=indent))
        assert answers(read(tmp_path, "rows.json")) == ["2"]


# ---------------------------------------------------------------- many files


def shards(folder: Path, *names: str) -> None:
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"prompt": "?", "completion": str(number)}) + "\n")


@pytest.mark.parametrize("path", ["all", "all/*.jsonl", "all/part-[12].jsonl", "a*/**/part-*"])
def test_shards_of_a_folder_or_glob_are_read_in_order_of_names(tmp_path: Path, path: str) -> None:
    shards(tmp_path, "all/part-2.jsonl", "all/part-1.jsonl")
    (tmp_path / "all" / "README.md").write_text("what it is")
    (tmp_path / "all" / ".hidden").write_text("x")
    rows = read(tmp_path, path)
    assert answers(rows) == ["1", "0"] and [row.id for row in rows.items] == ["rows/1", "rows/2"]


def test_a_faulty_row_of_several_files_is_named_with_its_file(tmp_path: Path) -> None:
    shards(tmp_path, "all/a.jsonl", "all/b.jsonl")
    with (tmp_path / "all" / "b.jsonl").open("a") as file:
        file.write("{\n")
    assert "row 3 of data 'rows': b.jsonl:2: not JSON" in refused(tmp_path, "all").what


def test_a_folder_of_several_splits_is_not_read_as_one(tmp_path: Path) -> None:
    shards(tmp_path, "all/train-0.jsonl", "all/test-0.jsonl", "two/train/a.jsonl", "two/validation/a.jsonl")
    assert "several splits: test, train" in refused(tmp_path, "all").what
    assert "several splits: train, validation" in refused(tmp_path, "two").what
    assert answers(read(tmp_path, "all/train*")) == ["0"] and answers(read(tmp_path, "two/train")) == ["2"]


def test_a_glob_that_matches_nothing_and_an_empty_folder_are_named(tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    assert "no file 'none/*.jsonl'" in refused(tmp_path, "none/*.jsonl").what
    assert "no file of rows in the folder 'none'" in refused(tmp_path, "none").what


# ---------------------------------------------------------------- hub data sets


def hub(folder: Path, path: str, **options: Any) -> list[Conversation]:
    spec = HubData.model_validate({"source": "hub", "path": path, "card": "card.md", **options})
    return list(load_conversations("rows", spec, folder).items)


def test_a_local_folder_of_a_hub_data_set_is_read_by_split_and_subset(tmp_path: Path) -> None:
    for part, rows in (("easy/train", ROWS[:1]), ("easy/test", ROWS[1:]), ("hard/train", ROWS[2:])):
        path = tmp_path / "set" / f"{part}-00000-of-00001.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    names = "".join(
        f"- config_name: {name}\n  data_files:\n"
        + "".join(f"  - {{split: {split}, path: {name}/{split}-*}}\n" for split in splits)
        for name, splits in (("easy", ("train", "test")), ("hard", ("train",)))
    )
    (tmp_path / "set" / "README.md").write_text(f"---\nconfigs:\n{names}---\n")
    assert [row.messages[-1]["content"] for row in hub(tmp_path, "set", subset="easy", split="test")] == ["ä 2", "ä 3"]
    assert [row.messages[-1]["content"] for row in hub(tmp_path, "set", subset="hard")] == ["ä 3"]
    with pytest.raises(DataError, match="hard"):
        hub(tmp_path, "set")
    with pytest.raises(DataError, match="dev"):
        hub(tmp_path, "set", subset="easy", split="dev")


def test_a_folder_saved_by_datasets_is_sent_to_source_hub_and_has_the_split_it_was_asked_for(tmp_path: Path) -> None:
    import datasets

    datasets.Dataset.from_list(ROWS).save_to_disk(str(tmp_path / "saved"))
    assert "source: hub" in str(refused(tmp_path, "saved").remedy)
    assert len(hub(tmp_path, "saved")) == 3
    with pytest.raises(DataError, match="saved without splits"):
        hub(tmp_path, "saved", split="test")


def test_prompts_are_read_from_files_of_every_kind_too(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("problem,answer,grade\n1+1?,2,4\n")
    spec = FileData.model_validate(
        {
            "source": "file",
            "path": "rows.csv",
            "card": "card.md",
            "columns": {"prompt": "problem", "gold": "answer"},
            "metadata": ["grade"],
        }
    )
    prompt = load_prompts("rows", spec, tmp_path).items[0]
    assert (prompt.gold, prompt.metadata) == ("2", {"grade": "4"})

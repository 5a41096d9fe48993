"""Rows from files: every shape that is read, and every fault with the row's number, the reason and what to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from posttrain.data.source import load_conversations, load_pairs, load_problems, load_prompts, read_pairs
from posttrain.errors import DataError
from posttrain.recipe.schema import FileData, GymData, HubData, StageData, ToyData

GOOD = {"prompt": "1+1?", "completion": "2"}


def jsonl(folder: Path, *lines: Any, name: str = "rows.jsonl") -> Path:
    """Lines as given: bytes as they are, everything else as JSON."""
    path = folder / name
    path.write_bytes(
        b"".join((line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n" for line in lines)
    )
    return path


def spec(path: str = "rows.jsonl", **options: Any) -> FileData:
    return FileData.model_validate({"source": "jsonl", "path": path, "card": "card.md", **options})


def refused(folder: Path, load: Any = load_conversations, **options: Any) -> DataError:
    with pytest.raises(DataError) as caught:
        load("rows", spec(**options), folder)
    assert caught.value.exit_code == 2 and caught.value.remedy
    return caught.value


def test_a_path_may_start_at_a_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    jsonl(tmp_path, GOOD)
    assert len(load_conversations("rows", spec("~/rows.jsonl"), Path("/elsewhere")).items) == 1
    assert refused(tmp_path, path="~nobody-here/rows.jsonl").what == "no file '~nobody-here/rows.jsonl'"


# ---------------------------------------------------------------- shapes


def test_the_three_shapes_of_a_conversation_give_the_same_messages(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "1+1?"}, {"role": "assistant", "content": "2"}]
    sharegpt = [{"from": "human", "value": "1+1?"}, {"from": "gpt", "value": "2"}]
    jsonl(tmp_path, GOOD, {"messages": turns}, {"conversations": sharegpt}, {"messages": turns[:1], "completion": "2"})
    rows = load_conversations("rows", spec(), tmp_path)
    assert [row.messages for row in rows.items] == [tuple(turns)] * 4
    assert [row.id for row in rows.items] == ["rows/1", "rows/2", "rows/3", "rows/4"] and not rows.faults
    assert {row.source for row in rows.items} == {"rows"}


def test_system_tool_and_reasoning_survive(tmp_path: Path) -> None:
    turns = [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "1+1?"},
        {"role": "tool", "content": "2"},
        {"role": "assistant", "content": "2", "reasoning_content": "one and one"},
    ]
    jsonl(tmp_path, {"id": 7, "messages": turns})
    row = load_conversations("rows", spec(), tmp_path).items[0]
    assert row.messages == tuple(turns) and row.id == "7"


def test_a_null_id_is_no_id(tmp_path: Path) -> None:
    jsonl(tmp_path, {"id": None, **GOOD}, {"id": 0, **GOOD})
    assert [row.id for row in load_conversations("rows", spec(), tmp_path).items] == ["rows/1", "0"]


def test_prompts_keep_gold_of_any_shape_reference_and_metadata(tmp_path: Path) -> None:
    jsonl(
        tmp_path,
        {"prompt": "q", "gold": {"tests": [1, None]}, "metadata": {"level": 2}},
        {"prompt": "q", "reference": "an answer"},
        {"prompt": "q", "gold": 0},
        {"prompt": "q", "gold": False},
    )
    first, second, third, fourth = load_prompts("rows", spec(), tmp_path).items
    assert first.gold == {"tests": [1, None]} and first.metadata == {"level": 2} and first.reference is None
    assert second.gold is None and second.reference == "an answer"
    assert third.gold == 0 and fourth.gold is False


def test_pairs_say_that_the_data_set_wrote_both_sides(tmp_path: Path) -> None:
    jsonl(tmp_path, {"id": "p", "prompt": "q", "chosen": "good", "rejected": "bad"})
    pair = load_pairs("rows", spec(), tmp_path).items[0]
    assert (pair.id, pair.chosen, pair.rejected) == ("p", "good", "bad")
    assert pair.provenance == {"chosen": "data", "rejected": "data"}


def test_conversational_rows_as_trl_has_them_are_read(tmp_path: Path) -> None:
    asked = [{"role": "system", "content": "brief"}, {"role": "user", "content": "q"}]

    def answer(text: str) -> list[dict[str, str]]:
        return [{"role": "assistant", "content": text}]

    jsonl(
        tmp_path,
        {"prompt": asked, "gold": "4", "completion": answer("a"), "chosen": answer("good"), "rejected": answer("bad")},
    )
    assert load_prompts("rows", spec(), tmp_path).items[0].messages == tuple(asked)
    assert load_conversations("rows", spec(), tmp_path).items[0].messages == (*asked, *answer("a"))
    pair = load_pairs("rows", spec(), tmp_path).items[0]
    assert (pair.messages, pair.chosen, pair.rejected) == (tuple(asked), "good", "bad")


def test_a_pair_of_equal_answers_prefers_nothing(tmp_path: Path) -> None:
    jsonl(tmp_path, {"prompt": "q", "chosen": "same", "rejected": "same"})
    assert "are the same" in refused(tmp_path, load_pairs).what


def test_blank_lines_are_no_rows_but_count_in_the_numbers(tmp_path: Path) -> None:
    jsonl(tmp_path, GOOD, b"", b"   ", {"prompt": "x"})
    assert refused(tmp_path).where == "rows.jsonl:4"


def test_limit_takes_the_first_rows_and_never_reads_the_bad_one_after_them(tmp_path: Path) -> None:
    jsonl(tmp_path, GOOD, GOOD, b"{")
    assert len(load_conversations("rows", spec(limit=2), tmp_path).items) == 2


# ---------------------------------------------------------------- faults


def test_a_missing_file_is_named_with_its_full_path(tmp_path: Path) -> None:
    error = refused(tmp_path)
    assert "rows.jsonl" in error.what and error.where == str(tmp_path / "rows.jsonl")


def test_a_folder_is_not_a_file(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").mkdir()
    assert "no file" in refused(tmp_path).what


@pytest.mark.parametrize("lines", [(), (b"", b" ")])
def test_data_without_a_row_are_refused(tmp_path: Path, lines: tuple[bytes, ...]) -> None:
    jsonl(tmp_path, *lines)
    assert "no rows" in refused(tmp_path).what


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"question": "x"}, "no key 'prompt' or 'messages' (keys: question)"),
        ({}, "keys: none"),
        ({"prompt": "x"}, "no text in key 'completion'"),
        ({"prompt": "x", "completion": "  "}, "no text in key 'completion'"),
        ({"prompt": "x", "completion": 2}, "no text in key 'completion'"),
        ({"prompt": " ", "completion": "2"}, "no text in key 'prompt'"),
        ({"messages": "hello"}, "'messages' is not a list of turns"),
        ({"messages": [{"role": "user", "content": "x"}]}, "it ends with a turn of the user"),
        (
            {"prompt": [{"role": "user", "content": "x"}], "completion": []},
            "'completion' is not text or one assistant turn",
        ),
        ({"messages": ["hello"]}, "messages[0] is not an object"),
        ({"messages": [{"role": "narrator", "content": "x"}]}, "messages[0].role is 'narrator'"),
        ({"messages": [{"content": "x"}]}, "messages[0].role is None"),
        ({"messages": [{"role": "user", "content": None}]}, "messages[0] has no text"),
        ({"conversations": [{"from": "narrator", "value": "x"}]}, "messages[0].role is 'narrator'"),
        ([1, 2], "not an object but list"),
        (b"not json", "not JSON"),
        (b'{"prompt": "\xff", "completion": "2"}', "not UTF-8"),
        (b"[" * 100_000, "not JSON"),
        (b'{"prompt": "x", "completion": ' + b"1" * 5000 + b"}", "not JSON"),
        (b'{"prompt": "\\ud800", "completion": "2"}', "half a surrogate pair"),
        (
            {"messages": [{"role": "user", "content": "a\udc00"}, {"role": "assistant", "content": "b"}]},
            "half a surrogate pair",
        ),
        ({"messages": [{"role": "user", "content": "a", "name": "\udc00"}]}, "half a surrogate pair"),
        ({"id": "\ud800", **GOOD}, "'id' holds half a surrogate pair"),
        ({"messages": [{"role": ["user"], "content": "a"}]}, "messages[0].role is ['user']"),
    ],
)
def test_a_faulty_row_is_named_with_its_number_and_reason(tmp_path: Path, row: Any, reason: str) -> None:
    jsonl(tmp_path, GOOD, GOOD, row)
    error = refused(tmp_path)
    assert "row 3" in error.what and reason in error.what and error.where == "rows.jsonl:3"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"prompt": "x"}, "no key 'gold'"),
        ({"prompt": "x", "gold": None}, "no key 'gold'"),
        ({"gold": "4"}, "no key 'prompt'"),
        ({"prompt": "x", "gold": "4", "metadata": [1]}, "'metadata' is not an object"),
        ({"prompt": "x", "gold": "\ud800"}, "'gold' holds half a surrogate pair"),
        ({"prompt": "x", "gold": "4", "metadata": {"a": ["\udfff"]}}, "'metadata' holds half a surrogate pair"),
        (b'{"prompt": "x", "gold": NaN}', "'gold' is not JSON"),
        (b'{"prompt": "x", "gold": "4", "reference": [1e999]}', "'reference' is not JSON"),
        ({"messages": [{"role": "assistant", "content": "x"}], "gold": "4"}, "must not end with an assistant turn"),
    ],
)
def test_a_faulty_prompt_is_named(tmp_path: Path, row: Any, reason: str) -> None:
    jsonl(tmp_path, {"prompt": "x", "gold": "4"}, row)
    assert reason in refused(tmp_path, load_prompts).what


def test_a_problem_of_a_suite_whose_id_stands_twice_is_named_where_a_prompt_to_train_on_is_not(tmp_path: Path) -> None:
    jsonl(
        tmp_path,
        {"id": 1, "prompt": "x", "gold": "4"},
        {"prompt": "y", "gold": "5"},
        {"id": "1", "prompt": "z", "gold": "6"},
    )
    assert "row 3 of data 'rows': its id '1' is that of row 1" in refused(tmp_path, load_problems).what
    rows = load_problems("rows", spec(max_faulty_share=0.5), tmp_path)
    assert [prompt.id for prompt in rows.items] == ["1", "rows/2"] and rows.faults[0].row == 3
    assert len(load_prompts("rows", spec(), tmp_path).items) == 3


@pytest.mark.parametrize("key", ["prompt", "chosen", "rejected"])
def test_a_pair_that_lacks_a_field_is_named(tmp_path: Path, key: str) -> None:
    row = {"prompt": "q", "chosen": "good", "rejected": "bad"}
    jsonl(tmp_path, row, {name: value for name, value in row.items() if name != key})
    error = refused(tmp_path, load_pairs)
    assert f"'{key}'" in error.what and error.where == "rows.jsonl:2"


def test_faulty_rows_within_the_stated_share_are_set_aside_with_reasons(tmp_path: Path) -> None:
    jsonl(tmp_path, *[GOOD] * 8, {"prompt": "x"}, b"{")
    rows = load_conversations("rows", spec(max_faulty_share=0.2), tmp_path)
    assert len(rows.items) == 8
    assert [(fault.row, fault.reason.split(":")[0]) for fault in rows.faults] == [
        (9, "no text in key 'completion'"),
        (10, "not JSON"),
    ]


def test_faulty_rows_above_the_stated_share_stop_the_run(tmp_path: Path) -> None:
    jsonl(tmp_path, *[GOOD] * 8, {"prompt": "x"}, b"{")
    error = refused(tmp_path, max_faulty_share=0.19)
    assert "2 of 10" in error.what and "20.0%" in error.what and "row 9" in error.what


def test_a_file_of_faulty_rows_only_is_refused_even_when_all_may_be_faulty(tmp_path: Path) -> None:
    jsonl(tmp_path, b"{", b"{")
    assert "no usable row" in refused(tmp_path, max_faulty_share=1.0).what


# ---------------------------------------------------------------- parquet and hub folders


def test_parquet_rows_are_read_like_lines(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.Table.from_pylist([{"id": None, **GOOD}, {"id": "b", "prompt": "2+2?", "completion": None}])
    pyarrow.parquet.write_table(table, tmp_path / "rows.parquet")
    rows = load_conversations("rows", spec("rows.parquet", source="parquet", max_faulty_share=0.5), tmp_path)
    assert [row.id for row in rows.items] == ["rows/1"] and rows.faults[0].row == 2


def test_a_prompt_of_a_parquet_file_with_values_that_json_has_not_is_named(tmp_path: Path) -> None:
    import datetime

    import pyarrow
    import pyarrow.parquet

    at = datetime.datetime(2026, 1, 1)
    turn = {"role": "user", "content": "1+1?", "timestamp": at}
    pyarrow.parquet.write_table(
        pyarrow.table({"messages": [[turn]], "gold": ["2"], "completion": ["2"]}), tmp_path / "rows.parquet"
    )
    assert "'messages' is not JSON" in refused(tmp_path, load_prompts, path="rows.parquet", source="parquet").what
    # Only its tokens are used.
    assert len(load_conversations("rows", spec("rows.parquet", source="parquet"), tmp_path).items) == 1


def test_a_file_that_is_no_parquet_is_named(tmp_path: Path) -> None:
    jsonl(tmp_path, GOOD, name="rows.parquet")
    error = refused(tmp_path, path="rows.parquet", source="parquet")
    assert "parquet" in error.what and error.where == str(tmp_path / "rows.parquet")


def hub(path: str = "saved", **options: Any) -> HubData:
    return HubData.model_validate({"source": "hub", "path": path, "card": "card.md", **options})


def test_a_folder_saved_by_datasets_is_read_with_and_without_splits(tmp_path: Path) -> None:
    import datasets

    turns = [{"role": "user", "content": "1+1?"}, {"role": "assistant", "content": "2"}]
    table = datasets.Dataset.from_list([{"messages": turns}, {"messages": turns}])
    table.save_to_disk(str(tmp_path / "saved"))
    datasets.DatasetDict({"train": table, "test": table.select([0])}).save_to_disk(str(tmp_path / "splits"))
    assert [row.messages for row in load_conversations("rows", hub(), tmp_path).items] == [tuple(turns)] * 2
    assert len(load_conversations("rows", hub("splits", split="test"), tmp_path).items) == 1
    with pytest.raises(DataError, match="no split 'dev'") as caught:
        load_conversations("rows", hub("splits", split="dev"), tmp_path)
    assert "test, train" in str(caught.value.remedy)


def test_a_folder_of_another_format_and_a_hub_id_without_revision_are_refused(tmp_path: Path) -> None:
    (tmp_path / "saved").mkdir()
    with pytest.raises(DataError, match="cannot be read"):
        load_conversations("rows", hub(), tmp_path)
    with pytest.raises(DataError, match="revision"):
        load_conversations("rows", hub("owner/name"), tmp_path)


def test_a_hub_data_set_that_cannot_be_fetched_is_a_data_error(tmp_path: Path) -> None:
    # the tests run with the hub library offline
    with pytest.raises(DataError, match="owner/name"):
        load_conversations("rows", hub("owner/name", revision="0" * 40), tmp_path)


# ---------------------------------------------------------------- made here, and made by a stage


def test_a_stages_answers_come_as_conversations_or_pairs(tmp_path: Path) -> None:
    row = {
        "id": "a",
        "source": "s",
        "messages": [{"role": "user", "content": "q"}],
        "chosen": "good",
        "rejected": "bad",
        "provenance": {},
    }
    jsonl(tmp_path, row, name="pairs.jsonl")
    assert read_pairs(tmp_path / "pairs.jsonl", "rows")[0].source == "s"
    for part, answer in (("chosen", "good"), ("rejected", "bad")):
        data = StageData.model_validate({"source": "stage", "stage": "distil", "part": part})
        loaded = load_conversations("rows", data, tmp_path, {"rows": tmp_path}).items[0]
        assert loaded.messages[-1] == {"role": "assistant", "content": answer}
    pairs = StageData.model_validate({"source": "stage", "stage": "distil", "part": "pairs"})
    assert load_pairs("rows", pairs, tmp_path, {"rows": tmp_path}).items[0].chosen == "good"
    with pytest.raises(DataError, match="not conversations"):
        load_conversations("rows", pairs, tmp_path, {"rows": tmp_path})
    with pytest.raises(DataError, match="has not run yet"):
        load_pairs("rows", pairs, tmp_path)
    with pytest.raises(DataError, match="not prompts"):
        load_prompts("rows", pairs, tmp_path)


def test_the_toy_world_gives_rows_of_every_kind_and_carries_the_data_sets_name(tmp_path: Path) -> None:
    toy = ToyData.model_validate({"source": "toy", "task": "preference", "rows": 4, "difficulty": (1, 2)})
    for load in (load_conversations, load_prompts, load_pairs):
        rows = load("warm", toy, tmp_path)
        assert len(rows.items) == 4 and {row.source for row in rows.items} == {"warm"}


def test_reasoning_gym_has_no_pairs(tmp_path: Path) -> None:
    gym = GymData.model_validate({"source": "reasoning_gym", "task": "chain_sum", "rows": 3})
    with pytest.raises(DataError, match="no preference pairs"):
        load_pairs("gym", gym, tmp_path)

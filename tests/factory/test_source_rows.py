"""Rows of any use as data stages read them, and what they publish as later stages read it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from posttrain.data.source import load_conversations, load_prompts
from posttrain.data.source_rows import SourceRow, load_asked_rows, load_source_rows
from posttrain.errors import DataError
from posttrain.factory.row_work import published_row, row_as_read
from posttrain.recipe.schema import FileData, StageData, ToyData
from posttrain.stages.data_at_hand import made_rows

USER = {"role": "user", "content": "1+1?"}


def read(folder: Path, *rows: dict[str, Any], **keys: Any) -> tuple[SourceRow, ...]:
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    spec = FileData.model_validate({"source": "file", "path": "rows.jsonl", "card": "x", **keys})
    return load_source_rows("rows", spec, folder).items


@pytest.mark.parametrize(
    ("row", "answers", "gold"),
    [
        ({"prompt": "1+1?", "gold": "2"}, (), "2"),
        ({"prompt": "1+1?"}, (), None),
        ({"prompt": "1+1?", "completion": "It is 2"}, ("It is 2",), None),
        ({"prompt": "1+1?", "completion": "2", "reasoning": "one more"}, ("<think>\none more\n</think>\n\n2",), None),
        ({"messages": [USER, {"role": "assistant", "content": "2"}], "gold": "2"}, ("2",), "2"),
        ({"prompt": [USER], "candidates": ["2", "3", "2"], "gold": "2"}, ("2", "3"), "2"),
        (
            {"prompt": "1+1?", "completion": "2", "candidates": [{"role": "assistant", "content": "3"}]},
            ("2", "3"),
            None,
        ),
        ({"instruction": "1+1?", "output": "2"}, ("2",), None),
        ({"question": "1+1?", "answer": "one more\n#### 2"}, (), "2"),
        ({"problem": "1+1?", "solution": "so \\boxed{2}", "answer": "2"}, (), "2"),
    ],
    ids=str,
)
def test_a_row_of_any_use_gives_its_question_answers_and_gold(
    tmp_path: Path, row: dict[str, Any], answers: tuple[str, ...], gold: Any
) -> None:
    (found,) = read(tmp_path, row)
    assert found.messages[-1]["content"].startswith("1+1?") and found.messages[-1]["role"] == "user"
    assert (found.answers, found.gold) == (answers, gold)


def test_what_no_reader_knows_stays_beside_the_row(tmp_path: Path) -> None:
    (found,) = read(tmp_path, {"prompt": "1+1?", "completion": "2", "score": 3, "source": "mine", "metadata": {"a": 1}})
    assert found.metadata == {"score": 3, "source": "mine", "a": 1} and found.group == "mine"


@pytest.mark.parametrize(
    "row",
    [
        {"text": "hello"},
        {"prompt": "1+1?", "candidates": [3]},
        {"prompt": "1+1?", "candidates": [{"role": "assistant"}]},
        {"prompt": 3},
        {"prompt": "1+1?", "gold": float("nan")},
    ],
    ids=str,
)
def test_a_row_that_asks_nothing_or_holds_no_json_is_a_faulty_one(tmp_path: Path, row: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="row 1 of data 'rows'"):
        read(tmp_path, row)
    good = {"prompt": "1+1?"}
    assert len(read(tmp_path, row, good, max_faulty_share=0.5)) == 1


SAY = {"role": "assistant", "content": "2"}
CALL = {"type": "function", "function": {"name": "add", "arguments": {"a": 1, "b": 1}}}
TOOL = {"role": "tool", "content": "2"}
ADD = {"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {"a": {}}}}}
CALLED = {"role": "assistant", "content": "", "tool_calls": [CALL]}


@pytest.mark.parametrize(
    "row",
    [
        {"messages": [USER, SAY, USER, SAY]},
        {"messages": [USER, SAY, USER, SAY | {"train": False}]},
        {"messages": [USER, SAY | {"weight": 0}, USER, SAY | {"weight": 1}]},
        {"messages": [USER, SAY, USER, SAY], "loss_mask": [0, 1, 0, 0]},
        {"prompt": [USER, SAY, USER], "completion": "3"},
        {"prompt": [USER, SAY | {"train": True}, USER], "completion": "3"},
        {"prompt": [USER, SAY, USER], "completion": [SAY], "loss_mask": [0, 1, 0, 1]},
        {"instruction": "3+4?", "output": "7", "history": [["1+1?", "2"], ["2+1?", "3"]], "system": "Be brief."},
        {"prompt": "1+1?", "completion": "2", "reasoning": "one more"},
        {"messages": [USER, SAY | {"reasoning_content": "one more"}, USER, SAY | {"reasoning_content": "so"}]},
        {"messages": [USER, CALLED, TOOL, SAY], "tools": [ADD]},
        {"prompt": [USER], "completion": [CALLED, TOOL, SAY], "tools": [ADD]},
        {"messages": [USER, SAY, USER, CALLED], "tools": [ADD]},
        {"messages": [USER, SAY, USER, SAY], "candidates": ["3"], "gold": "2", "level": 3},
    ],
    ids=str,
)
def test_a_row_to_imitate_teaches_the_same_turns_after_clean_and_mix(tmp_path: Path, row: dict[str, Any]) -> None:
    (source,) = read(tmp_path, row, metadata=["level"])
    spec = {"source": "file", "path": "rows.jsonl", "card": "x", "metadata": ["level", "candidates"]}
    (before,) = load_conversations("rows", FileData.model_validate(spec), tmp_path).items
    (tmp_path / "again.jsonl").write_text(json.dumps(row_as_read(source)))
    spec |= {"path": "again.jsonl", "metadata": ["made_from", "candidates"]}
    (after,) = load_conversations("again", FileData.model_validate(spec), tmp_path).items
    assert (after.messages, after.tools) == (before.messages, before.tools)
    (prompt,) = load_prompts("again", FileData.model_validate(spec), tmp_path).items
    assert prompt.messages == source.messages and not any("train" in turn for turn in prompt.messages)
    (again,) = load_source_rows("again", FileData.model_validate(spec), tmp_path).items
    assert (again.turns, again.answers, again.messages) == (source.turns, source.answers, source.messages)


def test_only_stages_that_ask_models_refuse_answers_that_call_tools(tmp_path: Path) -> None:
    rows = {"messages": [USER, CALLED], "tools": [ADD]}, {"messages": [USER, CALLED, TOOL, SAY], "tools": [ADD]}
    first, second = read(tmp_path, *rows)
    assert json.loads(first.answers[0]) == CALL["function"] and second.answers == ("2",)
    spec = FileData.model_validate({"source": "file", "path": "rows.jsonl", "card": "x"})
    with pytest.raises(DataError, match="row 1 of data 'rows': the answer calls tools"):
        load_asked_rows("rows", spec, tmp_path)
    with pytest.raises(DataError, match=r"'candidates\[0\]' calls tools"):
        read(tmp_path, {"prompt": "1+1?", "candidates": [CALLED]})


def test_rows_of_the_toy_world_come_with_golds_and_worked_answers(tmp_path: Path) -> None:
    spec = ToyData.model_validate({"source": "toy", "task": "stem_worked", "rows": 20})
    rows = load_source_rows("toy", spec, tmp_path).items
    assert len(rows) == 20 and all(row.gold not in (None, "") for row in rows)
    assert all(str(row.gold) in row.answers[0] for row in rows)


def test_what_is_published_is_read_as_rows_to_imitate_as_prompts_and_as_rows_again(tmp_path: Path) -> None:
    tools = [{"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {}}}}]
    first = SourceRow(
        number=1, id="a", data="d", messages=(USER,), gold="2", metadata={"level": 3}, tools=tuple(tools), group="d"
    )
    none = SourceRow(number=3, id="c", data="d", messages=(USER,), gold=[], group="d")
    assert published_row(none, None, {})["gold"] == []
    second = SourceRow(
        number=2, id="b", data="d", messages=({"role": "system", "content": "Be brief."}, USER), group="d"
    )
    made = {"data": "d", "row": 1, "id": "a", "models": ["m"]}
    lines = [published_row(row, "<think>\nx\n</think>\n\n2", made) for row in (first, second)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    spec = made_rows(tmp_path, StageData(source="stage", stage="made"))
    conversations = load_conversations("made", spec, tmp_path).items
    assert [row.messages[-1]["content"] for row in conversations] == ["<think>\nx\n</think>\n\n2"] * 2
    assert conversations[0].tools == tuple(tools) and conversations[1].messages[0]["role"] == "system"
    prompts = load_prompts("made", spec, tmp_path).items
    assert [row.gold for row in prompts] == ["2", ""] and prompts[0].metadata["level"] == 3
    assert all(row.messages[-1] == USER for row in prompts)
    again = load_source_rows("made", spec, tmp_path).items
    assert [row.answers for row in again] == [("<think>\nx\n</think>\n\n2",)] * 2
    assert again[0].made_from == (made,) and again[0].id == "a" and again[0].metadata == {"level": 3}

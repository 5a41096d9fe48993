"""Rows as people have them: each public shape with a row made here; every column is read, listed or refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from posttrain.data.source import load_conversations, load_pairs, load_prompts
from posttrain.errors import DataError
from posttrain.recipe.schema import FileData
from posttrain.types import Message
from rewards.golds.companions import COMPANIONS
from rewards.golds.formats import FORMATS
from tests.rewards.golds import code_rows, plain_rows

ASK: Message = {"role": "user", "content": "1+1?"}
SAY: Message = {"role": "assistant", "content": "2"}
CALL = {"type": "function", "function": {"name": "add", "arguments": {"a": 1, "b": 1}}}
ADD = {"name": "add", "parameters": {"type": "object", "properties": {"a": {}, "b": {}}}}
CALLING: Message = {"role": "assistant", "content": "", "tool_calls": [CALL]}
RESULT: Message = {"role": "tool", "content": "2"}
LOADERS = {"conversation": load_conversations, "prompt": load_prompts, "pair": load_pairs}


def read(folder: Path, *rows: Any, load: Any = load_conversations, **options: Any) -> Any:
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    spec = FileData.model_validate({"source": "jsonl", "path": "rows.jsonl", "card": "card.md", **options})
    return load("rows", spec, folder)


def refused(folder: Path, row: Any, load: Any = load_conversations, **options: Any) -> DataError:
    with pytest.raises(DataError) as caught:
        read(folder, row, load=load, **options)
    assert "row 1" in caught.value.what and caught.value.where == "rows.jsonl:1" and caught.value.remedy
    return caught.value


# ---------------------------------------------------------------- rows to imitate


@pytest.mark.parametrize(
    ("row", "messages"),
    [
        ({"prompt": [ASK], "completion": [SAY]}, [ASK, SAY]),
        ({"prompt": [ASK], "completion": [CALLING, RESULT, SAY]}, [ASK, CALLING, RESULT, SAY]),
        ({"prompt": [ASK, SAY, ASK], "completion": "3"}, [ASK, SAY | {"train": False}, ASK, SAY | {"content": "3"}]),
        ({"prompt": [ASK, SAY | {"train": True}, ASK], "completion": "3"}, [ASK, SAY, ASK, SAY | {"content": "3"}]),
        ({"prompt": [ASK, SAY, ASK], "completion": "2", "loss_mask": [0, 1, 0, 1]}, [ASK, SAY, ASK, SAY]),
        ({"prompt": "1+1?", "messages": [ASK, SAY], "prompt_id": "x"}, [ASK, SAY]),
        ({"instruction": "1+1?", "output": "2"}, [ASK, SAY]),
        ({"instruction": "Add.", "input": "1 1", "output": "2"}, [ASK | {"content": "Add.\n1 1"}, SAY]),
        (
            {"instruction": "1+1?", "input": "", "output": "2", "system": "Be brief.", "history": [["Hi", "Hello"]]},
            [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Hi"},
                {"role": "assistant", "content": "Hello"},
                ASK,
                SAY,
            ],
        ),
        (
            {"conversations": [{"from": "human", "value": "1+1?"}, {"from": "gpt", "value": "2"}], "system": "Brief."},
            [{"role": "system", "content": "Brief."}, ASK, SAY],
        ),
        (
            {
                "conversations": [
                    {"from": "human", "value": "1+1?"},
                    {"from": "function_call", "value": json.dumps(CALL["function"])},
                    {"from": "observation", "value": "2"},
                    {"from": "gpt", "value": "2"},
                ],
                "tools": json.dumps([ADD]),
            },
            [ASK, CALLING, RESULT, SAY],
        ),
        ({"messages": json.dumps([ASK, SAY])}, [ASK, SAY]),
        (
            {"messages": [{"role": "developer", "content": "b"}, ASK, SAY]},
            [{"role": "system", "content": "b"}, ASK, SAY],
        ),
        (
            {"messages": [ASK | {"content": [{"type": "text", "text": "1+"}, {"type": "text", "text": "1?"}]}, SAY]},
            [ASK, SAY],
        ),
        (
            {
                "messages": [
                    ASK,
                    SAY | {"content": [{"type": "thinking", "thinking": "so"}, {"type": "text", "text": "2"}]},
                ]
            },
            [ASK, SAY | {"reasoning_content": "so"}],
        ),
        ({"messages": [ASK, SAY | {"thinking": "so", "tool_calls": None}]}, [ASK, SAY | {"reasoning_content": "so"}]),
        ({"prompt": "\n\nHuman: 1+1?\n\nAssistant:", "completion": "2"}, [ASK, SAY]),
        ({"prompt": "1+1?", "reasoning": "so", "completion": "2"}, [ASK, SAY | {"reasoning_content": "so"}]),
        ({"messages": [ASK, SAY], "images": [], "tools": "", "system": ""}, [ASK, SAY]),
    ],
)
def test_every_shape_of_a_conversation_gives_our_turns(tmp_path: Path, row: Any, messages: list[Message]) -> None:
    assert list(read(tmp_path, row).items[0].messages) == messages


def test_an_answer_that_is_json_is_text_unless_it_holds_turns(tmp_path: Path) -> None:
    answer = '[{"role": "clown"}, {"a": 1}]'
    rows = read(
        tmp_path, {"prompt": "JSON?", "completion": answer}, {"prompt": "1+1?", "completion": json.dumps([SAY])}
    )
    assert [row.messages[-1]["content"] for row in rows.items] == [answer, "2"]
    pair = read(tmp_path, {"prompt": "[1]", "chosen": answer, "rejected": '{"a": 1}'}, load=load_pairs).items[0]
    assert (pair.messages[0]["content"], pair.chosen, pair.rejected) == ("[1]", answer, '{"a": 1}')


@pytest.mark.parametrize(
    "turn",
    [
        {"content": None, "tool_calls": [CALL]},
        {"tool_calls": [CALL]},
        {"content": "", "tool_calls": [{"function": {"name": "add", "arguments": '{"a": 1, "b": 1}'}}]},
        {"content": "", "tool_calls": json.dumps([CALL])},
        {"content": "", "tool_calls": [{"name": "add", "arguments": {"a": 1, "b": 1}}]},
        {"content": "", "function_call": {"name": "add", "arguments": '{"a": 1, "b": 1}'}},
        {"content": "", "tool_calls": [CALL | {"id": None, "index": 0}], "function_call": None},
        {"content": "", "tool_calls": [{"function": {"name": "add", "arguments": {"a": 1, "b": 1, "city": None}}}]},
    ],
)
@pytest.mark.parametrize("tools", [[ADD], [{"type": "function", "function": ADD}], json.dumps([ADD])])
def test_calls_and_tools_have_one_form(tmp_path: Path, turn: Any, tools: Any) -> None:
    messages = [ASK, {"role": "assistant", **turn}, {"role": "function", "name": "add", "content": {"sum": 2}}, SAY]
    row = read(tmp_path, {"messages": messages, "tools": tools}).items[0]
    assert row.messages == (ASK, CALLING, {"role": "tool", "name": "add", "content": '{"sum": 2}'}, SAY)
    assert row.tools == ({"type": "function", "function": ADD},)


def test_a_null_argument_that_the_function_has_is_kept(tmp_path: Path) -> None:
    call = {"function": {"name": "add", "arguments": {"a": 1, "b": None, "c": None}}}
    messages = [ASK, {"role": "assistant", "content": "", "tool_calls": [call]}]
    (row, bare) = read(tmp_path, {"messages": messages, "functions": [ADD]}, {"messages": messages}).items
    assert row.messages[1]["tool_calls"][0]["function"]["arguments"] == {"a": 1, "b": None}
    assert bare.messages[1]["tool_calls"][0]["function"]["arguments"] == {"a": 1, "b": None, "c": None}


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ([ASK, {"role": "assistant", "content": None}], "messages[1] has no text in 'content'"),
        ([ASK | {"content": [{"type": "image_url", "image_url": {}}]}, SAY], "a part of type 'image_url'"),
        (
            [ASK, {"role": "assistant", "content": "", "tool_calls": [{"name": "f", "arguments": "{"}]}],
            "arguments is not",
        ),
        ([ASK, {"role": "assistant", "tool_calls": [{"type": "code", "code": "1"}]}], "has no name of a function"),
        ([ASK | {"tool_calls": [CALL]}, SAY], "is in a turn of the user"),
        ([ASK, SAY | {"emotion": "calm"}], "nothing reads messages[1].emotion"),
        ([ASK, SAY | {"reasoning": "a", "thinking": "b"}], "not the one text of an assistant's reasoning"),
        ([ASK, SAY | {"value": "3"}], "both 'content' and 'value'"),
    ],
)
def test_a_turn_that_cannot_be_read_is_named(tmp_path: Path, messages: Any, reason: str) -> None:
    assert reason in refused(tmp_path, {"messages": messages}).what


def test_a_key_of_turns_may_be_listed_as_metadata(tmp_path: Path) -> None:
    row = read(tmp_path, {"messages": [ASK, {**SAY, "emotion": "calm"}]}, metadata=["emotion"]).items[0]
    assert row.messages[1] == SAY | {"emotion": "calm"}


# ---------------------------------------------------------------- what is learned from


@pytest.mark.parametrize("key", ["train", "training", "weight", "loss", "loss_weight", "loss_mask"])
@pytest.mark.parametrize(("no", "yes"), [(0, 1), (False, True), (0.0, 1.0), ("false", "true")])
def test_a_turn_that_is_not_to_be_learned_from_is_context(tmp_path: Path, key: str, no: Any, yes: Any) -> None:
    rows = read(tmp_path, {"messages": [ASK, SAY | {key: no}, ASK | {key: no}, SAY | {key: yes}]})
    assert rows.items[0].messages == (ASK, SAY | {"train": False}, ASK, SAY)
    assert rows.about == ("1 answers are context and not learned from",)


@pytest.mark.parametrize("key", ["message_loss_mask", "loss_mask", "train", "weight"])
def test_a_list_of_marks_beside_the_turns_is_read(tmp_path: Path, key: str) -> None:
    row = read(tmp_path, {"messages": [ASK, SAY, ASK, SAY], key: [0, 0, 0, 1]}).items[0]
    assert row.messages == (ASK, SAY | {"train": False}, ASK, SAY)
    assert "has 1 marks for 2 turns" in refused(tmp_path, {"messages": [ASK, SAY], key: [1]}).what
    assert "turn of the user" in refused(tmp_path, {"messages": [ASK, SAY], key: [1, 1]}).what


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"messages": [ASK, SAY | {"weight": 0.5}]}, "messages[1].weight is 0.5"),
        ({"messages": [ASK, SAY | {"weight": 0}]}, "no turn of the assistant is to be learned from"),
        ({"messages": [ASK, SAY | {"weight": 0, "train": True}]}, "train and weight contradict each other"),
        ({"messages": [ASK | {"train": True}, SAY]}, "messages[0] is a turn of the user that is to be learned from"),
        ({"messages": [ASK, SAY], "weight": 0.3}, "'weight' is 0.3"),
        ({"messages": [ASK, SAY], "loss_weight": 0}, "a row that is not to be learned from"),
        ({"prompt": "1+1?", "completion": "3", "label": False}, "'label' is False: not an answer to imitate"),
        ({"instruction": "1+1?", "output": "3", "kto_tag": "false"}, "not an answer to imitate"),
    ],
)
def test_what_is_not_to_be_learned_from_is_never_trained_on(tmp_path: Path, row: Any, reason: str) -> None:
    assert reason in refused(tmp_path, row).what


def test_good_answers_of_ktos_rows_are_read_and_bad_ones_set_aside(tmp_path: Path) -> None:
    rows = [{"prompt": "1+1?", "completion": "2", "label": True}, {"prompt": "1+1?", "completion": "3", "label": False}]
    read_rows = read(tmp_path, *rows, max_faulty_share=0.5)
    assert [row.messages for row in read_rows.items] == [(ASK, SAY)] and read_rows.faults[0].row == 2


# ---------------------------------------------------------------- columns


@pytest.mark.parametrize("kind", LOADERS)
def test_a_column_that_nobody_reads_is_refused_by_its_name_unless_it_is_listed(tmp_path: Path, kind: str) -> None:
    row = {"prompt": "1+1?", "completion": "2", "gold": "2", "chosen": "2", "rejected": "3", "tone": "calm", "why": 1}
    error = refused(tmp_path, row, LOADERS[kind])
    assert "nothing reads columns tone, why" in error.what and "metadata: [tone, why]" in str(error.remedy)
    rows = read(tmp_path, row, load=LOADERS[kind], metadata=["tone", "why"])
    assert "metadata tone, why" in rows.about
    if kind == "prompt":
        assert rows.items[0].metadata == {"tone": "calm", "why": 1}


def test_books_on_rows_are_left_out_and_said(tmp_path: Path) -> None:
    rows = read(tmp_path, {"prompt": "1+1?", "completion": "2", "source": "a", "idx": 1, "gold": "2", "tools": None})
    assert rows.about == ("not read: gold, idx, source",)


def test_columns_go_by_the_names_that_the_recipe_gives(tmp_path: Path) -> None:
    row = {"problem": "1+1?", "answers": {"short": "2"}, "note": "x"}
    prompt = read(
        tmp_path, row, load=load_prompts, columns={"prompt": "problem", "gold": "answers.short"}, metadata=["note"]
    ).items[0]
    assert (prompt.messages, prompt.gold, prompt.metadata) == ((ASK,), "2", {"note": "x"})
    mapped = {"instruction": "do", "input": "context", "output": "response"}
    row = {"do": "Add.", "context": "1 1", "response": "2", "category": "sums"}
    assert read(tmp_path, row, columns=mapped).items[0].messages == (ASK | {"content": "Add.\n1 1"}, SAY)
    odd = {"problem": "1+1?", "answers": {"short": "2", "long": "two"}}
    error = refused(tmp_path, odd, load_prompts, columns={"prompt": "problem", "gold": "answers.short"})
    assert "nothing reads column answers" in error.what
    clash = {"problem": "1+1?", "prompt": "2+2?", "completion": "2"}
    assert "a column of that name too" in refused(tmp_path, clash, columns={"prompt": "problem"}).what
    assert "mapped columns quest" in refused(tmp_path, clash, columns={"prompt": "quest"}).what


def test_a_mapped_gold_that_a_row_lacks_is_named_by_both_names(tmp_path: Path) -> None:
    error = refused(tmp_path, {"q": "1+1?"}, load_prompts, columns={"prompt": "q", "gold": "a"})
    assert "no key 'gold' (their 'a')" in error.what


@pytest.mark.parametrize(
    ("row", "load", "remedy"),
    [
        ({"question": "1+1?", "answer": "2"}, load_conversations, "columns: {prompt: question, completion: answer}"),
        (
            {"question": "1+1?", "answer": "2", "tone": 1},
            load_prompts,
            "columns: {prompt: question, gold: answer}, metadata: [tone]",
        ),
        (
            {"instruction": "Add.", "context": "1 1", "response": "2"},
            load_conversations,
            "input: context, output: response",
        ),
        ({"dialog": [ASK, SAY]}, load_conversations, "columns: {messages: dialog}"),
        (
            {"query": "1+1?", "response": "2", "history": []},
            load_conversations,
            "{instruction: query, output: response}",
        ),
        (
            {"context_messages": [ASK], "chosen": "2", "rejected": "3"},
            load_pairs,
            "columns: {messages: context_messages}",
        ),
        ({"frage": "1+1?", "antwort": "2"}, load_conversations, "columns: {prompt: ..., completion: ...}"),
        ({"prompt": "1+1?", "solution": "2"}, load_prompts, "columns: {gold: solution}"),
        ({"text": "once upon a time"}, load_conversations, "plain text"),
        ({"question": "1+1?", "good": "2", "bad": "3"}, load_pairs, "columns: {chosen: good"),
        ({"message_id": 1, "parent_id": 0, "role": "prompter", "text": "1+1?"}, load_conversations, "tree of messages"),
    ],
)
def test_a_row_of_another_shape_is_told_what_it_looks_like(tmp_path: Path, row: Any, load: Any, remedy: str) -> None:
    assert remedy in str(refused(tmp_path, row, load).remedy)


# ---------------------------------------------------------------- prompts


def test_a_public_gold_is_read_by_its_columns(tmp_path: Path) -> None:
    rows = read(tmp_path, {"question": "1+1?", "answer": "1+1=<<1+1=2>>2\n#### 2"}, load=load_prompts)
    assert (rows.items[0].messages, rows.items[0].gold) == ((ASK,), "2") and rows.about == ("read as GSM8K",)


def test_a_gold_given_as_json_text_is_read_as_json(tmp_path: Path) -> None:
    golds = ['{"answer": ["2"]}', "[2", "[0, 1]"]
    rows = read(tmp_path, *[{"prompt": "x", "gold": gold} for gold in golds], load=load_prompts)
    assert [row.gold for row in rows.items] == [{"answer": ["2"]}, "[2", "[0, 1]"]


def test_a_gold_in_a_column_of_its_data_set_leaves_the_rows_own_turns_alone(tmp_path: Path) -> None:
    row = {"prompt": [ASK], "data_source": "sums", "ability": "math", "reward_model": {"ground_truth": "2"}}
    prompt = read(tmp_path, row, load=load_prompts).items[0]
    assert prompt.messages == (ASK,) and prompt.gold == "2"
    assert "nothing reads column extra" in refused(tmp_path, row | {"extra": {"x": 1}}, load_prompts).what


def test_calls_wanted_of_a_public_row_bring_their_tools_and_turns(tmp_path: Path) -> None:
    row = {"messages": [ASK, CALLING], "tools": [ADD], "system": "Be brief."}
    prompt = read(tmp_path, row, load=load_prompts).items[0]
    assert prompt.messages == ({"role": "system", "content": "Be brief."}, ASK)
    assert prompt.gold == {"calls": [CALL["function"]]} and prompt.tools == ({"type": "function", "function": ADD},)
    row = {"id": "simple_1", "question": [[ASK]], "function": [ADD], "ground_truth": [{"add": {"a": [1], "b": [1]}}]}
    rows = read(tmp_path, row, load=load_prompts)
    assert rows.items[0].messages == (ASK,) and rows.items[0].tools[0]["function"] == ADD
    assert rows.about == ("read as BFCL",)


def test_a_gold_that_cannot_be_judged_is_a_faulty_row(tmp_path: Path) -> None:
    row = {"question": "1+1?", "answer": "#### 2\n#### 3"}
    assert "read as GSM8K" in refused(tmp_path, row, load_prompts).what
    assert "unknown gold_format 'GSM9K'" in refused(tmp_path, row, load_prompts, gold_format="GSM9K").what


def test_the_marks_of_a_prompts_turns_are_not_sent_to_the_model(tmp_path: Path) -> None:
    row = {"messages": [ASK, SAY | {"weight": 0}, ASK], "gold": "2", "tools": [ADD]}
    prompt = read(tmp_path, row, load=load_prompts).items[0]
    assert prompt.messages == (ASK, SAY, ASK) and prompt.tools[0]["function"] == ADD


# ---------------------------------------------------------------- pairs

BAD: Message = {"role": "assistant", "content": "3"}


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "1+1?", "chosen": "2", "rejected": "3"},
        {"prompt": [ASK], "chosen": [SAY], "rejected": [BAD]},
        {"chosen": [ASK, SAY], "rejected": [ASK, BAD]},
        {"prompt": "1+1?", "prompt_id": "x", "chosen": [ASK, SAY], "rejected": [ASK, BAD], "messages": [ASK, SAY],
         "score_chosen": 8.0, "score_rejected": 2.0},
        {"prompt": [ASK], "chosen": [ASK, SAY], "rejected": [ASK, BAD]},
        {"chosen": "\n\nHuman: 1+1?\n\nAssistant: 2", "rejected": "\n\nHuman: 1+1?\n\nAssistant: 3"},
        {"prompt": "\n\nHuman: 1+1?\n\nAssistant:", "chosen": " 2", "rejected": " 3"},
        {"conversations": [{"from": "human", "value": "1+1?"}], "chosen": {"from": "gpt", "value": "2"},
         "rejected": {"from": "gpt", "value": "3"}},
        {"messages": [ASK], "chosen": SAY, "rejected": BAD},
        {"instruction": "1+1?", "input": "", "chosen": "2", "rejected": "3"},
        {"prompt": "1+1?", "messages": [ASK, SAY], "chosen": "2", "rejected": "3"},
    ],
)  # fmt: skip
def test_every_shape_of_a_pair_gives_the_same_pair(tmp_path: Path, row: Any) -> None:
    pair = read(tmp_path, row, load=load_pairs).items[0]
    assert (pair.messages, pair.chosen.strip(), pair.rejected.strip()) == ((ASK,), "2", "3")


def test_earlier_turns_and_the_system_prompt_of_a_pair_are_kept(tmp_path: Path) -> None:
    text = "\n\nHuman: Hi\n\nAssistant: Hello\n\nHuman: 1+1?\n\nAssistant: "
    rows = read(tmp_path, {"chosen": f"{text}2", "rejected": f"{text}3", "system": "Be brief."}, load=load_pairs)
    assert [turn["role"] for turn in rows.items[0].messages] == ["system", "user", "assistant", "user"]
    assert rows.about == ("read as HH", "read as whole conversations")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"prompt": [ASK, SAY], "chosen": "2", "rejected": "3"}, "the prompt ends in an answer"),
        ({"prompt": "q", "chosen": " 2\n", "rejected": "2"}, "the same, but for thinking and blanks"),
        ({"prompt": "q", "chosen": "<think>a</think>2", "rejected": "<think>b</think>\n2"}, "the same, but for"),
        ({"prompt": "q", "chosen": "<think>a</think> ", "rejected": "3"}, "'chosen' shows no answer"),
        ({"prompt": "q", "chosen": "2", "rejected": "<think>never ends"}, "'rejected' shows no answer"),
        ({"prompt": "q", "chosen": "2", "rejected": "\u200b"}, "no text in key 'rejected'"),
        ({"chosen": [ASK, SAY], "rejected": [ASK | {"content": "2+2?"}, BAD]}, "before their answers, at turn 1"),
        ({"chosen": [ASK, SAY], "rejected": [ASK]}, "'rejected' ends with a turn of the user"),
        ({"prompt": "2+2?", "chosen": [ASK, SAY], "rejected": [ASK, BAD]}, "'prompt' is not what 'chosen'"),
        ({"messages": [SAY], "chosen": [ASK, SAY], "rejected": [ASK, BAD]}, "'messages' is not what 'chosen'"),
        ({"prompt": "q", "chosen": "2", "rejected": "3", "score_chosen": 1, "score_rejected": 2}, "the better one"),
        ({"prompt": "q", "chosen": [CALLING], "rejected": "3"}, "'chosen' has tool_calls"),
    ],
)  # fmt: skip
def test_a_pair_that_prefers_nothing_is_a_faulty_row(tmp_path: Path, row: Any, reason: str) -> None:
    assert reason in refused(tmp_path, row, load_pairs).what


def test_a_pair_is_compared_without_the_recipes_own_thinking(tmp_path: Path) -> None:
    row = {"prompt": "q", "chosen": "[a]2", "rejected": "[b]2"}
    assert len(read(tmp_path, row, load=load_pairs).items) == 1
    path = FileData.model_validate({"source": "jsonl", "path": "rows.jsonl", "card": "card.md"})
    row = {"prompt": "q", "chosen": "<r>a</r>2", "rejected": "<r>b</r>2"}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row), "utf-8")
    with pytest.raises(DataError, match="the same, but for thinking"):
        load_pairs("rows", path, tmp_path, think=("<r>", "</r>"))


@pytest.mark.parametrize("name", [*code_rows.CASES, *plain_rows.CASES])
def test_rows_of_public_data_sets_are_prompts_as_they_stand(name: str, tmp_path: Path) -> None:
    row = (code_rows.CASES | plain_rows.CASES)[name].row
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")
    spec = FileData.model_validate({"source": "file", "path": "rows.jsonl", "card": "card.md"})
    read = load_prompts("public", spec, tmp_path)
    assert len(read.items) == 1
    assert read.items[0].messages[-1]["role"] == "user"


def test_what_a_public_data_set_has_beside_its_golds_is_left_out_and_said(tmp_path: Path) -> None:
    row = code_rows.CASES["APPS, standard input"].row | {
        "solutions": '["pass"]',
        "difficulty": "introductory",
        "url": "u",
    }
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")
    spec = FileData.model_validate({"source": "file", "path": "rows.jsonl", "card": "card.md"})
    about = " ".join(load_prompts("public", spec, tmp_path).about)
    assert "read as APPS" in about and "solutions" in about
    (tmp_path / "rows.jsonl").write_text(json.dumps({"prompt": "p", "gold": "1", "solutions": "s"}) + "\n")
    with pytest.raises(DataError, match="nothing reads column solutions"):
        load_prompts("own", spec, tmp_path)


def test_columns_beside_public_golds_are_listed_for_known_formats_only() -> None:
    assert COMPANIONS.keys() <= FORMATS.keys()

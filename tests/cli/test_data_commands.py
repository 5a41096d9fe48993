"""`posttrain data show|stats|card`: what a row is, what is trained on in it, what a data set is like, what its card
says."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from posttrain.cli import main
from posttrain.rollout.tiny import tiny_model

ROWS = [
    {"messages": [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": "How many apples are in the box?"},
        {"role": "assistant", "content": "<think>none</think>0"},
    ]},
    {"messages": [
        {"role": "user", "content": "How many apples are in the box?"},
        {"role": "assistant", "content": "<think>a</think>1"},
        {"role": "user", "content": "And in the other?"},
        {"role": "assistant", "content": "<think>b</think>2"},
    ]},
    {"messages": [{"role": "user", "content": "no answer"}]},
]  # fmt: skip
RECIPE = """\
schema: 1
name: shown
base: {path: model}
chat: {template: chatml_think, stop: ["<|im_end|>"]}
verifiers: {exact: {kind: exact}}
data:
  chats: {source: jsonl, path: chats.jsonl, card: chats.md, max_faulty_share: 0.5}
  notes: {source: toy, task: preference, rows: 4}
stages:
  - {kind: sft, name: first, data: {chats: 1.0}, steps: 1}
  - {kind: reward_model, name: judge, from: first, data: {notes: 1.0}, steps: 1}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    tiny_model(tmp_path / "model")
    (tmp_path / "chats.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    (tmp_path / "shown.yaml").write_text(RECIPE)
    (tmp_path / "chats.md").write_text("---\nlicense: mit\n---\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def printed(folder: Path, capsys: pytest.CaptureFixture[str]) -> Callable[[Sequence[str]], str]:
    def run(arguments: Sequence[str]) -> str:
        code = main(["data", *arguments])
        out = capsys.readouterr()
        assert code == 0, out.err
        return out.out

    return run


def test_a_file_shows_turns_and_faulty_rows_with_their_numbers(printed: Callable[[Sequence[str]], str]) -> None:
    out = printed(["show", "chats.jsonl"])
    assert "2 rows read, 1 faulty" in out
    assert "system          Be short." in out
    assert "⟦<think>a</think>1⟧" in out
    assert "row 3  faulty:" in out


def test_one_row_by_its_number_in_the_file(printed: Callable[[Sequence[str]], str]) -> None:
    [line] = printed(["show", "chats.jsonl", "--row", "2", "--json"]).splitlines()
    shown = json.loads(line)
    assert shown["number"] == 2
    assert [part["label"] for part in shown["parts"]] == ["user", "assistant", "user", "assistant"]


def test_tokens_mark_exactly_what_is_trained(printed: Callable[[Sequence[str]], str]) -> None:
    out = printed(["show", "shown.yaml:chats", "--row", "2", "--tokens"])
    assert "⟦<think>a</think>1<|im_end|>⟧" in out
    assert "⟦<think>b</think>2<|im_end|>⟧" in out
    assert "<|im_start|>user" in out


def test_tokens_of_a_pair_train_both_answers_and_not_the_prompt(printed: Callable[[Sequence[str]], str]) -> None:
    rows = [json.loads(line) for line in printed(["show", "shown.yaml:judge", "--tokens", "--json"]).splitlines()]
    assert len(rows) == 3
    for row in rows:
        trained = {name: [run["trained"] for run in runs] for name, runs in row["tokens"]}
        assert set(trained) == {"prompt", "chosen", "rejected"}
        assert not any(trained["prompt"])
        assert all(trained["chosen"]) and all(trained["rejected"])


def test_statistics_count_what_rows_hold(printed: Callable[[Sequence[str]], str]) -> None:
    found = json.loads(printed(["stats", "chats.jsonl", "--json"]))
    assert (found["rows"], found["faulty_rows"], found["with_system"]) == (2, 1, 1)
    assert found["roles"] == {"user": 3, "assistant": 3, "system": 1}
    assert found["turns"]["max"] == 4
    assert sum(found["faults"].values()) == 1
    assert found["trained_share"] is None


def test_statistics_with_a_recipe_know_tokens_and_the_trained_share(printed: Callable[[Sequence[str]], str]) -> None:
    found = json.loads(printed(["stats", "shown.yaml:chats", "--recipe", "shown.yaml", "--json"]))
    shown = [json.loads(line) for line in printed(["show", "shown.yaml:chats", "--tokens", "--json"]).splitlines()]
    runs = [run for row in shown if "tokens" in row for _, runs in row["tokens"] for run in runs]
    total = sum(len(run["ids"]) for run in runs)
    trained = sum(len(run["ids"]) for run in runs if run["trained"])
    assert found["tokens"]["sum"] == total
    assert found["trained_share"] == round(trained / total, 4)


def test_a_card_is_written_with_digests_and_checked(
    printed: Callable[[Sequence[str]], str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    printed(["card", "new", "chats.jsonl", "--out", "new.md", "--license", "cc-by-4.0"])
    assert main(["data", "card", "check", "new.md", "chats.jsonl"]) == 2  # nobody has said where the rows come from
    assert "still the template" in capsys.readouterr().err
    text = (folder / "new.md").read_text()
    line = next(line for line in text.splitlines() if line.startswith("provenance:"))
    (folder / "new.md").write_text(text.replace(line, "provenance: Written for this test"))
    assert "license cc-by-4.0" in printed(["card", "check", "new.md", "chats.jsonl"])
    (folder / "chats.jsonl").write_text("{}\n")
    assert main(["data", "card", "check", "new.md", "chats.jsonl"]) == 2
    assert "is not the file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["show", "nothing.jsonl"], "nothing is at"),
        (["show", "shown.yaml:chat"], "did you mean"),
        (["show", "chats.jsonl", "--row", "9"], "no row 9"),
        (["show", "chats.jsonl", "--tokens"], "--recipe"),
    ],
)
def test_what_is_not_there_is_said(
    arguments: list[str], words: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", *arguments]) == 2
    assert words in capsys.readouterr().err

"""`reconstruct` end to end against a real server with scripted roles, leaking answers among them, and the patterns by
which leaks are found."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from posttrain.cli import main
from posttrain.factory.leaks import leak_in
from rewards.models import endpoint as client
from tests.factory.scripted import Roles, lines, models, served, write_part

MATH = {"verifier": "math", "verifiers": {"math": {"kind": "math"}}}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_PAUSE_SECONDS", 0.01)


def chain(row: int, end: str = "") -> str:
    return f"I have {row} and one more comes to it. I count on by one from {row}, so I get {row + 1}.{end}"


def audited(reaches: str = "yes", knew: str = "no", consistent: str = "yes") -> str:
    return f"<reason>read</reason><reaches>{reaches}</reaches><knew>{knew}</knew><consistent>{consistent}</consistent>"


def writing(chains: Callable[[int, int], str]) -> Callable[[int, str, int], str]:
    """A writer whose n-th chain of a row is chains(row, n)."""
    written: dict[int, int] = {}

    def writer(row: int, text: str, seed: int) -> str:
        if "<summary>" in text:
            return "<summary>Count on by one.</summary>"
        assert "| Count on by one." in text
        number = written.get(row, 0)
        written[row] = number + 1
        return chains(row, number)

    return writer


def reconstructed(
    folder: Path, keys: dict[str, Any], *, rows: int = 3, code: int = 0, answer: Callable[[int], str] | None = None
) -> dict[str, Any]:
    file, part = write_part(folder, {"min_words": 5, **keys}, rows=rows)
    said = answer or (lambda n: f"<think>gone</think>It is {n + 1}.")
    file.write_text(
        "".join(
            json.dumps({"prompt": f"{n}+1?", "completion": said(n), "gold": str(n + 1)}) + "\n"
            for n in range(1, rows + 1)
        )
    )
    command = ["data", "reconstruct", str(file), "--config", str(part), "--out", str(folder / "out"), "--json"]
    assert main(command) == code
    return json.loads((folder / "out" / "summary.json").read_text()) if code == 0 else {}


def test_a_row_is_the_new_chain_in_the_think_tags_and_the_refined_answer(tmp_path: Path) -> None:
    roles = Roles({"writer": writing(lambda row, n: chain(row)), "judge": lambda row, text, seed: audited()})
    with served(roles) as server:
        found = reconstructed(tmp_path, {"models": models(server.url, "writer", "judge"), **MATH})
    (first, *_) = lines(tmp_path / "out" / "rows.jsonl")
    assert first["completion"][0]["content"] == f"<think>\n{chain(1)}\n</think>\n\nIt is 2."
    assert first["gold"] == "2" and "gone" not in json.dumps(first)
    assert found["agreement"] == {"right/right": 3} and found["counts"] == {"chains tried": 3}


BAD: dict[str, tuple[Callable[[int], str], str]] = {
    "leaks": (lambda row: chain(row) + " That agrees with the given answer.", "it knew the answer"),
    "begins_with_it": (lambda row: f"The answer is {row + 1}. " + chain(row), "it knew the answer"),
    "wrong_sum": (lambda row: chain(row) + f" Indeed {row} + 1 = {row + 2}, or {row + 1}.", "a sum does not hold"),
    "other_end": (lambda row: chain(row) + f" No: it is {row + 9}.", "it does not end in the answer, by the rules"),
    "too_short": (lambda row: f"{row + 1}", "too short"),
    "too_long": (lambda row: chain(row) * 60, "too long"),
}


@pytest.mark.parametrize(("bad", "reason"), BAD.values(), ids=BAD)
def test_a_chain_that_fails_a_check_is_sampled_again_and_at_last_set_aside(
    tmp_path: Path, bad: Callable[[int], str], reason: str
) -> None:
    """Row 1 gets a good chain at the second try, row 2 never."""

    def chains(row: int, n: int) -> str:
        return bad(row) if row == 2 or (row == 1 and n == 0) else chain(row)

    with served(Roles({"writer": writing(chains), "judge": lambda row, text, seed: audited()})) as server:
        found = reconstructed(
            tmp_path, {"models": models(server.url, "writer", "judge"), "max_words": 200, "samples": 2, **MATH}
        )
    history = lines(tmp_path / "out" / "history.jsonl")
    assert [len(record["kept"]) for record in history] == [1, 0, 1]
    assert [one["reason"].startswith(reason) for one in history[0]["dropped"]] == [True]
    assert history[1]["set_aside"].startswith("no chain of 2 passes") and len(history[1]["dropped"]) == 2
    assert found["counts"]["chains tried"] == 5 and found["counts"][f"not taken: {reason}"] == 3


@pytest.mark.parametrize("word", ["reaches", "knew", "consistent"])
def test_what_the_judge_finds_is_sampled_again_too(tmp_path: Path, word: str) -> None:
    def judge(row: int, text: str, seed: int) -> str:
        good = {"reaches": "yes", "knew": "no", "consistent": "yes"}
        wrong = {"yes": "no", "no": "yes"}[good[word]]
        return audited(**good | ({word: wrong} if row == 2 else {}))

    with served(Roles({"writer": writing(lambda row, n: chain(row)), "judge": judge})) as server:
        reconstructed(tmp_path, {"models": models(server.url, "writer", "judge")})
    assert [len(record["kept"]) for record in lines(tmp_path / "out" / "history.jsonl")] == [1, 0, 1]


def test_a_row_whose_answer_is_wrong_or_missing_is_set_aside_before_anybody_is_asked(tmp_path: Path) -> None:
    with served(Roles({"writer": writing(lambda row, n: chain(row))})) as server:
        found = reconstructed(
            tmp_path,
            {"models": models(server.url, "writer"), **MATH},
            answer=lambda n: "It is 99." if n == 1 else "<think>It is 3</think>" if n == 2 else f"It is {n + 1}.",
        )
        assert {request["messages"][0]["content"].count("3+1?") for request in server.requests} == {1}
    assert found["kept"] == 1 and sum(found["set_aside"].values()) == 2
    reasons = [record["set_aside"] for record in lines(tmp_path / "out" / "history.jsonl")]
    assert reasons[0].startswith("the row's answer is wrong by the rules")
    assert reasons[1:] == ["the row's answer is empty beside its reasoning", None]


LEAKS = [
    "We are told that the answer is 42.",
    "This matches the given answer.",
    "According to the provided solution, it is 7.",
    "The answer is given as 12, so we check.",
    "Since the answer is 42, x has to be 6.",
    "The reference answer says 3.",
    "The answer was provided in advance.",
    "We need to arrive at the answer 5.",
    "I was told the final answer is 8.",
    "Working backwards from the answer, 6 times 7.",
    "The outline says to add.",
    "The answer is supposed to be 9.",
    "根据答案,我们得到 5。",
    "The final answer is 12. Let me see why.",
]
NO_LEAKS = [
    chain(4),
    "Given that the sum of two numbers is 10 and the answer must be an integer, I try 4. " + chain(4),
    "We are given a triangle with sides 3, 4 and 5, and the given information suffices. " + chain(4),
    "By a known result, and using the above result, the series converges. " + chain(4) * 2 + " So the answer is 5.",
    "The question asks for the answer in metres, so I convert before I add anything at all. " + chain(4),
    "The expected output of f(2) is 4, says the question; the provided list has five numbers. " + chain(4),
    "I need to justify that step: the given solution of salt has 5 grams a litre. " + chain(4),
    " ".join(["I add numbers one by one and check them."] * 5) + " Therefore the final answer is 42.",
]


@pytest.mark.parametrize("text", LEAKS)
def test_words_that_give_a_known_answer_away_are_found(text: str) -> None:
    assert leak_in(text)


@pytest.mark.parametrize("text", NO_LEAKS)
def test_reasoning_that_only_sounds_alike_passes(text: str) -> None:
    assert leak_in(text) is None

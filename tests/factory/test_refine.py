"""`refine` end to end against a real server with scripted roles: what is scored, revised, stopped and kept."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.judge_attacks.server import Fault
from posttrain.cli import main
from rewards.models import endpoint as client
from tests.factory.scripted import Roles, completion, lines, models, served, write_part

CHECKLIST = (
    '<checklist>\n<item kind="correctness">The sum is right</item>\n<item kind="completeness">It shows the way</item>\n'
    "</checklist>"
)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_PAUSE_SECONDS", 0.01)


def scores(*verdicts: str) -> str:
    items = "".join(
        f'<item number="{number}" verdict="{verdict}">{"" if verdict == "pass" else "say more"}</item>\n'
        for number, verdict in enumerate(verdicts, start=1)
    )
    return f"<scores>\n{items}</scores>\n<critique>Show the way.</critique>"


def critic(row: int, text: str, seed: int) -> str:
    """Right sums pass, and answers with a way in them."""
    if "Score the answer" not in text:
        return CHECKLIST
    answer = text.partition("Answer:")[2].partition("Checklist:")[0]
    return scores("pass" if f"It is {row + 1}" in answer else "fail", "pass" if "because" in answer else "partly")


def refined(folder: Path, keys: dict[str, Any], *, rows: int = 4, code: int = 0) -> dict[str, Any]:
    file, part = write_part(folder, keys, rows=rows)
    assert main(["data", "refine", str(file), "--config", str(part), "--out", str(folder / "out"), "--json"]) == code
    return json.loads((folder / "out" / "summary.json").read_text()) if code == 0 else {}


def keys_for(url: str, *names: str, **more: Any) -> dict[str, Any]:
    return {"generators": ["student"], "models": models(url, "student", "critic", *names), **more}


def test_a_draft_is_revised_until_all_items_pass_and_the_history_tells_how(tmp_path: Path) -> None:
    def reviser(row: int, text: str, seed: int) -> str:
        assert "(completeness) It shows the way: say more" in text and "| Show the way." in text
        return f"It is {row + 1} because one more"

    roles = Roles({"student": lambda row, text, seed: f"It is {row + 1}", "critic": critic, "reviser": reviser})
    with served(roles) as server:
        found = refined(tmp_path, keys_for(server.url, "reviser"))
    assert found["counts"] == {"kept a revision": 4, "revisions": 4, "stopped: all items pass": 4}
    assert [row["completion"][0]["content"] for row in lines(tmp_path / "out" / "rows.jsonl")] == [
        f"It is {n} because one more" for n in range(2, 6)
    ]
    record = lines(tmp_path / "out" / "history.jsonl")[0]
    assert [event["place"] for event in record["events"]] == [
        "checklist",
        "generate.student.0",
        "checklist.2",
        "score.0",
        "revise.1",
        "score.1.1",
    ]
    assert record["facts"]["first_score"] == 0.75 and record["facts"]["score"] == 1.0
    assert record["kept"][0]["made_from"][0]["score"] == 1.0


def test_it_stops_where_no_score_rises_and_keeps_the_best_and_not_the_last(tmp_path: Path) -> None:
    def student(row: int, text: str, seed: int) -> str:
        return f"It is {row}" if "reviewer" in text else f"It is {row + 1}"

    with served(Roles({"student": student, "critic": critic})) as server:
        found = refined(tmp_path, keys_for(server.url, rounds=5))
    assert found["counts"] == {"kept a revision": 0, "revisions": 4, "stopped: no rise": 4}
    assert lines(tmp_path / "out" / "rows.jsonl")[0]["completion"][0]["content"] == "It is 2"


def test_rounds_end_it_where_each_is_a_little_better(tmp_path: Path) -> None:
    """A score that rises by every revision: three rounds are three revisions."""

    def student(row: int, text: str, seed: int) -> str:
        said = re.findall(r"better (\d)", text)
        return f"It is {row + 1} better {int(said[-1]) + 1 if said else 0}"

    def grading(row: int, text: str, seed: int) -> str:
        if "Score the answer" not in text:
            return "<checklist>" + '<item kind="safety">x</item>' * 8 + "</checklist>"
        better = int(re.findall(r"better (\d)", text)[0])
        return scores(*["pass"] * (better + 3), *["fail"] * (5 - better))

    with served(Roles({"student": student, "critic": grading})) as server:
        found = refined(tmp_path, keys_for(server.url, rounds=3), rows=1)
    assert found["counts"] == {"kept a revision": 1, "revisions": 3, "stopped: rounds": 1}
    assert "better 3" in lines(tmp_path / "out" / "rows.jsonl")[0]["completion"][0]["content"]


def test_the_best_of_several_models_and_of_the_rows_own_answer_is_taken_up(tmp_path: Path) -> None:
    roles = Roles(
        {
            "student": lambda row, text, seed: f"It is {row + 2}",
            "teacher": lambda row, text, seed: f"It is {row + 1} because so",
            "critic": critic,
        }
    )
    with served(roles) as server:
        keys = keys_for(server.url, "teacher") | {"generators": ["student", "teacher"], "rounds": 0}
        file, part = write_part(tmp_path, keys, rows=1)
        file.write_text(json.dumps({"prompt": "6+1?", "completion": "It is 7"}) + "\n")
        assert main(["data", "refine", str(file), "--config", str(part), "--out", str(tmp_path / "out")]) == 0
    (row,) = lines(tmp_path / "out" / "rows.jsonl")
    assert row["completion"][0]["content"] == "It is 7 because so" and row["made_from"][0]["draft"] == 2
    assert row["made_from"][0]["models"][0].startswith("teacher")


def test_rules_and_arithmetic_fail_items_of_their_own_that_no_critic_can_pass(tmp_path: Path) -> None:
    """The critic lets everything pass: what programs find stands against it."""

    def student(row: int, text: str, seed: int) -> str:
        if "reviewer" in text:
            assert "this does not hold: 2 + 2 = 5" in text or "the result is not the known right one" in text
            return f"It is {row + 1}"
        return f"It is {row + 1}, as 2 + 2 = 5" if row == 1 else f"It is {row + 5}"

    def kind(row: int, text: str, seed: int) -> str:
        return scores("pass", "pass") if "Score the answer" in text else CHECKLIST

    with served(Roles({"student": student, "critic": kind})) as server:
        found = refined(tmp_path, keys_for(server.url, verifier="math", verifiers={"math": {"kind": "math"}}), rows=2)
    assert found["counts"]["kept a revision"] == 2 and found["counts"]["stopped: all items pass"] == 2
    assert [row["completion"][0]["content"] for row in lines(tmp_path / "out" / "rows.jsonl")] == ["It is 2", "It is 3"]


def test_code_that_does_not_run_fails_an_item(tmp_path: Path) -> None:
    def student(row: int, text: str, seed: int) -> str:
        good = f"It is {row + 1} because\n```python\nprint({row} + 1)\n```"
        if "reviewer" in text:
            assert "its code does not run to its end" in text
            return good
        return good if row == 1 else f"It is {row + 1} because\n```python\nprint(undefined_name)\n```"

    with served(Roles({"student": student, "critic": critic})) as server:
        keys = keys_for(server.url, code_verifier="code", verifiers={"code": {"kind": "code"}})
        found = refined(tmp_path, keys | {"sandbox": {"min_level": "namespaces"}}, rows=2)
    assert found["counts"] == {"kept a revision": 1, "revisions": 1, "stopped: all items pass": 2}


MALFORMED: dict[str, Callable[[str], str | Fault]] = {
    "a_number_missing": lambda said: said.replace('number="2"', 'number="1"'),
    "no_such_verdict": lambda said: said.replace('verdict="pass"', 'verdict="good"'),
    "no_critique": lambda said: said.partition("<critique>")[0],
    "cut": lambda said: completion(said[:20], finish="length"),
}


@pytest.mark.parametrize("malformed", MALFORMED.values(), ids=MALFORMED)
def test_scores_that_do_not_fit_the_checklist_are_asked_for_once_more_and_never_guessed(
    tmp_path: Path, malformed: Callable[[str], str | Fault]
) -> None:
    def faulty(row: int, text: str, seed: int) -> str | Fault:
        said = critic(row, text, seed)
        return malformed(said) if "Score the answer" in text and row == 1 else said

    roles = Roles({"student": lambda row, text, seed: f"It is {row + 1} because", "critic": faulty})
    with served(roles) as server:
        found = refined(tmp_path, keys_for(server.url), rows=2)
    assert found["set_aside"] == {"no draft could be scored": 1} and found["kept"] == 1
    record = lines(tmp_path / "out" / "history.jsonl")[0]
    assert "not scored: unreadable reply" in record["dropped"][0]["reason"]
    assert sum("unread" in event for event in record["events"]) == 2


def test_a_row_whose_best_draft_is_not_good_enough_is_set_aside(tmp_path: Path) -> None:
    def poor(row: int, text: str, seed: int) -> str:
        return scores("fail", "partly") if "Score the answer" in text else CHECKLIST

    with served(Roles({"student": lambda row, text, seed: f"It is {row + 1}", "critic": poor})) as server:
        refined(tmp_path, keys_for(server.url), rows=2, code=1)
    reasons = [record["set_aside"] for record in lines(tmp_path / "out" / "work" / "output" / "history.jsonl")]
    assert reasons == ["the best score is below min_score: 0.25"] * 2

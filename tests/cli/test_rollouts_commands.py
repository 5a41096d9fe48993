"""`posttrain rollouts`: the answers of a run by step, prompt, outcome or pattern; what changed between two steps."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from posttrain.cli import main
from posttrain.cli.rollouts import folded
from posttrain.records.run_files import read_facts
from posttrain.run.answers import Answer, changes
from tests.report.synthetic_run import build_run

Printed = Callable[..., str]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return build_run(tmp_path / "run", steps=6)


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Printed:
    def call(*arguments: str, code: int = 0) -> str:
        assert main(["rollouts", *arguments]) == code
        captured = capsys.readouterr()
        return captured.out if code != 2 else captured.err

    return call


def rows(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_show_gives_what_every_condition_holds_for(run: Path, printed: Printed) -> None:
    found = rows(printed("show", f"{run}:stem", "--step", "3", "--outcome", "wrong", "-n", "99", "--json"))
    assert found
    assert {(row["step"], row["number"], row["outcome"]) for row in found} == {("stem", 3, "wrong")}
    one = found[0]["prompt_id"]
    assert {row["prompt_id"] for row in rows(printed("show", str(run), "--prompt", str(one), "--json"))} == {one}


def test_thinking_is_folded_until_it_is_asked_for(run: Path, printed: Printed) -> None:
    assert "tens" not in printed("show", f"{run}:stem", "-n", "1")
    assert "tens" in printed("show", f"{run}:stem", "-n", "1", "--thinking")


def test_grep_finds_text_of_answers_and_prompts_and_says_when_there_is_none(run: Path, printed: Printed) -> None:
    found = rows(printed("grep", r"What is 1\d \+", str(run), "-n", "3", "--json"))
    assert len(found) == 3
    assert all(re.match(r"What is 1\d", str(row["prompt"])) for row in found)
    assert printed("grep", "no answer holds this", str(run), code=1) == ""
    assert "regular expression" in printed("grep", "(", str(run), code=2)


def test_tail_gives_the_newest_answers_also_of_an_attempt_under_way(run: Path, printed: Printed) -> None:
    assert {row["number"] for row in rows(printed("tail", f"{run}:stem", "--json"))} == {6}
    facts = read_facts(run)
    assert facts is not None
    link = run / "stages" / "stem"
    attempt = Path(facts.store) / "work" / link.resolve().name / "attempt-2" / "rollouts"
    attempt.mkdir(parents=True)
    (attempt / "step-00004-0.jsonl").write_bytes((link / "rollouts" / "step-00004.jsonl").read_bytes())
    link.unlink()
    assert {row["number"] for row in rows(printed("tail", f"{run}:stem", "--json"))} == {4}


def test_a_step_without_answers_is_said_with_near_names(run: Path, printed: Printed) -> None:
    assert "stem" in printed("show", f"{run}:sten", code=2)


def answer(prompt: str, index: int, *, right: bool) -> Answer:
    return Answer(
        step="s", number=0, prompt_id=prompt, prompt="", index=index, text=str(right), score=float(right), reason="",
        outcome="correct" if right else "wrong", extracted=None, stop_reason="stop", num_tokens=1,
    )  # fmt: skip


def test_diff_names_prompts_whose_share_changed_the_lost_ones_first() -> None:
    def side(**rights: list[bool]) -> list[Answer]:
        return [answer(name, i, right=right) for name, row in rights.items() for i, right in enumerate(row)]

    before = side(same=[True, False], lost=[True, True], gained=[False, False], gone=[True])
    after = side(same=[False, True], lost=[True, False], gained=[False, True], new=[True])
    lost, gained = changes(before, after)
    assert (lost.prompt_id, lost.right, lost.asked, lost.gain) == ("lost", (2, 1), (2, 2), -0.5)
    assert [one.outcome for one in lost.examples] == ["correct", "wrong"]
    assert (gained.prompt_id, [one.outcome for one in gained.examples]) == ("gained", ["wrong", "correct"])


def test_folding_keeps_an_open_block_and_the_text_around() -> None:
    assert folded("a<think>bcd</think>e<think>fg") == "a<think>…3 characters…</think>e<think>…2 characters…"
    assert folded("<scratchpad>1</scratchpad>2") == "<scratchpad>…1 characters…</scratchpad>2"

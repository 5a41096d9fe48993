"""`data show` of a stage that makes rows: one row's history as a person reads it, and its rows as any others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from posttrain.cli import main
from tests.factory.scripted import Roles, judged, models, served, write_recipe


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    """A run of one verify stage, whose rows another data set of the recipe is."""
    monkeypatch.chdir(tmp_path)

    def judge(row: int, text: str, seed: int) -> str:
        return "nothing to say" if row == 2 else judged("right" if f"It is {row + 1}" in text else "wrong")

    roles = Roles({"writer": lambda row, text, seed: f"It is {row + 1 + (row == 3)}", "judge": judge})
    with served(roles) as server:
        asked = models(server.url, "writer", "judge")
        stage = {"kind": "verify", "name": "pick", "data": "sums", "generators": ["writer"], "models": asked}
        recipe = write_recipe(tmp_path, [stage], rows=4, data={"picked": {"source": "stage", "stage": "pick"}})
        assert main(["run", str(recipe), "--out", "run", "--store", "store", "--quiet", "--until", "pick"]) == 0
    capsys.readouterr()
    return tmp_path / "run"


def test_a_rows_history_is_told_from_question_to_fate(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "show", "run:pick", "--row", "1"]) == 0
    out = capsys.readouterr().out
    wanted = ["row 1  id sums/1  kept", "question", "1+1?", "gold", "generate.writer.0  writer (scripted-1, 100 + 20"]
    wanted += ["judge.0  judge", "verdict", "right", "completeness", "dropped", "the same as candidate 0", "made from"]
    at = 0
    for words in wanted:
        assert words in out[at:], words
        at = out.index(words, at)


def test_what_was_set_aside_says_why(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "show", "run:pick", "--row", "2"]) == 0
    out = capsys.readouterr().out
    assert "set aside: no right candidate" in out and "not in its form: no <reason>" in out
    assert main(["data", "show", "run:pick", "--row", "3"]) == 0
    assert "wrong by the judge" in capsys.readouterr().out


def test_as_json_it_is_the_published_line(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "show", "run:pick", "--row", "4", "--json"]) == 0
    published = (run / "stages" / "pick" / "history.jsonl").read_text().splitlines()[3]
    assert json.loads(capsys.readouterr().out) == json.loads(published)
    assert main(["data", "show", "run:pick", "--row", "5"]) == 2


def test_the_report_shows_what_was_kept_how_they_agree_and_samples(run: Path) -> None:
    from posttrain.report.html import write_report

    page = write_report(run).read_text()
    section = page.partition("<h2>Rows made</h2>")[2].partition("</section>")[0]
    for words in (
        "2 rows kept of 4 read",
        "no right candidate",
        "undecided / right",
        "kept by source",
        "2 of 4 (50.0 %)",
    ):
        assert words in section, words
    assert "judge: judge (http" in section and "row 1, kept" in section and "row 2, set aside" in section
    assert "rows verified" in page


def test_the_rows_of_the_stage_and_those_it_read_are_shown_as_any_others(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "show", "run:sums", "--rows", "9"]) == 0
    assert "sums: 4 rows read" in capsys.readouterr().out
    assert main(["data", "show", "run:picked"]) == 0
    out = capsys.readouterr().out
    assert "picked: 2 rows read" in out and "row 1  conversation  id sums/1" in out
    assert main(["data", "show", "recipe.yaml:sums", "--rows", "1"]) == 0

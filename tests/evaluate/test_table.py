"""Properties of the table of a run: order, rows of reference, what a broken-off run shows."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from posttrain.errors import RunFolderError
from posttrain.evaluate.table import (
    build_table,
    duration,
    percent,
    print_table,
    render_markdown,
    whole_percent,
)
from posttrain.records.reader import judge_level, read_run
from tests.report.synthetic_run import LINE, SUITES, build_run


def test_rows_stand_in_run_order_with_references_below(tmp_path):
    table = build_table(read_run(build_run(tmp_path / "run")))
    assert tuple(row.checkpoint for row in table.rows) == LINE
    assert {row.checkpoint: row.yardstick for row in table.yardsticks} == {
        "control": "control", "distil.teacher": "teacher", "base.few_shot": "few-shot",
    }  # fmt: skip
    assert table.suites == SUITES


def test_the_control_is_found_by_descent_not_by_its_name(tmp_path):
    folder = build_run(tmp_path / "run", stages='{"distil": {"from": "control"}}')
    table = build_table(read_run(folder))
    assert "control" in [row.checkpoint for row in table.rows]
    assert [row.checkpoint for row in table.yardsticks] == ["distil.teacher", "base.few_shot"]


def test_a_run_that_ends_early_has_its_line_up_to_there(tmp_path):
    table = build_table(read_run(build_run(tmp_path / "run", stop_after="stem.eval.preference")))
    assert tuple(row.checkpoint for row in table.rows) == LINE[:5]
    assert [row.checkpoint for row in table.yardsticks] == ["distil.teacher", "control", "base.few_shot"]


@pytest.mark.parametrize("name", ["teacher", "few_shot"])
def test_a_stage_stands_in_the_line_whatever_its_name(tmp_path, name):
    stages = json.dumps({"general": {"name": name}, "distil": {"from": name}})
    assert [row.checkpoint for row in build_table(read_run(build_run(tmp_path / "run", stages=stages))).rows] == [
        name if row == "general" else row for row in LINE
    ]


def test_the_printed_table_fits_80_columns_and_holds_each_number(tmp_path):
    console = Console(width=80, record=True, file=io.StringIO())
    print_table(build_run(tmp_path / "run"), console)
    text = console.export_text()
    assert max(len(line) for line in text.splitlines()) <= 80
    assert "67.0 [60, 74]" in text and "teacher of distil" in text
    assert "stem.filter kept" in text and "judged at level: container" in text


def test_markdown_has_a_row_a_checkpoint_and_the_same_number_of_cells(tmp_path):
    lines = render_markdown(build_table(read_run(build_run(tmp_path / "run")))).splitlines()
    rows = [line for line in lines if line.startswith("|")]
    assert len(rows) == 2 + len(LINE) + 3
    assert {line.count(" | ") for line in rows} == {len(SUITES) + 1}
    assert "**67.0** [59.5, 74.5]" in "\n".join(rows)


def test_a_run_that_broke_off_shows_what_it_has_and_names_the_rest(tmp_path):
    table = build_table(read_run(build_run(tmp_path / "run", failed="stem")))
    assert table.rows[-1].checkpoint == "distil"
    assert table.unfinished[0] == "stem (failed)" and "export (pending)" in table.unfinished


def test_a_checkpoint_with_a_missing_suite_has_no_mean(tmp_path):
    folder = build_run(tmp_path / "run")
    results = json.loads((folder / "results.json").read_text())
    results["evaluations"] = [e for e in results["evaluations"] if (e["checkpoint"], e["suite"]) != ("general", "code")]
    (folder / "results.json").write_text(json.dumps(results))
    row = next(row for row in build_table(read_run(folder)).rows if row.checkpoint == "general")
    assert row.mean is None and set(row.cells) == {"stem", "preference"}


def test_the_weakest_level_of_any_stage_is_the_level_shown(tmp_path):
    folder = build_run(tmp_path / "run")
    for name, level in (("stem", "container"), ("code", "namespaces"), ("general", None)):
        path = folder / "stages" / name / "manifest.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"judge_level": level}))
    assert judge_level(read_run(folder)) == "namespaces"


def test_a_folder_that_is_no_run_is_refused_with_a_remedy(tmp_path):
    with pytest.raises(RunFolderError, match=r"holds no results\.json") as caught:
        read_run(tmp_path)
    assert caught.value.remedy
    (tmp_path / "results.json").write_text('{"stages": [')
    with pytest.raises(RunFolderError, match="cannot be read"):
        read_run(tmp_path)


def test_an_unreadable_manifest_is_noted_and_the_rest_is_read(tmp_path):
    folder = build_run(tmp_path / "run")
    (folder / "stages" / "stem" / "manifest.json").write_text("{torn")
    run = read_run(folder)
    assert len(run.evaluations) == 30
    assert any("stages/stem/manifest.json" in note for note in run.notes)
    assert run.stage("stem").manifest is None and run.stage("code").manifest.attempts == 1


def test_a_file_of_another_version_is_named_with_the_key_that_differs(tmp_path):
    folder = build_run(tmp_path / "run")
    manifest = folder / "stages" / "code" / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"duration": 3}))
    assert any(note.endswith("stages/code/manifest.json: unknown key 'duration'") for note in read_run(folder).notes)
    results = json.loads((folder / "results.json").read_text())
    del results["evaluations"][3]["n"]
    (folder / "results.json").write_text(json.dumps(results))
    with pytest.raises(RunFolderError, match=r"results\.json: the key 'evaluations\[3\]\.n' is missing"):
        read_run(folder)


def test_numbers_are_said_as_a_reader_expects(tmp_path):
    assert [duration(s) for s in (None, 0.04, 9.96, 61, 7260)] == ["-", "0.0 s", "10 s", "1 min 1 s", "2 h 1 min"]
    assert [percent(s) for s in (None, 0.4125, 1.0)] == ["-", "41.2", "100.0"]
    assert [whole_percent(s) for s in (None, 0.0, 0.001, 0.9999, 1.0)] == ["-", "0 %", "1 %", "99 %", "100 %"]
    table = build_table(read_run(build_run(tmp_path / "run")))
    assert [row.label for row in table.yardsticks] == ["teacher of distil", "control", "base, few-shot"]

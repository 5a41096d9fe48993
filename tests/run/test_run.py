"""Skip, resume, rerun what was touched, refuse what is not ours, and say it in results.json."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from posttrain.errors import CheckpointError, InputError, RunFolderError, StageError
from posttrain.records.codec import as_json
from posttrain.store.artefacts import Store
from tests.run.driving import published, run_steps, step, two_stages


def statuses(results: dict) -> dict[str, str]:
    return {row["name"]: row["status"] for row in results["stages"]}


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_run_publishes_links_and_records(tmp_path: Path) -> None:
    steps = two_stages()
    results = run_steps(steps, tmp_path / "run", tmp_path / "store")
    assert statuses(results) == {"first": "ran", "second": "ran"}
    assert json.loads((tmp_path / "run" / "results.json").read_bytes()) == results
    link = tmp_path / "run" / "stages" / "second"
    assert link.is_symlink() and not link.readlink().is_absolute()
    assert link.resolve() == tmp_path / "store" / "artefacts" / steps[1].id
    rows = [json.loads(line)["step"] for line in (link / "metrics.jsonl").read_text().splitlines()]
    assert rows == [1, 2, 3, 4]
    manifest = Store(tmp_path / "store").manifest(steps[1].id)
    assert manifest["inputs"] == {"checkpoint": steps[0].id}
    assert {
        "seed",
        "versions",
        "command",
        "host",
        "started",
        "finished",
        "seconds",
        "params",
        "metrics",
    } <= manifest.keys()
    assert json.loads((tmp_path / "run" / "run.json").read_bytes())["name"] == "toy"


def test_a_stage_that_asks_for_it_is_run_again_from_its_last_checkpoint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    steps = [step("first", steps=6, short_at=4, shorts=2)]
    results = run_steps(steps, tmp_path / "run", tmp_path / "store", mode="auto")
    assert statuses(results) == {"first": "resumed"}
    assert capsys.readouterr().err.count("first: short of memory: again with less") == 2
    assert Store(tmp_path / "store").manifest(steps[0].id)["attempts"] == 3
    rows = (tmp_path / "run" / "stages" / "first" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in rows] == [1, 2, 3, 4, 5, 6]


def test_a_second_run_finds_everything_cached_and_changes_no_published_byte(tmp_path: Path) -> None:
    run_steps(two_stages(), tmp_path / "run", tmp_path / "store")
    before = tree(tmp_path / "store" / "artefacts")
    assert statuses(run_steps(two_stages(), tmp_path / "run", tmp_path / "store")) == {
        "first": "cached",
        "second": "cached",
    }
    assert tree(tmp_path / "store" / "artefacts") == before
    assert json.loads((tmp_path / "run" / "results.json").read_bytes())["stages"][0]["status"] == "cached"


def test_code_that_ran_without_isolation_is_said_loudly_and_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = step("first", judge_level="none")
    second = step("second", inputs={"checkpoint": "first"}, ids={"first": first.id}, judge_level="none")
    run_steps([first, second], tmp_path / "run", tmp_path / "store", mode="auto")
    said = capsys.readouterr()
    assert (said.out + said.err).count("UNSAFE: generated code runs as you here") == 1
    run_steps([step("first", judge_level="container")], tmp_path / "run2", tmp_path / "store2", mode="auto")
    said = capsys.readouterr()
    assert "UNSAFE" not in said.out + said.err


def test_another_run_folder_shares_the_store(tmp_path: Path) -> None:
    run_steps(two_stages(), tmp_path / "one", tmp_path / "store")
    assert set(statuses(run_steps(two_stages(), tmp_path / "two", tmp_path / "store", name="other")).values()) == {
        "cached"
    }


def test_an_edited_stage_reruns_itself_and_what_follows_from_it_only(tmp_path: Path) -> None:
    first = step("first")
    aside = step("aside", size=32)
    run_steps(
        [first, aside, step("last", inputs={"x": "first"}, ids={"first": first.id})],
        tmp_path / "run",
        tmp_path / "store",
    )
    edited = step("first", steps=2)
    last = step("last", inputs={"x": "first"}, ids={"first": edited.id})
    results = run_steps([edited, aside, last], tmp_path / "run", tmp_path / "store")
    assert statuses(results) == {"first": "ran", "aside": "cached", "last": "ran"}


def test_links_of_steps_that_the_plan_no_longer_has_are_removed(tmp_path: Path) -> None:
    run_steps([step("first"), step("extra")], tmp_path / "run", tmp_path / "store")
    run_steps([step("first")], tmp_path / "run", tmp_path / "store")
    assert [path.name for path in (tmp_path / "run" / "stages").iterdir()] == ["first"]


def test_a_failed_stage_is_recorded_logged_and_resumed_from_its_checkpoint(tmp_path: Path) -> None:
    failing = [step("first", fail_at=4), step("second")]
    with pytest.raises(StageError, match="first failed: RuntimeError: made to fail at step 4") as caught:
        run_steps(failing, tmp_path / "run", tmp_path / "store")
    assert caught.value.exit_code == 1
    results = json.loads((tmp_path / "run" / "results.json").read_bytes())
    assert statuses(results) == {"first": "failed", "second": "pending"}
    assert "made to fail at step 4" in results["stages"][0]["error"]
    assert "Traceback" in (tmp_path / "run" / "logs" / "first.log").read_text()
    store = Store(tmp_path / "store")
    assert store.ids() == [] and not list(store.work.glob("*/tmp.*"))
    assert statuses(run_steps(failing, tmp_path / "run", tmp_path / "store")) == {"first": "resumed", "second": "ran"}
    run_steps([step("first", fail_at=0)], tmp_path / "other", tmp_path / "clean")
    resumed, clean = published(tmp_path / "store"), published(tmp_path / "clean")
    assert resumed[f"{failing[0].id}/state.bin"] in clean.values()


def test_a_stage_that_leaves_by_sys_exit_failed(tmp_path: Path) -> None:
    with pytest.raises(StageError, match=r"first failed: it left by sys\.exit\(0\)"):
        run_steps([step("first", "Leaver"), step("second")], tmp_path / "run", tmp_path / "store")
    assert statuses(json.loads((tmp_path / "run" / "results.json").read_bytes())) == {
        "first": "failed",
        "second": "pending",
    }
    assert not list(Store(tmp_path / "store").work.glob("*/tmp.*"))


def test_no_metric_of_a_stage_costs_what_it_made(tmp_path: Path) -> None:
    results = run_steps([step("first", "Silent")], tmp_path / "run", tmp_path / "store")
    assert (results["stages"][0]["status"], results["stages"][0]["metrics"]) == ("ran", {})
    odd = {
        "a": np.float32(0.5),
        "b": np.int64(3),
        "c": np.zeros(2),
        "d": Path("x"),
        3: {None},
        "e": float("nan"),
        "f": np.float32("inf"),
    }
    assert as_json(odd) == {"a": 0.5, "b": 3, "c": "[0. 0.]", "d": "x", "3": "{None}", "e": None, "f": None}


def test_a_folder_of_another_recipe_is_refused_and_left_as_it_was(tmp_path: Path) -> None:
    run_steps([step("first")], tmp_path / "run", tmp_path / "store")
    before = tree(tmp_path)
    with pytest.raises(RunFolderError, match="belongs to the recipe 'toy', not to 'other'"):
        run_steps([step("first")], tmp_path / "run", tmp_path / "store", name="other")
    assert tree(tmp_path) == before


def test_a_folder_with_files_of_somebody_else_is_refused_and_left_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("dear reader")
    with pytest.raises(RunFolderError, match=r"thesis\.tex"):
        run_steps([step("first")], tmp_path, tmp_path / "store")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_run_folder_copied_without_its_links_is_refused_before_anything_runs(tmp_path: Path) -> None:
    run_steps([step("first")], tmp_path / "run", tmp_path / "store")
    shutil.copytree(tmp_path / "run", tmp_path / "copy")
    with pytest.raises(RunFolderError, match="no link into the store"):
        run_steps([step("first")], tmp_path / "copy", tmp_path / "store")


def test_a_damaged_input_stops_the_step_that_needs_it_and_discarding_heals(tmp_path: Path) -> None:
    first = step("first")
    run_steps([first], tmp_path / "run", tmp_path / "store")
    store = Store(tmp_path / "store")
    blob = store.path(first.id) / "part" / "blob.bin"
    stat = blob.stat()
    with open(blob, "r+b") as stream:
        stream.write(b"!")
    # The quick check cannot see it; hashing in full before use must.
    os.utime(blob, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    steps = [first, step("second", inputs={"checkpoint": "first"}, ids={"first": first.id})]
    with pytest.raises(CheckpointError, match=r"part/blob\.bin"):
        run_steps(steps, tmp_path / "run", tmp_path / "store")
    store.discard(first.id)
    assert statuses(run_steps(steps, tmp_path / "run", tmp_path / "store")) == {"first": "ran", "second": "ran"}


def test_evaluations_carry_the_names_of_this_plan_and_every_agreed_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import posttrain.stages
    from tests.fake_stages import Scored

    monkeypatch.setitem(posttrain.stages.STAGES, "evaluate", Scored)
    results = run_steps([step("first"), step("first.eval.stem", "evaluate")], tmp_path / "run", tmp_path / "store")
    (entry,) = results["evaluations"]
    assert {"checkpoint", "suite", "k", "n", "avg_at_k", "ci95", "pass_at_k"} <= entry.keys()
    assert (entry["checkpoint"], entry["suite"], entry["ci95"]) == ("first", "stem", [0.4, 0.6])


def test_an_unknown_class_of_the_users_own_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Missing"):
        run_steps([step("first", "Missing")], tmp_path / "run", tmp_path / "store")


def test_a_report_that_fails_is_an_error_and_keeps_all_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import posttrain.report.html as html

    def fail(run_dir: Path) -> Path:
        raise ValueError("no ink")

    monkeypatch.setattr(html, "write_report", fail)
    with pytest.raises(StageError, match="the report could not be written: ValueError: no ink"):
        run_steps([step("first")], tmp_path / "run", tmp_path / "store")
    assert statuses(json.loads((tmp_path / "run" / "results.json").read_bytes())) == {"first": "ran"}
    monkeypatch.undo()
    run_steps([step("first")], tmp_path / "run", tmp_path / "store")
    assert (tmp_path / "run" / "report.html").exists()


def test_a_run_folder_and_its_store_can_be_moved_together(tmp_path: Path) -> None:
    run_steps(two_stages(), tmp_path / "runs" / "a", tmp_path / "runs" / ".store")
    shutil.move(tmp_path / "runs", tmp_path / "moved")
    assert (tmp_path / "moved" / "a" / "stages" / "first" / "state.bin").exists()
    results = run_steps(two_stages(), tmp_path / "moved" / "a", tmp_path / "moved" / ".store")
    assert set(statuses(results).values()) == {"cached"}


def test_a_run_folder_that_is_a_link_to_another_disk_has_links_that_lead_to_the_artefacts(tmp_path: Path) -> None:
    scratch = tmp_path / "deep" / "scratch"
    scratch.mkdir(parents=True)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "a").symlink_to(scratch)
    run_steps(two_stages(), tmp_path / "runs" / "a", tmp_path / "runs" / ".store")
    assert (tmp_path / "runs" / "a" / "stages" / "first" / "state.bin").exists()
    assert (scratch / "stages" / "second" / "state.bin").exists()


def test_secrets_of_the_environment_reach_no_record_and_no_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUDGE_API_KEY", "canary-4711-value")
    steps = [step("first", note="canary-4711-value hf_abcdefghijklmnopqrstuvwxyz0123456789", fail_at=2)]
    with pytest.raises(StageError):
        run_steps(steps, tmp_path / "run", tmp_path / "store")
    run_steps(steps, tmp_path / "run", tmp_path / "store")
    for path, content in tree(tmp_path).items():
        assert b"canary-4711" not in content and b"hf_abcdef" not in content, path

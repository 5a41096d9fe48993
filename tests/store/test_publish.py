"""An artefact is there whole or not at all, and what happens to it later is found and named."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from posttrain.errors import CheckpointError, RunFolderError, StageError
from posttrain.store.artefacts import MANIFEST, Store
from posttrain.store.atomic import replace_link
from posttrain.store.housekeeping import collect, list_artefacts, missing_runs, register_run


def publish(store: Store, id: str = "toy-1", **record: object) -> Path:
    held = store.lock(id)
    attempt = store.begin(id)
    (attempt.output / "a.txt").write_text("alpha")
    (attempt.output / "sub").mkdir()
    (attempt.output / "sub" / "b.bin").write_bytes(bytes(range(40)))
    (attempt.output / "empty").write_bytes(b"")
    folder = store.publish(
        attempt, {"kind": "toy", "step": "first", "inputs": {}, "finished": "", "metrics": {}, **record}, held
    )
    held.release()
    return folder


def test_published_folder_has_a_manifest_with_size_and_digest_of_every_file(tmp_path: Path) -> None:
    store = Store(tmp_path)
    publish(store)
    files = store.manifest("toy-1")["files"]
    assert files["a.txt"] == {"sha256": "8ed3f6ad685b959ead7022518e1af76cd816f8e8ec7ccdda1ed4018e8f2223f8", "size": 5}
    assert sorted(files) == ["a.txt", "empty", "sub/b.bin"]
    assert store.check("toy-1") == []
    assert store.quick_check("toy-1")
    assert not (store.work / "toy-1").exists()


def test_one_flipped_byte_in_any_published_file_is_found_and_named(tmp_path: Path) -> None:
    store = Store(tmp_path)
    folder = publish(store)
    for path in [folder / "a.txt", folder / "sub" / "b.bin", folder / MANIFEST]:
        whole = path.read_bytes()
        for position in range(len(whole)):
            path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
            assert [fault.file for fault in store.verify()] == [path.relative_to(folder).as_posix()], position
        path.write_bytes(whole)
    assert store.verify() == []


def test_missing_extra_truncated_and_replaced_files_are_each_named(tmp_path: Path) -> None:
    store = Store(tmp_path)
    folder = publish(store)
    (folder / "a.txt").write_text("alph")
    (folder / "empty").unlink()
    (folder / "extra").write_text("x")
    (folder / "sub" / "b.bin").unlink()
    (folder / "sub" / "b.bin").symlink_to("/dev/null")
    assert {fault.file for fault in store.verify()} == {"a.txt", "empty", "extra", "sub/b.bin"}
    with pytest.raises(CheckpointError, match=r"a\.txt: 4 bytes instead of 5"):
        store.open_verified("toy-1")


def test_an_artefact_under_another_id_is_a_fault(tmp_path: Path) -> None:
    store = Store(tmp_path)
    os.rename(publish(store), store.path("toy-2"))
    assert [fault.file for fault in store.check("toy-2")] == [MANIFEST]


def test_an_artefact_whose_manifest_is_gone_is_found(tmp_path: Path) -> None:
    store = Store(tmp_path)
    (publish(store) / MANIFEST).unlink()
    assert [(fault.id, fault.file) for fault in store.verify()] == [("toy-1", MANIFEST)]


def test_a_copied_store_is_hashed_once_and_then_trusted_by_stat(tmp_path: Path) -> None:
    publish(Store(tmp_path / "old"))
    shutil.copytree(tmp_path / "old", tmp_path / "new")
    store = Store(tmp_path / "new")
    assert not store.quick_check("toy-1")
    store.ensure_intact("toy-1")
    assert store.quick_check("toy-1")


def test_a_change_after_publishing_fails_the_quick_check_and_is_then_refused(tmp_path: Path) -> None:
    store = Store(tmp_path)
    (publish(store) / "a.txt").write_text("alphA")
    assert not store.quick_check("toy-1")
    with pytest.raises(CheckpointError, match=r"a\.txt"):
        store.ensure_intact("toy-1")


def test_discard_takes_a_damaged_artefact_out_so_that_it_is_built_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    (publish(store) / MANIFEST).write_text("{}")
    store.discard("toy-1")
    assert not store.path("toy-1").exists()
    publish(store)
    assert store.verify() == []


def test_links_and_manifests_of_a_stage_are_not_published(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for name in ("link", MANIFEST):
        held = store.lock("toy-1")
        attempt = store.begin("toy-1")
        if name == "link":
            (attempt.output / name).symlink_to("/etc/passwd")
        else:
            (attempt.output / name).write_text("{}")
        with pytest.raises(StageError):
            store.publish(attempt, {}, held)
        held.release()
        assert not store.is_published("toy-1")


def test_a_folder_that_lost_its_manifest_is_no_artefact_and_is_replaced(tmp_path: Path) -> None:
    store = Store(tmp_path)
    (publish(store) / MANIFEST).unlink()
    assert not store.is_published("toy-1")
    publish(store)
    assert store.check("toy-1") == []


def test_attempts_see_earlier_attempts_newest_first_and_start_with_an_empty_output(tmp_path: Path) -> None:
    store = Store(tmp_path)
    first = store.begin("toy-1")
    (first.output / "half").write_text("x")
    (first.state / "checkpoint").write_text("x")
    second = store.begin("toy-1")
    third = store.begin("toy-1")
    assert [path.name for path in third.previous] == ["attempt-2.kept", "attempt-1.kept"]
    assert not first.output.exists() and list(third.output.iterdir()) == []
    assert [path.name for path in second.previous] == ["attempt-1.kept"] and (
        second.previous[0] / "checkpoint"
    ).exists()


def test_what_an_orphan_does_in_its_old_place_does_not_reach_the_attempt_that_resumes(tmp_path: Path) -> None:
    store = Store(tmp_path)
    first = store.begin("toy-1")
    (first.state / "checkpoint").write_text("good")
    second = store.begin("toy-1")
    (first.state / "checkpoint").parent.mkdir()
    (first.state / "checkpoint").write_text("of the orphan")
    third = store.begin("toy-1")
    for attempt in (second, third):
        assert (attempt.previous[-1] / "checkpoint").read_text() == "good"
    assert not first.state.exists()


def test_old_attempts_go_once_three_newer_ones_hold_sealed_checkpoints(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for number in range(1, 6):
        attempt = store.begin("toy-1")
        if number != 4:
            seal_path = attempt.state / "checkpoints" / "checkpoint-1" / "seal.json"
            seal_path.parent.mkdir(parents=True)
            seal_path.write_text("{}")
    assert [path.name for path in store.begin("toy-1").previous] == [
        f"attempt-{number}.kept" for number in (5, 4, 3, 2)
    ]


def test_gc_keeps_what_a_run_names_and_its_ancestors_and_deletes_only_when_told(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    publish(store, "base-1")
    publish(store, "sft-1", inputs={"checkpoint": "base-1"})
    publish(store, "sft-2", inputs={"checkpoint": "base-1"})
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    (run_dir / "plan.json").write_text(json.dumps({"steps": [{"id": "sft-1"}]}))
    register_run(store, run_dir)
    store.begin("old-1")
    assert [item.path.name for item in collect(store)] == ["sft-2", "old-1"]
    assert store.is_published("sft-2")
    collect(store, remove=True)
    assert store.ids() == ["base-1", "sft-1"]
    assert collect(store) == []
    assert [row.runs for row in list_artefacts(store)] == [(), (str(run_dir),)]
    shutil.rmtree(run_dir)
    assert missing_runs(store) == [run_dir]
    collect(store, remove=True)
    assert store.ids() == [] and missing_runs(store) == []


def run_folder_of(store: Store, run_dir: Path, id: str) -> None:
    """A run folder that planned `id`, and links to it."""
    (run_dir / "stages").mkdir(parents=True)
    (run_dir / "plan.json").write_text(json.dumps({"steps": [{"id": id}]}))
    replace_link(run_dir / "stages" / "sft", store.path(id), point="link_stage")
    register_run(store, run_dir)


def test_gc_keeps_what_a_run_needs_that_was_moved_together_with_the_store(tmp_path: Path) -> None:
    store = Store(tmp_path / "runs" / ".store")
    publish(store, "sft-1")
    run_folder_of(store, tmp_path / "runs" / "a", "sft-1")
    shutil.move(tmp_path / "runs", tmp_path / "moved")
    assert collect(Store(tmp_path / "moved" / ".store"), remove=True) == []
    (row,) = list_artefacts(Store(tmp_path / "moved" / ".store"))
    assert row.runs == (str(tmp_path / "moved" / "a"),)


def test_gc_keeps_what_a_run_folder_without_its_plan_links_to(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    publish(store, "sft-1")
    run_folder_of(store, tmp_path / "a", "sft-1")
    (tmp_path / "a" / "plan.json").unlink()
    assert collect(store) == []


@pytest.mark.parametrize("content", ["{", "[]", '{"steps": 3}'])
def test_gc_deletes_nothing_while_a_run_folder_does_not_say_what_it_needs(tmp_path: Path, content: str) -> None:
    store = Store(tmp_path / "store")
    publish(store, "sft-1")
    run_folder_of(store, tmp_path / "a", "sft-1")
    (tmp_path / "a" / "plan.json").write_text(content)
    with pytest.raises(RunFolderError, match=r"plan\.json.*unknown which artefacts are needed"):
        collect(store, remove=True)
    assert store.ids() == ["sft-1"]


def test_a_run_folder_whose_name_is_not_utf8_can_use_a_store(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    publish(store, "sft-1")
    run_folder_of(store, Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff")), "sft-1")
    assert collect(store) == []


def test_gc_leaves_a_step_that_is_being_built(tmp_path: Path) -> None:
    store = Store(tmp_path)
    held = store.lock("sft-1")
    store.begin("sft-1")
    assert collect(store) == []
    held.release()
    assert [item.path.name for item in collect(store)] == ["sft-1"]

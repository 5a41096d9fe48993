"""A checkpoint counts only whole, and rows after it never survive a resume."""

from __future__ import annotations

from pathlib import Path

import pytest

from posttrain.store.checkpoints import SEAL, cut_rows, is_good, newest_good, seal, write_sealed


def save(parent: Path, step: int, owner: str = "sft-1") -> Path:
    def fill(folder: Path) -> None:
        for name in "ab":
            (folder / name).write_bytes(bytes([step]) * 9)

    return write_sealed(parent, step=step, owner=owner, fill=fill)


def test_the_highest_sealed_step_over_all_attempts_is_found(tmp_path: Path) -> None:
    save(tmp_path / "1", 2)
    wanted = save(tmp_path / "1", 4)
    save(tmp_path / "2", 3)
    good = newest_good([tmp_path / "2", tmp_path / "1", tmp_path / "missing"], owner="sft-1")
    assert good is not None and (good.path, good.step) == (wanted, 4)


@pytest.mark.parametrize("harm", ["flip", "truncate", "missing", "extra", "no seal", "torn seal", "foreign"])
def test_a_torn_or_foreign_checkpoint_is_passed_over_for_the_one_before(tmp_path: Path, harm: str) -> None:
    before = save(tmp_path, 2)
    last = save(tmp_path, 4, owner="sft-2" if harm == "foreign" else "sft-1")
    file, sealed = last / "a", last / SEAL
    if harm == "flip":
        file.write_bytes(bytes([4] * 8 + [5]))
    elif harm == "truncate":
        file.write_bytes(bytes([4] * 8))
    elif harm == "missing":
        file.unlink()
    elif harm == "extra":
        (last / "c").write_bytes(b"")
    elif harm == "no seal":
        sealed.unlink()
    elif harm == "torn seal":
        sealed.write_bytes(sealed.read_bytes()[:-20])
    good = newest_good([tmp_path], owner="sft-1")
    assert good is not None and good.path == before


def test_only_the_newest_sealed_checkpoints_are_kept(tmp_path: Path) -> None:
    for step in (2, 4, 6):
        save(tmp_path, step)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-00000004", "checkpoint-00000006"]


def test_a_folder_written_by_a_library_can_be_sealed_in_place(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint-50"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "x").write_text("x")
    assert not is_good(folder)
    seal(folder, step=50, owner="sft-1")
    assert is_good(folder)
    seal(folder, step=50, owner="sft-1")
    assert is_good(folder)


def test_rows_after_the_checkpoint_and_a_torn_last_row_are_cut(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n{"step": 3}\n{"step": 4, "lo')
    assert cut_rows(path, tmp_path / "new.jsonl", last_step=2) == 2
    assert (tmp_path / "new.jsonl").read_text() == '{"step": 1}\n{"step": 2}\n'
    assert cut_rows(path, path, last_step=9) == 3
    assert cut_rows(tmp_path / "none", tmp_path / "empty", last_step=9) == 0
    assert (tmp_path / "empty").read_bytes() == b""

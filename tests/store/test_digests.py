"""Digests are remembered as long as size, time and inode stay."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from posttrain.store import digests as module
from posttrain.store.digests import Digests


def aged(path: Path, text: str, age: int = 100) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    moment = path.stat().st_mtime_ns - age * 10**9
    os.utime(path, ns=(moment, moment))
    return path


def test_a_remembered_digest_is_not_computed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = aged(tmp_path / "data.jsonl", "hello")
    first = Digests(tmp_path / "digests.json")
    expected = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    assert first.of(file) == expected
    first.save()
    hashed: list[Path] = []
    monkeypatch.setattr(module, "file_sha256", lambda path: hashed.append(path) or "new")
    assert Digests(tmp_path / "digests.json").of(file) == expected
    assert hashed == []
    aged(file, "hellO", age=99)
    assert Digests(tmp_path / "digests.json").of(file) == "sha256:new"


def test_a_file_changed_a_moment_ago_is_not_remembered(tmp_path: Path) -> None:
    memory = Digests(tmp_path / "digests.json")
    (tmp_path / "fresh").write_text("x")
    memory.of(tmp_path / "fresh")
    memory.save()
    assert not (tmp_path / "digests.json").exists()


def test_a_folders_digest_depends_on_names_and_contents(tmp_path: Path) -> None:
    memory = Digests(tmp_path / "digests.json")
    aged(tmp_path / "one" / "a", "x")
    aged(tmp_path / "two" / "b", "x")
    aged(tmp_path / "three" / "a", "x")
    assert memory.of(tmp_path / "one") == memory.of(tmp_path / "three") != memory.of(tmp_path / "two")


def test_two_writers_keep_each_others_digests(tmp_path: Path) -> None:
    one, two = Digests(tmp_path / "digests.json"), Digests(tmp_path / "digests.json")
    one.of(aged(tmp_path / "a", "x"))
    two.of(aged(tmp_path / "b", "y"))
    one.save()
    two.save()
    assert (tmp_path / "digests.json").read_text().count("sha256") == 2


def test_a_damaged_memory_only_costs_time(tmp_path: Path) -> None:
    (tmp_path / "digests.json").write_text("{torn")
    assert Digests(tmp_path / "digests.json").of(aged(tmp_path / "a", "x")).startswith("sha256:")

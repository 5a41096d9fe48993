"""A pinned snapshot comes out of the hub library's cache without a network, is named where it is absent; a stop ends a
download."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path

import pytest

from posttrain.errors import CheckpointError, StageError, Stopped
from posttrain.store.reference import folder_digest
from posttrain.train.hub import fetch

REVISION = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hub cache as the library lays it out: blobs, and a snapshot of links to them."""
    repository = tmp_path / "hub" / "models--someone--small"
    snapshot = repository / "snapshots" / REVISION
    snapshot.mkdir(parents=True)
    (repository / "blobs").mkdir()
    for name in ("config.json", "model.safetensors"):
        (repository / "blobs" / name).write_text(f"content of {name}")
        (snapshot / name).symlink_to(f"../../blobs/{name}")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    return snapshot


def test_offline_a_snapshot_is_found_with_the_digest_of_its_content(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    found = fetch("someone/small", REVISION, tmp_path / "stop", "base")
    assert Path(found["path"]) == cache
    assert found["files"] == ["config.json", "model.safetensors"] and found["digest"] == folder_digest(cache)
    (cache / "LICENSE").write_text("of no interest")
    assert fetch("someone/small", REVISION, tmp_path / "stop", "base") == found
    (cache / "config.json").resolve().write_text("other")
    assert fetch("someone/small", REVISION, tmp_path / "stop", "base")["digest"] != found["digest"]


def test_offline_a_snapshot_that_is_not_there_is_named(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(CheckpointError, match="'someone/other' at 0123456789ab cannot be fetched") as caught:
        fetch("someone/other", REVISION, tmp_path / "stop", "distil.teacher")
    assert "local folder" in str(caught.value.remedy) and caught.value.where == "distil.teacher"


def test_a_hub_that_cannot_be_reached_is_no_fault_of_the_recipe(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.getsockname()[1]}")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    with pytest.raises(StageError, match="cannot be fetched") as caught:
        fetch("someone/other", REVISION, tmp_path / "stop", "base")
    assert "the same command goes on" in str(caught.value.remedy)


def test_a_stop_ends_a_download_that_does_not_come(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = tmp_path / "stop"
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections and answers none
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        asked = threading.Event()
        kept = []
        threading.Thread(target=lambda: (kept.append(silent.accept()), asked.set(), stop.touch()), daemon=True).start()
        begun = time.monotonic()
        with pytest.raises(Stopped, match="stopped while 'someone/other' was fetched"):
            fetch("someone/other", REVISION, stop, "base")
        assert asked.is_set() and time.monotonic() - begun < 60

"""A fault is never a score: boxes killed, stopped and unmakeable for real; levels that cannot be had are errors, never
a weaker level."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

import sandbox.judging.slot
from sandbox.backends.box import Box, PipeChannel
from sandbox.backends.isolation import choose_backend, levels
from sandbox.backends.local_backend import LocalBackend
from sandbox.backends.namespace_backend import NamespaceBackend
from sandbox.errors import Fault, LevelError
from sandbox.inside.contract import inside_version
from sandbox.inside.frames import pack_frame
from sandbox.judging.slot import Slot
from sandbox.program_json import parse_program
from sandbox.types import Level, Outcome
from tests.sandbox.worlds import SENTENCE, need_namespaces, script


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def namespace_slot() -> Slot:
    need_namespaces()
    slot = Slot(NamespaceBackend(), 0)
    slot.box("candidate").ping()
    return slot


def after(seconds: float, act: object) -> threading.Timer:
    timer = threading.Timer(seconds, act)  # type: ignore[arg-type]
    timer.start()
    return timer


def test_a_box_killed_from_outside_is_retried_and_the_program_judged() -> None:
    slot = namespace_slot()
    victim = slot.box("candidate").channel.process.pid  # type: ignore[attr-defined]
    timer = after(0.3, lambda: os.kill(victim, signal.SIGKILL))
    result = slot.judge(parse_program(script("import time; time.sleep(0.8); print(42)", "", "42")), False)
    timer.join()
    assert (result.outcome, result.score, result.retries) == (Outcome.PASS, 1.0, 1)
    slot.drop()


def test_a_stopped_supervisor_is_a_fault_that_a_fresh_box_mends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox.judging.slot, "GRACE_SECONDS", 1.0)
    slot = Slot(LocalBackend(), 0)
    victim = slot.box("candidate").channel.process.pid  # type: ignore[attr-defined]
    os.kill(victim, signal.SIGSTOP)
    row = {**script("print(42)", "", "42"), "limits": {"wall_seconds": 0.5}}
    result = slot.judge(parse_program(row), False)
    assert (result.outcome, result.retries) == (Outcome.PASS, 1)
    assert not Path(f"/proc/{victim}").exists(), "the stopped box was not ended"
    slot.drop()


def test_boxes_that_cannot_start_are_a_fault_without_a_score(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("POSTTRAIN_SANDBOX_CACHE", str(tmp_path))
    monkeypatch.setattr(sandbox.judging.slot, "_PAUSES_SECONDS", (0.0, 0.0, 0.0))
    os.chmod(tmp_path, 0o755)
    for folder in list(tmp_path.parents)[:3]:
        if os.stat(folder).st_uid == os.getuid():
            os.chmod(folder, os.stat(folder).st_mode | 0o055)  # the box's own user passes through
    slot = namespace_slot()
    slot.drop()
    root = Path(slot.backend.roots["plain"])  # type: ignore[attr-defined]
    root.rename(tmp_path / "gone")
    result = slot.judge(parse_program({**script("print(42)", "", "42"), "score": "fraction"}), False)
    assert (result.outcome, result.score, [test.outcome for test in result.tests]) == (
        Outcome.FAULT,
        None,
        [Outcome.FAULT],
    )
    assert result.error
    (tmp_path / "gone").rename(root)
    assert slot.judge(parse_program(script("print(42)", "", "42")), False).outcome is Outcome.PASS
    slot.drop()


def test_a_split_test_survives_the_loss_of_either_box() -> None:
    slot = namespace_slot()
    row = {"id": 1, "program": "import time\ndef f(x):\n    time.sleep(0.1)\n    return x", "entry_point": "f"}
    row["tests"] = [{"check": "def check(candidate):\n    for i in range(6): assert candidate(i) == i"}]
    for role in ("candidate", "test"):
        slot.box("candidate")
        victim = slot.box(role).channel.process.pid  # type: ignore[attr-defined]
        timer = after(0.3, lambda pid=victim: os.kill(pid, signal.SIGKILL))
        result = slot.judge(parse_program(row), False)
        timer.join()
        assert (result.outcome, result.retries) == (Outcome.PASS, 1)
    slot.drop()


def test_no_process_is_left_after_close() -> None:
    slot = namespace_slot()
    before = set(children(os.getpid()))
    slot.judge(parse_program(script("print(1)", "", "1")), False)
    slot.drop()
    time.sleep(0.1)
    assert not set(children(os.getpid())) - before


def test_the_box_ends_when_its_owner_is_killed() -> None:
    slot = namespace_slot()
    slot.drop()
    reader, writer = os.pipe()
    owner = os.fork()
    if owner == 0:
        try:
            box = Box(NamespaceBackend().start(0, "candidate"))
            limits = {
                "cpu_seconds": 60,
                "wall_seconds": 60,
                "memory_mb": 64,
                "output_bytes": 1000,
                "processes": 9,
                "disk_mb": 9,
            }
            box.send({"op": "run", "program": "while True: pass", "limits": limits, "cases": [{"mode": "script"}]})
            time.sleep(0.5)
            os.write(writer, b"go")
            time.sleep(60)
        finally:
            os._exit(1)
    os.read(reader, 2)
    family = [owner]
    for pid in family:
        family += children(pid)
    assert len(family) >= 3, "the owner has no running box"
    os.kill(owner, signal.SIGKILL)
    os.waitpid(owner, 0)
    deadline = time.monotonic() + 3
    while (left := [pid for pid in family[1:] if Path(f"/proc/{pid}").exists()]) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not left


def test_levels_are_tried_and_each_no_has_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    rows = {row.level: row for row in levels()}
    assert list(rows) == [Level.KERNEL, Level.CONTAINER, Level.NAMESPACES, Level.NONE]
    assert rows[Level.NONE].available
    assert not rows[Level.CONTAINER].available
    assert "/nonexistent/docker.sock" in rows[Level.CONTAINER].why_not or "Docker" in rows[Level.CONTAINER].why_not
    assert all(row.remedy for row in rows.values() if not row.available)


def test_a_level_that_cannot_be_had_is_an_error_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    for backend in ("auto", "docker"):
        with pytest.raises(LevelError) as caught:
            choose_backend(backend, "container", SENTENCE)
        assert caught.value.exit_code == 69
        assert caught.value.remedy
        assert "Docker" in caught.value.what
    with pytest.raises(LevelError, match="cannot"):
        choose_backend("namespaces", "container", None)


def test_plain_subprocess_only_on_the_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    for sentence in (None, "yes", SENTENCE.lower()):
        with pytest.raises(LevelError, match="isolates nothing"):
            choose_backend("local", "none", sentence)
    with pytest.raises(LevelError):
        choose_backend("local", "namespaces", SENTENCE)
    assert choose_backend("local", "none", SENTENCE).level is Level.NONE
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(LevelError):
        choose_backend("auto", "none", None)
    assert choose_backend("auto", "none", SENTENCE).level is Level.NONE


def test_auto_prefers_isolation_even_with_the_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    namespace_slot().drop()
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    assert choose_backend("auto", "none", SENTENCE).level is Level.NAMESPACES


def test_closing_a_box_does_not_wait_for_what_outlives_its_supervisor() -> None:
    """A process that keeps the supervisor's stderr open must not hold the judge."""
    channel = PipeChannel(["sh", "-c", "sleep 60 & echo $!; read line"])
    orphan = int(channel.receive(20.0))
    channel.close()
    channel.close()  # twice is once
    state = Path(f"/proc/{orphan}/stat").read_text().rpartition(")")[2].split()[0]
    assert state != "Z", "close() waited for its end"
    os.kill(orphan, signal.SIGKILL)


def test_a_box_that_does_not_read_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sandbox.backends.box.SEND_SECONDS", 0.2)
    ready = pack_frame({"op": "ready", "inside": inside_version()})
    channel = PipeChannel([sys.executable, "-c", f"import os, time; os.write(1, {ready!r}); time.sleep(60)"])
    box = Box(channel)
    with pytest.raises(Fault, match="not read"):
        box.send({"op": "run", "program": "x" * (1 << 20)})
    box.close()


def test_a_judge_works_in_a_process_with_many_open_files() -> None:
    """Descriptors above 1,023, which select() refuses."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 1200:
        pytest.skip(f"at most {hard} open files here; remedy: ulimit -Hn 4096")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 1200), hard))
    many = [os.open("/dev/null", os.O_RDONLY) for _ in range(1100)]
    try:
        slot = Slot(LocalBackend(), 0)
        assert (
            slot.judge(parse_program(script("print(len(input()))", "x" * 300_000, "300000")), False).outcome
            is Outcome.PASS
        )
        slot.drop()
    finally:
        for descriptor in many:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

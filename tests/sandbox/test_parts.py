"""Frames against hostile bytes, rows and their complaints, lifting of asserts, the filter's program, errors that cross
processes."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox import errors
from sandbox.backends import seccomp_profile
from sandbox.errors import ProgramError
from sandbox.inside import processes, seccomp
from sandbox.inside.frames import FrameBuffer, FrameError, pack_frame
from sandbox.inside.processes import ProcessTree
from sandbox.inside.scratch_folder import wipe
from sandbox.judging.runnable_tests import CallCase, SplitTest, runnable_test
from sandbox.program_json import parse_program
from sandbox.types import AssertTest, Program
from tests.sandbox.worlds import script


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(st.dictionaries(st.text(), st.integers() | st.text()), max_size=5), st.integers(1, 7))
def test_frames_come_out_as_they_went_in(messages: list[dict[str, Any]], piece: int) -> None:
    data = b"".join(pack_frame(message) for message in messages)
    buffer, found = FrameBuffer(), []
    for start in range(0, len(data), piece):
        buffer.feed(data[start : start + piece])
        while (message := buffer.next()) is not None:
            found.append(message)
    assert found == messages


@given(st.binary(max_size=200))
def test_hostile_bytes_give_objects_or_a_frame_error(data: bytes) -> None:
    buffer = FrameBuffer(limit=100)
    buffer.feed(data)
    try:
        while (message := buffer.next()) is not None:
            assert isinstance(message, dict)
    except FrameError:
        return


def test_a_frame_beyond_the_limit_is_refused_before_it_is_read() -> None:
    buffer = FrameBuffer(limit=10)
    buffer.feed(b"\xff\xff\xff\xff")
    with pytest.raises(FrameError, match="4294967295"):
        buffer.next()


BAD_ROWS = [
    ({"id": 1, "program": "x", "tests": []}, "tests"),
    ({"id": 1, "program": "x"}, "tests"),
    ({"program": "x", "tests": [{"stdin": "", "stdout": ""}]}, "id"),
    (script("x", compare="lower"), "compare"),
    (script("x", compare={"float": {"abs": float("nan")}}), "compare"),
    (script("x", score="most"), "score"),
    (script("x", language="cobol"), "cobol"),
    (script("x", limits={"cpu": 1}), "cpu_seconds"),
    (script("x", limits={"cpu_seconds": 0}), "cpu_seconds"),
    (script("x", limits={"memory_mb": 1.5}), "memory_mb"),
    (script("x", limits={"processes": True}), "processes"),
    (script("x", porgram="y"), "program"),
    (script("\ud800"), "program"),
    ({"id": 1, "program": "x", "tests": [{"stdin": ""}]}, "tests[0]"),
    ({"id": 1, "program": "x", "tests": [{"args": [], "expected": 1}]}, "entry_point"),
    ({"id": 1, "program": "x", "entry_point": "a b", "tests": [{"args": [], "expected": 1}]}, "entry_point"),
]


@pytest.mark.parametrize(("row", "named"), BAD_ROWS)
def test_a_bad_row_is_an_error_that_names_its_key(row: dict[str, Any], named: str) -> None:
    with pytest.raises(ProgramError) as caught:
        parse_program(row)
    assert named in str(caught.value)
    assert caught.value.exit_code == 2


BECOMES_A_CALL = {
    "assert f(1, k='a') == [1, (2,)]": True,
    "assert 3 == f([1, 2])": True,
    "assert f(-1) is None": True,
    "assert not f('x')": True,
    "assert f(1) != 2": False,
    "assert f(x) == 1": False,
    "assert f(*[1]) == 1": False,
    "assert f(1) == 1 == 1": False,
    "assert len(f(1)) == 2": False,
    "assert set(f(1)) == {1}": False,
    "x = 1\nassert f(x) == 1": False,
}


@pytest.mark.parametrize("source", BECOMES_A_CALL)
def test_only_simple_asserts_become_calls(source: str) -> None:
    test = AssertTest(source=source)
    runnable = runnable_test(test, Program(id="1", program="", tests=(test,)))
    assert isinstance(runnable, CallCase if BECOMES_A_CALL[source] else SplitTest)


def test_names_of_the_program_are_those_nobody_binds() -> None:
    source = "import math\ny = [i for i in range(3)]\nassert f(y) == math.pi + g(1) + HELP"
    test = AssertTest(source=source)
    runnable = runnable_test(test, Program(id="1", program="", tests=(test,), preamble="HELP = 1", entry_point="f"))
    assert isinstance(runnable, SplitTest)
    assert set(runnable.program_names) == {"f", "g"}
    assert runnable.low_trust


@pytest.mark.parametrize("kind", [errors.ProgramError, errors.LevelError, errors.ImageError, errors.Fault])
def test_errors_cross_processes(kind: type[errors.SandboxError]) -> None:
    error = kind("what", where="where", remedy="remedy")
    copy = pickle.loads(pickle.dumps(error))  # our own bytes, made a line above
    assert (type(copy), copy.what, copy.where, copy.remedy) == (kind, "what", "where", "remedy")


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_filter_ends_in_allow_and_jumps_stay_inside(machine: str) -> None:
    code = seccomp.program(machine)
    lines = [code[i : i + 8] for i in range(0, len(code), 8)]
    assert len(code) % 8 == 0
    assert lines[-1] == b"\x06\x00\x00\x00\x00\x00\xff\x7f"
    for index, line in enumerate(lines):
        assert index + 1 + max(line[2], line[3]) < len(lines) or line[0] == 0x06


def test_everyone_is_killed_only_as_first_process_of_a_namespace() -> None:
    with pytest.raises(RuntimeError, match="PID 1"):
        ProcessTree(alone=True)


def _in_a_process_of_its_own(code: str) -> None:
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2]
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_rehearsal_leaves_everything_that_programs_see_as_it_was() -> None:
    _in_a_process_of_its_own(
        "import atexit, os, sys, threading\n"
        "from sandbox.inside import preparation, rehearsal\n"
        "preparation.warm_up([])\n"
        "null = os.open('/dev/null', os.O_RDWR)\n"
        "for fd in (0, 1, 3, 4): os.dup2(null, fd)\n"
        "null = os.dup2(null, 20)\n"
        "atexit.register(print)\n"
        "def seen():\n"
        "    streams = [sys.stdin, sys.stdout, sys.stderr, sys.__stdin__, sys.argv, sys.excepthook]\n"
        "    ends = [threading._shutdown_locks, threading._SHUTTING_DOWN, atexit._ncallbacks(), "
        "sorted(os.listdir('/proc/self/fd'))]\n"
        "    return [dict(sys.modules), *streams, *map(repr, ends)]\n"
        "before = seen()\n"
        "rehearsal.rehearse(null)\n"
        "assert seen() == before, [pair for pair in zip(before, seen()) if pair[0] != pair[1]]\n"
        "assert os.path.samestat(os.fstat(0), os.fstat(null)) and os.path.samestat(os.fstat(4), os.fstat(null))\n"
    )


def test_a_lighter_process_has_fewer_mappings_and_none_that_can_be_written_and_run() -> None:
    _in_a_process_of_its_own(
        "import ctypes, math, random, json, datetime\n"
        "from sandbox.inside import footprint\n"
        "def maps(): return [line.split()[:2] for line in open('/proc/self/maps')]\n"
        "before = maps()\n"
        "footprint.lighten(ctypes.CDLL(None))\n"
        "after = maps()\n"
        "assert len(after) < 0.8 * len(before), (len(before), len(after))\n"
        "assert not any('w' in kind and 'x' in kind for _, kind in after), after\n"
        "assert math.sqrt(4) == 2 and json.loads('[1]') == [1]\n"
    )


def test_a_program_may_share_a_page_and_set_what_it_likes_on_its_sockets() -> None:
    _in_a_process_of_its_own(
        "import ctypes, errno, mmap, socket\n"
        "from sandbox.inside import seccomp\n"
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        "libc.prctl(38, 1, 0, 0, 0)\n"
        "taken = seccomp.apply(libc)\n"
        "def number(size, *flags):\n"
        "    try: mmap.mmap(-1, size, *flags).close()\n"
        "    except OSError as error: return error.errno\n"
        "assert [number(1), number(4096), number(1 << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)] == [None] * 3\n"
        "assert not taken or [number(4097), number(1 << 32)] == [errno.ENOMEM] * 2\n"
        "one, other = socket.socketpair()\n"
        "before = one.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)\n"
        "one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, before * 2)\n"
        "one.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)\n"
        "assert one.getsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED) == 1\n"
        "assert not taken or one.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == before\n"
    )


def test_both_numbers_of_a_memory_meter_are_read(tmp_path: Path) -> None:
    (tmp_path / "meter").write_text("cache 9\nanon 12\nshmem 7\n")
    with (tmp_path / "meter").open("rb") as file:
        assert processes._named_numbers(file.fileno(), b"anon", b"shmem") == (12, 7)
        assert processes._named_numbers(file.fileno(), b"anon", b"rss")[1] > 2**60


@pytest.mark.parametrize(
    ("text", "place", "number"), [("2377079359\n", 0, 2377079359), ("usage_usec 17\nuser_usec 12\n", 1, 17)]
)
def test_a_meter_of_either_kind_of_control_group_is_read(tmp_path: Path, text: str, place: int, number: int) -> None:
    (tmp_path / "meter").write_text(text)
    with (tmp_path / "meter").open("rb") as file:
        assert processes._number_at(file.fileno(), place, 1.0) == number


def test_wiping_never_follows_a_link(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").write_text("here")
    work = tmp_path / "work"
    (work / "a" / "b").mkdir(parents=True)
    (work / "link").symlink_to(kept)
    (work / "a" / "b" / "link").symlink_to(kept)
    os.mkfifo(work / "a" / "pipe")
    os.chmod(work / "a", 0)
    wipe(str(work))
    assert list(work.iterdir()) == []
    assert (kept / "file").read_text() == "here"


def test_importing_the_package_needs_only_the_standard_library() -> None:
    code = (
        "import sys, sandbox, sandbox.judge, sandbox.backends.isolation, sandbox.program_json\n"
        "import sandbox.backends.namespace_backend, "
        "sandbox.backends.local_backend\n"
        "print([m for m in ('docker', 'posttrain', 'rewards', 'pydantic', 'requests') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    assert done.stdout.strip() == "[]"


def test_the_containers_profile_allows_nothing_that_the_inner_filter_refuses() -> None:
    made = json.loads(seccomp_profile.profile())
    assert made["defaultAction"] == "SCMP_ACT_ERRNO"
    allowed = [name for rule in made["syscalls"] if rule["action"] == "SCMP_ACT_ALLOW" for name in rule["names"]]
    assert len(allowed) == len(set(allowed))
    assert set(allowed).isdisjoint(seccomp._REFUSED)
    dangerous = {
        "ptrace",
        "unshare",
        "setns",
        "mount",
        "bpf",
        "keyctl",
        "userfaultfd",
        "io_uring_setup",
        "perf_event_open",
        "io_setup",
        "chroot",
    }
    assert set(allowed).isdisjoint(dangerous)
    assert {"clone", "socket"} == {name for rule in made["syscalls"] for name in rule["names"] if "args" in rule} - {
        "socketpair"
    }

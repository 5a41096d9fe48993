"""The contract of `posttrain sandbox run`: every line answered, in order, exit 0; malformed lines are invalid and the
rest goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.sandbox.worlds import asserting, call, script

ROOT = Path(__file__).parents[2]


def posttrain(*arguments: str, stdin: bytes = b"", **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "posttrain", "sandbox", *arguments],
        input=stdin,
        capture_output=True,
        cwd=ROOT,
        env={**os.environ, **environment},
        timeout=120,
        check=False,
    )


def lines(*rows: object) -> bytes:
    return b"".join((row if isinstance(row, bytes) else json.dumps(row).encode()) + b"\n" for row in rows)


def test_every_line_is_answered_in_order_and_bad_ones_are_invalid() -> None:
    given = lines(
        {**script("print(42)", "", "42"), "id": "a"},
        b"{not json",
        b"\xff\xfe",
        b"[" * 100_000,
        {"id": "b", "program": "x"},
        b"",
        {**call("def f(x): return x", [1], 2), "id": 7, "score": "fraction"},
        [1, 2],
        b'{"id": NaN}',
        b'{"id": ' + b"[" * 900 + b"]" * 900 + b"}",
        {**asserting("def f(x): return x", "assert f(1) == 1"), "id": "c"},
    )
    done = posttrain("run", "--backend", "local", "--allow-unsafe", "--slots", "2", stdin=given)
    assert done.returncode == 0, done.stderr
    assert b"NaN" not in done.stdout
    records = [json.loads(line) for line in done.stdout.splitlines()]
    found = [(record["id"], record["outcome"], record["score"]) for record in records]
    assert found == [
        ("a", "pass", 1.0),
        (None, "invalid", None),
        (None, "invalid", None),
        (None, "invalid", None),
        ("b", "invalid", None),
        (7, "wrong", 0.0),
        (None, "invalid", None),
        (None, "invalid", None),
        (None, "invalid", None),
        ("c", "pass", 1.0),
    ]
    assert all(record["error"] for record in records if record["outcome"] == "invalid")
    keys = {
        "id",
        "outcome",
        "passed",
        "total",
        "score",
        "tests",
        "level",
        "trust",
        "backend",
        "image",
        "retries",
        "seconds",
    }
    assert all(keys <= set(record) for record in records)
    assert {"outcome", "cpu_seconds", "wall_seconds", "max_rss_mb", "signal"} <= set(records[0]["tests"][0])
    assert (records[0]["level"], records[0]["backend"]) == ("none", "local")
    assert b"UNSAFE" in done.stderr


def test_plain_subprocess_needs_the_flag() -> None:
    done = posttrain("run", "--backend", "local", stdin=lines(script("print(1)")))
    assert (done.returncode, done.stdout) == (69, b"")
    assert b"remedy" in done.stderr


def test_a_missing_level_is_exit_69_and_nothing_is_judged() -> None:
    done = posttrain("run", stdin=lines(script("print(1)")), DOCKER_HOST="unix:///nonexistent/docker.sock")
    assert (done.returncode, done.stdout) == (69, b"")
    assert b"remedy" in done.stderr


def test_an_unknown_backend_is_exit_2() -> None:
    assert posttrain("run", "--backend", "cloud").returncode == 2


def test_fail_fast_marks_the_rest() -> None:
    row = script("print(1)")
    row["tests"] = [{"stdin": "", "stdout": "2"}, {"stdin": "", "stdout": "1"}]
    done = posttrain("run", "--backend", "local", "--allow-unsafe", "--fail-fast", stdin=lines(row))
    assert [test["outcome"] for test in json.loads(done.stdout)["tests"]] == ["wrong", "not_run"]


def test_empty_input_is_no_answer_and_no_error() -> None:
    done = posttrain("run", "--backend", "local", "--allow-unsafe")
    assert (done.returncode, done.stdout) == (0, b"")


def test_an_interrupt_ends_what_is_running_and_waits_for_nothing() -> None:
    row = {**script("import time\ntime.sleep(90)", "", "1"), "limits": {"wall_seconds": 99}}
    command = [
        sys.executable,
        "-m",
        "posttrain",
        "sandbox",
        "run",
        "--backend",
        "local",
        "--allow-unsafe",
        "--slots",
        "1",
    ]
    ours = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    # a child of a shell's background job would ignore it.
    listening = signal.signal(signal.SIGINT, signal.default_int_handler)
    with subprocess.Popen(command, cwd=ROOT, **ours) as process:
        signal.signal(signal.SIGINT, listening)
        process.stdin.write(lines(*[row] * 5))
        process.stdin.close()
        process.stderr.readline()  # the level: the judge is there
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        assert process.stdout.read() == b""


def test_doctor_lists_every_level() -> None:
    done = posttrain("doctor", "--json")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["level"] for row in rows] == ["kernel", "container", "namespaces", "none"]
    assert all(row["available"] or (row["why_not"] and row["remedy"]) for row in rows)

"""Lines come in the order and the number in which they were written, and nobody who waits for an answer waits for
ever."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from posttrain.cli.chunks import chunks

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("end", [b"", b"\n", b"\n\n  \n"])
def test_every_line_once_in_order_and_never_more_than_asked(tmp_path: Path, end: bytes) -> None:
    wanted = [b"%d%s" % (number, b"x" * (number % 7 * 30_000)) for number in range(40)]
    (tmp_path / "lines").write_bytes(b"\n\n".join(wanted) + end)
    with (tmp_path / "lines").open("rb") as stream:
        found = list(chunks(stream, 7))
    assert [line for chunk in found for line in chunk] == wanted
    assert max(map(len, found)) <= 7
    assert list(chunks(io.BytesIO(b"a\n\nb\n"), 7)) == [[b"a\n", b"b\n"]]


def test_what_has_come_is_given_out_before_more_comes() -> None:
    reader, writer = os.pipe()
    os.write(writer, b"one\ntw")
    with os.fdopen(reader, "rb") as stream:
        given = chunks(stream, 100)
        assert next(given) == [b"one"]
        threading.Timer(0.2, lambda: (os.write(writer, b"o\nthree"), os.close(writer))).start()
        assert [line for chunk in given for line in chunk] == [b"two", b"three"]


SANDBOX = ("sandbox", "run", "--backend", "local", "--allow-unsafe", "--slots", "1")
PROGRAM = {"program": "print(1)", "tests": [{"stdin": "", "stdout": "1"}]}
VERIFY = ("verify", "--verifier", "math")
ANSWER = {"response": "\\boxed{4}", "gold": "4"}


@pytest.mark.parametrize(("command", "row", "key"), [(SANDBOX, PROGRAM, "pass"), (VERIFY, ANSWER, "correct")])
def test_a_caller_that_waits_for_each_answer_gets_it(
    command: tuple[str, ...], row: dict[str, object], key: str
) -> None:
    child = subprocess.Popen(
        [sys.executable, "-m", "posttrain", *command],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert child.stdin is not None and child.stdout is not None
    try:
        for number in range(3):
            child.stdin.write(json.dumps({"id": number, **row}).encode() + b"\n")
            child.stdin.flush()
            answer = json.loads(child.stdout.readline())
            assert (answer["id"], answer["outcome"]) == (number, key)
        child.stdin.close()
        assert child.wait(timeout=60) == 0
    finally:
        child.kill()
        child.wait()

"""kill -9 anywhere in a stage that asks models, then the same command: the same bytes, and nobody is asked twice but
for what was under way."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.factory.scripted import Roles, judged, models, served, write_part, write_recipe

ROOT = Path(__file__).resolve().parents[2]
POINTS = 20
PUBLISHED = ("rows.jsonl", "history.jsonl", "summary.json", "card.md")
PARALLEL = 3


class Zygote:
    """Runs the command line in a forked process a call; tests/run/zygote.py does the forking."""

    def __init__(self, folder: Path) -> None:
        self._output = folder / "output.txt"
        self._process = subprocess.Popen(
            [sys.executable, str(ROOT / "tests" / "run" / "zygote.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        )

    def run(self, arguments: list[str], **env: str) -> tuple[int, str]:
        """(exit code, minus the signal for a killed one; what it printed)."""
        assert self._process.stdin and self._process.stdout
        call = {"call": ["posttrain.cli", "main"], "arguments": {"arguments": arguments}}
        self._process.stdin.write(json.dumps({**call, "env": env, "output": str(self._output)}) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())["rc"], self._output.read_text()

    def close(self) -> None:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.close()
        self._process.wait(timeout=30)
        self._process.stdout.close()


@pytest.fixture(scope="module")
def zygote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zygote]:
    started = Zygote(tmp_path_factory.mktemp("zygote"))
    yield started
    started.close()


def writer(row: int, text: str, seed: int) -> str:
    return f"It is {row + 1 + seed % 2}{'.' * (seed % 3)}"


def judge(row: int, text: str, seed: int) -> str:
    return judged("right" if f"It is {row + 1}" in text else "wrong", completeness=seed % 10)


def critic(row: int, text: str, seed: int) -> str:
    if "Score the answer" not in text:
        return '<checklist><item kind="correctness">right</item><item kind="safety">safe</item></checklist>'
    first = "pass" if f"It is {row + 1}" in text else "partly"
    items = f'<item number="1" verdict="{first}"></item><item number="2" verdict="{["pass", "fail"][seed % 2]}"></item>'
    return f"<scores>{items}</scores><critique>more {seed % 5}</critique>"


def chain_writer(row: int, text: str, seed: int) -> str:
    if "<summary>" in text:
        return "<summary>one more</summary>"
    return f"I have {row} and count on by one, which makes {row + 1}{', as given in the answer' * (seed % 2)}."


def auditor(row: int, text: str, seed: int) -> str:
    knew = "no" if seed % 3 else "yes"
    return f"<reason>x</reason><reaches>yes</reaches><knew>{knew}</knew><consistent>yes</consistent>"


STAGES: dict[str, tuple[dict[str, Any], dict[str, Callable[[int, str, int], str]]]] = {
    "verify": ({"generators": ["writer"], "samples": 3}, {"writer": writer, "judge": judge}),
    "reconstruct": ({"samples": 3, "min_words": 5}, {"writer": chain_writer, "judge": auditor}),
    "refine": ({"generators": ["writer"], "samples": 2, "rounds": 3}, {"writer": writer, "critic": critic}),
}


def kept_replies(work: Path) -> int:
    """Whole lines of the journal."""
    path = work / "replies.jsonl"
    if not path.exists():
        return 0
    return sum(len(json.loads(line)) for line in path.read_bytes().split(b"\n")[:-1])


@pytest.mark.parametrize(
    "kind", [kind if kind == "verify" else pytest.param(kind, marks=pytest.mark.long) for kind in STAGES]
)
def test_a_kill_at_any_of_twenty_random_points_changes_no_byte_and_asks_nobody_twice(
    kind: str, tmp_path: Path, zygote: Zygote
) -> None:
    keys, scripts = STAGES[kind]
    roles = Roles(scripts)
    with served(roles) as server:
        # The key tells on the server which try a request is of, however late it arrives.
        keys = {**keys, "models": models(server.url, *scripts, parallel=PARALLEL, api_key_env="TRY")}
        file, part = write_part(tmp_path, keys, rows=8)
        if kind == "reconstruct":
            rows = [{"prompt": f"{n}+1?", "completion": f"It is {n + 1}"} for n in range(1, 9)]
            file.write_text("".join(json.dumps(row) + "\n" for row in rows))

        def command(out: Path) -> list[str]:
            return ["data", kind, str(file), "--config", str(part), "--out", str(out), "--json"]

        log = tmp_path / "hits.txt"
        code, said = zygote.run(command(tmp_path / "calm"), POSTTRAIN_FAILPOINT_LOG=str(log), TRY="calm")
        assert code == 0, said
        calm = {name: (tmp_path / "calm" / name).read_bytes() for name in PUBLISHED}
        once = sum(roles.asked.values())
        assert max(roles.asked.values()) == 1 and once == kept_replies(tmp_path / "calm" / "work")
        hits = sorted(set(log.read_text().split()))
        assert {hit.partition(":")[0] for hit in hits} >= {"factory.reply.before", "factory.row.after"}
        killed = 0
        for point in random.Random(7).sample(hits, POINTS):
            out = tmp_path / "killed"
            shutil.rmtree(out, ignore_errors=True)
            code, said = zygote.run(command(out), POSTTRAIN_FAILPOINT=point, TRY=f"killed at {point}")
            assert code in (-signal.SIGKILL, 0), said
            killed += code != 0
            kept = kept_replies(out / "work")
            code, said = zygote.run(command(out), TRY=f"again after {point}")
            assert code == 0, said
            assert {name: (out / name).read_bytes() for name in PUBLISHED} == calm, point
            tries = Counter(request["authorization"] for request in server.requests)
            # The kill took no more than was under way, and only that is asked again.
            assert kept <= tries[f"Bearer killed at {point}"] <= kept + 2 * PARALLEL, point
            assert tries[f"Bearer again after {point}"] == once - kept, point
    assert killed >= POINTS * 3 // 4


def test_a_run_that_is_killed_again_and_again_goes_on_with_the_replies_of_all_its_attempts(
    tmp_path: Path, zygote: Zygote
) -> None:
    """Four attempts, each in a folder of its own in the store: nothing is asked twice."""
    roles = Roles({"writer": lambda row, text, seed: f"It is {row + 1}{'.' * (seed % 3)}", "judge": judge})
    with served(roles) as server:
        asked = models(server.url, "writer", "judge", parallel=1, api_key_env="TRY")
        stage = {"kind": "verify", "name": "pick", "data": "sums", "generators": ["writer"], "models": asked}
        recipe = write_recipe(tmp_path, [stage], rows=6)
        command = ["run", str(recipe), "--out", str(tmp_path / "run"), "--store", str(tmp_path / "store")]
        for point in (
            "factory.reply.after:5",
            "factory.reply.before:7",
            "factory.row.before:1",
            "factory.reply.after:1",
        ):
            assert (
                zygote.run([*command, "--until", "pick"], POSTTRAIN_FAILPOINT=point, TRY="killed")[0] == -signal.SIGKILL
            )
        kept = sum(kept_replies(folder) for folder in (tmp_path / "store" / "work").glob("verify-*/attempt-*"))
        code, said = zygote.run([*command, "--until", "pick"], TRY="last")
        assert code == 0, said
        last = sum(request["authorization"] == "Bearer last" for request in server.requests)
    assert kept > 0 and last == len(roles.asked) - kept
    assert sum(roles.asked.values()) <= len(roles.asked) + 4 * 2  # under way at each of four kills
    assert len((tmp_path / "run" / "stages" / "pick" / "rows.jsonl").read_text().splitlines()) == 6


def test_a_kill_from_outside_while_replies_come_in_loses_only_those_under_way(tmp_path: Path) -> None:
    roles = Roles({"writer": writer, "judge": judge})
    roles.faults = lambda role, row, nth: 0.03
    with served(roles) as server:
        keys = {"generators": ["writer"], "samples": 3, "models": models(server.url, "writer", "judge", parallel=2)}
        file, part = write_part(tmp_path, keys, rows=30)
        out = tmp_path / "out"
        command = [sys.executable, "-m", "posttrain", "data", "verify", str(file), "--config", str(part)]
        for moment in (12, 60):
            process = subprocess.Popen([*command, "--out", str(out)], cwd=ROOT, stdout=subprocess.DEVNULL)
            try:
                end = time.monotonic() + 120
                while sum(roles.asked.values()) < moment and time.monotonic() < end:
                    time.sleep(0.005)
            finally:
                process.kill()
                process.wait()
        kept = kept_replies(out / "work")
        done = subprocess.run([*command, "--out", str(out)], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert kept >= 40 and sum(roles.asked.values()) <= len(roles.asked) + 2 * 4


def test_a_stop_waits_for_what_was_paid_for_and_the_same_command_goes_on(tmp_path: Path) -> None:
    roles = Roles({"writer": writer, "judge": judge})
    roles.faults = lambda role, row, nth: 0.05
    with served(roles) as server:
        keys = {"generators": ["writer"], "samples": 3, "models": models(server.url, "writer", "judge", parallel=2)}
        file, part = write_part(tmp_path, keys, rows=30)
        command = [sys.executable, "-m", "posttrain", "data", "verify", str(file), "--config", str(part)]
        command += ["--out", str(tmp_path / "out")]
        process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
        end = time.monotonic() + 120
        while sum(roles.asked.values()) < 10 and time.monotonic() < end:
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 75 and "the same command continues" in said
        assert kept_replies(tmp_path / "out" / "work") == sum(roles.asked.values()) < 90
        assert subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode == 0
    assert max(roles.asked.values()) == 1


def test_a_torn_line_is_cut_off_and_only_its_reply_is_asked_for_again(tmp_path: Path, zygote: Zygote) -> None:
    roles = Roles({"writer": lambda row, text, seed: f"It is {row + 1}", "judge": judge})
    with served(roles) as server:
        keys = {"generators": ["writer"], "samples": 1, "models": models(server.url, "writer", "judge")}
        file, part = write_part(tmp_path, keys, rows=4)
        command = ["data", "verify", str(file), "--config", str(part), "--out", str(tmp_path / "out")]
        assert zygote.run(command)[0] == 0
        rows = (tmp_path / "out" / "rows.jsonl").read_bytes()
        for name in ("replies.jsonl", "rows.jsonl"):
            path = tmp_path / "out" / "work" / name
            path.write_bytes(path.read_bytes()[:-7])
        before = sum(roles.asked.values())
        assert zygote.run(command)[0] == 0
        assert sum(roles.asked.values()) == before + 1
        assert (tmp_path / "out" / "rows.jsonl").read_bytes() == rows

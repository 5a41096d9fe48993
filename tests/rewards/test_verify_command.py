"""`posttrain verify` and `posttrain verifier new` as a shell sees them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments: str, lines: bytes = b"", cwd: Path = ROOT) -> subprocess.CompletedProcess[bytes]:
    launch = (
        "import sys; sys.path.append(sys.argv.pop(1)); from posttrain.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    return subprocess.run(
        [sys.executable, "-c", launch, str(ROOT), *arguments], input=lines, capture_output=True, cwd=cwd, check=False
    )


def rows(done: subprocess.CompletedProcess[bytes]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_every_line_is_answered_in_order_and_malformed_ones_too() -> None:
    lines = [
        b'{"id": "a", "response": "4", "gold": "4"}',
        b"not json",
        b'{"id": "b", "gold": "4"}',
        b'{"id": "c", "response": "5", "gold": "4", "source": "kept"}',
        b'{"id": "d", "response": "\xff", "gold": "4"}',
        b"[1]",
        b'{"id": "e", "response": "B", "gold": "B", "options": ["1", "2"], "stop_reason": "stop", "num_tokens": 3}',
        b'{"id": "f", "response": "4", "gold": "4", "num_tokens": -1}',
    ]
    done = run("verify", "--verifier", "math", lines=b"\n".join(lines))
    assert done.returncode == 0, done.stderr
    answered = rows(done)
    assert [row["outcome"] for row in answered] == [
        "correct",
        "invalid",
        "invalid",
        "wrong",
        "invalid",
        "invalid",
        "correct",
        "invalid",
    ]
    assert [row["id"] for row in answered] == ["a", None, "b", "c", None, None, "e", "f"]
    assert all({"id", "outcome", "score", "extracted", "reason", "seconds"} <= row.keys() for row in answered)
    assert all(row["error"] and row["score"] is None for row in answered if row["outcome"] == "invalid")


def test_options_are_set_and_wrong_ones_are_refused() -> None:
    line = b'{"response": "the answer is 4", "gold": "4"}'
    assert rows(run("verify", "--verifier", "math", lines=line))[0]["outcome"] == "correct"
    assert rows(run("verify", "--verifier", "math", "--set", "fallback=false", lines=line))[0]["reason"] == "no_box"
    refused = run("verify", "--verifier", "math", "--set", "falback=false", lines=line)
    assert refused.returncode == 2 and b"fallback" in refused.stderr and not refused.stdout


@pytest.mark.parametrize(
    ("kind", "options", "row", "reason"),
    [
        (
            "instructions",
            ["mode=loose"],
            {"response": "**no comma**", "gold": [{"id": "punctuation:no_comma"}]},
            "all_followed",
        ),
        (
            "tool_call",
            ['tags=["<c>", "</c>"]'],
            {"response": '<c>{"name": "f"}</c>', "gold": {"calls": [{"name": "f"}]}},
            "calls_match",
        ),
        ("language", ["language=en"], {"response": "This is what the answer should be."}, "language_as_asked"),
    ],
)
def test_the_kinds_are_asked_from_the_shell(kind: str, options: list[str], row: dict[str, Any], reason: str) -> None:
    flags = [word for option in options for word in ("--set", option)]
    done = run("verify", "--verifier", kind, *flags, lines=json.dumps(row).encode())
    assert [(answer["outcome"], answer["reason"]) for answer in rows(done)] == [("correct", reason)], done.stderr


def test_an_unknown_verifier_names_the_near_ones() -> None:
    done = run("verify", "--verifier", "mth")
    assert done.returncode == 2 and b"math" in done.stderr


RECIPE = """schema: 1
name: small
base: {path: toy, toy: {}}
chat: {think: ["<scratchpad>", "</scratchpad>"]}
verifiers:
  stem: {kind: cascade, steps: [{kind: math}, {kind: choice}]}
data:
  rows: {source: toy, task: stem, rows: 8}
stages:
  - {kind: grpo, name: rl, prompts: rows, verifier: stem, filter: null, group: 2, prompts_per_step: 1}
"""


def test_a_recipe_lends_its_verifier_and_thinking_tags(tmp_path: Path) -> None:
    path = tmp_path / "small.yaml"
    path.write_text(RECIPE, encoding="utf-8")
    line = b'{"response": "<scratchpad>5</scratchpad>4", "gold": "4"}\n{"response": "<scratchpad>4", "gold": "4"}'
    done = run("verify", "--recipe", str(path), "--verifier", "stem", lines=line)
    assert [row["outcome"] for row in rows(done)] == ["correct", "wrong"], done.stderr
    unboxed = run("verify", "--recipe", str(path), "--verifier", "stem", "--set", "steps.0.fallback=false", lines=line)
    assert rows(unboxed)[0]["outcome"] != "correct"
    assert run("verify", "--recipe", str(path), "--verifier", "taste", lines=line).returncode == 2


def test_an_audit_counts_recall_false_accepts_and_slowest(tmp_path: Path) -> None:
    path = tmp_path / "labelled.jsonl"
    labelled = [
        ("4", "4", True),
        ("5", "4", False),
        ("4.0", "4", True),
        ("as many as a die has", "6", True),
        ("(1,2)", "(1,2)", True),
    ]
    path.write_text(
        "\n".join(
            json.dumps({"id": i, "response": r, "gold": g, "expected": e}) for i, (r, g, e) in enumerate(labelled)
        )
    )
    done = run("verify", "--verifier", "math", "--audit", str(path), "--json")
    figures = json.loads(done.stdout)
    assert figures["overall"] == {"n": 5, "recall": 0.75, "false_accepts": 0.0, "abstained": 0, "errors": 0}
    assert figures["by_type"]["tuple"]["recall"] == 1.0
    assert figures["confusion"]["false"] == {"wrong": 1}
    assert len(figures["slowest"]) == 5
    assert b"answer type" in run("verify", "--verifier", "math", "--audit", str(path)).stdout
    path.write_text('{"response": "4", "gold": "4"}')
    unlabelled = run("verify", "--verifier", "math", "--audit", str(path))
    assert unlabelled.returncode == 2 and b"row 1" in unlabelled.stderr


def test_verifier_new_writes_an_example_that_works_with_a_test_that_passes(tmp_path: Path) -> None:
    done = run("verifier", "new", "near_enough", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    line = b'{"response": "about 3.14", "gold": 3.14159}\n{"response": "about 3.2", "gold": 3.14159}'
    judged = run("verify", "--verifier", "near_enough:NearEnough", "--set", "tolerance=0.01", lines=line, cwd=tmp_path)
    assert [row["outcome"] for row in rows(judged)] == ["correct", "wrong"], judged.stderr
    launch = "import sys; sys.path[:0] = ['.', sys.argv.pop(1)]; import pytest; sys.exit(pytest.main(sys.argv[1:]))"
    command = [sys.executable, "-c", launch, str(ROOT), "-q", "-p", "no:cacheprovider", "test_near_enough.py"]
    tested = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    assert tested.returncode == 0, tested.stdout
    assert run("verifier", "new", "near_enough", cwd=tmp_path).returncode == 2
    assert run("verifier", "new", "Near-Enough", cwd=tmp_path).returncode == 2

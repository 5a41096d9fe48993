"""The stage `tests` end to end: a server with scripted roles, and the real judge."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from benchmarks.factory_tests import Known, code_problems, compare_problems, written_tests
from benchmarks.judge_attacks.server import ScriptedServer
from posttrain.cli import main
from posttrain.data.source_rows import load_source_rows
from posttrain.errors import RecipeError
from posttrain.recipe.checks import check_references
from posttrain.recipe.schema import FileData
from posttrain.run.rows_alone import load_part
from sandbox.judge import Judge
from sandbox.types import UNSAFE_SENTENCE
from tests.factory.scripted import lines
from tests.recipe.world import write_jsonl

LOCAL = {"backend": "local", "min_level": "none", "allow_unsafe": UNSAFE_SENTENCE}
ADD = "def add(a, b):\n    return a + b"
GENERATORS = """
def small():
    return [(0, 0), (1, 2), (2, 1), (-1, 1), (5, 0), (0, 5)]
def regular(rng):
    return [(rng.randint(-99, 99), rng.randint(-99, 99)) for _ in range(5)]
def adversarial(rng):
    return [(10**9, 10**9), (-10**9, 10**9)]
"""
TESTER = {
    "mistakes": "the sign",
    "validator": "def valid(a, b):\n    return abs(a) <= 10**9 and abs(b) <= 10**9",
    "generators": GENERATORS,
    "checker": "none",
}
Says = Callable[[str, dict[str, Any]], str]


def form(fields: Mapping[str, str]) -> str:
    return "\n".join(f"<{name}>\n{text}\n</{name}>" for name, text in fields.items())


def program(code: str) -> str:
    return f"```python\n{code}\n```"


def made(
    folder: Path,
    row: Mapping[str, Any],
    roles: Mapping[str, Says],
    *,
    code: int = 0,
    **keys: Any,
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """`data tests` on one row: (rows that it publishes, the row's history)."""
    file, part = write_jsonl(folder / "rows.jsonl", [dict(row)]), folder / "part.yaml"
    with ScriptedServer(lambda prompt, body: roles[body["model"]](prompt, body)) as server:
        models = {role: {"endpoint": server.url, "model": role, "version": "1", "retries": 0} for role in roles}
        whole = {"models": models, "verifier": "code", "verifiers": {"code": {"kind": "code"}}, "sandbox": LOCAL}
        part.write_text(json.dumps({**whole, "solutions": 0 if "solver" not in roles else 2, **keys}))
        out = folder / "out"
        assert main(["data", "tests", str(file), "--config", str(part), "--out", str(out), "--json"]) == code
    where = out if code == 0 else out / "work" / "output"
    published = lines(out / "rows.jsonl") if code == 0 else []
    return published, lines(where / "history.jsonl")[0]


def by_tester(**changed: str) -> Says:
    return lambda prompt, body: form({**TESTER, **changed})


ROW = {"id": "add", "prompt": "Write add(a, b): the sum.", "gold": {"entry_point": "add"}, "completion": program(ADD)}


def test_right_solutions_pass_and_wrong_ones_fail_tests_written_without_sight_of_them(tmp_path: Path) -> None:
    names = ("bank", "components", "digit_root", "second_largest", "peak")
    problems = [one for one in code_problems() if one.name in names]
    rows = [{"id": one.name, "prompt": one.text, "metadata": {"entry_point": one.entry_point}} for one in problems]
    little = {"limits": {"cpu_seconds": 1.0}, "mutants": 5, "reruns": 2}
    published, figures = written_tests(problems, rows, tmp_path, backend="local", more=little)
    with Judge("local", "none", UNSAFE_SENTENCE) as judge:
        found = compare_problems(judge, problems, published, Known(tmp_path / "outcomes.json"))
    assert found["kept"] == 5 and found["right pass"] == found["right"] == 15
    assert found["wrong"] == 25 and found["wrong fail"] >= 24
    assert found["wrong fail without adversarial inputs"] < found["wrong fail"]
    assert figures["counts"]["mutants caught"] >= 0.8 * figures["counts"]["mutants"]


def test_rows_are_prompts_with_golds_and_lineage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    published, history = made(tmp_path, ROW, {"tester": by_tester()})
    row = published[0]
    assert row["gold"]["entry_point"] == "add" and {"args": [1, 2], "expected": 3} in row["gold"]["tests"]
    assert len(row["gold"]["tests"]) == len(row["metadata"]["test_kinds"]) == 13
    assert row["metadata"]["public_tests"] == row["gold"]["tests"][:3]
    assert row["made_from"][0]["caught"]["mutants"] == row["made_from"][0]["caught"]["mutants caught"] > 0
    read = load_source_rows(
        "made", FileData(source="file", path=str(tmp_path / "out" / "rows.jsonl"), card="-"), tmp_path
    )
    assert read.items[0].gold == row["gold"] and not read.faults
    assert main(["data", "show", str(tmp_path / "out"), "--row", "1"]) == 0
    assert "judge.audit     mutants " in capsys.readouterr().out
    before = (tmp_path / "out" / "history.jsonl").read_bytes()
    made(tmp_path, ROW, {"tester": lambda prompt, body: pytest.fail("asked twice")})
    assert (tmp_path / "out" / "history.jsonl").read_bytes() == before
    assert [event["place"] for event in history["events"] if "found" in event] == [
        "judge.inputs",
        "judge.answers.0",
        "judge.tests",
        "judge.audit",
    ]


def test_in_reverse_the_text_comes_after_solution_and_tests(tmp_path: Path) -> None:
    asked: list[str] = []

    def author(prompt: str, body: dict[str, Any]) -> str:
        asked.append(prompt)
        if len(asked) == 1:
            inputs = "def small():\n    return ['2 3\\n', '0 0\\n', '-1 1\\n']"
            return form(
                {
                    "idea": "add two numbers",
                    "entry_point": "script",
                    "solution": "print(sum(map(int, input().split())))",
                    "inputs": inputs,
                }
            )
        return form({"problem": "Read two integers, print their sum."})

    def solver(prompt: str, body: dict[str, Any]) -> str:
        assert "Read two integers" in prompt and "sum(map" not in prompt
        return program("a, b = map(int, input().split())\nprint(a + b)")

    inputs = """
def small():
    return ['2 3\\n', '7 0\\n', '0 -1\\n']
def regular(rng):
    return [f'{rng.randint(0, 9)} {rng.randint(0, 9)}\\n' for _ in range(4)]
def adversarial(rng):
    return ['1000000000 1000000000\\n']
"""
    valid = "def valid(text):\n    return len(text.split()) == 2"
    published, _ = made(
        tmp_path,
        {"id": "seed", "prompt": "sums"},
        {"author": author, "solver": solver, "tester": by_tester(validator=valid, generators=inputs)},
        reverse=True,
    )
    assert published[0]["prompt"] == [{"role": "user", "content": "Read two integers, print their sum."}]
    assert "output:\n| 5" in asked[1] and "sum(map" in asked[1]
    assert published[0]["metadata"]["public_tests"][0] == {"stdin": "2 3\n", "stdout": "5\n"}
    assert published[0]["made_from"][0]["references"][0] == "author"


def test_what_does_not_run_is_shown_to_the_tester_once_and_mended(tmp_path: Path) -> None:
    prompts: list[str] = []

    def says(prompt: str, body: dict[str, Any]) -> str:
        prompts.append(prompt)
        broken = GENERATORS.replace("10**9, 10**9", "10**9 / 0, 1")
        return form({**TESTER, "generators": broken if len(prompts) == 1 else GENERATORS})

    published, _ = made(tmp_path, ROW, {"tester": says})
    assert len(published) == 1 and len(prompts) == 2
    assert "adversarial: it ends with runtime_error: ZeroDivisionError" in prompts[1]


def test_inputs_that_the_validator_refuses_make_no_tests(tmp_path: Path) -> None:
    strict = "def valid(a, b):\n    assert abs(a) < 10**9, 'too large'\n    return True"
    published, history = made(tmp_path, ROW, {"tester": by_tester(validator=strict)}, code=1)
    assert history["set_aside"].startswith("tester: adversarial: the validator refuses all of its inputs")
    some = "def valid(a, b):\n    return abs(a) <= 10**9 and a != 5"
    published, _ = made(tmp_path / "some", ROW, {"tester": by_tester(validator=some)})
    assert all(test["args"][0] != 5 for test in published[0]["gold"]["tests"]) and len(published) == 1


def test_reference_solutions_that_disagree_set_the_row_aside(tmp_path: Path) -> None:
    def solver(prompt: str, body: dict[str, Any]) -> str:
        return program(ADD if body["seed"] % 2 else f"def add(a, b):\n    return a - b  # {body['seed']}")

    row = {key: value for key, value in ROW.items() if key != "completion"}
    _, history = made(
        tmp_path, row, {"solver": lambda *_: program("def add(a, b):\n    return a"), "tester": by_tester()}, code=1
    )
    assert history["set_aside"] == "too few reference solutions agree (1 of 1)"
    _, history = made(tmp_path / "mixed", row, {"solver": solver, "tester": by_tester()}, code=1, solutions=4, agree=4)
    assert history["set_aside"].startswith("too few reference solutions agree (")


def test_flaky_and_slow_tests_are_dropped_and_the_others_kept(tmp_path: Path) -> None:
    unsteady = (
        "import random, time\ndef add(a, b):\n    if a == 10**9:\n        return random.random()\n"
        "    if a == -10**9:\n        end = time.process_time() + 0.5\n"
        "        while time.process_time() < end:\n            pass\n    return a + b"
    )
    row = {**ROW, "completion": program(unsteady)}
    keys = {"limits": {"cpu_seconds": 1.0}, "mutants": 3, "least_caught": 0.5}
    published, _ = made(tmp_path, row, {"tester": by_tester()}, **keys)
    first = [test["args"][0] for test in published[0]["gold"]["tests"]]
    assert 10**9 not in first and -(10**9) not in first and len(first) >= 10
    assert published[0]["gold"]["limits"] == {"cpu_seconds": 1.0}


def test_a_row_whose_known_wrong_solutions_pass_is_set_aside(tmp_path: Path) -> None:
    wrong = "def add(a, b):\n    return a + b if a < 10**6 else 0"
    row = {**ROW, "wrong_solutions": [wrong]}
    published, _ = made(tmp_path, row, {"tester": by_tester()})
    assert published[0]["made_from"][0]["caught"]["wrong solutions caught"] == 1
    assert "wrong_solutions" not in published[0].get("metadata", {})
    blind = GENERATORS.replace("10**9", "10**5")
    _, history = made(tmp_path / "blind", row, {"tester": by_tester(generators=blind)}, code=1)
    assert history["set_aside"] == "wrong solutions pass (1 of 1)"


def test_tests_that_let_mutants_pass_are_not_kept(tmp_path: Path) -> None:
    same = ":\n    return [(0, 0)]\n"
    zero = f"def small(){same}def regular(rng){same}def adversarial(rng){same}"
    _, history = made(tmp_path, ROW, {"tester": by_tester(generators=zero)}, code=1, min_tests=1)
    assert history["set_aside"].startswith("audit: ")
    _, history = made(tmp_path / "few", ROW, {"tester": by_tester(generators=zero)}, code=1)
    assert history["set_aside"] == "too few tests (1 of 5 that are needed)"


def test_a_checker_that_accepts_everything_is_found_out(tmp_path: Path) -> None:
    lax = by_tester(checker="def accepts(given, output, answer):\n    return True")
    _, history = made(tmp_path, ROW, {"tester": lax}, code=1)
    assert history["set_aside"].startswith("audit: mutants pass: a program that does nothing passes")
    broken = by_tester(checker="def accepts(given, output, answer):\n    return unknown")
    _, history = made(tmp_path / "broken", ROW, {"tester": broken}, code=1)
    assert history["set_aside"].startswith("a solution fails the tests that its own answers make (")


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"models": {"solver": {"endpoint": "http://127.0.0.1:1/v1", "model": "s"}}}, "no model 'tester'"),
        ({"reverse": True}, "no model 'author'"),
        ({"solutions": 2}, "no model 'solver'"),
        ({"verifiers": {"code": {"kind": "math"}}}, "'code' is no verifier of kind code"),
        ({"limits": {"cpu": 1}}, "no limit 'cpu'"),
        ({"verifier": None}, "verifier"),
    ],
)
def test_recipes_that_cannot_work_are_refused(tmp_path: Path, changed: dict[str, Any], says: str) -> None:
    file = write_jsonl(tmp_path / "rows.jsonl", [ROW])
    keys: dict[str, Any] = {
        "models": {"tester": {"endpoint": "http://127.0.0.1:1/v1", "model": "t"}},
        "solutions": 0,
        "verifier": "code",
        "verifiers": {"code": {"kind": "code"}},
        **changed,
    }
    part = tmp_path / "part.yaml"
    part.write_text(json.dumps(keys))
    with pytest.raises(RecipeError, match=says):
        check_references(load_part("tests", part, file, None))

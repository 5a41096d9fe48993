"""Mutants, the audit of a data set's tests and its command, the bench command, and a sample of the honest corpus."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.honest_programs import human_eval, own
from benchmarks.judge_honest import count
from benchmarks.judge_stability import corpus
from sandbox.judge import Judge
from sandbox.program_json import parse_program
from sandbox.proof.audit import Finding, audit_problems
from sandbox.proof.bench import OVERSHOOTS, measure
from sandbox.proof.mutants import mutants
from sandbox.types import Outcome, OutputTest, Program
from tests.sandbox.test_command import lines, posttrain
from tests.sandbox.worlds import SENTENCE, call, script

SOURCE = "def f(a, b=1):\n    if a > b:\n        return a + b\n    print(a)\n    return a and 'x'\n"


@pytest.fixture(scope="module")
def judge() -> Any:
    with Judge("local", "none", SENTENCE, slots=2) as made:
        yield made


def test_mutants_differ_from_the_program_and_from_each_other() -> None:
    found = mutants(SOURCE, 50)
    texts = [text for _, text in found]
    assert texts[0] == "def f(a, b=1):\n    pass"
    assert len(set(texts)) == len(texts) and SOURCE not in texts
    assert found == mutants(SOURCE, 50)
    assert {what.split()[0] for what, _ in found[1:]} == {"return", "condition", "operator", "constant", "statement"}
    assert len(mutants(SOURCE, 3)) == 3


@given(st.integers(1, 30))
def test_as_many_mutants_as_asked_for_at_most(most: int) -> None:
    assert 1 <= len(mutants(SOURCE, most)) <= most


def examined(judge: Judge, row: dict[str, Any]) -> Finding:
    return audit_problems(judge, [parse_program(row)], most_mutants=6, reruns=2)[0]


def test_good_tests_are_kept(judge: Judge) -> None:
    found = examined(judge, {**call("def f(x): return x * 2 + 1", [3], 7)})
    assert (found.drop, found.flaky, found.slow, found.blind) == ((), (), (), ())
    assert found.mutants == found.caught > 2


def test_a_reference_solution_that_fails_is_named_with_its_test(judge: Judge) -> None:
    row = call("def f(x): return x", [1], 1)
    row["tests"].append({"args": [2], "expected": 5})
    (reason,) = examined(judge, row).drop
    assert reason.startswith("the reference solution fails test 1: wrong")


def test_tests_that_catch_nothing_are_dropped(judge: Judge) -> None:
    row = {"id": "p", "program": SOURCE, "entry_point": "f", "tests": [{"assert": "f(3, 2)\nassert True"}]}
    found = examined(judge, row)
    assert found.drop == ("a program that does nothing passes", f"only 0 of {found.mutants} mutants fail")
    assert found.blind == (0,)


def test_a_blind_test_beside_a_good_one_is_named(judge: Judge) -> None:
    row = call("def f(x): return x * 2 + 1", [3], 7)
    row["tests"].append({"assert": "f(3)\nassert True"})
    assert examined(judge, row).blind == (1,)


def test_flaky_tests_are_named(judge: Judge) -> None:
    flips = "import os\nprint(os.getpid() % 2)"
    found = audit_problems(judge, [parse_program(script(flips, "", "1"))], most_mutants=1, reruns=8)[0]
    assert found.flaky == (0,) and found.drop == ("flaky: test 0",)


def test_slow_tests_are_named(judge: Judge) -> None:
    slow = "import time\nwhile time.process_time() < 0.5: pass\nprint(input())"
    found = examined(judge, script(slow, "a", "a", limits={"cpu_seconds": 1.2}))
    assert found.slow == (0,) and "slow: test 0" in found.drop[0]


def test_the_command_writes_what_to_drop_and_names_bad_lines(tmp_path: Path) -> None:
    data, drop = tmp_path / "problems.jsonl", tmp_path / "drop.jsonl"
    good, bad = (
        {**call("def f(x): return x + 1", [1], 2), "id": "good"},
        {**call("def f(x): return x", [1], 2), "id": "bad"},
    )
    data.write_bytes(lines(good, bad, b"{", {"id": "n"}, {**good, "program": "def f(x: return"}))
    local = ("--backend", "local", "--allow-unsafe", "--mutants", "3", "--reruns", "2")
    done = posttrain("audit", str(data), *local, "--drop", str(drop))
    assert done.returncode == 2, done.stderr
    assert [(row["id"], row["keep"]) for row in map(json.loads, done.stdout.splitlines())] == [
        ("good", True),
        ("bad", False),
    ]
    assert drop.read_text() == '"bad"\n'
    assert all(f"line {number}: " in done.stderr.decode() for number in (3, 4, 5))
    assert b"keep 1, drop 1, undecided 0, unreadable lines 3" in done.stderr
    assert posttrain("audit", "-", *local, stdin=lines(good)).returncode == 0
    assert posttrain("audit", "-", *local, stdin=lines(bad)).returncode == 1


def test_the_command_explains_a_missing_or_empty_file(tmp_path: Path) -> None:
    for path in (tmp_path / "none.jsonl", tmp_path):
        done = posttrain("audit", str(path))
        assert done.returncode == 2 and b"remedy" in done.stderr
    done = posttrain("audit", "-")
    assert done.returncode == 2 and b"remedy" in done.stderr


def test_figures_are_measured_and_positive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sandbox.proof.bench._OVER_ROUNDS", 1)  # that it is measured shows in one
    found = {
        figure.name: figure.value for figure in measure(lambda slots: Judge("local", "none", SENTENCE, slots), tests=20)
    }
    assert all(value > 0 for value in found.values()), found
    assert {
        "tests a second, one slot",
        "a program of one test, median",
        "a plain subprocess a test, best",
        *OVERSHOOTS,
    } <= set(found)


SAMPLE = (
    "stdin/stdin_buffer_read/1",
    "stdin/memory_of_stdin/2",
    "stdin/sys_exit_in_a_function/3",
    "stdin/recursion_of_100_000/0",
    "stdin/subprocess/1",
    "stdin/numbers_in_other_notations/4",
    "call/tuple_for_a_list/2",
    "call/solution_class/1",
    "assert/raises/3",
    "check/state_between_calls/2",
)


def test_the_honest_corpus_has_its_size_and_no_template_more_than_five() -> None:
    rows = [honest.row for honest in own()]
    assert len(rows) + 164 >= 500
    assert len({row["id"] for row in rows}) == len(rows)
    for honest in own():
        parse_program(json.loads(json.dumps(honest.row)))
        assert honest.twins[0] != honest.row["program"]


def test_honest_programs_pass_and_their_twins_fail(judge: Judge) -> None:
    sample = [honest for honest in own() if honest.row["id"] in SAMPLE]
    counts = count(judge, sample, 1)
    assert (counts.programs, counts.false_fails, counts.unseen) == (len(SAMPLE), (), ())


def test_reference_solutions_pass_and_a_mutant_fails(judge: Judge) -> None:
    every = list(human_eval())
    counts = count(judge, every[::20], 1)
    assert (len(every), counts.false_fails, counts.unseen) == (164, (), ())


def test_the_stability_corpus_spreads_over_the_limit() -> None:
    shares = [share for share, _ in corpus(50, 10)]
    near = [share for share in shares if share]
    assert (len(shares), len(near), near[0], near[-1]) == (50, 10, 0.5, 1.5)


def test_what_a_script_prints_is_kept_where_it_ends_well(judge: Judge) -> None:
    tests = (OutputTest(stdin=b"3"), OutputTest(stdin=b"x"), OutputTest(stdin=b"0"))
    source = "n = int(input())\nprint('é' * n)"
    found = judge.run([Program(id="p", program=source, tests=tests, score="fraction")])[0]
    assert [test.output for test in found.tests] == ["ééé\n", "", "\n"]
    assert found.tests[1].outcome is Outcome.RUNTIME_ERROR and found.passed == 2
    assert "output" not in found.to_json()["tests"][0]


def test_an_audit_that_stops_at_the_first_failed_test_catches_the_same(judge: Judge) -> None:
    row = call("def f(x):\n    return x * 2 + 1", [1], 3)
    row["tests"] += [{"args": [0], "expected": 1}, {"args": [5], "expected": 11}]
    slow, fast = (audit_problems(judge, [parse_program(row)], fail_fast=fast)[0] for fast in (False, True))
    assert (slow.mutants, slow.caught, slow.drop) == (fast.mutants, fast.caught, fast.drop) and fast.caught > 0

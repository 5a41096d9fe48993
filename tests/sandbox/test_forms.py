"""Checkers, pytest files and the packages of the profile science: right programs pass, wrong ones fail, a broken test
scores nobody."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.images.root_tree import PLAIN, SCIENCE, digest, profile_of, prune
from sandbox.judge import Judge
from sandbox.program_json import parse_program
from sandbox.types import Judgement, Outcome
from tests.sandbox.worlds import SENTENCE, need_namespaces, script

CHECKER = """
import sys
wanted = int(open(sys.argv[1]).read())
parts = open(sys.argv[2]).read().split()
assert open(sys.argv[3]).read() == "the answer"
if len(parts) != 2:
    sys.exit(2)
if sum(map(int, parts)) != wanted:
    print("the sum is off", file=sys.stderr)
    sys.exit(1)
"""
TESTS = """
import pytest
from solution import f

@pytest.mark.parametrize("x", [1, 2])
def test_adds_one(x):
    assert f(x) == x + 1

class TestMore:
    def test_zero(self, tmp_path):
        assert f(0) == 1
"""


@pytest.fixture(scope="module", params=["namespaces", pytest.param("docker", marks=pytest.mark.docker)])
def judge(request: pytest.FixtureRequest) -> Iterator[Judge]:
    if request.param == "namespaces":
        need_namespaces()
    with Judge(request.param, "none", SENTENCE, slots=1) as made:
        yield made


def checked(judge: Judge, program: str, checker: str = CHECKER) -> Judgement:
    row: dict[str, Any] = {
        "id": 1,
        "program": program,
        "tests": [{"stdin": "10", "checker": checker, "answer": "the answer"}],
    }
    return judge.run([parse_program(row)])[0]


def by_pytest(judge: Judge, program: str, tests: str = TESTS) -> Judgement:
    return judge.run([parse_program({"id": 1, "program": program, "tests": [{"pytest": tests}]})])[0]


def test_a_checker_takes_any_right_answer_and_no_wrong_one(judge: Judge) -> None:
    right = checked(judge, "n = int(input())\nprint(3, n - 3)")
    assert (right.outcome, right.score, right.trust) == (Outcome.PASS, 1.0, "full")
    for program in ("print(1, 1)", "print(10)", "print('x', 'y')", ""):
        assert checked(judge, program).outcome is Outcome.WRONG, program
    assert checked(judge, "print(3, 7)\n1 / 0").outcome is Outcome.RUNTIME_ERROR


@pytest.mark.parametrize("checker", ["import sys; sys.exit(3)", "no_such_name", "import no_such_module", "def"])
def test_a_checker_that_cannot_judge_scores_nobody(judge: Judge, checker: str) -> None:
    result = checked(judge, "print(3, 7)", checker)
    assert (result.outcome, result.score) == (Outcome.INVALID, None)


def test_an_output_that_looks_like_a_broken_checker_is_wrong(judge: Judge) -> None:
    echo = "import sys\nprint(open(sys.argv[2]).read(), file=sys.stderr)\nsys.exit(1)"
    result = checked(judge, "print('NameError: x')", echo)
    assert (result.outcome, result.score) == (Outcome.WRONG, 0.0)


def test_a_checker_that_evaluates_the_output_is_not_to_be_trusted(judge: Judge) -> None:
    by_eval = "import sys\nsys.exit(0 if eval(open(sys.argv[2]).read()) == 24 else 1)"
    for program, outcome in (
        ("print('4 * 6')", Outcome.PASS),
        ("print('exit(0)')", Outcome.PASS),
        ("print('4 * 5')", Outcome.WRONG),
    ):
        result = checked(judge, program, by_eval)
        assert (result.outcome, result.trust) == (outcome, "low")


def test_a_checkers_files_may_be_large(judge: Judge) -> None:
    compares = "import sys\nsys.exit(open(sys.argv[1]).read() != open(sys.argv[2]).read())"
    stdin = "x" * 30_000_000
    row = {"id": 1, "program": "print(input(), end='')", "tests": [{"stdin": stdin, "checker": compares}]}
    row["limits"] = {"output_bytes": 40_000_000}
    assert judge.run([parse_program(row)])[0].outcome is Outcome.PASS


def test_points_in_part_are_not_a_pass(judge: Judge) -> None:
    assert checked(judge, "print(1)", "import sys; sys.exit(7)").score == 0.0


def test_neither_checker_nor_answer_is_where_the_program_runs(judge: Judge) -> None:
    listing = "import os\nassert not os.listdir('.')\nprint(3, 7)"
    assert checked(judge, listing).outcome is Outcome.PASS


def test_a_pytest_file_passes_with_low_trust(judge: Judge) -> None:
    result = by_pytest(judge, "def f(x): return x + 1")
    assert (result.outcome, result.score, result.trust) == (Outcome.PASS, 1.0, "low"), result


@pytest.mark.parametrize(
    ("program", "outcome"),
    [
        ("def f(x): return x", Outcome.WRONG),
        ("import pytest\ndef f(x): pytest.skip('no')", Outcome.WRONG),
        ("import os\ndef f(x): os._exit(0)", Outcome.EARLY_EXIT),
        ("open('conftest.py', 'w').write('collect_ignore_glob = [\"*\"]')\ndef f(x): return x", Outcome.WRONG),
        ("open('pytest.ini', 'w').write('[pytest]\\naddopts = --co')\ndef f(x): return x", Outcome.WRONG),
        ("def g(x): return x", Outcome.WRONG),
        ("1 / 0", Outcome.RUNTIME_ERROR),
    ],
)
def test_a_pytest_file_that_fails_skips_or_never_runs_is_no_pass(judge: Judge, program: str, outcome: Outcome) -> None:
    result = by_pytest(judge, program)
    assert (result.outcome, result.score) == (outcome, 0.0), result


def test_a_pytest_file_without_tests_is_invalid(judge: Judge) -> None:
    assert by_pytest(judge, "x = 1", "import solution").outcome is Outcome.INVALID


@pytest.mark.skipif(
    importlib.util.find_spec("numpy") is None, reason="numpy is not installed; remedy: pip install numpy"
)
def test_programs_may_use_numpy_where_it_is_installed(judge: Judge) -> None:
    programs = {
        "import numpy as np\nprint(int(np.linalg.inv(np.eye(3)).trace()))": "3",
        "from math import *\nprint(floor(3.5))": "3",
    }
    for program, answer in programs.items():
        assert judge.run([parse_program(script(program, "", answer))])[0].outcome is Outcome.PASS
    assert [profile_of(program) for program in programs] == [SCIENCE, PLAIN]
    with judge.session() as session:
        assert session.run("import sympy\nsympy.factor(sympy.Symbol('x')**2 - 1)").output == "(x - 1)*(x + 1)\n"


def test_a_box_grows_with_the_limits_of_a_program(judge: Judge) -> None:
    fills = (
        "x = bytearray(700 << 20)\nfor i in range(0, len(x), 4096): x[i] = 1\nopen('a', 'wb').write(b'x' * (70 "
        "<< 20))\nprint('done')"
    )
    rows = [script(fills, "", "done", limits={"memory_mb": 900, "disk_mb": 80}), script(fills, "", "done")]
    large, small = judge.run([parse_program(row) for row in rows])
    assert large.outcome is Outcome.PASS
    assert small.outcome in (Outcome.MEMORY_LIMIT, Outcome.DISK_LIMIT)


def test_trees_that_nobody_uses_are_pruned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTTRAIN_SANDBOX_CACHE", str(tmp_path))
    old, young, other = "a" * 64, "b" * 64, "notes"
    for name in (old, young, other, digest()):
        (tmp_path / name).mkdir()
        (tmp_path / f"{name}.image").write_text("sha256:0")
    for path in tmp_path.iterdir():
        if young not in path.name:
            os.utime(path, (0, 0))
    assert prune() == [old, f"{old}.image"]
    assert len(list(tmp_path.iterdir())) == 6


PRINTS = "import sys\nprint({})"


@pytest.mark.parametrize(
    ("said", "outcome"),
    [("1", Outcome.PASS), ("'1.0'", Outcome.PASS), ("0", Outcome.WRONG), ("0.5", Outcome.WRONG)],
)
def test_a_checker_may_print_its_verdict_where_the_test_says_so(judge: Judge, said: str, outcome: Outcome) -> None:
    test = {"stdin": "10\n", "checker": PRINTS.format(said), "verdict_by": "stdout"}
    assert judge.run([parse_program({"id": 1, "program": "print(1)", "tests": [test]})])[0].outcome is outcome


@pytest.mark.parametrize(("by", "said"), [("exit", "0"), ("exit", "1"), ("stdout", "'fine'"), ("stdout", "100")])
def test_a_checker_that_prints_what_was_not_agreed_passes_nobody(judge: Judge, by: str, said: str) -> None:
    test = {"stdin": "10\n", "checker": PRINTS.format(said), "verdict_by": by}
    result = judge.run([parse_program({"id": 1, "program": "print(1)", "tests": [test]})])[0]
    assert (result.outcome, result.score) == (Outcome.INVALID, None)


def test_an_answer_that_makes_a_checker_print_does_not_spoil_the_row(judge: Judge) -> None:
    checker = "import sys\nsaid = open(sys.argv[2]).read()\nif said.strip() != '7':\n    print('not seven')"
    test = {"stdin": "10\n", "checker": checker, "answer": "7"}
    result = judge.run([parse_program({"id": 1, "program": "print(8)", "tests": [test]})])[0]
    assert (result.outcome, result.score) == (Outcome.WRONG, 0.0)


TRUE_AND_FALSE = [
    ("return [0]", True),
    ("return []", False),
    ("return iter([])", True),
    ("import re\n    return re.match('a', 'ab')", True),
    ("return type('T', (), {'__bool__': lambda self: False})()", False),
    ("return type('T', (), {'__len__': lambda self: 0})()", False),
    ("return object()", True),
    ("import numpy\n    return numpy.array([True])", True),
    ("import numpy\n    return numpy.array([[False]])", False),
    ("import numpy\n    return numpy.array([True, True])", None),
    ("import numpy\n    return numpy.array([False, False])", None),
]


@pytest.mark.parametrize(("body", "truth"), TRUE_AND_FALSE)
@pytest.mark.parametrize("form", ["assert {}f(1)", "x = f(1)\nassert {}x"])
def test_an_assert_asks_an_object_whether_it_is_true_as_python_does(
    judge: Judge, body: str, truth: bool | None, form: str
) -> None:
    """Whether the test is a call or runs in a box of its own; an array of several values is neither true nor false."""
    for negation, wanted in (("", True), ("not ", False)):
        row = {"id": 1, "program": f"def f(x):\n    {body}", "tests": [{"assert": form.format(negation)}]}
        assert (judge.run([parse_program(row)])[0].outcome is Outcome.PASS) is (truth is wanted), negation

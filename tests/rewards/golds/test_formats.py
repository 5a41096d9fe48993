"""The table of shapes: how a row is recognised, forced into a shape, and refused."""

from __future__ import annotations

import base64
import contextlib
import json
import pickle
import re
import zlib
from pathlib import Path
from random import Random
from typing import Any

import pytest

from rewards.errors import GoldError
from rewards.golds.formats import FORMATS, read_problem
from rewards.golds.problem import Problem, decoded
from tests.rewards.golds import code_rows, plain_rows


class _Runs:
    """What it pickles to would call a function when it is loaded."""

    def __reduce__(self) -> tuple[object, ...]:
        return (pytest.fail, ("the pickle was loaded",))


GSM8K = {"question": "Mia has 3 boxes of 4 pens. How many?", "answer": "She has 3*4=<<3*4=12>>12 pens.\n#### 12"}


def test_a_shape_is_known_by_its_columns_and_says_which_it_used() -> None:
    wanted = Problem(
        format="GSM8K",
        gold="12",
        verifier="math",
        question="Mia has 3 boxes of 4 pens. How many?",
        columns=("answer", "question"),
    )
    assert read_problem(GSM8K) == wanted
    assert read_problem({"prompt": "2+2?", "gold": "4"}) is None


def test_a_forced_shape_is_kept_or_refused_with_the_columns_of_both() -> None:
    assert read_problem(GSM8K, "gsm8k") == read_problem(GSM8K)
    with pytest.raises(GoldError, match=r"not the shape GSM8K \(question, answer with ####\); it has gold, prompt"):
        read_problem({"prompt": "2+2?", "gold": "4"}, "GSM8K")
    with pytest.raises(GoldError, match=r"unknown gold_format 'GSM9K'\n  remedy: did you mean GSM8K"):
        read_problem(GSM8K, "GSM9K")


def test_json_text_is_read_as_json_and_a_plain_number_stays_text() -> None:
    assert decoded('{"a": 1}') == {"a": 1}
    assert decoded('"{\\"a\\": [1]}"') == {"a": [1]}
    assert decoded("42") == "42"
    assert decoded("[not json") == "[not json"
    assert decoded("[{'a': None}]") == [{"a": None}]
    assert decoded("['a' 'b']") == "['a' 'b']"


_STDIN = json.dumps({"inputs": ["1\n"], "outputs": ["2\n"]})
_CASES = json.dumps([{"input": "1\n", "output": "2\n", "testtype": "stdin"}])
_CHOICE = {"question": "Which?", "choices": ["a", "b"]}


def _forces(**columns: Any) -> dict[str, Any]:
    return {"title": "A", "description": "Guess.", "official_tests": [{"input": "1", "output": "2"}], **columns}


def _private(value: object) -> dict[str, Any]:
    data = base64.b64encode(zlib.compress(pickle.dumps(value))).decode()
    return {"question_content": "Q", "public_test_cases": "[]", "private_test_cases": data}


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a checker of its own": (_forces(generated_checker="import sys"), "a checker of the row's own tells which"),
    "testlib's checker in C++": (
        _forces(checker='#include "testlib.h"'),
        "arguments input, output, answer; exit code 0",
    ),
    "an interactive problem": (_forces(interaction_format="Ask ..."), "interactive problem needs its interactor"),
    "interactive by its text": (_forces(description="This is an interactive problem."), "needs its interactor"),
    "files instead of standard input": (_forces(input_mode="file"), "read and write named files"),
    "CodeContests with files": (
        {"description": "Q", "public_tests": {"input": ["1"], "output": ["2"]}, "input_file": "a.in"},
        "read and write named files",
    ),
    "any of several answers": (
        {"question": "If there are several answers, print any of them.", "input_output": _STDIN},
        r"several outputs are right \(its text says 'print any of them'\)",
    ),
    "another language": ({"problem": "Q", "tests": _CASES, "language": "cpp"}, "language is cpp: only Python"),
    "another language's HumanEval": (
        {"prompt": "int f(", "entry_point": "f", "test": "int main() {}", "declaration": "int f();"},
        "tests in another language",
    ),
    "MultiPL-E": (
        {"prompt": "fn f(", "tests": "fn main() {}", "language": "rs", "stop_tokens": ["}"]},
        r"another language \(rs\)",
    ),
    "no tests": ({"question": "Q", "solutions": "", "input_output": ""}, "the row has no tests"),
    "an empty list of tests": ({"problem": "Q", "inputs": [], "outputs": []}, "the row has no tests"),
    "outputs missing": (
        {"problem": "Q", "inputs": ["1", "2"], "outputs": ["1"]},
        r"no two lists of one length \(2 and 1\)",
    ),
    "a test without output": ({"problem": "Q", "tests": [{"input": "1"}]}, "a test has the keys input"),
    "a function without name": (
        {"problem": "Q", "tests": [{"input": [1], "output": 1, "type": "function_call"}]},
        "tests call a function, and the row names none",
    ),
    "values where standard input is text": (
        {"problem": "Q", "tests": [{"input": [[1, 2]], "output": 3}]},
        r"the input \[\[1, 2\]\] is a value, not the text",
    ),
    "script and function at once": (
        {"problem": "Q", "tests": [{"input": "1", "output": "1"}, {"input": "1", "output": "1", "fn_name": "f"}]},
        "mixes tests of a script and of a function",
    ),
    "a pickle of an object": (_private({"a": 1}), "only a pickle of one text is read"),
    "a pickle that would run code": (_private(_Runs()), "only a pickle of one text is read"),
    "packed tests that are cut": (
        {**_private("[]"), "private_test_cases": _private("[]" * 99)["private_test_cases"][:24]},
        "private_test_cases",
    ),
    "asserts that are no Python": ({"text": "Q", "test_list": ["assert f(1 == 2"]}, "test_list is no Python"),
    "a time limit that is none": ({"problem": "Q", "tests": _CASES, "time_limit": "soon"}, "time_limit is 'soon'"),
    "a proof": (
        {"problem": "Show it.", "solution": "...", "answer": "proof", "problem_type": "Geometry"},
        "its answer is 'proof': there is no value",
    ),
    "a solution without a box": ({"problem": "Q", "solution": "It follows.", "level": "1"}, "solution boxes no answer"),
    "a problem its authors call invalid": (
        {"problem": "Q", "solution": "", "answer": "1", "problem_type": "A", "problem_is_valid": "Incomplete"},
        "problem_is_valid is 'Incomplete'",
    ),
    "two answers after ####": ({"question": "Q", "answer": "#### 1\n#### 2"}, "answer has 2 lines of ####: 1, 2"),
    "an index beyond the choices": ({**_CHOICE, "answer": 2}, "answer is 2: an index from 0 to 1"),
    "a letter beyond the choices": ({**_CHOICE, "answer": "C"}, "the answer is C, and there are 2 options"),
    "an index as text that is the text of another option": (
        {"question": "Which?", "choices": ["1", "2", "3"], "answer": "2"},
        "the text of option B and the index of another",
    ),
    "letter and index differ": (
        {"question": "Which?", "options": ["a", "b"], "answer": "A", "answer_index": 1},
        "answer is A and answer_index 1",
    ),
    "options that are the same": (
        {"question": "Q", "correct_answer": "a", "distractor1": "a", "distractor2": "b", "distractor3": "c"},
        "two of its options are the same",
    ),
    "instructions without their kwargs": (
        {"prompt": "Q", "instruction_id_list": ["punctuation:no_comma"], "kwargs": []},
        "1 instructions and 0 kwargs",
    ),
    "possible answers not joined": (
        {"id": "simple_1", "question": [[{"role": "user", "content": "Q"}]], "function": [{"name": "f"}]},
        "join the file of possible answers",
    ),
    "calls in Java": (
        {"id": "simple_java_1", "question": [[]], "function": [{"name": "f"}], "ground_truth": [{"f": {}}]},
        "written in Java or JavaScript",
    ),
    "calls over several turns": (
        {"id": "multi_turn_1", "question": [[], []], "function": [{"name": "f"}], "ground_truth": [["f()"]]},
        "over several turns",
    ),
    "a ground truth of no known shape": (
        {"reward_model": {"ground_truth": '{"target": ["x"]}'}, "prompt": []},
        r"ground_truth is JSON of no known shape \(target\)",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_judged_is_refused_with_what_it_needs(name: str) -> None:
    row, said = REFUSED[name]
    with pytest.raises(GoldError, match=said):
        read_problem(row)


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "2+2?", "gold": "4"},
        {"prompt": "2+2?", "gold": "[1, 2]"},
        {"prompt": "2+2?", "gold": '{"mine": 1}'},
        {"prompt": "2+2?", "gold": [1, 2]},
        {"prompt": "2+2?", "gold": {"tests": [{"stdin": "1", "stdout": "2"}]}},
        {"prompt": "2+2?", "gold": "4", "question": "2+2?", "answer": "#### 5"},
        {"question": "Who wrote it?", "answer": "Nobody knows"},
        {"messages": [{"role": "user", "content": "Hello"}]},
        {"prompt": "Hello", "completion": "Hi"},
        {"instruction": "Say hi", "input": "", "output": "hi"},
        {"prompt": "Hello", "chosen": "Hi", "rejected": "No"},
        {},
    ],
)
def test_a_row_of_no_public_shape_or_with_a_gold_of_its_own_is_left_alone(row: dict[str, Any]) -> None:
    assert read_problem(row) is None


@pytest.mark.parametrize(
    ("columns", "limits"),
    [
        ({"time_limit": 2.0, "memory_limit": 256.0}, {"cpu_seconds": 2.0, "memory_mb": 256}),
        ({"time_limit": {"seconds": 1, "nanos": 500000000}}, {"cpu_seconds": 1.5}),
        ({"time_limit": {"seconds": 8, "nanos": 0}}, {"cpu_seconds": 8.0, "wall_seconds": 24.0}),
        ({"time_limit": "2 seconds", "memory_limit": "256 megabytes"}, {"cpu_seconds": 2.0, "memory_mb": 256}),
        ({"time_limit": 2000, "memory_limit": 262144}, {"cpu_seconds": 2.0, "memory_mb": 256}),
        ({"time_limit_ms": 50, "memory_limit_mb": 128}, {"cpu_seconds": 0.05, "memory_mb": 128}),
        ({"timeout": "1500 ms", "memory_limit": "1 GB"}, {"cpu_seconds": 1.5, "memory_mb": 1024}),
        ({"memory_limit": 268435456}, {"memory_mb": 256}),
        ({"memory_limit_bytes": 256000000}, {"memory_mb": 245}),
        ({"memory_limit": "4 MB"}, {"memory_mb": 64}),
        ({"time_limit": None, "memory_limit_bytes": 0}, None),
    ],
)
def test_limits_are_read_by_their_usual_names_and_units(columns: dict[str, Any], limits: dict[str, Any] | None) -> None:
    problem = read_problem({"problem": "Q", "inputs": ["1"], "outputs": ["2"], **columns})
    assert problem is not None and problem.gold.get("limits") == limits
    assert set(problem.columns) >= {name for name, value in columns.items() if value}


def test_every_column_that_a_gold_was_made_of_is_named() -> None:
    row = {"question": "Q", "input_output": _STDIN, "starter_code": "", "time_limit": "1 second", "difficulty": "easy"}
    problem = read_problem(row)
    assert problem is not None and set(problem.columns) == {"question", "input_output", "time_limit"}


JUNK = (None, 0, 1.5, True, "", "x", "[", "{}", "[[]]", '{"a": [1]}', [], {}, [[]], [{}], [None], {"a": None}, "\ud800")


def _spoiled(value: Any, random: Random) -> Any:
    """The value with one part, at any depth, replaced by junk; JSON text is spoiled within."""
    if isinstance(value, str) and (inner := decoded(value)) is not value and random.random() < 0.7:
        return json.dumps(_spoiled(inner, random))
    if isinstance(value, dict) and value and random.random() < 0.7:
        key = random.choice(list(value))
        return {**value, key: _spoiled(value[key], random)}
    if isinstance(value, list) and value and random.random() < 0.7:
        place = random.randrange(len(value))
        return [*value[:place], _spoiled(value[place], random), *value[place + 1 :]]
    return random.choice(JUNK)


@pytest.mark.parametrize("name", [*code_rows.CASES, *plain_rows.CASES])
def test_whatever_stands_in_a_row_it_is_read_or_refused_by_name(name: str) -> None:
    row = {**code_rows.CASES, **plain_rows.CASES}[name].row
    random = Random(name)
    for _ in range(100):
        spoiled = {**row, (key := random.choice(list(row))): _spoiled(row[key], random)}
        with contextlib.suppress(GoldError):
            read_problem(spoiled)


def test_every_shape_has_a_row_in_these_tests() -> None:
    """Shapes that are only ever refused stand among the refused."""
    read = {case.format for case in (*code_rows.CASES.values(), *plain_rows.CASES.values())}
    assert set(FORMATS) - read == {"MultiPL-E"}


def test_the_page_lists_every_shape() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "data.md").read_text(encoding="utf-8")
    rows = [line.partition("| ")[2].partition(" |")[0] for line in page.splitlines() if line.startswith("| `")]
    assert {name for row in rows for name in re.findall(r"`([^`]+)`", row)} >= set(FORMATS)


def test_a_function_under_test_is_no_constraint() -> None:
    """Both shapes have a func_name."""
    tests = {"func_name": "double", "inputs": [[1]], "outputs": [2]}
    problem = read_problem({"reward_model": {"ground_truth": json.dumps(tests)}})
    assert problem is not None and (problem.verifier, problem.gold["entry_point"]) == ("code", "double")


def test_a_plain_checker_of_testlib_is_a_comparison() -> None:
    problem = read_problem(_forces(checker="rcmp6.cpp"))
    assert problem is not None and problem.gold["compare"] == {"float": {"abs": 1e-6, "rel": 1e-6}}


def test_tools_are_given_in_the_form_that_templates_print() -> None:
    tool = {"name": "f", "parameters": {"type": "dict", "properties": {"n": {"type": "float"}}, "required": ["n"]}}
    row = {"id": "simple_1", "question": [[{"role": "user", "content": "Q"}]], "function": tool, "ground_truth": []}
    problem = read_problem({**row, "ground_truth": [{"f": {"n": [1.5]}}]})
    assert problem is not None
    [found] = problem.metadata["tools"]
    assert (found["type"], found["function"]["name"]) == ("function", "f")
    assert found["function"]["parameters"]["type"] == "object"
    assert found["function"]["parameters"]["properties"] == {"n": {"type": "number"}}


def test_whole_numbers_of_thousands_of_digits_are_read() -> None:
    tests = '{"fn_name": "f", "inputs": [[1]], "outputs": [' + "9" * 5000 + "]}"
    problem = read_problem({"question": "Q", "input_output": tests})
    assert problem is not None and problem.gold["tests"][0]["expected"] == 10**5000 - 1


def test_messages_of_a_shape_of_their_own_are_given_as_turns() -> None:
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Weather?"}]
    row = {"id": "live_1", "question": [turns], "function": [{"name": "f"}], "ground_truth": [{"f": {}}]}
    problem = read_problem(row)
    assert problem is not None and list(problem.messages) == turns and problem.question == "Weather?"

"""Rows of code data sets, one for each public shape, made here: the row, answers that are right, and wrong ones.
Two of the tasks are asked again and again, in every shape: double a number, and the sum of a list."""

from __future__ import annotations

import base64
import json
import pickle
import zlib
from dataclasses import dataclass, field
from typing import Any

DOUBLE = "print(int(input()) * 2)"
ECHO = "print(int(input()))"
SUMS = "n = int(input())\nfor _ in range(n):\n    print(sum(map(int, input().split())))"
TOTAL = "def total(values):\n    return sum(values)"
LARGEST = "def total(values):\n    return max(values)"
METHOD = "class Solution:\n    def total(self, values, start=0):\n        return start + sum(values)"
TYPED = (
    "class Solution:\n    def total(self, values: List[int], start: int) -> int:\n        return sum(values) + start"
)
WRONG_METHOD = "class Solution:\n    def total(self, values, start=0):\n        return start"


@dataclass(frozen=True, kw_only=True)
class Case:
    """A row with answers. Example: Case(row={"inputs": ["1"], ...}, right=("print(2)",), wrong=("print(3)",))"""

    row: dict[str, Any]
    right: tuple[str, ...]
    wrong: tuple[str, ...]
    format: str
    options: dict[str, Any] = field(default_factory=dict)  # of the verifier


def packed(tests: list[dict[str, Any]]) -> str:
    """As LiveCodeBench stores private tests."""
    return base64.b64encode(zlib.compress(pickle.dumps(json.dumps(tests)))).decode()


def _apps(tests: Any, **columns: Any) -> dict[str, Any]:
    row = {
        "problem_id": 7,
        "question": "Double the number.",
        "solutions": '["..."]',
        "difficulty": "interview",
        "url": "u",
    }
    return {**row, "starter_code": "", "input_output": json.dumps(tests) if tests else "", **columns}


def _live_code_bench(public: list[Any], private: list[Any], **columns: Any) -> dict[str, Any]:
    row = {
        "question_title": "Total",
        "question_content": "Give the total.",
        "platform": "leetcode",
        "question_id": "3001",
        "starter_code": "",
        "difficulty": "easy",
        "public_test_cases": json.dumps(public),
        "private_test_cases": packed(private),
        "metadata": "{}",
    }
    return {**row, **columns}


def _verl(truth: Any, **columns: Any) -> dict[str, Any]:
    row = {
        "data_source": "codecontests",
        "prompt": [{"role": "user", "content": "Double the number."}],
        "ability": "code",
        "reward_model": {"style": "rule", "ground_truth": truth},
        "extra_info": {"index": 3, "split": "train"},
    }
    return {**row, **columns}


_FUNCTIONAL = {"testtype": "functional"}
_STARTER = "class Solution:\n    def total(self, values: List[int], start: int) -> int:\n        "
_CHECK = "def check(candidate):\n    assert candidate([1, 2]) == 3\n    assert candidate([]) == 0\n"
_LINKED = """\
from typing import *
from collections import *


class ListNode:
    def __init__(self, val=0, next=None):
        self.val = val
        self.next = next


def list_node(values):
    head = None
    for value in reversed(values):
        head = ListNode(value, head)
    return head


def is_same_list(one, other):
    while one and other and one.val == other.val:
        one, other = one.next, other.next
    return one is None and other is None
"""
_UNITTEST = """\
import unittest


class TestCases(unittest.TestCase):
    def test_sum(self):
        self.assertEqual(task_func([1, 2]), 3)

    def test_text(self):
        with self.assertRaises(TypeError):
            task_func("a")
"""
_MOCKED = """\
import unittest
from unittest.mock import patch


class TestCases(unittest.TestCase):
    @patch("random.randint", return_value=4)
    def test_roll(self, rolled):
        self.assertEqual(task_func(), 8)
"""

CASES: dict[str, Case] = {
    "APPS, standard input": Case(
        format="APPS",
        row=_apps({"inputs": ["4\n", "0\n"], "outputs": ["8\n", "0\n"]}),
        right=(DOUBLE,),
        wrong=(ECHO, "print(8)"),
    ),
    "APPS, lists of lines": Case(
        format="APPS",
        row=_apps({"inputs": [["2", "1 2", "3 4"]], "outputs": [["3", "7"]]}),
        right=(SUMS,),
        wrong=("print(3)", "print(37)"),
    ),
    "APPS, a function whose values stand in lists of one": Case(
        format="APPS",
        row=_apps({"fn_name": "total", "inputs": [[[1, 2]], [[5]]], "outputs": [[3], [5]]}),
        right=(TOTAL, "def total(values):\n    return [sum(values)]"),
        wrong=(LARGEST, "def total(values):\n    return [[sum(values)]]", "def total(values):\n    return True"),
    ),
    "APPS, a method": Case(
        format="APPS",
        row=_apps({"fn_name": "total", "inputs": [[[1, 2], 4], [[3], 0]], "outputs": [7, 3]}, starter_code=_STARTER),
        right=(METHOD,),
        wrong=(WRONG_METHOD,),
    ),
    "APPS, what a function returns is a list by its annotation": Case(
        format="APPS",
        row=_apps(
            {"fn_name": "once", "inputs": [[3]], "outputs": [[3]]}, starter_code="def once(n: int) -> List[int]:\n"
        ),
        right=("def once(n):\n    return [n]",),
        wrong=("def once(n):\n    return n",),
    ),
    "APPS, a list in a list of one": Case(
        format="APPS",
        row=_apps(
            {"fn_name": "pair", "inputs": [[3], [4]], "outputs": [[[3, 3]], [[4, 4]]]},
            starter_code="def pair(n: int) -> List[int]:\n",
        ),
        right=("def pair(n):\n    return [n, n]", "def pair(n: int) -> List[int]:\n    return [n] * 2"),
        wrong=("def pair(n):\n    return [[n, n]]", "def pair(n):\n    return [n]"),
    ),
    "APPS, an optional value": Case(
        format="APPS",
        row=_apps(
            {"fn_name": "once", "inputs": [[3]], "outputs": [[3]]},
            starter_code="def once(n: int) -> Optional[List[int]]:\n",
        ),
        right=("def once(n):\n    return [n]", "def once(n):\n    return n"),
        wrong=("def once(n):\n    return None",),
    ),
    "tests with input and output in lists": Case(
        format="DeepCoder",
        row={"problem": "Double it.", "tests": {"input": ["4\n", "5\n"], "output": ["8\n", "10\n"]}},
        right=(DOUBLE,),
        wrong=(ECHO,),
    ),
    "several accepted values of a function": Case(
        format="DeepCoder",
        row={
            "problem": "A divisor.",
            "tests": [{"input": "6", "accepted_outputs": ["2", "3"], "testtype": "functional", "fn_name": "divisor"}],
        },
        right=("def divisor(n):\n    return 2", "def divisor(n):\n    return n // 2"),
        wrong=("def divisor(n):\n    return '2'", "def divisor(n):\n    return 6"),
    ),
    "APPS, decimal fractions": Case(
        format="APPS",
        row=_apps({"inputs": ["1\n", "2\n"], "outputs": ["0.3333333333", "0.6666666667"]}),
        right=("print(int(input()) / 3)", "print('%.8f' % (int(input()) / 3))"),
        wrong=("print('%.3f' % (int(input()) / 3))",),
    ),
    "TACO, limits as text": Case(
        format="TACO",
        row=_apps(
            {"inputs": ["4\n"], "outputs": ["8\n"]},
            raw_tags="['Math']",
            skill_types="[]",
            time_limit="1.0 seconds",
            memory_limit="256.0 megabytes",
        ),
        right=(DOUBLE,),
        wrong=(ECHO,),
    ),
    "verl's prime_code": Case(
        format="verl",
        row=_verl(json.dumps({"inputs": ["4\n"], "outputs": ["8\n"]})),
        right=(DOUBLE,),
        wrong=(ECHO,),
    ),
    "verl, encoded twice, a function with arguments in lines": Case(
        format="verl",
        row=_verl(json.dumps(json.dumps({"fn_name": "total", "inputs": ["[1, 2]\n4"], "outputs": ["7"]}))),
        right=("def total(values, start):\n    return start + sum(values)",),
        wrong=("def total(values, start):\n    return sum(values)",),
    ),
    "verl, a check with imports": Case(
        format="verl",
        row=_verl(json.dumps({"entry_point": "total", "import_prefix": "import math\n", "test_code": _CHECK})),
        right=(TOTAL,),
        wrong=(LARGEST,),
    ),
    "verl, DeepCoder's list of tests": Case(
        format="verl",
        row=_verl(json.dumps([{"input": "4\n", "output": "8\n", "testtype": "stdin"}])),
        right=(DOUBLE,),
        wrong=(ECHO,),
    ),
    "verl, asserts": Case(
        format="verl",
        row=_verl(json.dumps(["assert total([1, 2]) == 3", "assert total([4]) == 4"])),
        right=(TOTAL,),
        wrong=(LARGEST,),
    ),
    "LiveCodeBench, standard input": Case(
        format="LiveCodeBench",
        row=_live_code_bench(
            [{"input": "4\n", "output": "8\n", "testtype": "stdin"}],
            [{"input": "5\n", "output": "10\n", "testtype": "stdin"}],
        ),
        right=(DOUBLE,),
        wrong=(ECHO, "print(8)"),
    ),
    "LiveCodeBench, functional, arguments in lines": Case(
        format="LiveCodeBench",
        row=_live_code_bench(
            [{"input": "[1, 2]\n4", "output": "7", **_FUNCTIONAL}],
            [{"input": "[]\n1", "output": "1", **_FUNCTIONAL}],
            starter_code=_STARTER,
            metadata='{"func_name": "total"}',
        ),
        right=(METHOD, TYPED, "def total(self, values, start):\n    return sum(values) + start"),
        wrong=(WRONG_METHOD, "class Solution:\n    def total(self, values, start):\n        return 7"),
    ),
    "LiveCodeBench, functional, a text and a list": Case(
        format="LiveCodeBench",
        row=_live_code_bench(
            [{"input": '"a b"', "output": '["a", "b"]', **_FUNCTIONAL}],
            [{"input": '"[1]"', "output": '["[1]"]', **_FUNCTIONAL}],
            starter_code="class Solution:\n    def words(self, text: str) -> List[str]:\n        ",
            metadata='{"func_name": "words"}',
        ),
        right=("class Solution:\n    def words(self, text):\n        return text.split()",),
        wrong=("class Solution:\n    def words(self, text):\n        return [text]",),
    ),
    "DeepCoder, a list of tests": Case(
        format="DeepCoder",
        row={
            "problem": "Double the number.",
            "solutions": ["..."],
            "tests": json.dumps([{"type": "stdin_stdout", "input": "4\n", "output": "8\n"}]),
        },
        right=(DOUBLE,),
        wrong=(ECHO,),
    ),
    "DeepCoder, LiveCodeBench's functions": Case(
        format="DeepCoder",
        row={
            "problem": "Give the total.",
            "starter_code": _STARTER,
            "tests": json.dumps(
                [{"input": "[1, 2]\n4", "output": "7", **_FUNCTIONAL, "metadata": {"func_name": "total"}}]
            ),
            "metadata": {"func_name": "total"},
        },
        right=(METHOD,),
        wrong=(WRONG_METHOD,),
    ),
    "DeepCoder, TACO's functions": Case(
        format="DeepCoder",
        row={
            "problem": "Give the total.",
            "starter_code": "",
            "tests": json.dumps({"fn_name": "total", "inputs": [[[1, 2]], [[5, 1]]], "outputs": [3, 6]}),
        },
        right=(TOTAL,),
        wrong=(LARGEST,),
    ),
    "PrimeIntellect, standard input": Case(
        format="PrimeIntellect",
        row={
            "problem_id": "vcp_1",
            "task_type": "verifiable_code",
            "prompt": "Double the number.",
            "gold_standard_solution": DOUBLE,
            "verification_info": json.dumps(
                {
                    "language": "python",
                    "test_cases": [{"fn_name": None, "type": "stdin_stdout", "input": "4\n", "output": "8\n"}],
                }
            ),
            "metadata": "{}",
        },
        right=(DOUBLE,),
        wrong=(ECHO,),
    ),
    "PrimeIntellect, function calls": Case(
        format="PrimeIntellect",
        row={
            "prompt": "Give the total.",
            "verification_info": {
                "language": "python",
                "test_cases": [
                    {"fn_name": "total", "type": "function_call", "input": [[1, 2]], "output": [3]},
                    {"fn_name": "total", "type": "function_call", "input": [[4]], "output": [4]},
                ],
            },
        },
        right=(TOTAL,),
        wrong=(LARGEST,),
    ),
    "CodeContests": Case(
        format="CodeContests",
        row={
            "name": "1_A. Double",
            "description": "Double the number.",
            "public_tests": {"input": ["4\n"], "output": ["8\n"]},
            "private_tests": {"input": ["5\n"], "output": ["10\n"]},
            "generated_tests": {"input": ["7\n", "1\n"], "output": ["14\n", "2\n"]},
            "solutions": {"language": [3, 2], "solution": ["...", "..."]},
            "time_limit": {"seconds": 1, "nanos": 500000000},
            "memory_limit_bytes": 256000000,
            "input_file": "",
            "output_file": "",
        },
        right=(DOUBLE,),
        wrong=("print({4: 8, 5: 10}.get(int(input()), 14))",),
    ),
    "Codeforces of open-r1": Case(
        format="Codeforces",
        row={
            "id": "1/A",
            "time_limit": 1.0,
            "memory_limit": 256.0,
            "title": "A. Double",
            "description": "Double the number.",
            "input_format": "One number.",
            "output_format": "Its double.",
            "interaction_format": None,
            "note": None,
            "examples": [{"input": "4", "output": "8"}],
            "official_tests": [{"input": "4", "output": "8"}, {"input": "5", "output": "10"}],
            "official_tests_complete": True,
            "input_mode": "stdio",
            "generated_checker": None,
        },
        right=(DOUBLE,),
        wrong=(ECHO, "print(8)"),
    ),
    "HumanEval": Case(
        format="HumanEval",
        row={
            "task_id": "Own/0",
            "prompt": 'from typing import List\n\n\ndef total(values: List[int]) -> int:\n    """ The sum. """\n',
            "canonical_solution": "    return sum(values)\n",
            "test": f"METADATA = {{'author': 'x'}}\n\n\n{_CHECK}",
            "entry_point": "total",
        },
        right=(
            "from typing import List\n\ndef total(values: List[int]) -> int:\n    return sum(values)",
            "def total(values: List[int]) -> int:\n    return sum(values)",
            "    return sum(values)",
        ),
        wrong=(LARGEST, "from typing import List\n\ndef total(values: List[int]) -> int:\n    return 3"),
    ),
    "HumanEval, a helper before the function": Case(
        format="HumanEval",
        row={
            "prompt": "def twice(n):\n    return 2 * n\n\n\ndef half(n):\n    ''' x such that twice(x) == n '''\n",
            "test": "def check(candidate):\n    for n in (2, 8, 30):\n        assert twice(candidate(n)) == n\n",
            "entry_point": "half",
        },
        right=("def half(n):\n    return n // 2",),
        wrong=("def half(n):\n    return n",),
    ),
    "MBPP, full": Case(
        format="MBPP",
        row={
            "task_id": 11,
            "text": "Write a function that gives the total of a list.",
            "code": TOTAL,
            "test_list": ["assert total([1, 2]) == 3", "assert total([4]) == 4"],
            "test_setup_code": "",
            "challenge_test_list": ["assert total([]) == 0"],
        },
        right=(TOTAL,),
        wrong=(LARGEST, "def total(values):\n    return values[0] + sum(values[1:])"),
    ),
    "MBPP, sanitized, with imports and a name of Python's own": Case(
        format="MBPP",
        row={
            "source_file": "x.ipynb",
            "task_id": 12,
            "prompt": "Write a function that gives the sum of the numbers from a to b.",
            "code": "def sum(a, b):\n    return (a + b) * (b - a + 1) // 2",
            "test_imports": ["import math"],
            "test_list": ["assert sum(1, 3) == 6", "assert math.isclose(sum(2, 2), 2.0)"],
        },
        right=("def sum(a, b):\n    return (a + b) * (b - a + 1) // 2",),
        wrong=("def sum(a, b):\n    return a + b",),
    ),
    "AceCode": Case(
        format="AceCode",
        row={
            "id": "a_1",
            "source": "own",
            "question": "Write `total`.",
            "test_cases": ["assert total([1, 2]) == 3", "assert total([4]) == 4"],
            "context_messages": None,
        },
        right=(TOTAL,),
        wrong=(LARGEST,),
    ),
    "BigCodeBench": Case(
        format="BigCodeBench",
        row={
            "task_id": "Own/1",
            "complete_prompt": "import math\n\ndef task_func(values):\n    '''The sum.'''\n",
            "instruct_prompt": "Give the sum of the values. You should write self-contained code starting with: ...",
            "canonical_solution": "    return sum(values)",
            "code_prompt": "import math\ndef task_func(values):\n",
            "test": _UNITTEST,
            "entry_point": "task_func",
            "doc_struct": "{}",
            "libs": "['math']",
        },
        right=("def task_func(values):\n    return sum(values)",),
        wrong=("def task_func(values):\n    return 3", "def task_func(values):\n    return sum(map(int, values))"),
    ),
    "BigCodeBench, a test that reaches into the program": Case(
        format="BigCodeBench",
        row={
            "complete_prompt": "import random\n",
            "instruct_prompt": "Roll a die and double it.",
            "test": _MOCKED,
            "entry_point": "task_func",
            "libs": "['random']",
        },
        right=("import random\n\ndef task_func():\n    return 2 * random.randint(1, 6)",),
        wrong=("import random\n\ndef task_func():\n    return random.randint(1, 6)",),
        options={"pytest": True},
    ),
    "LeetCodeDataset": Case(
        format="LeetCodeDataset",
        row={
            "task_id": "total",
            "question_id": 1,
            "problem_description": "Give the total.",
            "starter_code": _STARTER,
            "prompt": "from typing import *\nfrom collections import *\n",
            "completion": METHOD,
            "entry_point": "Solution().total",
            "test": "def check(candidate):\n    assert candidate(values = [1, 2], start = 4) == 7\n",
            "input_output": [{"input": "values = [1, 2], start = 4", "output": "7"}],
            "query": "Solve this: give the total.",
            "response": "...",
        },
        right=(METHOD,),
        wrong=(WRONG_METHOD,),
    ),
    "LeetCodeDataset, linked lists": Case(
        format="LeetCodeDataset",
        row={
            "problem_description": "Reverse the list.",
            "starter_code": "class Solution:\n    def turn(self, head: Optional[ListNode]):\n        ",
            "prompt": _LINKED,
            "entry_point": "Solution().turn",
            "test": (
                "def check(candidate):\n"
                "    assert is_same_list(candidate(head = list_node([1, 2, 3])), list_node([3, 2, 1]))\n"
                "    assert is_same_list(candidate(head = list_node([])), list_node([]))\n"
            ),
        },
        right=(
            "class Solution:\n    def turn(self, head):\n        before = None\n        while head:\n"
            "            after = head.next\n            head.next = before\n            before, head = head, after\n"
            "        return before",
            "class Solution:\n    def turn(self, head: Optional[ListNode]) -> Optional[ListNode]:\n"
            "        values = None\n"
            "        while head:\n            values = ListNode(head.val, values)\n            head = head.next\n"
            "        return values",
        ),
        wrong=("class Solution:\n    def turn(self, head):\n        return head",),
    ),
    "KodCode": Case(
        format="KodCode",
        row={
            "style": "instruct",
            "question": "Write `total`.",
            "solution": TOTAL,
            "test": (
                "import pytest\nfrom solution import total\n\n\ndef test_some():\n    assert total([1, 2]) == 3\n\n\n"
                "def test_text():\n    with pytest.raises(TypeError):\n        total('ab')\n"
            ),
            "test_info": [
                {"function_name": "total", "function_declaration": "def total(values):", "parameter_list": "()"}
            ],
        },
        right=(TOTAL,),
        wrong=(LARGEST, "def total(values):\n    return 3"),
    ),
    "KodCode, parameters that need pytest": Case(
        format="KodCode",
        row={
            "question": "Write `total`.",
            "test": (
                "import pytest\nfrom solution import total\n\n\n@pytest.mark.parametrize('n', [1, 2])\n"
                "def test_some(n):\n    assert total([n, n]) == 2 * n\n"
            ),
            "test_info": [{"function_name": "total"}],
        },
        right=(TOTAL,),
        wrong=(LARGEST,),
        options={"pytest": True},
    ),
    "LeetCodeDataset, examples alone": Case(
        format="APPS",
        row={
            "problem_description": "Give the total.",
            "starter_code": _STARTER,
            "prompt": "from typing import *\n",
            "entry_point": "Solution().total",
            "input_output": [{"input": "values = [1, 2], start = 4", "output": "7"}],
        },
        right=(METHOD,),
        wrong=(WRONG_METHOD,),
    ),
    "our tests in a column": Case(
        format="DeepCoder",
        row={
            "prompt": "Write total.",
            "tests": [
                {"args": [[1, 2]], "expected": 3, "kwargs": None, "assert": None},
                {"assert": "assert total([]) == 0"},
            ],
            "entry_point": "total",
        },
        right=(TOTAL,),
        wrong=(LARGEST,),
    ),
    "NeMo-Gym": Case(
        format="NeMo-Gym",
        row={
            "responses_create_params": {"input": [{"role": "user", "content": "Double the number."}]},
            "verifier_metadata": {"problem_id": "p", "unit_tests": {"inputs": ["4\n"], "outputs": ["8\n"]}},
        },
        right=(DOUBLE,),
        wrong=(ECHO,),
    ),
    "inputs and outputs": Case(
        format="prime_code",
        row={"prompt": "Double it.", "inputs": ["4"], "outputs": ["8"], "timeout": 2},
        right=(DOUBLE,),
        wrong=(ECHO,),
    ),
    "several accepted outputs": Case(
        format="DeepCoder",
        row={
            "problem": "Print a divisor of the number but 1 and itself.",
            "tests": [
                {"input": "6\n", "accepted_outputs": ["2\n", "3\n"]},
                {"input": "4\n", "accepted_outputs": ["2\n"]},
            ],
        },
        right=("n = int(input())\nprint(n // 2)", "n = int(input())\nprint(2)"),
        wrong=("print(2, 3)", "print(3)", "print(6)"),
    ),
    "tests as JSON text in the gold, the function's name beside it": Case(
        format="JSON text",
        row={"prompt": "Write total.", "gold": '[{"input": [[1, 2]], "output": 3}]', "fn_name": "total"},
        right=(TOTAL,),
        wrong=(LARGEST,),
    ),
    "our own gold as JSON text": Case(
        format="JSON text",
        row={"prompt": "Double it.", "gold": json.dumps({"tests": [{"stdin": "4", "stdout": "8"}]})},
        right=(DOUBLE,),
        wrong=(ECHO,),
    ),
    "open-instruct's code": Case(
        format="open-instruct",
        row={
            "messages": [{"role": "user", "content": "Write `total`."}],
            "ground_truth": json.dumps(["assert total([1, 2]) == 3"]),
            "dataset": "code",
        },
        right=(TOTAL,),
        wrong=(LARGEST,),
    ),
}

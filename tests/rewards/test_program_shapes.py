"""`code`: which part of an answer is the program, in the shapes that models write, and what a row may put before it."""

from __future__ import annotations

import time
from typing import Any

import pytest

from rewards.errors import VerifierError
from rewards.load import build_verifier
from rewards.rules.code import extract_program
from rewards.rules.program import complete, find_program, with_both_names
from rewards.services import Services

THINK = ("<think>", "</think>")
CALLS = {"entry_point": "double", "tests": [{"args": [2], "expected": 4}]}
SCRIPT = {"tests": [{"stdin": "2", "stdout": "4"}]}
FUNCTION = "def double(x):\n    return 2 * x"
READS = "print(2 * int(input()))"


def fenced(body: str, tag: str = "python", marks: str = "```") -> str:
    return f"{marks}{tag}\n{body}\n{marks}"


def indented(text: str, width: int) -> str:
    return "\n".join(" " * width + line for line in text.split("\n"))


TAGS = (
    "python3",
    "py",
    "Python",
    "py3",
    "",
    'python title="x.py"',
    "{.python}",
    "python {linenos=true}",
    "python:a.py",
)
SHAPES = [
    *(fenced(FUNCTION, tag) for tag in TAGS),
    *(fenced(FUNCTION, marks=marks) for marks in ("````", "~~~", "~~~~")),
    fenced(FUNCTION) + "\n```",
    FUNCTION + "\n```",
    "Here it is:\n\n" + FUNCTION + "\n```",
    FUNCTION,
    "Sure! The function doubles x:\n\n" + FUNCTION,
    FUNCTION + "\n\nThis runs in constant time.",
    fenced(FUNCTION) + "\n\nOutput:\n```\n4\n```",
    fenced(FUNCTION) + "\n\nExample:\n```\n>>> double(2)\n4\n```",
    fenced(FUNCTION) + "\n\nUsage:\n```python\nprint(double(2))\n```",
    fenced("double(2)  # 4") + "\nas implemented in\n" + fenced(FUNCTION),
    fenced("def double(x):\n    return x + x + 1") + "\nThat is off by one:\n" + fenced(FUNCTION),
    "```bash\npip install x\n```\n" + fenced(FUNCTION) + "\n```bash\npython a.py\n```",
    fenced(FUNCTION) + "\n```js\nconst double = x => 0;\n```",
    "1. Do this:\n\n   ```python\n" + indented(FUNCTION, 3) + "\n   ```\n2. Done.",
    "- ```python\n" + indented(FUNCTION, 2) + "\n  ```",
    "```python\n" + FUNCTION,
    "```python\n" + FUNCTION + "```",
    "``` python\n" + FUNCTION + "\n```",
    fenced("# Title\n\n" + fenced(FUNCTION), "markdown", "````"),
    fenced("# Title\n\n" + fenced(FUNCTION), "markdown"),
    "```\n" + fenced(FUNCTION),
    "\n".join("> " + line for line in fenced(FUNCTION).split("\n")),
    "<code>\n" + FUNCTION + "\n</code>",
    fenced(FUNCTION) + "\nTests:\n" + fenced("assert double(2) == 4"),
    fenced(FUNCTION) + "\n\n```\ndouble(2)\n```",
    "<think>" + fenced("def double(x):\n    return 0") + "</think>\n" + fenced(FUNCTION),
]


@pytest.mark.parametrize("response", SHAPES)
def test_the_program_is_found_in_every_shape(response: str) -> None:
    assert extract_program(response, THINK, CALLS) == FUNCTION


@pytest.mark.parametrize(
    "response",
    [
        fenced(READS) + "\n\nInput:\n```\n2\n```\nOutput:\n```\n4\n```",
        fenced(READS) + "\n\nThe core of it:\n```python\nresult = 2 * n\n```",
        fenced(READS) + "\n```\ninput() -> 2\nprint -> 4\n```",
        READS + "\n```",
        READS + "\n```\n\nOutput:\n```\n4\n```",
        fenced("print(3 * int(input()))") + "\nis wrong. Use\n" + fenced(READS),
    ],
)
def test_a_script_is_the_last_block_that_reads_input(response: str) -> None:
    assert extract_program(response, THINK, SCRIPT) == READS


@pytest.mark.parametrize("quote", ['"""', "'''"])
def test_a_fence_inside_a_string_is_text(quote: str) -> None:
    example = "    ```python\n    double(2)\n    ```\n"
    program = f"def double(x):\n    {quote}Twice, it's 2x.\n\n{example}    {quote}\n    return 2 * x"
    assert extract_program(fenced(program), THINK, CALLS) == program
    never_ended = f"def double(x):\n    {quote}Twice\n    return 2 * x"
    assert extract_program(fenced(never_ended) + "\nDone.", THINK, CALLS) == never_ended


def test_what_an_earlier_block_defines_comes_with_the_block_that_uses_it() -> None:
    helper, user = "import math\n\ndef two():\n    return 2", "def double(x):\n    return math.floor(two() * x)"
    assert extract_program(f"{fenced(helper)}\nand\n{fenced(user)}", THINK, CALLS) == f"{helper}\n\n{user}"
    assert extract_program(f"{fenced(helper)}\nand\n{fenced(FUNCTION)}", THINK, CALLS) == FUNCTION


def test_a_script_takes_definitions_of_earlier_blocks_and_no_other_script() -> None:
    solve, driver = "def solve(n):\n    return 2 * n", "n = int(input())\nprint(solve(n))"
    assert extract_program(f"{fenced(solve)}\n{fenced(driver)}", THINK, SCRIPT) == f"{solve}\n\n{driver}"
    first = f"{solve}\n\nprint(solve(int(input())))"
    assert extract_program(f"{fenced(first)}\n{fenced(driver)}", THINK, SCRIPT) == driver


def test_the_names_that_asserts_call_say_which_block_it_is() -> None:
    tests = {"tests": [{"assert": "assert abs(double(2) - 4) < 1e-9"}]}
    assert extract_program(f"{fenced(FUNCTION)}\nThen:\n{fenced('print(double(4))')}", THINK, tests) == FUNCTION


STARTER = 'import math\n\ndef double(x):\n    """Twice x."""\n'


@pytest.mark.parametrize(
    "answer",
    [
        "    return 2 * x",
        "return 2 * x",
        "y = x + x\n    return y",
        "if x:\n    return 2 * x\nreturn 0",
        FUNCTION,
        STARTER + "    return 2 * x",
        "def double(x):\n    return math.floor(2 * x)",
    ],
)
def test_an_answer_may_go_on_from_the_starter_or_write_it_anew(answer: str) -> None:
    space: dict[str, Any] = {}
    exec(complete(answer, STARTER, "double"), space)
    assert space["double"](3) == 6


@pytest.mark.parametrize(
    "answer",
    [
        "class Solution:\n    def double(self, x):\n        return 2 * x",
        "    def double(self, x):\n        return 2 * x",
        "def double(self, x):\n    return 2 * x",
        "        return 2 * x",
        "return 2 * x",
        FUNCTION,
    ],
)
def test_a_method_may_be_written_with_or_without_its_class(answer: str) -> None:
    space: dict[str, Any] = {}
    starter = "class Solution:\n    def double(self, x: int) -> int:\n"
    exec(with_both_names(complete(answer, starter, "Solution.double"), "Solution.double"), space)
    assert space["Solution"]().double(3) == 6


def test_a_function_and_a_method_of_solution_stand_for_each_other() -> None:
    method = "class Solution:\n    def double(self, x):\n        return 2 * x"
    for program, name in ((method, "double"), (FUNCTION, "Solution.double")):
        space: dict[str, Any] = {}
        exec(with_both_names(program, name), space)
        assert (space["Solution"]().double if "." in name else space["double"])(3) == 6
    assert with_both_names(FUNCTION, "double") == FUNCTION
    assert with_both_names(FUNCTION, "Other.double") == FUNCTION


@pytest.mark.parametrize(("key", "near"), [("entry", "entry_point"), ("pre_amble", "preamble"), ("fn_name", "starter")])
def test_an_unknown_key_beside_tests_is_refused_by_name(key: str, near: str) -> None:
    verifier = build_verifier({"kind": "code"}, Services())
    with pytest.raises(VerifierError, match=f"unknown key '{key}' beside tests") as raised:
        verifier.check_gold({**CALLS, key: "x"})
    assert near in str(raised.value)


def test_many_blocks_that_use_each_other_take_no_time() -> None:
    """65,000 characters cost 50 ms of CPU here; looked up anew for every block they cost 5 s."""
    answer = "".join(f"```python\ndef f{i}(): return f{i - 1}()\n```\n" for i in range(1600))
    started = time.process_time()
    program = find_program(answer, ("f1599",))
    assert time.process_time() - started < 0.5
    assert program.startswith("def f0()") and program.endswith("def f1599(): return f1598()")

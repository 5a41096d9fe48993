"""Programs that the stage `tests` has the judge run: a model's generators, its validator, reference solutions whose
answers are kept; and the tests that are made of what they print.

An input is text: what a script reads, or the JSON list of a function's arguments. Knows nothing of judges or models.
"""

from __future__ import annotations

import ast
import json
from dataclasses import dataclass
from typing import Any

from sandbox.types import Limits

SMALL, REGULAR, ADVERSARIAL = "small", "regular", "adversarial"
KINDS = (SMALL, REGULAR, ADVERSARIAL)
MAKING = Limits(cpu_seconds=10.0, wall_seconds=30.0, memory_mb=1024, output_bytes=16_000_000)
"""For a model's generators and validator, which are no solutions."""

# Names begin with an underscore and a word of ours: a program's own names stay its own.
_GENERATE = """

def _made_inputs():
    import itertools, json, random, sys
    out, sys.stdout = sys.stdout, sys.stderr
    rng = random.Random(int(sys.stdin.readline()))
    for one in itertools.islice({call}, {most}):
        if not isinstance(one, {kinds}):
            raise TypeError(f"an input is {said}, not {{type(one).__name__}}")
        out.write(json.dumps(one, allow_nan=False) + "\\n")
    out.flush()
_made_inputs()
"""
_VALIDATE = """

def _is_valid():
    import json, sys
    out, sys.stdout = sys.stdout, sys.stderr
    given = json.loads(sys.stdin.read())
    try:
        said = valid(*given) if isinstance(given, list) else valid(given)
        found = "valid" if said else "invalid"
    except (NameError, ImportError, SyntaxError):
        raise
    except Exception as error:
        found = f"invalid {type(error).__name__}: {error}"
    out.write(found)
    out.flush()
_is_valid()
"""
_CALL = """

def _answer_of_call():
    import json, sys
    out, sys.stdout = sys.stdout, sys.stderr
    given = json.loads(sys.stdin.read())
    out.write(json.dumps(CALLED(*given), allow_nan=False))
    out.flush()
_answer_of_call()
"""
_CHECKER = """import sys
given, output, answer = (open(name, encoding="utf-8").read() for name in sys.argv[1:4])
sys.exit(0 if accepts(given, output, answer) else 1)
"""
_CHECK = """import json
def check(candidate):
    output = json.loads(json.dumps(candidate(*json.loads({given!r}))))
    assert accepts(json.loads({given!r}), output, json.loads({answer!r}))
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Input:
    """One input of one of KINDS. Example: Input(kind="small", text="[[3, 1, 2]]")"""

    kind: str
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Interface:
    """How solutions of a problem are run, and what of its gold stands beside the tests. entry_point: "" for a script.

    Example: Interface(entry_point="double", limits={"cpu_seconds": 2.0})
    """

    entry_point: str = ""
    starter: str = ""
    preamble: str = ""
    compare: Any = None
    limits: dict[str, Any] | None = None

    @property
    def said(self) -> str:
        """For a prompt."""
        if self.entry_point:
            return (
                f"A solution defines the function `{self.entry_point}`. Tests call it with arguments that are JSON "
                "values (numbers, strings, booleans, null, lists, objects) and compare what it returns."
            )
        return "A solution is a program that reads standard input and writes standard output."

    def gold(self, tests: list[dict[str, Any]], *, checker: str, tolerant: bool) -> dict[str, Any]:
        """A gold of the verifier `code`. tolerant: numbers with a fraction are compared to six digits."""
        preamble = "\n\n".join(part for part in (self.preamble, checker) if part)
        compare = self.compare or ({"float": {"abs": 1e-6, "rel": 1e-6}} if tolerant else None)
        gold = {
            "tests": tests,
            "entry_point": self.entry_point or None,
            "starter": self.starter or None,
            "preamble": preamble or None,
            "compare": compare,
            "limits": self.limits or None,
        }
        return {key: value for key, value in gold.items() if value is not None}


def generator(code: str, kind: str, *, most: int, calls: bool) -> str:
    """A script that reads a seed and prints at most so many inputs of a kind, a JSON value a line. calls: of arguments,
    and not of text."""
    call = f"{kind}()" if kind == SMALL else f"{kind}(rng)"
    kinds, said = ("(list, tuple)", "a list of arguments") if calls else ("str", "text")
    return code + _GENERATE.format(call=call, most=most, kinds=kinds, said=said)


def validator(code: str) -> str:
    """A script that reads an input as JSON and prints `valid`, or `invalid` and why."""
    return code + _VALIDATE


def answering(program: str, interface: Interface) -> str:
    """A script that reads an input and prints a solution's answer: as it is for a script, as JSON for a function."""
    if not interface.entry_point:
        return program
    owner, _, method = interface.entry_point.rpartition(".")
    called = f"{owner}().{method}" if owner else method
    return program + _CALL.replace("CALLED", called)


def test_of(given: Input, answer: str, interface: Interface, *, checker: str) -> dict[str, Any]:
    """A test as a gold holds it."""
    if interface.entry_point:
        if checker:
            return {"check": _CHECK.format(given=given.text, answer=answer)}
        return {"args": json.loads(given.text), "expected": json.loads(answer)}
    if checker:
        return {"stdin": given.text, "checker": _CHECKER, "answer": answer}
    return {"stdin": given.text, "stdout": answer}


def fault_of(code: str, names: tuple[str, ...]) -> str | None:
    """Why a piece of code cannot be used: it does not parse, or lacks a function."""
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return f"it does not parse: {error}"
    defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    lacking = [name for name in names if name not in defined]
    return f"it does not define {', '.join(lacking)}" if lacking else None


def has_fractions(answers: list[str]) -> bool:
    """Whether a number with a fraction stands among answers."""
    return any("." in token and _is_number(token) for answer in answers for token in _tokens(answer))


def _tokens(answer: str) -> list[str]:
    for sign in "[]{},:":
        answer = answer.replace(sign, " ")
    return answer.split()


def _is_number(token: str) -> bool:
    try:
        float(token)
    except ValueError:
        return False
    return True

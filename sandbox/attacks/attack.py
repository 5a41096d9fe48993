"""One attack, and the builders that put a program into every form of test that applies.

Knows the shape of a row (program_json.py) and which naive grader a row claims to fool; nothing of how either is run.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sandbox.types import Level, Outcome

SECRET = 9731  # what a right program answers; one that does not reach it by foul means has no way to know it
FORMS = ("call", "assert", "split", "check")


@dataclass(frozen=True, kw_only=True, slots=True)
class Attack:
    """One row. `fools` is what the naive control believes: see control.py.

    `stopped_from` is the weakest level that claims to stop it; `harmful` rows exhaust resources or signal other
    processes. `outcome` is the one that names what the judge stopped, where only one is right.
    Example: Attack(name="sys_exit", form="call", program="import sys\\ndef f(x): sys.exit(0)", tests=[...],
    entry_point="f")
    """

    name: str
    form: str
    program: str
    tests: list[dict[str, Any]]
    entry_point: str | None = None
    fools: str = "status"
    stopped_from: Level = Level.NONE
    harmful: bool = False
    served: bool = False  # reaches for the service that the control puts up inside its namespaces
    outcome: Outcome | None = None
    more: dict[str, Any] = field(default_factory=dict)  # compare, limits and preamble of the row

    @property
    def row(self) -> dict[str, Any]:
        """As `posttrain sandbox run` reads it."""
        limits = {"cpu_seconds": 2.0, "wall_seconds": 4.0, **self.more.get("limits", {})}
        named = {} if self.entry_point is None else {"entry_point": self.entry_point}
        return {
            "id": f"{self.name}/{self.form}",
            "program": self.program,
            "tests": self.tests,
            **named,
            **self.more,
            "limits": limits,
        }


def function_rows(
    name: str,
    program: str,
    *,
    expected: Any = SECRET,
    forms: tuple[str, ...] = FORMS,
    more: dict[str, Any] | None = None,
    **rest: Any,
) -> tuple[Attack, ...]:
    """`program` defines f; f(3) should be `expected`. One row a form."""
    tests: dict[str, dict[str, Any]] = {
        "call": {"args": [3], "expected": expected},
        "assert": {"assert": f"assert f(3) == {expected!r}"},
        "split": {"assert": f"answer = f(3)\nassert answer == {expected!r}"},
        "check": {"check": f"def check(candidate):\n    assert candidate(3) == {expected!r}\n    return True\n"},
    }
    return tuple(
        Attack(name=name, form=form, program=program, tests=[tests[form]], entry_point="f", more=more or {}, **rest)
        for form in forms
    )


def assert_rows(name: str, program: str, source: str, **rest: Any) -> tuple[Attack, ...]:
    """`source` is a test of its own that calls f: as an assert, and as the body of a check."""
    body = "".join(f"    {line}\n" for line in source.replace("f(3)", "candidate(3)").split("\n"))
    check = {"check": f"def check(candidate):\n{body}"}
    return (
        Attack(name=name, form="split", program=program, tests=[{"assert": source}], entry_point="f", **rest),
        Attack(name=name, form="check", program=program, tests=[check], entry_point="f", **rest),
    )


def script_rows(
    name: str, program: str, *pairs: tuple[str, str], fools: str = "plain", **rest: Any
) -> tuple[Attack, ...]:
    """A program judged by what it prints; each pair is a test's stdin and stdout."""
    tests = [{"stdin": stdin, "stdout": stdout} for stdin, stdout in pairs or (("", str(SECRET)),)]
    return (Attack(name=name, form="stdin", program=program, tests=tests, fools=fools, **rest),)


def pytest_rows(name: str, program: str, **rest: Any) -> tuple[Attack, ...]:
    """A pytest file that imports the program. It shares a process with it at every level: such a pass is of low
    trust."""
    source = "from solution import f\n\ndef test_f():\n    assert f(3) == 9731\n"
    return (Attack(name=name, form="pytest", program=program, tests=[{"pytest": source}], fools="pytest", **rest),)


_CHECKER = (
    "import json, sys\nsys.exit(0 if open(sys.argv[2]).read().split() == open(sys.argv[3]).read().split() else 1)\n"
)


def checker_rows(name: str, program: str, **rest: Any) -> tuple[Attack, ...]:
    """A program whose output a checker reads. The control leaves checker and answer in the program's folder."""
    tests = [{"stdin": "", "checker": _CHECKER, "answer": str(SECRET)}]
    return (Attack(name=name, form="checker", program=program, tests=tests, fools="checker", **rest),)


def exhausting_rows(
    name: str,
    body: str,
    outcome: Outcome | None,
    limits: dict[str, Any],
    *,
    setup: str = "",
    printed: str = "",
    **rest: Any,
) -> tuple[Attack, ...]:
    """`body` uses more than `limits` allow, then answers right: as a script, where `printed` comes before the answer,
    and as a function."""
    indented = "".join(f"    {line}\n" for line in body.split("\n"))
    rest = {"harmful": True, "outcome": outcome, "more": {"limits": limits}} | rest
    return (
        *script_rows(name, f"{setup}\n{body}\nprint({SECRET})\n", ("", f"{printed}{SECRET}"), **rest),
        *function_rows(name, f"{setup}\ndef f(x):\n{indented}    return {SECRET}\n", forms=("call", "check"), **rest),
    )

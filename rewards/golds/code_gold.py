"""Inputs and outputs in the ways that data sets write them, as tests of the verifier `code`; and what is refused.

Standard input: text, or a list of lines. A call: a list of arguments, text with one JSON value a line, text of named
arguments (`nums = [3, 3], target = 6`), or an object of named arguments.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from rewards.errors import GoldError
from rewards.golds.problem import Row, decoded

_FLOAT = re.compile(r"(?<![\w.])[+-]?\d+\.\d+(?:[eE][+-]?\d+)?(?![\w.])")
STDIN_TOLERANCE, CALL_TOLERANCE = 1e-6, 1e-5  # LeetCode prints five decimals
_ALTERNATIVES = ("accepted_outputs", "expected_outputs", "accepted", "alternatives")
_INPUTS = ("input", "stdin", "inputs", "args")
_OUTPUTS = ("output", "stdout", "expected_output", "expected", "outputs")

# The graders of APPS and of LiveCodeBench give these to every program, and LeetCode does: answers do not import them.
_IMPORTS = """\
from bisect import *
from collections import *
from functools import *
from heapq import *
from itertools import *
from math import *
from typing import *
from builtins import *
import bisect, collections, copy, functools, heapq, itertools, math, operator, re, string, sys
"""

# Its arguments: input, output, answer; the answer is a JSON list of the outputs that are right.
ONE_OF_OUTPUTS = """\
import json
import sys

with open(sys.argv[2], encoding="utf-8", errors="replace") as file:
    printed = file.read().split()
with open(sys.argv[3], encoding="utf-8") as file:
    accepted = json.load(file)
sys.exit(0 if any(printed == text.split() for text in accepted) else 1)
"""

_ONE_OF_VALUES = """\
import json


def same(wanted, got):
    if type(wanted) is bool or type(got) is bool or wanted is None or got is None:
        return wanted is got
    if type(wanted) in (int, float) and type(got) in (int, float):
        return wanted == got or (float in (type(wanted), type(got)) and abs(wanted - got) <= 1e-5)
    if type(wanted) is list and type(got) in (list, tuple):
        return len(wanted) == len(got) and all(same(a, b) for a, b in zip(wanted, got))
    if type(wanted) is dict and type(got) is dict:
        got = {str(key): value for key, value in got.items()}
        return wanted.keys() == got.keys() and all(same(wanted[key], got[key]) for key in wanted)
    return type(wanted) is str and type(got) is str and wanted == got


def check(candidate):
    case = json.loads(CASE)
    got = candidate(*case["args"], **case["kwargs"])
    assert any(same(value, got) for value in case["accepted"])
"""


def stdin_gold(pairs: Sequence[tuple[Any, Any]], limits: Mapping[str, Any], compare: Any = None) -> dict[str, Any]:
    """pairs: standard input with the output wanted, or with `Accepted` outputs. Where an output holds a decimal
    fraction and `compare` says nothing else, numbers may differ by 1e-6."""
    tests: list[dict[str, Any]] = []
    outputs: list[str] = []
    for given, wanted in pairs:
        if not _is_text(given):
            raise GoldError(
                f"the input {str(given)[:80]} is a value, not the text of standard input",
                remedy="name the function that takes it in fn_name, or write the input as text",
            )
        if isinstance(wanted, Accepted) and len(wanted.values) > 1:
            answer = json.dumps([as_lines(value) for value in wanted.values])
            tests.append({"stdin": as_lines(given), "checker": ONE_OF_OUTPUTS, "answer": answer})
        else:
            text = as_lines(wanted.values[0] if isinstance(wanted, Accepted) else wanted)
            outputs.append(text)
            tests.append({"stdin": as_lines(given), "stdout": text})
    if compare is None and any("." in text and _FLOAT.search(text) for text in outputs):
        compare = {"float": {"abs": STDIN_TOLERANCE}}
    return _gold(tests, limits, compare)


def call_gold(
    pairs: Sequence[tuple[Any, Any]], entry_point: str, limits: Mapping[str, Any], *, lines: bool, starter: str = ""
) -> dict[str, Any]:
    """pairs: the arguments with the value wanted. `lines`: text holds one JSON value a line (LiveCodeBench's way), and
    not one list of all arguments. `starter`: the code that the answer begins with.

    APPS wraps the value in a list in some rows and not in others, and says nowhere which: where all of a row's values
    are lists of one, and the starter does not tell, the list and its one item are both right, as in APPS's own grader.
    """
    calls = [(*arguments(given, lines=lines), _value(wanted, given)) for given, wanted in pairs]
    values = [wanted for _, _, wanted in calls]
    wrapped = all(isinstance(value, list) and len(value) == 1 for value in values)
    wrapped = wrapped and not any(isinstance(given, str) for given, _ in pairs)
    holds = _wrapping(starter, entry_point, values) if wrapped else "the value"
    tests: list[dict[str, Any]] = []
    for args, kwargs, wanted in calls:
        accepted = [wanted]
        if isinstance(wanted, Accepted):
            accepted = wanted.values
        elif holds != "the value":
            accepted = wanted if holds == "its one item" else [wanted, wanted[0]]
        if len(accepted) == 1:
            kwargs_given = {"kwargs": kwargs} if kwargs else {}
            tests.append({"args": args, **kwargs_given, "expected": accepted[0]})
        else:
            case = json.dumps({"args": args, "kwargs": kwargs, "accepted": accepted})
            tests.append({"check": f"CASE = {case!r}\n{_ONE_OF_VALUES}"})
    floats = any(_has_float(value) for value in values)
    gold = _gold(tests, limits, {"float": {"abs": CALL_TOLERANCE}} if floats else None)
    return {"entry_point": entry_point, "preamble": _IMPORTS, **_begun(starter, entry_point), **gold}


def source_gold(
    tests: Sequence[Mapping[str, Any]],
    entry_point: str | None,
    preamble: str,
    limits: Mapping[str, Any],
    *,
    starter: str = "",
) -> dict[str, Any]:
    """Tests that are source text: asserts, checks, pytest files. `preamble` stands before them, `starter` is the code
    that the answer begins with."""
    gold = _gold(list(map(dict, tests)), limits, None)
    if preamble.strip():
        gold["preamble"] = preamble
    return {"entry_point": entry_point, **_begun(starter, entry_point), **gold} if entry_point else gold


def _begun(starter: str, entry_point: str) -> dict[str, str]:
    """The key `starter`, where the code begins what is tested: other code is no beginning of the answer."""
    head = re.escape(entry_point.partition(".")[0])
    return {"starter": starter} if re.search(rf"(?m)^(?:async )?(?:def|class) {head}\b", starter) else {}


def _wrapping(starter: str, entry_point: str, values: list[Any]) -> str:
    """What is right where all values are lists of one: "the value", "its one item", or "either", by the annotation of
    what the function returns."""
    name = re.escape(entry_point.rpartition(".")[2])
    found = re.search(rf"\bdef {name}\b[^\n]*->\s*([^:\n]+):", starter)
    returns = found[1].strip().lower() if found else ""
    nested = returns.startswith("list") and "list" in returns[4:]
    if returns in ("int", "float", "bool", "str"):
        return "its one item"
    if returns.startswith("list") and not nested and all(isinstance(value[0], list) for value in values):
        return "its one item"  # a list[int] is not [[1, 2]]
    return "the value" if returns.startswith("list") else "either"


def _gold(tests: list[dict[str, Any]], limits: Mapping[str, Any], compare: Any) -> dict[str, Any]:
    if not tests:
        raise GoldError("the row has no tests", remedy="drop the row: a program without tests cannot be judged")
    gold: dict[str, Any] = {"tests": tests}
    if compare is not None:
        gold["compare"] = compare
    return {**gold, "limits": dict(limits)} if limits else gold


class Accepted:
    """Several right outputs of one test."""

    def __init__(self, values: list[Any]) -> None:
        self.values = values


def paired(inputs: Any, outputs: Any, place: str) -> list[tuple[Any, Any]]:
    """inputs [T] and outputs [T] as pairs. Raises GoldError where they are not two lists of one length."""
    if not isinstance(inputs, list) or not isinstance(outputs, list) or len(inputs) != len(outputs):
        sizes = [len(side) if isinstance(side, list) else type(side).__name__ for side in (inputs, outputs)]
        raise GoldError(f"{place}: inputs and outputs are no two lists of one length ({sizes[0]} and {sizes[1]})")
    return list(zip(inputs, outputs, strict=True))


def pair_of(test: Mapping[str, Any], place: str) -> tuple[Any, Any]:
    """The input and the output of one test that is an object. Raises GoldError naming the keys that it has."""
    given = next((test[key] for key in _INPUTS if test.get(key) is not None), None)
    accepted = next((test[key] for key in _ALTERNATIVES if isinstance(test.get(key), list) and test[key]), None)
    wanted = next((test[key] for key in _OUTPUTS if test.get(key) is not None), None)
    if accepted is not None:
        wanted = Accepted([*([wanted] if wanted is not None and wanted not in accepted else []), *accepted])
    no_output = wanted is None and not any(key in test for key in _OUTPUTS)
    if (given is None and not any(key in test for key in _INPUTS)) or no_output:
        raise GoldError(
            f"{place}: a test has the keys {', '.join(sorted(map(str, test)))}",
            remedy=f"name its input one of {', '.join(_INPUTS)}, and its output one of {', '.join(_OUTPUTS)}",
        )
    return given, wanted


def as_lines(value: Any) -> str:
    """Text as it is; a list as lines, of which one list may hold all."""
    if isinstance(value, list):
        rows = value[0] if len(value) == 1 and isinstance(value[0], list) else value
        return "\n".join(_line(row) for row in rows) + ("\n" if rows else "")
    return "" if value is None else value if isinstance(value, str) else str(value)


def _is_text(value: Any) -> bool:
    """Whether this is standard input: text, a number, nothing, or lines of these."""
    if isinstance(value, list):
        lines = value[0] if len(value) == 1 and isinstance(value[0], list) else value
        return all(isinstance(line, str) for line in lines)
    return value is None or isinstance(value, str | int | float)


def _line(row: Any) -> str:
    return " ".join(map(str, row)) if isinstance(row, list) else str(row).rstrip("\n")


def arguments(given: Any, *, lines: bool) -> tuple[list[Any], dict[str, Any]]:
    """A call's arguments by place and by name."""
    if isinstance(given, list):
        return given, {}
    if isinstance(given, Mapping):
        return [], dict(given)
    if not isinstance(given, str):
        return [given], {}
    if not lines and isinstance(whole := decoded(given), list):
        return whole, {}
    if lines or "\n" in given.strip():
        try:
            return [json.loads(line) for line in given.split("\n") if line.strip()], {}
        except ValueError:
            pass
    try:
        call = ast.parse(f"f({given.strip()})", mode="eval").body
        assert isinstance(call, ast.Call), "the text above is one call"
        named = {str(word.arg): ast.literal_eval(word.value) for word in call.keywords}
        return [ast.literal_eval(item) for item in call.args], named
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError) as error:
        raise GoldError(
            f"the arguments {given[:80]!r} are no JSON values", remedy="write one JSON value a line, or a list of them"
        ) from error


def _value(wanted: Any, given: Any) -> Any:
    """What a call must return. Beside arguments that are text it is JSON text, too; beside others it is the value."""
    if isinstance(wanted, Accepted):
        return Accepted([_value(value, given) for value in wanted.values])
    if not isinstance(given, str) or not isinstance(wanted, str):
        return wanted
    try:
        return json.loads(wanted)
    except ValueError:
        pass
    try:
        return ast.literal_eval(wanted)
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        return wanted  # a bare word is the text itself


def _has_float(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return any(map(_has_float, value))
    if isinstance(value, Mapping):
        return any(map(_has_float, value.values()))
    return any(map(_has_float, value.values)) if isinstance(value, Accepted) else isinstance(value, float)


def refuse_what_needs_more(row: Row, statement: str | None = None) -> Any:
    """Raises GoldError for other languages, checkers and interactive problems. Returns how outputs are compared where
    the row names one of testlib's plain checkers, else None."""
    for name in ("language", "lang", "programming_language"):
        language = row.peek_raw(name)
        if isinstance(language, str) and language.lower() in _OTHER_LANGUAGES:
            raise GoldError(f"{row.place(name)} is {language}: only Python is judged", remedy="keep the Python rows")
    if any(row.peek_raw(name) for name in ("interaction_format", "interactor", "interactive", "is_interactive")):
        raise GoldError("an interactive problem needs its interactor, a program that answers while the other runs")
    compare = None
    for name in ("checker", "generated_checker", "special_judge", "spj", "checker_code"):
        checker = row.peek_raw(name)
        if isinstance(checker, str) and checker.strip().removesuffix(".cpp").removeprefix("std::") in _PLAIN_CHECKERS:
            row.get(name)
            compare = _PLAIN_CHECKERS[checker.strip().removesuffix(".cpp").removeprefix("std::")]
        elif checker:
            raise GoldError(
                f"{row.place(name)}: several outputs are right, and a checker of the row's own tells which",
                remedy="write it for our judge, as a Python program: arguments input, output, answer; exit code 0 for "
                'right, 1 for wrong; {"stdin": ..., "checker": ..., "answer": ...}',
            )
    if row.peek_raw("input_mode") == "file" or any(row.has(name) for name in ("input_file", "output_file")):
        raise GoldError("its programs read and write named files", remedy="keep the rows that use standard input")
    if statement is not None and _INTERACTIVE.search(statement):
        raise GoldError("an interactive problem needs its interactor, a program that answers while the other runs")
    if statement is not None and compare is None and _ANY_OF_THEM.search(statement):
        raise GoldError(
            f"several outputs are right (its text says {_ANY_OF_THEM.search(statement)[0]!r}), and the row holds one",  # type: ignore[index]
            remedy="set the row aside (max_faulty_share), or give it a checker program",
        )
    return compare


_ANY_OF_THEM = re.compile(
    r"\b(?:print|output|find|display|write) any(?: one)?(?: of (?:them|these|those|the\b)|[.,;])", re.I
)
_INTERACTIVE = re.compile(r"\bthis is an interactive (?:problem|task)\b", re.IGNORECASE)
_OTHER_LANGUAGES = {
    *("c", "cpp", "c++", "cc", "java", "javascript", "js", "typescript", "ts", "go", "golang", "rust", "ruby", "php"),
    *("swift", "kotlin", "scala", "perl", "r", "julia", "lua", "haskell", "bash", "shell", "sql", "c#", "csharp", "cs"),
    *("racket", "ocaml", "d", "dart", "elixir", "matlab", "clj", "node"),
}
# testlib's own checkers that compare in a way that the judge has.
_PLAIN_CHECKERS: dict[str, Any] = {
    **dict.fromkeys(("wcmp", "ncmp", "hcmp", "icmp"), "tokens"),
    "rcmp4": {"float": {"abs": 1e-4, "rel": 1e-4}},
    "rcmp6": {"float": {"abs": 1e-6, "rel": 1e-6}},
    "rcmp9": {"float": {"abs": 1e-9, "rel": 1e-9}},
}

"""A row (one JSON object) read as a Program: every key checked, each complaint with its key and the remedy.

The shape is that of `posttrain sandbox run`. Knows nothing of how a program is judged.
"""

from __future__ import annotations

import difflib
import json
from dataclasses import fields
from typing import Any

from sandbox.errors import ProgramError
from sandbox.types import AssertTest, CallTest, CheckerTest, CheckTest, Limits, Program, PytestTest, StdinTest, Test

_KEYS = ("id", "language", "program", "entry_point", "preamble", "tests", "compare", "score", "limits")
_FORMS = (
    {"stdin", "stdout"},
    {"args", "expected"},
    {"assert"},
    {"check"},
    {"stdin", "checker"},
    {"stdin", "checker", "answer"},
    {"pytest"},
)
_MOST_DIGITS, _PIECE_DIGITS = 1_000_000, 4000
_MOST_INPUT_BYTES = 128_000_000
_MODES = ("bytes", "tokens", "unordered_lines")
_LARGEST = {
    "cpu_seconds": 3600,
    "wall_seconds": 7200,
    "memory_mb": 65536,
    "output_bytes": 64_000_000,
    "processes": 4096,
    "disk_mb": 65536,
}


def read_json_line(line: bytes) -> Any:
    """One JSON value. Unlike json.loads it takes whole numbers of more than 4,300 digits, as a test may expect. Raises
    ValueError."""
    try:
        return json.loads(line)
    except ValueError as error:
        if isinstance(error, json.JSONDecodeError | UnicodeDecodeError):
            raise
        return json.loads(line, parse_int=_whole_number)


def _whole_number(text: str) -> int:
    if len(text) > _MOST_DIGITS:
        raise ValueError(f"a number of {len(text)} digits; at most {_MOST_DIGITS} are taken")
    if len(text) <= _PIECE_DIGITS:
        return int(text)
    rest = len(text) // 2
    head = _whole_number(text[:-rest])
    tail = _whole_number(text[-rest:])
    return head * 10**rest + (-tail if text.startswith("-") else tail)


def parse_program(row: dict[str, Any]) -> Program:
    """A Program from one JSON object. Raises ProgramError naming the key that is wrong."""
    if not isinstance(row, dict):
        raise ProgramError(f"a program is a JSON object, not {type(row).__name__}")
    _refuse_unknown_keys(row, _KEYS, "")
    tests = row.get("tests")
    if not isinstance(tests, list) or not tests:
        raise ProgramError(
            "tests must be a list with at least one test",
            where="tests",
            remedy="a program without tests cannot be judged",
        )
    language = _text(row, "language", "python")
    if language != "python":
        raise ProgramError(f"language {language!r} is not judged", where="language", remedy="use python")
    identity = row.get("id")
    if not isinstance(identity, str | int) or isinstance(identity, bool):
        raise ProgramError(f"id must be text or a whole number, not {identity!r}", where="id")
    compare, tolerance = _comparison(row.get("compare", "tokens"))
    score = row.get("score", "all")
    if score not in ("all", "fraction"):
        raise ProgramError(f"score must be all or fraction, not {score!r}", where="score")
    entry_point = row.get("entry_point")
    if entry_point is not None and not (
        isinstance(entry_point, str) and all(part.isidentifier() for part in entry_point.split("."))
    ):
        raise ProgramError(
            f"entry_point must be a name such as solve or Solution.solve, not {entry_point!r}", where="entry_point"
        )
    parsed = tuple(_test(test, f"tests[{index}]") for index, test in enumerate(tests))
    if entry_point is None and any(isinstance(test, CallTest | CheckTest) for test in parsed):
        raise ProgramError(
            "function tests need the name of the function", where="entry_point", remedy='add "entry_point": "name"'
        )
    return Program(
        id=str(identity),
        program=_text(row, "program", None),
        tests=parsed,
        entry_point=entry_point,
        preamble=_text(row, "preamble", ""),
        compare=compare,
        tolerance=tolerance,
        score=score,
        limits=_limits(row.get("limits", {})),
        language=language,
    )


def _refuse_unknown_keys(mapping: dict[str, Any], keys: tuple[str, ...], where: str) -> None:
    for key in mapping:
        if key not in keys:
            near = difflib.get_close_matches(str(key), keys, n=1)
            remedy = f"did you mean {near[0]!r}?" if near else f"the keys are {', '.join(keys)}"
            raise ProgramError(f"unknown key {key!r}", where=where or None, remedy=remedy)


def _text(mapping: dict[str, Any], key: str, default: str | None, where: str | None = None) -> str:
    value = mapping.get(key, default)
    if not isinstance(value, str):
        raise ProgramError(f"{key} must be text, not {value!r:.80}", where=where or key)
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ProgramError(
            f"{key} holds half of a surrogate pair, which no program text can", where=where or key
        ) from error
    return value


def _test(test: Any, where: str) -> Test:
    if not isinstance(test, dict):
        raise ProgramError(f"a test is a JSON object, not {type(test).__name__}", where=where)
    optional = {"kwargs"} if "args" in test else {"verdict_by"} if "checker" in test else set()
    keys = set(test) - optional
    if keys not in _FORMS:
        forms = "; ".join(" + ".join(sorted(form)) for form in _FORMS)
        raise ProgramError(
            f"no test form has the keys {sorted(map(str, test))}", where=where, remedy=f"the forms are: {forms}"
        )
    if keys == {"stdin", "stdout"}:
        return StdinTest(stdin=_input(test, where), stdout=_text(test, "stdout", None, where).encode())
    if "args" in test:
        args, kwargs = test["args"], test.get("kwargs", {})
        if not isinstance(args, list) or not isinstance(kwargs, dict):
            raise ProgramError("args must be a list and kwargs an object", where=where)
        return CallTest(args=args, kwargs=kwargs, expected=test["expected"])
    if "assert" in test:
        return AssertTest(source=_text(test, "assert", None, where))
    if "check" in test:
        return CheckTest(source=_text(test, "check", None, where))
    if "pytest" in test:
        return PytestTest(source=_text(test, "pytest", None, where))
    stdin, answer = _input(test, where), _text(test, "answer", "", where)
    by = test.get("verdict_by", "exit")
    if by not in ("exit", "stdout"):
        raise ProgramError(f"verdict_by must be exit or stdout, not {by!r:.80}", where=where)
    checker = _text(test, "checker", None, where)
    return CheckerTest(stdin=stdin, checker=checker, answer=answer.encode(), verdict_by=by)


def _input(test: dict[str, Any], where: str) -> bytes:
    data = _text(test, "stdin", None, where).encode()
    if len(data) > _MOST_INPUT_BYTES:
        raise ProgramError(f"stdin has {len(data)} bytes; at most {_MOST_INPUT_BYTES} are taken", where=where)
    return data


def _comparison(value: Any) -> tuple[str, tuple[float, float] | None]:
    if isinstance(value, str) and value in _MODES:
        return value, None
    if isinstance(value, dict) and set(value) == {"float"} and isinstance(value["float"], dict):
        inner = value["float"]
        _refuse_unknown_keys(inner, ("abs", "rel"), "compare.float")
        pair = (inner.get("abs", 0.0), inner.get("rel", 0.0))
        if all(
            isinstance(number, int | float) and not isinstance(number, bool) and 0 <= number < float("inf")
            for number in pair
        ):
            return "float", (float(pair[0]), float(pair[1]))
    remedy = f'one of {", ".join(_MODES)}, or {{"float": {{"abs": 1e-9, "rel": 1e-6}}}}'
    raise ProgramError(f"compare {value!r:.80} is not known", where="compare", remedy=remedy)


def _limits(value: Any) -> Limits:
    if not isinstance(value, dict):
        raise ProgramError(f"limits must be an object, not {value!r:.80}", where="limits")
    names = tuple(field.name for field in fields(Limits))
    _refuse_unknown_keys(value, names, "limits")
    for name, number in value.items():
        seconds = name.endswith("_seconds")
        kinds = (int, float) if seconds else (int,)
        if not isinstance(number, kinds) or isinstance(number, bool) or not 0 < number <= _LARGEST[name]:
            kind = "a number" if seconds else "a whole number"
            raise ProgramError(
                f"{name} must be {kind} above 0, at most {_LARGEST[name]}, not {number!r:.80}", where="limits"
            )
    given: dict[str, Any] = {
        name: float(number) if name.endswith("_seconds") else number for name, number in value.items()
    }
    return Limits(**given)

"""Code shapes whose tests are data: inputs with the outputs wanted, of a script or of a function."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from rewards.errors import GoldError
from rewards.golds.code_gold import call_gold, pair_of, paired, refuse_what_needs_more, source_gold, stdin_gold
from rewards.golds.limits import limits_of
from rewards.golds.packed_tests import unpacked
from rewards.golds.problem import Problem, Row, decoded

_STATEMENT = (
    "question",
    "question_content",
    "problem",
    "problem_statement",
    "description",
    "problem_description",
    "prompt",
)
_MADE = re.compile(r"\A([A-Za-z_]\w*)\(\)\.([A-Za-z_]\w*)\Z")  # Solution().twoSum
_NAMES = ("fn_name", "func_name", "function_name", "entry_point")
_TEST_COLUMNS = ("tests", "test_cases", "testcases", "unit_tests")
_WANTS_STDIN = (
    "Read the input from standard input and print the answer to standard output. "
    "Give the whole program in one ```python block."
)


def taco(row: Row) -> Problem | None:
    """APPS' columns with TACO's own: tags, skills, limits as text."""
    return apps(row) if {"raw_tags", "skill_types"} & set(row.names()) else None


def apps(row: Row) -> Problem | None:
    """`input_output`: JSON text of inputs, outputs and, for functions, fn_name; `starter_code`."""
    if "input_output" not in row.names():
        return None
    if isinstance(row.peek("input_output"), list):  # LeetCodeDataset's examples
        return _list_of_tests(row, row.json("input_output"), "input_output")
    tests = row.inner("input_output")
    if tests is None:
        if row.has("input_output"):
            raise GoldError(f"{row.place('input_output')} is no JSON object", remedy="mend or drop the row")
        raise GoldError("input_output is empty: the row has no tests", remedy="drop the row")
    return _inputs_and_outputs(row, tests)


def columns_of_tests(row: Row) -> Problem | None:
    """`inputs` and `outputs` (verl's prime_code has them in its ground truth), with `fn_name` for functions."""
    return _inputs_and_outputs(row, row) if row.has("inputs", "outputs") else None


def live_code_bench(row: Row) -> Problem | None:
    """`public_test_cases` and `private_test_cases`, the latter packed; func_name in `metadata`."""
    columns = [name for name in ("public_test_cases", "private_test_cases") if name in row.names()]
    if not columns:
        return None
    cases: list[Any] = []
    for name in columns:
        value = row.json(name)
        if isinstance(value, str):
            value = unpacked(value, row.place(name))
        if value is not None and not isinstance(value, list):
            raise GoldError(f"{row.place(name)} is no list of tests", remedy="mend or drop the row")
        cases += value or []
    return _list_of_tests(row, cases, columns[-1])


def deep_coder(row: Row) -> Problem | None:
    """`problem` and `tests`: APPS' inputs and outputs, or a list of tests with type (stdin_stdout, function_call)."""
    name = next((name for name in _TEST_COLUMNS if row.has(name)), None)
    value = row.peek(name) if name else None
    if name is None or not isinstance(value, list | dict) or not any(row.has(column) for column in _STATEMENT):
        return None
    return list_of_tests(row)


def list_of_tests(row: Row) -> Problem | None:
    """As DeepCoder's, with or without a statement beside it: also what a ground truth holds."""
    name = next((name for name in _TEST_COLUMNS if row.has(name)), None)
    value = row.peek(name) if name else None
    if name is None or not isinstance(value, list | dict):
        return None
    if isinstance(value, dict):
        inner = row.inner(name)
        return _inputs_and_outputs(row, inner) if inner is not None and _columns_of(inner) else None
    if not value or not all(isinstance(decoded(test), dict) for test in value):
        return None
    return _list_of_tests(row, row.json(name), name)


def prime_intellect(row: Row) -> Problem | None:
    """`verification_info`: JSON text of test_cases with fn_name and type, or of ground_truth."""
    info = row.inner("verification_info")
    if info is None:
        return None
    if info.has("ground_truth") and not info.has("test_cases"):
        return Problem(format="", gold=str(info.get("ground_truth")), verifier="math", question=_statement(row))
    if not info.has("test_cases"):
        return None
    refuse_what_needs_more(info)
    cases = info.json("test_cases")
    if isinstance(cases, list) and cases and all(isinstance(case, str) and "assert" in case for case in cases):
        tests = [{"assert": case} for case in cases]
        return _code(row, source_gold(tests, None, "", limits_of(row, info)), _statement(row))
    return _list_of_tests(row, cases, "test_cases", info)


def code_contests(row: Row) -> Problem | None:
    """`public_tests`, `private_tests` and `generated_tests`, each with inputs and outputs; limits."""
    columns = [name for name in ("public_tests", "private_tests", "generated_tests") if name in row.names()]
    if not columns:
        return None
    pairs: list[tuple[Any, Any]] = []
    for name in columns:
        value = row.json(name) or []
        if isinstance(value, Mapping):
            pairs += paired(value.get("input", []), value.get("output", []), row.place(name))
        else:
            pairs += [pair_of(_object(test, row.place(name)), row.place(name)) for test in row.listed(name)]
    return _script(row, pairs)


def codeforces(row: Row) -> Problem | None:
    """open-r1's Codeforces: `official_tests`, `input_mode`, limits in seconds and MB; no `generated_checker`."""
    if "official_tests" not in row.names():
        return None
    tests = row.listed("official_tests")
    if not tests:
        raise GoldError("official_tests is empty: the row has no tests", remedy="drop the row")
    parts = [row.text("title"), row.text("description"), row.text("input_format"), row.text("output_format")]
    titles = ["", "", "Input\n\n", "Output\n\n"]
    texts = [title + part for title, part in zip(titles, parts, strict=True) if part]
    if row.has("note"):
        texts.append(f"Note\n\n{row.text('note')}")
    for number, example in enumerate(row.listed("examples"), start=1):
        given, wanted = pair_of(_object(example, "examples"), "examples")
        texts.append(f"Example {number}\n\nInput:\n{given}\n\nOutput:\n{wanted}")
    row.get("input_mode")
    pairs = [pair_of(_object(test, "official_tests"), row.place("official_tests")) for test in tests]
    return _script(row, pairs, "\n\n".join(texts) or None)


# ---------------------------------------------------------------- what they share


def _columns_of(tests: Row) -> tuple[str, str] | None:
    """The two lists that hold inputs and outputs, by their names; None where there are none."""
    inputs = next((name for name in ("inputs", "input", "stdin") if isinstance(tests.peek(name), list)), None)
    outputs = ("outputs", "output", "expected_outputs", "expected_output", "stdout")
    found = next((name for name in outputs if isinstance(tests.peek(name), list)), None)
    return (inputs, found) if inputs and found else None


def _inputs_and_outputs(row: Row, tests: Row) -> Problem:
    inputs, outputs = _columns_of(tests) or ("inputs", "outputs")
    pairs = paired(tests.json(inputs), tests.json(outputs), tests.place(f"{inputs}, {outputs}"))
    name = _function_name(tests)
    return _script(row, pairs, limits_from=tests) if name is None else _function(row, pairs, name, tests)


def _list_of_tests(row: Row, cases: Any, column: str, info: Row | None = None) -> Problem:
    """Tests with their type in each: all of a script, or all of one function."""
    if not isinstance(cases, list):
        raise GoldError(f"{row.place(column)} is no list of tests", remedy="mend or drop the row")
    tests = [_object(case, row.place(column)) for case in cases]
    ours = [_own_form(test) for test in tests]
    if ours and all(ours):
        gold = source_gold(ours, _function_name(row), row.text("preamble") or "", limits_of(row))
        return _code(row, gold, _statement(row))
    pairs = [pair_of(test, row.place(column)) for test in tests]
    metadata = row.inner("metadata") if isinstance(row.peek("metadata"), dict) else None
    names = {name for test in tests if (name := _name_in(test)) is not None}
    named = (_function_name(source) for source in (info, metadata, row) if source is not None and not names)
    beside = next(filter(None, named), None)
    kinds = {
        str(test.get("testtype") or test.get("type") or ("function_call" if _name_in(test) or beside else "stdin"))
        for test in tests
    }
    functional = {kind for kind in kinds if kind.startswith(("func", "call"))}
    if not functional and not names:
        return _script(row, pairs, limits_from=metadata)
    if functional != kinds:
        raise GoldError(f"{row.place(column)} mixes tests of a script and of a function: {', '.join(sorted(kinds))}")
    names |= {beside} if beside else set()
    if len(names) != 1:
        found = ", ".join(sorted(names)) or "none"
        raise GoldError(f"its tests call a function, and the row names {found}", remedy="give one func_name")
    in_lines = "functional" in functional or any("testtype" in test for test in tests)
    return _function(row, pairs, names.pop(), metadata, lines=in_lines)


def _own_form(test: Mapping[str, Any]) -> dict[str, Any]:
    """A test that calls or asserts in a form that the judge takes as it is, without the null keys of other tests; {}
    for any other test."""
    if isinstance(test.get("args"), list) and "expected" in test:
        return {
            key: test[key] for key in ("args", "kwargs", "expected") if key == "expected" or test.get(key) is not None
        }
    return next(({key: test[key]} for key in ("assert", "check", "pytest") if isinstance(test.get(key), str)), {})


def _name_in(test: Mapping[str, Any]) -> str | None:
    inner = decoded(test.get("metadata"))
    places = [test, inner] if isinstance(inner, Mapping) else [test]
    return next((str(place[name]) for place in places for name in _NAMES if place.get(name)), None)


def _function_name(row: Row) -> str | None:
    name = next((str(row.get(name)).strip() for name in _NAMES if row.has(name)), None)
    return None if name is None else plain_name(name)


def plain_name(name: str) -> str:
    """Solution.twoSum for Solution().twoSum, as the judge names a method; other names as they are."""
    made = _MADE.match(name)
    return f"{made[1]}.{made[2]}" if made else name


def _object(test: Any, place: str) -> Mapping[str, Any]:
    value = decoded(test)
    if not isinstance(value, Mapping):
        raise GoldError(f"{place}: a test is {type(value).__name__}, not an object", remedy="mend or drop the row")
    return value


def _script(
    row: Row, pairs: list[tuple[Any, Any]], statement: str | None = None, limits_from: Row | None = None
) -> Problem:
    statement = statement or _statement(row)
    compare = refuse_what_needs_more(row, statement)
    gold = stdin_gold(pairs, limits_of(row, limits_from), compare)
    return _code(row, gold, None if statement is None else f"{statement.strip()}\n\n{_WANTS_STDIN}")


def _function(
    row: Row, pairs: list[tuple[Any, Any]], name: str, limits_from: Row | None, *, lines: bool | None = None
) -> Problem:
    statement, starter = _statement(row), row.text("starter_code") or ""
    refuse_what_needs_more(row)
    if lines is None:  # verl has JSON values in lines where APPS has lists of arguments
        lines = all(isinstance(given, str) for given, _ in pairs)
    entry_point = f"Solution.{name}" if re.search(r"\bclass Solution\b", starter) and "." not in name else name
    gold = call_gold(pairs, entry_point, limits_of(row, limits_from), lines=lines, starter=starter)
    return _code(row, gold, with_starter(statement, starter, entry_point))


def with_starter(statement: str | None, starter: str, entry_point: str) -> str | None:
    """The statement with what its answer must define."""
    if statement is None:
        return None
    made, _, name = entry_point.rpartition(".")
    wanted = f"the class `{made}` with the method `{name}`" if made else f"the function `{name}`"
    begin = f" It begins so:\n\n```python\n{starter.strip()}\n```" if starter.strip() else ""
    return f"{statement.strip()}\n\nGive the program in one ```python block; it defines {wanted}.{begin}"


def _statement(row: Row) -> str | None:
    return row.first_text(*_STATEMENT)


def _code(row: Row, gold: dict[str, Any], question: str | None) -> Problem:
    return Problem(format="", gold=gold, verifier="code", question=question)

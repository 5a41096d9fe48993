"""The table of shapes, and `read_problem`: a row's columns to a gold.

A shape is known by its columns, and by values where columns are shared; never by a file's name. The first shape of the
table that fits is taken, so those with more telling columns stand first. A row that has a column `gold` speaks for
itself: only JSON text in it is read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from rewards.contract.options import closest_names
from rewards.errors import GoldError
from rewards.golds import choice_rows, data_tests, instruction_rows, math_rows, source_tests, tool_rows
from rewards.golds.problem import Problem, Row, decoded

AUTO = "auto"
OWN = "JSON text"
_BESIDE = ("starter_code", "entry_point", "fn_name", "func_name", "time_limit", "memory_limit")
_HOLDERS = ("gold", "ground_truth", "label", "answer")
_OWN_KEYS = {"instruction_id_list": "instructions", "calls": "tool_call", "schema": "tool_call", "answer": "math"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """One public shape. `columns`: what it is known by, in words. `read` gives None for a row of another shape.

    Example: Shape(columns="question, answer with ####", read=gsm8k)
    """

    columns: str
    read: Callable[[Row], Problem | None]


def _own(row: Row) -> Problem | None:
    """`gold`, `ground_truth`, `label` or `answer`: JSON text of one of our own golds, or tests of a public shape. JSON
    of any other kind stays as it is: a verifier of the user's own may want the text."""
    name = next((name for name in _HOLDERS if row.has(name)), "gold")
    value = row.peek(name)
    problem = _nested(row, name, value) if isinstance(value, dict | list) and value else None
    return None if problem is None or (name == "gold" and problem.gold == row.peek_raw(name)) else problem


def _verl(row: Row) -> Problem | None:
    """`reward_model` (SkyRL: `reward_spec`) with ground_truth, which may be text, or JSON text of tests."""
    model = row.inner("reward_model") or row.inner("reward_spec")
    if model is None or not model.has("ground_truth"):
        return None
    row.get("data_source")
    return _ground_truth(row, model)


def _nemo_gym(row: Row) -> Problem | None:
    """`responses_create_params` whose input holds the turns; `verifier_metadata` with unit_tests, or `expected_answer`,
    or IFEval's columns."""
    params = row.inner("responses_create_params")
    if params is None or not isinstance(params.json("input"), list):
        return None
    about = row.inner("verifier_metadata")
    readers = (instruction_rows.if_eval, instruction_rows.if_bench, math_rows.expected_answer)
    found = data_tests.list_of_tests(about) if about is not None else None
    problem = found or next((problem for read in readers if (problem := read(row)) is not None), None)
    return None if problem is None else replace(problem, messages=tuple(params.json("input")))


def _open_instruct(row: Row) -> Problem | None:
    """`ground_truth` and `dataset` (rLLM: `data_source`) beside the prompt."""
    source = next((name for name in ("dataset", "data_source") if row.has(name)), None)
    if source is None or not row.has("ground_truth"):
        return None
    row.get(source)
    question = None if row.has("messages") or row.has("prompt") else row.first_text("question", "problem")
    problem = _ground_truth(row, row)
    return problem if problem.question else replace(problem, question=question)


def _ground_truth(row: Row, holder: Row) -> Problem:
    truth = holder.json("ground_truth")
    if isinstance(truth, list) and len(truth) == 1 and isinstance(truth[0], str):
        truth = one if isinstance(one := decoded(truth[0]), dict | list) else truth
    problem = _nested(row, holder.place("ground_truth"), truth) if isinstance(truth, dict | list) else None
    if problem is not None:
        return problem
    if isinstance(truth, dict) or (isinstance(truth, list) and any(isinstance(item, dict | list) for item in truth)):
        keys = sorted(truth) if isinstance(truth, dict) else ["a list"]
        raise GoldError(
            f"{holder.place('ground_truth')} is JSON of no known shape ({', '.join(keys)})",
            remedy="write it as a gold of the verifier, in a column gold",
        )
    return Problem(format="", gold=math_rows.value_gold(truth), verifier="math")


def _nested(row: Row, place: str, value: Any) -> Problem | None:
    """A gold that is an object or a list: one of ours, or one of a public shape; else None."""
    row.get(place.partition(".")[0])
    if isinstance(value, list):
        return _nested_list(row, place, value)
    if "tests" in value and _are_ours(value["tests"]):
        return Problem(format="", gold=value, verifier="code")
    if calls := tool_rows.calls_in(value):
        return Problem(format="", gold={"calls": list(map(tool_rows.wanted_call, calls))}, verifier="tool_call")
    kind = next((kind for key, kind in _OWN_KEYS.items() if key in value), None)
    if kind is not None:
        return Problem(format="", gold=value, verifier=kind)
    found = (read(Row({**_beside(row), **value}, place)) for read in _IN_GOLDS)
    return next((problem for problem in found if problem is not None), None)


def _nested_list(row: Row, place: str, value: list[Any]) -> Problem | None:
    if value and all(isinstance(item, str) for item in value):
        return source_tests.ace_code(Row({**_beside(row), "tests": value}, place))
    if not value or not all(isinstance(item, dict) for item in value):
        return None
    if all("instruction_id" in item for item in value):
        return instruction_rows.rlvr_if_eval(Row({"ground_truth": value}, place))
    if all("id" in item for item in value):
        return Problem(format="", gold=value, verifier="instructions")
    if all("name" in item or "function" in item for item in value):
        texts = any("function" in item or isinstance(item.get("arguments"), str) for item in value)
        calls = [tool_rows.wanted_call(item) for item in value] if texts else value
        return Problem(format="", gold={"calls": calls}, verifier="tool_call")
    if all(len(item) == 1 and isinstance(next(iter(item.values())), dict) for item in value):  # BFCL's possible answers
        return Problem(format="", gold={"calls": value}, verifier="tool_call")
    return data_tests.list_of_tests(Row({**_beside(row), "tests": value}, place))


def _beside(row: Row) -> dict[str, Any]:
    """What stands beside a nested gold and counts for it: starter code, the function's name, limits."""
    return {name: row.get(name) for name in _BESIDE if row.has(name)}


def _are_ours(tests: Any) -> bool:
    ours = ({"stdin", "stdout"}, {"stdin", "checker"}, {"args", "expected"}, {"assert"}, {"check"}, {"pytest"})
    return isinstance(tests, list) and all(
        isinstance(test, dict) and any(f <= set(test) for f in ours) for test in tests
    )


_IN_GOLDS: tuple[Callable[[Row], Problem | None], ...] = (
    instruction_rows.rlvr_if_eval,
    source_tests.leet_code,
    source_tests.mbpp,
    source_tests.ace_code,
    data_tests.apps,
    data_tests.list_of_tests,
    data_tests.columns_of_tests,
)

FORMATS: dict[str, Shape] = {
    "verl": Shape(columns="reward_model.ground_truth or reward_spec.ground_truth", read=_verl),
    "NeMo-Gym": Shape(columns="responses_create_params.input, verifier_metadata", read=_nemo_gym),
    "PrimeIntellect": Shape(columns="verification_info", read=data_tests.prime_intellect),
    "LiveCodeBench": Shape(columns="public_test_cases, private_test_cases", read=data_tests.live_code_bench),
    "CodeContests": Shape(columns="public_tests, private_tests, generated_tests", read=data_tests.code_contests),
    "Codeforces": Shape(columns="official_tests", read=data_tests.codeforces),
    "BigCodeBench": Shape(
        columns="instruct_prompt or complete_prompt, test, entry_point", read=source_tests.big_code_bench
    ),
    "LeetCodeDataset": Shape(columns="test with check(), entry_point Solution().name", read=source_tests.leet_code),
    "KodCode": Shape(columns="test that imports from solution", read=source_tests.kod_code),
    "MBPP": Shape(columns="test_list", read=source_tests.mbpp),
    "MultiPL-E": Shape(columns="prompt, tests, language, stop_tokens", read=source_tests.multipl_e),
    "HumanEval": Shape(columns="prompt, entry_point, test", read=source_tests.human_eval),
    "TACO": Shape(columns="input_output, raw_tags or skill_types", read=data_tests.taco),
    "APPS": Shape(columns="input_output", read=data_tests.apps),
    "AceCode": Shape(columns="test_cases: a list of asserts", read=source_tests.ace_code),
    "DeepCoder": Shape(columns="problem, tests: inputs and outputs", read=data_tests.deep_coder),
    "prime_code": Shape(columns="inputs, outputs", read=data_tests.columns_of_tests),
    "IFEval": Shape(columns="instruction_id_list, kwargs", read=instruction_rows.if_eval),
    "IFBench": Shape(columns="instruction_id_list with other names", read=instruction_rows.if_bench),
    "RLVR-IFeval": Shape(columns="ground_truth with func_name", read=instruction_rows.rlvr_if_eval),
    "open-instruct": Shape(columns="ground_truth, dataset or data_source", read=_open_instruct),
    "BFCL": Shape(columns="question, function, ground_truth", read=tool_rows.bfcl),
    "xLAM": Shape(columns="query, tools, answers", read=tool_rows.xlam),
    "OpenAI tool calls": Shape(columns="tools, tool_calls", read=tool_rows.openai_calls),
    "GPQA": Shape(columns="Question, Correct Answer, Incorrect Answer 1 to 3", read=choice_rows.gpqa),
    "SciQ": Shape(columns="question, correct_answer, distractor1 to 3", read=choice_rows.sciq),
    "MMLU-Pro": Shape(columns="question, options, answer", read=choice_rows.mmlu_pro),
    "ARC": Shape(columns="question, choices with text and label, answerKey", read=choice_rows.arc),
    "MMLU": Shape(columns="question, choices, answer", read=choice_rows.mmlu),
    "GSM8K": Shape(columns="question, answer with ####", read=math_rows.gsm8k),
    "OlympiadBench": Shape(columns="question, final_answer, answer_type", read=math_rows.olympiad_bench),
    "NuminaMath": Shape(columns="problem, solution, problem_type or source", read=math_rows.numina_math),
    "Big-Math": Shape(columns="problem, answer, llama8b_solve_rate", read=math_rows.big_math),
    "Omni-MATH": Shape(columns="problem, solution, answer, domain, difficulty", read=math_rows.omni_math),
    "AIME": Shape(columns="problem, answer of three digits, year or ID", read=math_rows.aime),
    "MATH": Shape(columns="problem, solution with \\boxed", read=math_rows.math_solutions),
    "DeepScaleR": Shape(columns="problem, answer", read=math_rows.answers),
    OWN: Shape(columns="gold, ground_truth, label or answer that is JSON text", read=_own),
}


def read_problem(row: Mapping[str, Any], gold_format: str = AUTO) -> Problem | None:
    """The row as a problem with a gold of ours, or None where no shape fits (with `auto`).

    Raises GoldError for a row that is recognised and cannot be judged, for a row that has not the shape that
    `gold_format` names, and for an unknown `gold_format`.
    """
    columns = Row(row)
    if gold_format == AUTO:
        names = [OWN] if columns.has("gold") else list(FORMATS)
        return next((problem for name in names if (problem := _read(columns.unused(), name)) is not None), None)
    name = _known_name(gold_format)
    problem = _read(columns, name)
    if problem is None:
        has = ", ".join(columns.names()) or "no columns"
        raise GoldError(
            f"the row has not the shape {name} ({FORMATS[name].columns}); it has {has}",
            remedy="name its shape in gold_format, or map its columns",
        )
    return problem


def _read(row: Row, name: str) -> Problem | None:
    try:
        problem = FORMATS[name].read(row)
    except GoldError as error:
        raise GoldError(f"read as {name}: {error.what}", where=error.where, remedy=error.remedy) from error
    return None if problem is None else replace(problem, format=name, columns=tuple(row.used))


def _known_name(given: str) -> str:
    names = {name.casefold(): name for name in FORMATS}
    if given.casefold() not in names:
        raise GoldError(f"unknown gold_format {given!r}", remedy=closest_names(given, [AUTO, *FORMATS]))
    return names[given.casefold()]

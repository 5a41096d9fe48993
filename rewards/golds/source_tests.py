"""Code shapes whose tests are source text: asserts, checks, unittest and pytest files."""

from __future__ import annotations

import ast
import re
from typing import Any

from rewards.errors import GoldError
from rewards.golds.code_gold import refuse_what_needs_more, source_gold
from rewards.golds.data_tests import plain_name, with_starter
from rewards.golds.limits import limits_of
from rewards.golds.problem import Problem, Row

# A test that reaches into the program's process or its files cannot be kept apart from it.
_SAME_PROCESS = re.compile(
    r"\b(?:patch|mock|Mock|MagicMock|monkeypatch|capsys|capfd|tmp_path|tmpdir|caplog|tempfile|shutil|subprocess)\b"
    r"|\bos\.(?:path|environ|makedirs|remove|listdir|mkdir)\b|\bopen\("
)
_UNITTEST = """

def check(candidate):
    import unittest

    suite = unittest.TestSuite()
    for value in list(globals().values()):
        if isinstance(value, type) and issubclass(value, unittest.TestCase):
            suite.addTests(unittest.defaultTestLoader.loadTestsFromTestCase(value))
    result = unittest.TestResult()
    suite.run(result)
    failed = result.failures + result.errors + [(test, "") for test in result.unexpectedSuccesses]
    assert result.testsRun and not failed, [str(test) for test, _ in failed]
"""


def human_eval(row: Row) -> Problem | None:
    """`prompt` (code up to the function's body), `entry_point`, `test` with check(candidate)."""
    if not row.has("prompt", "entry_point", "test") or not isinstance(row.peek("test"), str):
        return None
    if "def check(" not in row.peek("test") and not re.search(r"^\s*assert\b", row.peek("test"), re.MULTILINE):
        if row.has("declaration"):  # HumanEval-X and its like
            raise _other_language(row, "test")
        return None
    prompt, test, name = str(row.text("prompt")), str(row.text("test")), str(row.text("entry_point"))
    _parsed(test, row.place("test"))
    head = re.search(rf"^(?:async )?def {re.escape(name)}\b", prompt, re.MULTILINE)
    preamble = prompt[: head.start()] if head else ""
    tests = [{"check" if "def check(" in test else "assert": test}]
    gold = source_gold(tests, name, preamble if _parses(preamble) else "", limits_of(row), starter=prompt)
    question = (
        f"Complete this program. Give the whole of it in one ```python block.\n\n```python\n{prompt.rstrip()}\n```"
    )
    return Problem(format="", gold=gold, verifier="code", question=question)


def multipl_e(row: Row) -> Problem | None:
    """`prompt`, `tests`, `language`, `stop_tokens`: HumanEval and MBPP in other languages."""
    if not row.has("prompt", "tests", "language", "stop_tokens"):
        return None
    raise _other_language(row, "tests")


def mbpp(row: Row) -> Problem | None:
    """`test_list` of asserts; `challenge_test_list`, `test_imports`, `test_setup_code`; MBPP+'s `test` is added."""
    asserts = row.json("test_list") if row.has("test_list") else None
    if not isinstance(asserts, list):
        return None
    asserts = [*asserts, *row.listed("challenge_test_list")]
    setup = [*map(str, row.listed("test_imports")), row.text("test_setup_code") or ""]
    statement = row.first_text("text", "prompt", "question")
    extra = [row.text("test")] if isinstance(row.peek("test"), str) and "assert" in row.peek("test") else []
    tests = [{"assert": _parsed(str(text), row.place("test_list"))} for text in [*asserts, *extra] if text]
    entry_point = _name_tested(str(row.peek_raw("code") or ""), tests)
    gold = source_gold(tests, entry_point, "\n".join(filter(None, setup)), limits_of(row))
    return Problem(format="", gold=gold, verifier="code", question=_with_asserts(statement, asserts[:3]))


def ace_code(row: Row) -> Problem | None:
    """`test_cases` (or `tests`): a list of asserts."""
    name = next((name for name in ("test_cases", "tests", "unit_tests") if row.has(name)), None)
    value = row.peek(name) if name else None
    if name is None or not isinstance(value, list) or not value:
        return None
    if not all(isinstance(text, str) and re.search(r"\bassert\b", text) for text in value):
        return None
    row.get(name)
    refuse_what_needs_more(row)
    tests = [{"assert": _parsed(text, row.place(name))} for text in value]
    statement = row.first_text("question", "problem", "prompt", "instruction")
    entry_point = str(row.get("entry_point")) if row.has("entry_point") else _name_tested("", tests)
    gold = source_gold(tests, entry_point, row.text("import_prefix") or "", limits_of(row))
    return Problem(format="", gold=gold, verifier="code", question=_with_asserts(statement, value[:1]))


def big_code_bench(row: Row) -> Problem | None:
    """`instruct_prompt`, `complete_prompt`, `test` (unittest), `entry_point`, `libs`."""
    if not row.has("test", "entry_point") or not (row.has("complete_prompt") or row.has("instruct_prompt")):
        return None
    test, name = _parsed(str(row.text("test")), row.place("test")), str(row.text("entry_point"))
    libs = _literal_list(str(row.json("libs"))) if row.has("libs") else []
    # Where the box lacks a library, the test must fail as broken, and not the answer as wrong.
    imports = "".join(f"import {lib}\n" for lib in libs)
    if _SAME_PROCESS.search(test):
        tests = [{"pytest": f"{imports}from solution import *\nfrom solution import {name}\n{test}"}]
    else:
        tests = [{"check": imports + test + _UNITTEST}]
    question = row.text("instruct_prompt")
    if question is None:
        question = f"Complete this program.\n\n```python\n{row.text('complete_prompt')}\n```"
    starter = row.text("code_prompt") or row.text("complete_prompt") or ""
    gold = source_gold(tests, name, "", limits_of(row), starter=starter)
    return Problem(format="", gold=gold, verifier="code", question=question)


def leet_code(row: Row) -> Problem | None:
    """LeetCodeDataset: `test` with check(candidate), `entry_point` such as Solution().twoSum, `prompt` of imports and
    helpers. Also Skywork's `test_code` or `functional` with `import_prefix`."""
    test_column = next((name for name in ("test", "test_code", "functional") if row.has(name)), None)
    if test_column is None or not row.has("entry_point") or not isinstance(row.peek(test_column), str):
        return None
    name = plain_name(str(row.peek_raw("entry_point")).strip())
    if "def check(" not in row.peek(test_column) or ("." not in name and test_column == "test"):
        return None
    test = _parsed(str(row.text(test_column)), row.place(test_column))
    row.get("entry_point")
    preamble = row.text("import_prefix") or (row.text("prompt") if test_column == "test" else None) or ""
    if not _parses(preamble):
        raise GoldError(f"{row.place('prompt')} holds no Python: its imports are wanted there", remedy="drop the row")
    question, starter = row.text("query"), row.text("starter_code") or ""
    if question is None:
        question = with_starter(row.first_text("problem_description", "question"), starter, name)
    gold = source_gold([{"check": test}], name, preamble, limits_of(row), starter=starter)
    return Problem(format="", gold=gold, verifier="code", question=question)


def kod_code(row: Row) -> Problem | None:
    """`test`: pytest text that imports from `solution`; `test_info` names the function."""
    column = next((name for name in ("test", "test_code") if "solution import" in str(row.peek(name))), None)
    if column is None or not isinstance(row.peek(column), str):
        return None
    text, info = str(row.text(column)), row.json("test_info")
    tree = ast.parse(_parsed(text, row.place(column)))
    imported = [
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "solution"
        for alias in node.names
        if alias.name != "*"
    ]
    infos = [entry for entry in (info if isinstance(info, list) else [info]) if isinstance(entry, dict)]
    named = [str(entry["function_name"]) for entry in infos if entry.get("function_name")]
    declared = [str(entry["function_declaration"]) for entry in infos if entry.get("function_declaration")]
    if not imported and not named:
        raise GoldError(f"{row.place(column)} names nothing that it imports from solution", remedy="drop the row")
    name = (imported or named)[0]
    tests = _checks_of_pytest(tree) or [{"pytest": text}]
    statement = row.first_text("question", "prompt", "instruction")
    question = with_starter(statement, "\n".join(f"{line}\n    ..." for line in declared), name)
    return Problem(format="", gold=source_gold(tests, name, "", limits_of(row)), verifier="code", question=question)


# ---------------------------------------------------------------- what they share


def _checks_of_pytest(tree: ast.Module) -> list[dict[str, str]]:
    """A check for each test function; [] for a file that needs pytest itself (fixtures, parameters, classes) or the
    program's process."""
    body = [node for node in tree.body if not (isinstance(node, ast.ImportFrom) and node.module == "solution")]
    functions = [node for node in body if isinstance(node, ast.FunctionDef) and node.name.startswith("test")]
    source = "\n".join(map(ast.unparse, body))
    imports = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    aliased = any(
        alias.asname or alias.name == "*"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "solution"
        for alias in node.names
    )
    needs_pytest = any(
        isinstance(node, ast.AsyncFunctionDef)
        or (isinstance(node, ast.FunctionDef) and (node.args.args or node.decorator_list) and _is_test_part(node))
        or (isinstance(node, ast.ClassDef) and node.name.startswith("Test"))
        or (isinstance(node, ast.FunctionDef) and node.name.startswith(("setup_", "teardown_")))
        for node in body
    )
    within = any(
        isinstance(node, ast.ImportFrom) and node.module == "solution" and node not in tree.body
        for node in ast.walk(tree)
    )
    if not functions or needs_pytest or aliased or within or "solution" in imports or _SAME_PROCESS.search(source):
        return []
    return [{"check": f"{source}\n\ndef check(candidate):\n    {node.name}()\n"} for node in functions]


def _is_test_part(node: ast.FunctionDef) -> bool:
    """A test function, or a fixture: what only pytest can call."""
    return node.name.startswith("test") or any("fixture" in ast.unparse(mark) for mark in node.decorator_list)


def _name_tested(code: str, tests: list[dict[str, str]]) -> str | None:
    """The one function that every test calls, where the reference solution defines it or no other name is called so;
    needed where it is named like one of Python's own."""
    called = [
        {
            node.func.id
            for node in ast.walk(ast.parse(test["assert"]))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        for test in tests
    ]
    shared = set.intersection(*called) if called else set()
    if _parses(code) and code.strip():
        shared &= {node.name for node in ast.parse(code).body if isinstance(node, ast.FunctionDef)}
    return shared.pop() if len(shared) == 1 else None


def _with_asserts(statement: str | None, asserts: list[Any]) -> str | None:
    if statement is None:
        return None
    shown = "\n".join(map(str, asserts))
    return f"{statement.strip()}\n\nGive the program in one ```python block. It must pass:\n\n```python\n{shown}\n```"


def _literal_list(text: str) -> list[str]:
    """A list as Python prints it: "['random', 'math']"."""
    try:
        value = ast.literal_eval(text)
    except (SyntaxError, ValueError):
        value = None
    if not isinstance(value, list) or not all(isinstance(name, str) and name.isidentifier() for name in value):
        raise GoldError(f"libs is {text[:80]!r}, no list of modules", remedy="mend or drop the row")
    return value


def _parsed(source: str, place: str) -> str:
    """The source, when it is Python. Raises GoldError."""
    try:
        ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise GoldError(
            f"{place} is no Python: {error}", remedy="only Python is judged; mend or drop the row"
        ) from error
    return source


def _parses(source: str) -> bool:
    try:
        ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _other_language(row: Row, name: str) -> GoldError:
    language = row.peek_raw("language")
    said = f" ({language})" if isinstance(language, str) else ""
    return GoldError(f"{row.place(name)} holds tests in another language{said}", remedy="only Python is judged")

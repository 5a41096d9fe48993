"""Habits that are cheap to keep true: docstrings, the direction of imports, who may import what, names of files and
tests.

Reads source as text and syntax trees; imports nothing of ours but in child processes that show what an import drags in.
"""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import BEGIN_WITH

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("posttrain", "rewards", "sandbox")
HEAVY = ("torch", "transformers", "ray", "vllm", "sympy", "docker")
ATTICS = {"utils.py", "util.py", "helpers.py", "helper.py", "common.py", "misc.py", "tools_misc.py"}
ONLY_HERE = {
    "vllm": {"posttrain/rollout/vllm_engine.py"},
    "ray": {"posttrain/machine/cluster.py"},
    "docker": {"sandbox/backends/docker_backend.py", "sandbox/images/docker_image.py"},
}
# The rooms of each package, bottom to top: files at a package's root by their names, folders by theirs. A room imports
# from itself and from those before it, also inside functions and under TYPE_CHECKING.
ROOMS = {
    "posttrain": (
        *("__init__", "errors", "types", "telemetry"),
        *("store", "signals", "recipe", "toy", "records", "data", "evaluate", "report"),
        *("rollout", "machine", "sampling", "train", "stages", "plan", "preflight", "setup", "run", "cli", "__main__"),
    ),
    "rewards": (
        *("__init__", "errors", "types", "prose", "contract", "services"),
        *("math", "plugins", "tools", "compose", "rules", "golds", "verify", "workers", "kit", "models", "load"),
    ),
    "sandbox": (
        *("__init__", "inside", "errors", "types", "program_json", "images", "backends", "judging"),
        *("interpreter", "judge", "proof", "attacks"),
    ),
}
MAY_NOT_IMPORT = {"sandbox": {"posttrain", "rewards"}, "rewards": {"posttrain"}, "posttrain": set()}


def sources(*folders: str) -> list[Path]:
    return sorted(
        path for folder in folders for path in (ROOT / folder).rglob("*.py") if "__pycache__" not in path.parts
    )


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@functools.cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), filename=str(path))


def imports_of(path: Path) -> Iterator[tuple[str, int]]:
    """(dotted name, line) of every absolute import, those inside functions too; `if TYPE_CHECKING` blocks count as
    well."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module, node.lineno


ALL = sources(*PACKAGES, "tests", "benchmarks")
OURS = sources(*PACKAGES)


def test_every_module_opens_with_a_docstring() -> None:
    silent = [name_of(path) for path in ALL if path.read_text("utf-8").strip() and not ast.get_docstring(tree_of(path))]
    assert not silent, "\n".join(silent)


def test_imports_follow_posttrain_then_rewards_then_sandbox() -> None:
    wrong = [
        f"{name_of(path)}:{line} imports {imported}"
        for path in OURS
        for imported, line in imports_of(path)
        if imported.split(".")[0] in MAY_NOT_IMPORT[path.relative_to(ROOT).parts[0]]
    ]
    assert not wrong, "\n".join(wrong)


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_of(path): path for path in OURS}


def ours_imported_by(path: Path) -> Iterator[tuple[str, int]]:
    """(module of ours, line): `from x import y` means x.y where that is a module."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                if (found := name if name in MODULES else node.module) in MODULES:
                    yield found, node.lineno


def room_of(module: str) -> str:
    return module.split(".")[1] if "." in module else "__init__"


@pytest.mark.parametrize("package", ROOMS)
def test_every_room_is_in_the_table(package: str) -> None:
    found = {room_of(module) for module in MODULES if module.split(".")[0] == package}
    assert found == set(ROOMS[package])


@pytest.mark.parametrize("package", ROOMS)
def test_a_room_imports_only_from_rooms_below_it(package: str) -> None:
    height = {room: place for place, room in enumerate(ROOMS[package])}
    upward = [
        f"{name_of(path)}:{line} imports {imported}"
        for module, path in MODULES.items()
        if module.split(".")[0] == package
        for imported, line in ours_imported_by(path)
        if imported.split(".")[0] == package and height[room_of(imported)] > height[room_of(module)]
    ]
    assert not upward, "\n".join(upward)


def test_no_files_import_each_other_in_a_circle() -> None:
    needs = {module: {found for found, _ in ours_imported_by(path)} - {module} for module, path in MODULES.items()}
    # What imports nothing that is left goes, and what nothing that is left imports: circles, and the ways between them.
    while True:
        wanted = {found for wants in needs.values() for found in wants}
        ends = {module for module, wants in needs.items() if not wants or module not in wanted}
        if not ends:
            break
        needs = {module: wants - ends for module, wants in needs.items() if module not in ends}
    assert not needs, "in a circle, or between two: " + ", ".join(sorted(needs))


MOST_PARAMETERS = 7


def test_a_function_has_at_most_seven_parameters() -> None:
    """`self` aside. Commands of the command line are exempt: their parameters are the options that a user sees."""
    wide = []
    for path in OURS:
        if path.relative_to(ROOT).parts[:2] == ("posttrain", "cli"):
            continue
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                named = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
                count = len([arg for arg in named if arg.arg not in ("self", "cls")])
                if count > MOST_PARAMETERS:
                    wide.append(f"{name_of(path)}:{node.lineno} {node.name} has {count}")
    assert not wide, "\n".join(wide)


@pytest.mark.parametrize("library", ONLY_HERE)
def test_a_backend_library_has_few_doors(library: str) -> None:
    doors = {name_of(path) for path in OURS for imported, _ in imports_of(path) if imported.split(".")[0] == library}
    assert doors <= ONLY_HERE[library]


def test_no_attic_modules() -> None:
    assert not [name_of(path) for path in ALL if path.name in ATTICS]


def test_packages_are_at_most_two_folders_deep() -> None:
    deep = [name_of(path) for path in OURS if len(path.relative_to(ROOT).parts) > 4]
    assert not deep, "\n".join(deep)


def test_public_functions_and_classes_say_what_they_do() -> None:
    """A public function of more than five lines and every public record has a docstring."""
    silent = [
        f"{name_of(path)}:{node.lineno} {node.name}"
        for path in OURS
        for node in tree_of(path).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
        and not ast.get_docstring(node)
        and needs_docstring(node)
    ]
    assert not silent, "\n".join(silent)


def needs_docstring(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> bool:
    if isinstance(node, ast.ClassDef):
        return any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list)
    return (node.end_lineno or 0) - node.body[0].lineno + 1 > 5


def test_tests_are_plain_functions() -> None:
    classes = [
        f"{name_of(path)}:{node.lineno} {node.name}"
        for path in sources("tests")
        for node in tree_of(path).body
        if isinstance(node, ast.ClassDef) and node.name.startswith("Test")
    ]
    assert not classes, "\n".join(classes)


def test_no_decorator_registers() -> None:
    """Dispatch is one visible dict: a name exists because the dict lists it, not because some file was imported."""
    found = [
        f"{name_of(path)}:{node.lineno}"
        for path in OURS
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
        for decorator in node.decorator_list
        if ast.unparse(decorator).split("(")[0].rsplit(".", 1)[-1].startswith("register")
    ]
    assert not found, "\n".join(found)


def test_nothing_is_left_to_do_later() -> None:
    marks = ("TO" + "DO", "FIX" + "ME", "XX" + "X", "NotImplemented" + "Error")
    left = [
        f"{name_of(path)}:{number}"
        for path in ALL
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if any(mark in line for mark in marks)
    ]
    assert not left, "\n".join(left)


# Running a program's text is what these files are for; their docstrings say inside what.
RUNS_CODE = {f"sandbox/inside/{name}.py": {"exec"} for name in ("script_mode", "program", "cell_mode")}
RISKY = {"torch.load", "pickle.load", "pickle.loads", "yaml.load", "eval", "exec", "os.system"}


def test_risky_calls_say_why_beside_them() -> None:
    """A call that can run what it reads, shell=True and trust_remote_code=True each carry a comment on their line or
    the one above."""
    bare = []
    for path in OURS:
        lines = path.read_text("utf-8").splitlines()
        for node in ast.walk(tree_of(path)):
            if not isinstance(node, ast.Call):
                continue
            flags = {
                word.arg for word in node.keywords if isinstance(word.value, ast.Constant) and word.value.value is True
            }
            called = ast.unparse(node.func)
            if called in RUNS_CODE.get(name_of(path), ()):
                continue
            if called in RISKY or flags & {"shell", "trust_remote_code"}:
                near = lines[max(0, node.lineno - 3) : (node.end_lineno or node.lineno)]
                if not any("#" in line for line in near):
                    bare.append(f"{name_of(path)}:{node.lineno} {called}")
    assert not bare, "\n".join(bare)


def test_a_skip_names_its_remedy() -> None:
    """pytest.skip and skipif give what is missing and what to do: the list at the end of `make test` prints both."""
    silent = []
    for path in sources("tests"):
        if path == Path(__file__) or path.name == "conftest.py":
            continue
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in (
                "pytest.skip",
                "pytest.mark.skipif",
                "pytest.mark.skip",
            ):
                text = ast.unparse(node)
                if "remedy" not in text:
                    silent.append(f"{name_of(path)}:{node.lineno}")
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.importorskip":
                silent.append(f"{name_of(path)}:{node.lineno} importorskip: use a marker of tests/conftest.py")
    assert not silent, "\n".join(silent)


def test_the_files_that_tests_begin_with_are_there() -> None:
    assert not [name for name in BEGIN_WITH if not (ROOT / "tests" / name).is_file()]


def test_tests_and_benchmarks_climb_no_higher_than_the_checkout() -> None:
    """What they read lies in it: a stranger's clone has nothing beside it. A step up from `__file__` is written as
    parents[number]."""
    outside = [
        f"{name_of(path)}:{node.lineno} {ast.unparse(node)}"
        for path in sources("tests", "benchmarks")
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Subscript) and "__file__" in ast.unparse(node.value)
        if ast.unparse(node.value).endswith(".parents")
        if not (isinstance(node.slice, ast.Constant) and node.slice.value < len(path.relative_to(ROOT).parts))
    ]
    assert not outside, "\n".join(outside)


LIGHT = (
    "posttrain",
    "posttrain.plan",
    "posttrain.cli",
    "posttrain.recipe.schema",
    "posttrain.setup.doctor",
    "posttrain.setup.install",
    "posttrain.recipe.shipped",
)


def test_the_public_door_has_these_names_and_no_other() -> None:
    import posttrain

    assert posttrain.__all__ == ["Outcome", "Request", "Verdict", "Verifier", "__version__"]
    assert all(hasattr(posttrain, name) for name in posttrain.__all__)
    with pytest.raises(AttributeError, match="public: Outcome, Request"):
        _ = posttrain.Nothing


@pytest.mark.parametrize("module", LIGHT)
def test_importing_it_drags_in_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "module", ["posttrain", "posttrain.setup.install", "posttrain.setup.name_clash", "posttrain.errors"]
)
def test_set_up_needs_only_the_standard_library(module: str) -> None:
    """-S leaves out site-packages: what `make` calls before anything is installed must import like this."""
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import {module}"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_no_source_names_a_package_index() -> None:
    """pip is used as it is configured: no source of packages of our own."""
    marks = [
        "--index" + "-url",
        "--extra-index" + "-url",
        "--find" + "-links",
        "download." + "pytorch",
        "pypi" + ".org",
    ]
    texts = [
        *ALL,
        ROOT / "Makefile",
        ROOT / ".ci" / "run",
        ROOT / "pyproject.toml",
        *sorted((ROOT / "posttrain" / "setup" / "locks").glob("*.txt")),
    ]
    assert not [f"{name_of(path)}: {mark}" for path in texts for mark in marks if mark in path.read_text("utf-8")]

"""The wheel as a user gets it, and the sdist: what they hold, and what a bare installation can do in a clean
environment without torch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run(command: Sequence[str | Path], cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run to its end, away from the checkout, so that nothing is imported from there by accident."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Wheel and sdist, both built from the checkout, once, without isolation: hatchling is among the [dev]
    requirements."""
    out = tmp_path_factory.mktemp("built")
    options = ["--wheel", "--sdist", "--no-isolation", "--outdir", str(out)]
    done = run([sys.executable, "-m", "build", *options, str(ROOT)], out)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    (found,) = built.glob("posttrain-*.whl")
    return found


@pytest.fixture(scope="module")
def clean(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """bin/ of a fresh environment with the bare wheel in it, as `pip install posttrain` would put it there, at the
    locked versions."""
    place = tmp_path_factory.mktemp("clean")
    made = run([sys.executable, "-m", "venv", "--without-pip", place / "venv"], place)  # filled by our pip
    assert made.returncode == 0, made.stderr
    python = place / "venv" / "bin" / "python"
    locks = ROOT / "posttrain" / "setup" / "locks" / "cpu.txt"
    # uncompiled: what the tests below import is compiled on its way in, the rest (most of sympy) never
    install = ["install", "-qq", "--no-compile", "--disable-pip-version-check", "--constraint", str(locks), str(wheel)]
    installed = run([sys.executable, "-m", "pip", "--python", python, *install], place)
    assert installed.returncode == 0, installed.stdout + installed.stderr
    return python.parent


def python_files(folder: str) -> set[str]:
    return {
        path.relative_to(ROOT).as_posix() for path in (ROOT / folder).rglob("*.py") if "__pycache__" not in path.parts
    }


def test_the_wheel_holds_the_three_packages_whole(wheel: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    assert (python_files("posttrain") | python_files("rewards") | python_files("sandbox")) <= held


def test_the_wheel_holds_recipes_cards_and_locks(wheel: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    for folder in ("recipes", "data_cards"):
        for path in (ROOT / folder).rglob("*"):
            if path.is_file():
                assert f"posttrain/_shipped/{path.relative_to(ROOT).as_posix()}" in held
    assert {"posttrain/setup/locks/cpu.txt", "posttrain/setup/locks/vllm_cpu.txt"} <= held


def test_the_wheel_holds_no_more_than_that(wheel: Path) -> None:
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"posttrain", "rewards", "sandbox"}


def test_the_sdist_holds_the_rows_that_tests_read_with_their_licences(built: Path) -> None:
    (sdist,) = built.glob("posttrain-*.tar.gz")
    with tarfile.open(sdist) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    rows = {path.relative_to(ROOT).as_posix() for path in (ROOT / "tests" / "data" / "rows").iterdir()}
    assert {"gsm8k_test_500.jsonl", "human_eval.jsonl.gz"} <= {Path(name).name for name in rows}
    assert {"LICENSE.gsm8k", "LICENSE.human_eval"} <= {Path(name).name for name in rows}
    assert rows | python_files("tests") | python_files("benchmarks") <= held


def test_a_bare_installation_has_no_torch(clean: Path) -> None:
    probe = "import importlib.util as u; print([n for n in ('torch', 'transformers', 'ray', 'vllm') if u.find_spec(n)])"
    assert run([clean / "python", "-c", probe], clean).stdout.strip() == "[]"


def test_a_bare_installation_prints_its_help(clean: Path) -> None:
    done = run([clean / "posttrain", "--help"], clean)
    assert done.returncode == 0, done.stderr
    for command in ("plan", "run", "verify", "doctor", "setup"):
        assert command in done.stdout


def test_a_bare_installation_plans_a_shipped_recipe_by_name(clean: Path, tmp_path: Path) -> None:
    done = run([clean / "posttrain", "plan", "demo_cpu"], tmp_path)
    assert done.returncode == 0, done.stderr
    for step in ("cold_start", "stem.filter", "preference"):
        assert step in done.stdout
    assert not list(tmp_path.iterdir()), "plan writes nothing"


def test_a_bare_installation_verifies_answers(clean: Path, tmp_path: Path) -> None:
    answers = '{"response": "so it is \\\\boxed{4}", "gold": "4"}\n{"response": "so it is \\\\boxed{5}", "gold": "4"}\n'
    done = subprocess.run(
        [clean / "posttrain", "verify", "--verifier", "math"],
        input=answers,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["outcome"] for line in done.stdout.splitlines()] == ["correct", "wrong"]


def test_a_bare_installation_examines_itself(clean: Path, tmp_path: Path) -> None:
    done = run([clean / "python", "-m", "posttrain", "doctor", "--json"], tmp_path)
    assert done.returncode == 0, done.stderr
    findings = {found["name"]: found for found in json.loads(done.stdout)["findings"]}
    assert findings["python"]["ok"] and findings["packages"]["ok"]
    assert not findings["torch"]["ok"] and "posttrain[cpu]" in findings["torch"]["remedy"]
    assert all(found["remedy"] for found in findings.values() if not found["ok"])


def test_running_without_torch_is_a_missing_backend_with_its_remedy(clean: Path, tmp_path: Path) -> None:
    done = run([clean / "posttrain", "run", "demo_cpu", "--out", tmp_path / "demo"], tmp_path)
    assert done.returncode == 69, done.stderr
    assert "posttrain[cpu]" in done.stderr


def test_the_engine_is_refused_without_torch(clean: Path, tmp_path: Path) -> None:
    done = run([clean / "posttrain", "setup"], tmp_path)
    assert done.returncode == 69
    assert "torch is not installed" in done.stderr


@pytest.mark.parametrize("name", ["rewards", "sandbox"])
def test_a_folder_of_the_users_that_shadows_ours_is_refused_with_its_path(
    clean: Path, tmp_path: Path, name: str
) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").write_text("")
    done = run([clean / "python", "-m", "posttrain", "store", "ls"], tmp_path)
    assert done.returncode == 2
    assert str(tmp_path / name) in done.stderr and "rename" in done.stderr and "Traceback" not in done.stderr

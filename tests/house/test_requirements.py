"""The rules of tests/conftest.py, tried on small suites of their own: what a missing part does, with and without
POSTTRAIN_REQUIRE."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NEEDS = """
import pytest

@pytest.mark.docker
def test_boxes():
    pass

@pytest.mark.long
def test_sweep():
    pass

def test_plain():
    pass
"""


def suite(folder: Path, code: str, *options: str, require: str = "") -> subprocess.CompletedProcess[str]:
    """Run pytest on one file under our conftest and settings, on a machine whose PATH holds nothing: no Docker, no
    Chromium."""
    shutil.copy(ROOT / "pyproject.toml", folder)
    (folder / "tests").mkdir()
    shutil.copy(ROOT / "tests" / "conftest.py", folder / "tests")
    (folder / "tests" / "test_it.py").write_text(code)
    environment = {**os.environ, "PATH": str(folder), "PYTHONPATH": str(ROOT), "POSTTRAIN_REQUIRE": require}
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "pytest_timeout", *options]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_a_missing_part_is_skipped_and_listed_with_its_remedy(tmp_path: Path) -> None:
    done = suite(tmp_path, NEEDS)
    assert done.returncode == 0
    assert "1 x Docker is not installed" in done.stdout and "remedy: install Docker" in done.stdout
    assert "make test-long" in done.stdout
    assert "1 passed, 1 skipped, 1 deselected" in done.stdout.splitlines()[-1]


def test_a_missing_part_that_is_required_is_a_failure(tmp_path: Path) -> None:
    done = suite(tmp_path, NEEDS, require="docker,browser")
    assert done.returncode == 1 and "POSTTRAIN_REQUIRE asks for docker" in done.stdout
    assert "1 passed, 1 deselected, 1 error" in done.stdout.splitlines()[-1]


SKIPS = """
import pytest

@pytest.fixture
def box():
    pytest.skip('no docker here; remedy: x')

def test_inside():
    pytest.skip('the docker daemon is away; remedy: start it')

def test_by_fixture(box):
    pass

@pytest.mark.skip(reason='docker is slow; remedy: x')
def test_by_mark():
    pass
"""


def test_no_way_of_skipping_gets_round_what_is_required(tmp_path: Path) -> None:
    done = suite(tmp_path, SKIPS, require="docker")
    assert "1 failed, 2 errors" in done.stdout.splitlines()[-1]


def test_a_file_that_skips_itself_whole_does_not_get_round_it_either(tmp_path: Path) -> None:
    done = suite(tmp_path, "import pytest\npytest.skip('later; remedy: x', allow_module_level=True)", require="docker")
    assert done.returncode == 2 and "the whole file was skipped" in done.stdout


def test_an_unknown_required_part_is_refused(tmp_path: Path) -> None:
    done = suite(tmp_path, NEEDS, require="dokcer")
    assert done.returncode == 4 and "dokcer" in done.stderr


def test_the_sweep_runs_when_it_is_asked_for(tmp_path: Path) -> None:
    assert "1 passed, 2 deselected" in suite(tmp_path, NEEDS, "-m", "long").stdout.splitlines()[-1]


def test_a_skip_without_a_remedy_is_shown_as_such(tmp_path: Path) -> None:
    done = suite(tmp_path, "import pytest\ndef test_x():\n    pytest.skip('not today')")
    assert "remedy: NONE GIVEN" in done.stdout


def test_a_warning_of_ours_is_an_error_and_a_librarys_is_not(tmp_path: Path) -> None:
    code = (
        "import warnings\n"
        "def warn(module):\n"
        "    warnings.warn_explicit('old', DeprecationWarning, 'x.py', 1, module=module)\n"
        "def test_ours():\n    warn('posttrain.run')\n"
        "def test_theirs():\n    warn('transformers.modeling')\n"
    )
    assert "1 failed, 1 passed" in suite(tmp_path, code).stdout.splitlines()[-1]

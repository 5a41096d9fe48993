"""`posttrain doctor`: each "no" has a remedy, a library that kills its process is a finding, a shadowing folder is
named."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from posttrain.setup.doctor import packages_finding, ray_finding, vllm_finding
from posttrain.setup.hardware import disk_finding

ROOT = Path(__file__).resolve().parents[2]


def package(folder: Path, name: str, code: str) -> None:
    (folder / name).mkdir(parents=True)
    (folder / name / "__init__.py").write_text(code)


@pytest.fixture(scope="module")
def quick() -> dict[str, dict[str, Any]]:
    """Findings by name, as the command prints them."""
    command = [sys.executable, "-m", "posttrain", "doctor", "--quick", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == 0, done.stderr
    return {found["name"]: found for found in json.loads(done.stdout)["findings"]}


def test_it_looks_at_everything_a_run_needs(quick: dict[str, dict[str, Any]]) -> None:
    software = {"python", "packages", "torch", "gpu", "vllm", "ray", "judge", "judge: container", "bubblewrap"}
    assert software | {"memory", "shared memory", "disk"} <= quick.keys()


def test_every_no_has_a_remedy_and_no_yes_has_one(quick: dict[str, dict[str, Any]]) -> None:
    assert {name: found["remedy"] for name, found in quick.items() if found["ok"] is bool(found["remedy"])} == {}


def test_the_judge_reports_the_strongest_level_that_works(quick: dict[str, dict[str, Any]]) -> None:
    reached = [level for level in ("kernel", "container", "namespaces") if quick[f"judge: {level}"]["ok"]]
    assert quick["judge"]["detail"]["level"] == (reached[0] if reached else "none")


def torch_in(folder: Path) -> dict[str, Any]:
    """doctor's finding about torch where `folder` holds another one."""
    code = (
        "import dataclasses, json; from posttrain.setup.doctor import torch_finding; "
        "print(json.dumps(dataclasses.asdict(torch_finding())))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    return dict(json.loads(done.stdout))


def test_a_torch_that_dies_of_an_illegal_instruction_is_a_finding(tmp_path: Path) -> None:
    package(tmp_path, "torch", "import os, signal\nos.kill(os.getpid(), signal.SIGILL)\n")
    found = torch_in(tmp_path)
    assert not found["ok"] and "exit -4" in found["seen"] and found["remedy"]


def test_a_torch_that_cannot_be_imported_is_a_finding_with_its_message(tmp_path: Path) -> None:
    package(tmp_path, "torch", "raise ImportError('libcudart.so.13: cannot open shared object file')\n")
    found = torch_in(tmp_path)
    assert not found["ok"] and "libcudart.so.13" in found["seen"]


def test_a_store_that_does_not_exist_yet_is_judged_by_the_disk_above_it(tmp_path: Path) -> None:
    found = disk_finding(tmp_path / "a" / "b")
    assert str(tmp_path) in found.seen
    assert not list(tmp_path.iterdir())


@pytest.mark.vllm
def test_vllm_really_generates() -> None:
    found = vllm_finding(quick=False)
    assert found.ok and "vLLM generated 8 tokens on " in found.seen


@pytest.mark.ray
def test_ray_really_answers() -> None:
    found = ray_finding(quick=False)
    assert found.ok and "answers" in found.seen


@pytest.mark.parametrize("name", ["rewards", "sandbox"])
def test_a_folder_that_shadows_ours_is_refused_with_its_path(tmp_path: Path, name: str) -> None:
    package(tmp_path, name, "")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    command = [sys.executable, "-m", "posttrain", "doctor", "--quick"]
    done = subprocess.run(command, cwd=ROOT / "tests", env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert str(tmp_path / name) in done.stderr and "rename" in done.stderr


def test_a_plain_folder_without_code_shadows_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder `rewards/` of data in the current directory is no package: ours wins."""
    (tmp_path / "rewards").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    assert packages_finding().ok

"""The README's commands run, in order, in an empty folder that holds the shipped recipes and cards (the demo's recipe
made small)."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from posttrain.recipe.yaml_core import read_text

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"


def commands() -> list[str]:
    """Every line of the README's bash blocks."""
    blocks = re.findall(r"^```bash\n(.*?)^```", README.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    return [line for block in blocks for line in block.splitlines() if line and not line.startswith("#")]


def small(value: object) -> object:
    """The same recipe with few rows and steps."""
    sizes = {"rows": 8, "steps": 2, "k": 2}
    if isinstance(value, dict):
        return {
            key: min(sizes[key], item) if key in sizes and isinstance(item, int) else small(item)
            for key, item in value.items()
        }
    return [small(item) for item in value] if isinstance(value, list) else value


def shrink(recipe: Path) -> None:
    data = read_text(recipe.read_text(encoding="utf-8"), recipe.name).data
    data["base"].setdefault("toy", {"steps": 2})
    suites = data.get("evaluate", {}).get("suites", {})
    for name in [
        name for name in suites if name != "stem"
    ]:  # one suite for each checkpoint is enough here; the demo has all
        del suites[name]
    data["engine"]["backend"] = "hf"  # starts at once; vLLM has the demo and tests of its own
    recipe.write_text(yaml.safe_dump(small(data), sort_keys=False), encoding="utf-8")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("readme")
    for name in ("recipes", "data_cards"):
        shutil.copytree(ROOT / name, folder / name)
    shrink(folder / "recipes" / "demo_cpu.yaml")
    (folder / "bin").mkdir()
    (folder / "bin" / "posttrain").write_text(
        f'#!/bin/sh\nexec "{sys.executable}" -m posttrain "$@"\n', encoding="utf-8"
    )
    (folder / "bin" / "posttrain").chmod(0o755)
    return folder


def test_the_readme_holds_commands_of_every_part():
    text = "\n".join(commands())
    for part in (
        "plan",
        "check",
        "run",
        "status",
        "report",
        "sample",
        "evaluate",
        "store verify",
        "verify --verifier",
        "verifier test",
        "sandbox run",
        "recipe new",
    ):
        assert f"posttrain {part}" in text


@pytest.mark.ray
def test_every_command_of_the_readme_runs(place: Path):
    environment = os.environ | {"PATH": f"{place / 'bin'}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    for command in commands():
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", command],
            cwd=place,
            env=environment,
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
        if "recipe new" in command:
            shrink(place / "mine.yaml")  # it copies the shipped recipe in its full size
    assert "42" in done.stdout or "pass" in done.stdout

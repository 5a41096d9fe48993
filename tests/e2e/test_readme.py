"""The commands of the README and of docs/ run: page by page, in order, in an empty folder that holds the shipped recipes and cards.

A command is a line of a `bash` block. The demo's recipe is made small, and only the first of the README's two runs evaluates what it
trains. Knows nothing of links and paths on these pages: tests/house/test_pages.py does.
"""

from __future__ import annotations

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
PAGES = {
    "README.md": ("cold_start", '"outcome": "correct"'),
    "docs/clusters.md": ("42 to run",),
    "docs/judge.md": ("container", '"outcome": "pass"', '"keep": true'),
    "docs/verifiers.md": ("within_reach.py", "100.00%", "choice_equal"),
}
"""Every page with commands, and what must be among the things that they print."""


def commands(page: str) -> list[str]:
    """Every line of a page's bash blocks."""
    text = (ROOT / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^```bash\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    return [line for block in blocks for line in block.splitlines() if line and not line.startswith("#")]


def small(value: object) -> object:
    """The same recipe with few rows and steps."""
    sizes = {"rows": 8, "steps": 2, "k": 2}
    if isinstance(value, dict):
        return {key: min(sizes[key], item) if key in sizes and isinstance(item, int) else small(item) for key, item in value.items()}
    return [small(item) for item in value] if isinstance(value, list) else value


def shrink(recipe: Path, *, after: str = "every_stage") -> None:
    data = read_text(recipe.read_text(encoding="utf-8"), recipe.name).data
    data["base"].setdefault("toy", {"steps": 2})
    data["evaluate"]["after"] = after
    suites = data["evaluate"]["suites"]
    for name in [name for name in suites if name != "stem"]:  # one suite for each checkpoint is enough here; the demo has all
        del suites[name]
    data["engine"]["backend"] = "hf"  # starts at once; vLLM has the demo and tests of its own
    recipe.write_text(yaml.safe_dump(small(data), sort_keys=False), encoding="utf-8")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for name in ("recipes", "data_cards"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shrink(tmp_path / "recipes" / "demo_cpu.yaml")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "posttrain").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m posttrain "$@"\n', encoding="utf-8")
    (tmp_path / "bin" / "posttrain").chmod(0o755)
    return tmp_path


def test_pages_with_commands_are_the_ones_that_run() -> None:
    pages = ["README.md", *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md"))]
    assert [page for page in pages if commands(page)] == list(PAGES)


def test_the_pages_hold_commands_of_every_part() -> None:
    text = "\n".join(line for page in PAGES for line in commands(page))
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
        "verifier new",
        "verifier test",
        "sandbox run",
        "sandbox audit",
        "recipe new",
    ):
        assert f"posttrain {part}" in text


@pytest.mark.parametrize("page", [pytest.param(page, marks=pytest.mark.ray) if page == "README.md" else page for page in PAGES])
def test_every_command_of_a_page_runs(page: str, place: Path) -> None:
    environment = os.environ | {"PATH": f"{place / 'bin'}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    printed = ""
    for command in commands(page):
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", command], cwd=place, env=environment, capture_output=True, text=True, timeout=400, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
        printed += done.stdout
        if "recipe new" in command:
            shrink(place / "mine.yaml")  # it copies the shipped recipe in its full size
        if "--smoke" in command:
            scored = (place / "runs" / "smoke" / "results.json").read_text(encoding="utf-8")
            assert '"avg_at_k"' in scored
            shrink(place / "mine.yaml", after="never")  # one run that evaluates is enough: the other starts no engine
    assert not [words for words in PAGES[page] if words not in printed]

"""What the README and docs/ show works: commands, parts of recipes, and a verifier.

A command is a line of a `bash` block. They run page by page, in order, in an empty folder that holds the shipped
recipes and cards. The demo's recipe is made small, and only the first of the README's two runs evaluates what it
trains. Knows nothing of links and paths on these pages: tests/house/test_pages.py does.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from posttrain import Outcome, Request
from posttrain.recipe.schema import Recipe
from posttrain.recipe.yaml_core import read_text
from rewards.load import check_spec

ROOT = Path(__file__).resolve().parents[2]
PAGES = {
    "README.md": ("cold_start", '"outcome": "correct"'),
    "docs/clusters.md": ("48 to run",),
    "docs/data.md": ("row 1  conversation", "characters a row"),
    "docs/factory.md": ("1 rows, 1 kept", "wrong by the rules"),
    "docs/judge.md": ("container", '"outcome": "pass"', '"keep": true'),
    "docs/verifiers.md": ("within_reach.py", "100.00%", "choice_equal"),
}
"""Every page with commands, and what must be among the things that they print."""


def blocks(page: str, language: str) -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


def commands(page: str) -> list[str]:
    """Every line of a page's bash blocks."""
    return [line for block in blocks(page, "bash") for line in block.splitlines() if line and not line.startswith("#")]


def small(value: object) -> object:
    """The same recipe with few rows and steps."""
    sizes = {"rows": 8, "steps": 2, "k": 2}
    if isinstance(value, dict):
        return {
            key: min(sizes[key], item) if key in sizes and isinstance(item, int) else small(item)
            for key, item in value.items()
        }
    return [small(item) for item in value] if isinstance(value, list) else value


def shrink(recipe: Path, *, after: str = "every_stage") -> None:
    data = read_text(recipe.read_text(encoding="utf-8"), recipe.name).data
    data["base"].setdefault("toy", {"steps": 2})
    data["evaluate"]["after"] = after
    suites = data["evaluate"]["suites"]
    for name in [name for name in suites if name != "stem"]:  # the demo has all suites; one is enough here
        del suites[name]
    data["evaluate"]["max_tokens"] = 16  # a model of two steps never stops by itself
    data["engine"]["backend"] = "hf"  # starts at once; vLLM has the demo and tests of its own
    recipe.write_text(yaml.safe_dump(small(data), sort_keys=False), encoding="utf-8")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for name in ("recipes", "data_cards"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shrink(tmp_path / "recipes" / "demo_cpu.yaml")
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin" / "posttrain"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m posttrain "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    return tmp_path


def all_pages() -> list[str]:
    return ["README.md", *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md"))]


def test_pages_with_commands_are_the_ones_that_run() -> None:
    assert [page for page in all_pages() if commands(page)] == list(PAGES)


def test_parts_of_recipes_on_the_pages_fit_the_schema() -> None:
    whole = read_text((ROOT / "recipes" / "demo_cpu.yaml").read_text(encoding="utf-8"), "demo_cpu.yaml").data
    parts = [(page, read_text(block, page).data) for page in all_pages() for block in blocks(page, "yaml")]
    assert len(parts) >= 5
    for page, part in parts:
        recipe = Recipe.model_validate_json(json.dumps(whole | part))
        for name in part.get("verifiers", ()):
            check_spec(recipe.verifiers[name].model_dump(), where=f"{page}: {name}")


def test_the_verifiers_written_on_a_page_judge() -> None:
    (code,) = blocks("docs/verifiers.md", "python")
    names: dict[str, Any] = {}
    exec(code, names)  # a page of ours
    assert [names["judge"]("6*7?", answer, "42") for answer in ("It is 42", "It is 41", "")] == [1.0, 0.0, 0.0]
    group = [Request(response=answer, gold="42") for answer in ("It is 42", "It is 41")]
    verdicts = names["Judge"]().verify_group(group)
    assert [verdict.outcome for verdict in verdicts] == [Outcome.CORRECT, Outcome.WRONG]


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
        "data show",
        "data stats",
        "sandbox run",
        "sandbox audit",
        "recipe new",
    ):
        assert f"posttrain {part}" in text


@pytest.mark.parametrize(
    "page", [pytest.param(page, marks=pytest.mark.ray) if page == "README.md" else page for page in PAGES]
)
def test_every_command_of_a_page_runs(page: str, place: Path) -> None:
    environment = os.environ | {"PATH": f"{place / 'bin'}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    printed = ""
    for command in commands(page):
        shell = ["bash", "-o", "pipefail", "-c", command]
        done = subprocess.run(
            shell, cwd=place, env=environment, capture_output=True, text=True, timeout=400, check=False
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

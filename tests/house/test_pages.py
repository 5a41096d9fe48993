"""What pages say of the repository is true: links, paths and modules that they name exist. And the README is short.

Reads Markdown as text. Knows nothing of whether a page's commands run: tests/e2e/test_readme.py does.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("docs", "recipes", "data_cards", "benchmarks", "tests", "posttrain", "rewards", "sandbox")
PAGES = sorted({*ROOT.glob("*.md"), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.md"))})
MOST_README_WORDS = 1800
_LINK = re.compile(r"(?<!\\)\[[^\]\n]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"^```.*?^```|`[^`\n]+`", flags=re.DOTALL | re.MULTILINE)
_PATH = re.compile(rf"(?<![\w./-])(?:{'|'.join(FOLDERS)}|\.ci)/[\w./-]*")
_MODULE = re.compile(r"-m ((?:posttrain|rewards|sandbox)(?:\.\w+)*)")


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def text_of(page: Path) -> str:
    """A page's text; of the changelog what is not released yet: a release keeps the paths that it had."""
    text = page.read_text(encoding="utf-8")
    return re.split(r"^## \d", text, maxsplit=1, flags=re.MULTILINE)[0] if page.name == "CHANGELOG.md" else text


def anchors_of(page: Path) -> set[str]:
    """The names by which a link may point at a page's headings, as GitHub makes them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    titles = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-") for title in titles}


def targets(page: Path) -> Iterator[str]:
    """Where the links of a page lead, other sites left out."""
    text = _CODE.sub("", page.read_text(encoding="utf-8").replace("[`", "[").replace("`]", "]"))
    yield from (target for target in _LINK.findall(text) if not re.match(r"[a-z]+:", target))


def broken(page: Path) -> list[str]:
    found = []
    for target in targets(page):
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or not file.is_relative_to(ROOT):
            found.append(f"{name_of(page)}: {target}: no such file")
        elif anchor and anchor not in anchors_of(file):
            found.append(f"{name_of(page)}: {target}: no such heading")
    return found


def test_relative_links_lead_somewhere() -> None:
    assert sum(1 for page in PAGES for _ in targets(page)) > 50, "the pattern finds the links at all"
    assert not [line for page in PAGES for line in broken(page)]


def test_a_link_that_leads_nowhere_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.md"
    links = "[x](page.md#a-b-c) [`y`](gone.md) [z](#nowhere) [web](https://example.org) `[code](gone.md)`"
    page.write_text(f"# A `b` c\n{links}\n")
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    assert broken(page) == ["page.md: gone.md: no such file", "page.md: #nowhere: no such heading"]


def test_paths_that_pages_name_exist() -> None:
    codes = [(page, code) for page in PAGES for code in _CODE.findall(text_of(page))]
    named = {(page, path.rstrip("./-")) for page, code in codes for path in _PATH.findall(code)}
    assert len(named) > 20, "the pattern finds the paths at all"
    assert not sorted(f"{name_of(page)} names {path}" for page, path in named if not (ROOT / path).exists())


def test_modules_that_pages_run_exist() -> None:
    named = {(page, module) for page in PAGES for module in _MODULE.findall(text_of(page))}
    assert not sorted(f"{name_of(page)} runs {module}" for page, module in named if not is_module(module))


def is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").split()) <= MOST_README_WORDS


def test_the_readme_leads_to_every_page_of_docs() -> None:
    linked = {target.partition("#")[0] for target in targets(ROOT / "README.md")}
    assert {name_of(path) for path in (ROOT / "docs").rglob("*.md")} <= linked


def test_the_source_distribution_packs_every_folder_that_the_readme_leads_to() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packed = project["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    folders = {target.split("/")[0] for target in targets(ROOT / "README.md") if "/" in target}
    assert "docs" in folders and {f"/{folder}" for folder in folders} <= set(packed)


def test_the_page_on_the_house_names_its_rooms() -> None:
    """Every folder of posttrain/ and of rewards/ stands in the first column of a table of docs/how-it-is-built.md."""
    text = (ROOT / "docs" / "how-it-is-built.md").read_text(encoding="utf-8")
    for package in ("posttrain", "rewards"):
        table = text.partition(f"| room of `{package}/` |")[2].partition("\n\n")[0]
        named = {name for row in table.splitlines()[2:] for name in re.findall(r"`(\w+)`", row.split("|")[1])}
        folders = {path.parent.name for path in (ROOT / package).glob("*/__init__.py")}
        assert named == folders, package

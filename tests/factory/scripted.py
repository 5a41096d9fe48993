"""A server whose models play roles for the stages that make rows, and a small recipe that asks it.

The script sees which role is asked (by the model's name) and about which sum, and answers right, wrong, in no form,
slowly, or not at all. Every request that was answered is on record with its row.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.judge_attacks.server import Fault, ScriptedServer
from tests.recipe.world import CARD, write_jsonl, write_model

Said = str | Fault
SUM = re.compile(r"(\d+)\+(\d+)")


class Roles:
    """role -> (number of the row, prompt, seed) -> what it says. faults: (role, row, n) -> what goes wrong at its n-th
    request for a row (from 1) instead, or seconds that it takes."""

    def __init__(self, roles: Mapping[str, Callable[[int, str, int], str | Fault]], *, usage: bool = True) -> None:
        self.roles, self.usage = dict(roles), usage
        self.faults: Callable[[str, int, int], Fault | float | None] = lambda role, row, nth: None
        self.asked: Counter[tuple[str, int, str]] = Counter()  # (role, row, what) -> requests that arrived
        self._nth: Counter[tuple[str, int]] = Counter()
        self._lock = threading.Lock()

    def __call__(self, prompt: str, body: dict[str, Any]) -> Said:
        role, text = body["model"], body["messages"][-1]["content"]
        found = SUM.search(text)
        assert found, text
        row = int(found[1])
        what = f"{body['seed']}/{body['temperature']}"
        with self._lock:
            self.asked[role, row, what] += 1
            self._nth[role, row] += 1
            nth = self._nth[role, row]
        fault = self.faults(role, row, nth)
        if isinstance(fault, Fault):
            return fault
        if fault is not None:
            time.sleep(fault)
        said = self.roles[role](row, text, body["seed"])
        return said if isinstance(said, Fault) else completion(said, usage=self.usage)


def completion(said: str, *, usage: bool = True, finish: str = "stop", reasoning: str | None = None) -> Fault:
    message: dict[str, Any] = {"role": "assistant", "content": said}
    if reasoning is not None:
        message["reasoning_content"] = reasoning
    body: dict[str, Any] = {
        "object": "chat.completion",
        "model": "scripted-1",
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
    }
    if usage:
        body["usage"] = {"prompt_tokens": 100, "completion_tokens": 20}
    return Fault(kind="raw", body=json.dumps(body))


@contextmanager
def served(roles: Roles) -> Iterator[ScriptedServer]:
    with ScriptedServer(roles) as server:  # type: ignore[arg-type]
        yield server


def judged(verdict: str = "right", completeness: int = 7, instructiveness: int = 6) -> str:
    return (
        f"<reason>checked</reason>\n<verdict>{verdict}</verdict>\n<completeness>{completeness}</completeness>\n"
        f"<instructiveness>{instructiveness}</instructiveness>"
    )


def write_part(folder: Path, keys: Mapping[str, Any], *, rows: int = 12) -> tuple[Path, Path]:
    """(file of sums, PART.yaml) for the commands on a file."""
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / "part.yaml"
    part.write_text(json.dumps(keys))
    file = write_jsonl(folder / "sums.jsonl", [{"prompt": f"{n}+1?", "gold": str(n + 1)} for n in range(1, rows + 1)])
    return file, part


def models(url: str, *names: str, **options: Any) -> dict[str, Any]:
    """The server's models by role, each named as its role."""
    return {name: {"endpoint": url, "model": name, "retries": 2, **options} for name in names}


def write_recipe(folder: Path, stages: list[dict[str, Any]], *, rows: int = 12, **more: Any) -> Path:
    """A recipe over sums, `n+1?` in row n, with a base that nobody loads."""
    write_model(folder / "base")
    (folder / "cards").mkdir(exist_ok=True)
    (folder / "cards" / "sums.md").write_text(CARD)
    write_jsonl(folder / "sums.jsonl", [{"prompt": f"{n}+1?", "gold": str(n + 1)} for n in range(1, rows + 1)])
    data = {"sums": {"source": "jsonl", "path": "sums.jsonl", "card": "cards/sums.md"}}
    recipe = {
        "schema": 1,
        "name": "rows",
        "base": {"path": "base"},
        "data": data | more.pop("data", {}),
        "stages": stages,
        "evaluate": {"after": "never"},
        **more,
    }
    path = folder / "recipe.yaml"
    path.write_text(json.dumps(recipe))
    return path


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]

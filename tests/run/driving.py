"""What the tests of run share: plans of torch-free steps, and running them in processes of their own."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from posttrain.cli import report_error
from posttrain.recipe.schema import Recipe
from posttrain.records.codec import as_json
from posttrain.records.step import Step
from posttrain.run.driver import RunOptions, run
from posttrain.store.artefacts import Store
from posttrain.telemetry import open_display

ROOT = Path(__file__).resolve().parents[2]


def recipe_named(name: str = "toy", seed: int = 0) -> Recipe:
    stages = [{"kind": "tests.fake_stages:Counter", "name": "first"}]
    return Recipe.model_validate({"schema": 1, "name": name, "seed": seed, "base": {"path": "toy"}, "stages": stages})


def step(
    name: str,
    stage: str = "Counter",
    inputs: Mapping[str, str] | None = None,
    ids: Mapping[str, str] | None = None,
    **params: Any,
) -> Step:
    """A step whose id hashes what it is made of, like the plan's."""
    kind = stage if stage == "evaluate" else f"tests.fake_stages:{stage}"
    key = json.dumps(
        [name, kind, params, {role: (ids or {})[source] for role, source in (inputs or {}).items()}], sort_keys=True
    )
    id = f"{stage.lower()}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
    scored, _, suite = name.partition(".eval.") if kind == "evaluate" else (None, "", None)
    return Step(
        name=name,
        kind=kind,
        version=1,
        params=params,
        inputs=dict(inputs or {}),
        id=id,
        checkpoint=scored,
        suite=suite,
    )


def two_stages(**params: Any) -> list[Step]:
    """first -> second, both counting loops with checkpoints."""
    first = step("first", steps=4, **params)
    return [first, step("second", inputs={"checkpoint": "first"}, ids={"first": first.id}, steps=4, size=128)]


def run_steps(
    steps: list[Step], run_dir: Path, store: Path, *, name: str = "toy", take_over: bool = False, mode: str = "quiet"
) -> dict[str, Any]:
    """Run in this process; returns what results.json holds."""
    recipe = recipe_named(name)
    options = RunOptions(run_dir=run_dir, store=Store(store), recipe_dir=ROOT, take_over=take_over, command=("run",))
    results = run(steps, recipe, recipe.model_dump_json(by_alias=True), options, open_display(mode))
    return dict(as_json(results))


def run_main(run_dir: str, store: str, steps: list[dict[str, Any]], name: str = "toy", take_over: bool = False) -> int:
    """The same for a child process: an exit code, and the error's message on stderr."""
    try:
        run_steps(
            [Step(**fields) for fields in steps],
            Path(run_dir),
            Path(store),
            name=name,
            take_over=take_over,
            mode="auto",
        )
    except Exception as error:  # noqa: BLE001 - as the command line does
        return report_error(error)
    return 0


class Zygote:
    """Runs `tests.run.driving:run_main` in a forked process a call. Use as a context manager."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process = subprocess.Popen(
            [sys.executable, str(ROOT / "tests" / "run" / "zygote.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
                "OMP_NUM_THREADS": "1",
            },
        )

    def __enter__(self) -> Zygote:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.close()
        self._process.wait(timeout=30)
        self._process.stdout.close()

    def run(
        self, steps: list[Step], run_dir: Path, store: Path, *, env: Mapping[str, str] | None = None, **arguments: Any
    ) -> tuple[int, str]:
        """(exit code, minus the signal for a killed one; what it printed)."""
        assert self._process.stdin and self._process.stdout
        output = self._folder / "output.txt"
        fields = [{key: getattr(item, key) for key in item.__dataclass_fields__} for item in steps]
        request = {
            "call": ["tests.run.driving", "run_main"],
            "arguments": {"run_dir": str(run_dir), "store": str(store), "steps": fields, **arguments},
            "env": dict(env or {}),
            "output": str(output),
        }
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, "the zygote died"
        return json.loads(answer)["rc"], output.read_text()


def published(store: Path) -> dict[str, bytes]:
    """Every published file but the manifests, and each manifest's `files`."""
    found: dict[str, bytes] = {}
    for path in sorted((store / "artefacts").rglob("*")):
        if path.is_file():
            name = str(path.relative_to(store / "artefacts"))
            if path.name == "manifest.json":
                found[name + "#files"] = json.dumps(json.loads(path.read_bytes())["files"], sort_keys=True).encode()
            else:
                found[name] = path.read_bytes()
    return found

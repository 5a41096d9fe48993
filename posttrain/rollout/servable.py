"""Can vLLM run a model of this architecture? Asked of its own registry, before anything is spent.

    refuse_unservable(folder, "base")      CheckpointError, or nothing

The registry's tables are read as text, since importing vLLM takes seconds and changes the process; what they do not
list is asked of vLLM itself in a child, as it may run such a model on transformers' code.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

from posttrain.errors import CheckpointError
from posttrain.rollout.weights import read_config

_REGISTRY = "model_executor/models/registry.py"
_TABLES = ("_TEXT_GENERATION_MODELS", "_MULTIMODAL_MODELS", "_TRANSFORMERS_SUPPORTED_MODELS")
_CHILD_SECONDS = 180


def refuse_unservable(folder: str | Path, whose: str) -> str:
    """One line where vLLM runs the model of this folder. Raises CheckpointError, naming the architecture, where it does
    not."""
    names = read_config(folder).get("architectures") or []
    if any(name in _listed() for name in names):
        return f"vLLM runs {names[0]}"
    command = [sys.executable, "-m", "posttrain.rollout.vllm_engine", str(folder)]
    child = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=_CHILD_SECONDS,
        env=os.environ | {"HF_HUB_OFFLINE": "1"},
    )
    lines = [line.strip() for line in child.stdout.splitlines() if line.strip()]
    if child.returncode == 0 and lines and lines[-1] == "served":
        return f"vLLM runs {', '.join(names)} on transformers' code"
    raise CheckpointError(
        f"vLLM cannot run {', '.join(names) or 'a model without architectures'} ({whose}): "
        f"{lines[-1] if lines else f'it ended with {child.returncode}'}",
        where="engine.backend",
        remedy="set engine.backend: hf (slower), or give a base of an architecture that vLLM lists",
    )


@functools.cache
def _listed() -> frozenset[str]:
    """Architectures in the tables of the vLLM that is installed; none where it is not, or where they moved."""
    found = importlib.util.find_spec("vllm")
    registry = Path(found.origin).parent / _REGISTRY if found is not None and found.origin else None
    if registry is None or not registry.is_file():
        return frozenset()
    return frozenset(
        key.value
        for node in ast.parse(registry.read_text(encoding="utf-8")).body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict)
        if any(isinstance(target, ast.Name) and target.id in _TABLES for target in node.targets)
        for key in node.value.keys
        if isinstance(key, ast.Constant) and isinstance(key.value, str)
    )

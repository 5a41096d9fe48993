"""Nothing is reported home: the switches that start-up sets are those that the libraries read, asked of the libraries
themselves."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def after_start(code: str, **environment: str) -> str:
    """What `code` prints in a fresh process after what every command does first, with none of the switches set by the
    tests."""
    from posttrain.telemetry import QUIET_ENVIRONMENT

    inherited = {name: value for name, value in os.environ.items() if name not in QUIET_ENVIRONMENT}
    start = "from posttrain.telemetry import silence_libraries; silence_libraries()\n"
    command = [sys.executable, "-c", start + code]
    done = subprocess.run(command, cwd=ROOT, env=inherited | environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()[-1]


def test_the_hub_client_reports_nothing() -> None:
    assert after_start("from huggingface_hub import constants; print(constants.HF_HUB_DISABLE_TELEMETRY)") == "True"


@pytest.mark.ray
def test_ray_reports_nothing() -> None:
    assert after_start("from ray._common.usage import usage_lib; print(usage_lib.usage_stats_enabled())") == "False"


@pytest.mark.vllm
def test_vllm_reads_the_switches_that_are_set() -> None:
    """Importing vLLM takes a quarter of a minute, so its list of variables is read as text."""
    from posttrain.telemetry import QUIET_ENVIRONMENT

    spec = importlib.util.find_spec("vllm")
    assert spec is not None and spec.origin is not None
    known = (Path(spec.origin).parent / "envs.py").read_text("utf-8")
    for name in ("VLLM_NO_USAGE_STATS", "VLLM_DO_NOT_TRACK"):
        assert QUIET_ENVIRONMENT[name] == "1" and f'"{name}"' in known


def test_what_the_user_has_set_stays() -> None:
    assert after_start("import os; print(os.environ['DO_NOT_TRACK'])", DO_NOT_TRACK="0") == "0"


def test_trackers_are_left_as_the_user_has_them() -> None:
    """A recipe names them or nothing is sent: a switch of ours would hide what the user has set."""
    from posttrain.telemetry import QUIET_ENVIRONMENT

    assert not [name for name in QUIET_ENVIRONMENT if name.startswith(("WANDB", "MLFLOW", "TRACKIO"))]


def test_the_command_line_sets_the_switches_before_anything_else() -> None:
    code = (
        "import os, posttrain.cli as cli; cli.main(['--help']); "
        "print([os.environ.get(name) for name in ('RAY_USAGE_STATS_ENABLED', 'VLLM_NO_USAGE_STATS')])"
    )
    assert after_start(code) == "['0', '1']"

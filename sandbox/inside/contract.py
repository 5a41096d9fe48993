"""What both ends of a box's channel hold to: the places in an image, the rules of time, and the version of these files.

Runs on both sides; standard library only. Knows nothing of how a test is run or judged.
"""

from __future__ import annotations

import binascii
import os

PYTHON = "/opt/python/bin/python3"  # the interpreter of a box, wherever it came from
JUDGE_FOLDER = "/opt/judge"  # holds the package `sandbox` with this folder, and nothing else of it
SITE_FOLDER = f"{JUDGE_FOLDER}/site"  # packages that programs may import
NOBODY = 65534  # user and group of everything in a box
MOUNT_POINTS = ("proc", "dev", "sys", "tmp")  # empty folders of every root
# What a program may import beside the standard library, in boxes of the profile science.
SCIENCE_MODULES = ("numpy", "sympy", "mpmath", "pytest")

# A test that a busy machine starves may take this many times its wall limit.
MOST_WALL = 4
# So far past a CPU limit, as a share of it and at most in seconds, a test may go on, to tell by how much it missed.
CPU_GRACE, CPU_GRACE_SECONDS = 0.025, 0.05
MOST_FILES = 8192  # in each folder that a test may write to
MOST_WAITING_SECONDS = 0.02  # a result may wait so long for the next, so that both go in one write


def cpu_end(limit: float) -> float:
    """Processor seconds at which a test is ended: its limit and a little more. One that ends in between is past its
    limit all the same."""
    return limit + min(CPU_GRACE * limit, CPU_GRACE_SECONDS)


def inside_files() -> list[str]:
    """Paths of the files that every image holds: all of this folder, in an order that both ends have."""
    folder = os.path.dirname(__file__)
    return sorted(os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(".py"))


def inside_version() -> int:
    """A checksum of those files as they lie here: an image whose checksum is another is refused."""
    checksum = 0
    for path in inside_files():
        with open(path, "rb") as file:
            checksum = binascii.crc32(file.read(), checksum)
    return checksum

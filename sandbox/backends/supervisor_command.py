"""The command that runs in a box, whichever backend starts it, and the environment it gets.

Knows nothing of isolation.
"""

from __future__ import annotations

from sandbox.images.root_tree import SCIENCE
from sandbox.inside.contract import JUDGE_FOLDER, PYTHON, SITE_FOLDER

ENVIRONMENT = {
    "PATH": "/opt/python/bin",
    "LANG": "C.UTF-8",
    "TZ": "UTC",
    "HOME": "/tmp",
    "PYTHONHASHSEED": "0",
    "OMP_NUM_THREADS": "1",
    # Each arena of the C library's allocator reserves 64 MB of address space a thread, which RLIMIT_AS would count as
    # used.
    "MALLOC_ARENA_MAX": "2",
    # Every symbol of a library is looked up once, at the start, and not by every fork that is the first to call it.
    "LD_BIND_NOW": "1",
}
# No site-packages, neither the user's nor the folder of the script on the path.
PYTHON_OPTIONS = ["-S", "-s", "-P"]
# An image of a judge from before the folder `inside` answers with its own version, too, and is refused for that.
_START = """import sys
sys.path.insert(0, {folder!r})
try:
    from sandbox.inside.supervisor import main
except ModuleNotFoundError:
    from sandbox.supervisor import main
sys.path.pop(0)
main()
"""


def start_command(python: str, package_folder: str) -> list[str]:
    """Runs the supervisor of the package `sandbox` that lies in this folder; its options follow."""
    return [python, *PYTHON_OPTIONS, "-X", "utf8", "-c", _START.format(folder=package_folder)]


def supervisor_command(profile: str) -> list[str]:
    """What an isolated box runs, with the profile's packages in reach."""
    command = start_command(PYTHON, JUDGE_FOLDER)
    command += ["--alone", "--work", "/tmp", "--wipe", "/tmp", "--wipe", "/dev/shm"]
    return [*command, "--site", SITE_FOLDER] if profile == SCIENCE else command

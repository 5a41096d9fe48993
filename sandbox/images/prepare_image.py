"""Runs once, as root, while the Dockerfile is built: makes any base with python3 what a box expects. Standard library
only.

The interpreter gets the name that boxes call it by, the packages of the profile science are gathered in one folder, and
one box's imports are done here, which leaves their bytecode and shows that they work at all.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

JUDGE = Path(__file__).parent  # the image's own copy of this file lies beside the package `sandbox`


def main() -> None:
    """Furnish the image that this runs in."""
    (JUDGE / "sandbox/__init__.py").touch()
    sys.path.insert(0, str(JUDGE))
    from sandbox.inside.contract import MOUNT_POINTS, PYTHON, SCIENCE_MODULES, SITE_FOLDER

    missing = [name for name in SCIENCE_MODULES if importlib.util.find_spec(name) is None]
    if missing:
        subprocess.run([sys.executable, "-m", "pip", "install", "--no-cache-dir", "--quiet", *missing], check=True)
    python, site = Path(PYTHON), Path(SITE_FOLDER)
    if not python.exists():
        python.parent.mkdir(parents=True, exist_ok=True)
        python.symlink_to(os.path.realpath(sys.executable))
    site.mkdir(exist_ok=True)
    for folder in dict.fromkeys(path for path in sys.path if path.endswith(("site-packages", "dist-packages"))):
        for entry in Path(folder).iterdir() if Path(folder).is_dir() else ():
            if not (site / entry.name).exists():
                (site / entry.name).symlink_to(entry)
    importlib.import_module("sandbox.inside.supervisor")
    importlib.import_module("sandbox.inside.preparation").warm_up([str(site)])
    for name in SCIENCE_MODULES:
        importlib.import_module(name)
    for name in MOUNT_POINTS:
        Path("/", name).mkdir(exist_ok=True)
    os.chmod("/tmp", 0o1777)  # a tmpfs that Docker mounts here takes on this mode


if __name__ == "__main__":
    main()

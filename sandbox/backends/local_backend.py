"""A plain subprocess with rlimits: level none. Stops accidents, not intent: the program runs as the user, sees the
user's files and network, and can signal the user's processes, this judge's supervisor among them. Only ever used on the
explicit sentence.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from sandbox.backends.box import SMALL, PipeChannel, Size
from sandbox.backends.supervisor_command import ENVIRONMENT, start_command
from sandbox.images.root_tree import PLAIN, SCIENCE, science_packages
from sandbox.types import Level


class LocalChannel(PipeChannel):
    """As PipeChannel, with a work folder of its own that is removed at the end."""

    def __init__(self, profile: str = PLAIN) -> None:
        self.folder = tempfile.mkdtemp(prefix="posttrain-local-")
        environment = {**ENVIRONMENT, "HOME": self.folder, "PATH": os.environ.get("PATH", "/usr/bin:/bin")}
        package_folder = str(Path(__file__).parents[2])
        command = [*start_command(sys.executable, package_folder), "--work", self.folder, "--wipe", self.folder]
        if profile == SCIENCE:
            for folder in sorted({str(folder) for _, _, folder in science_packages()}):
                command += ["--site", folder]
        super().__init__(command, environment=environment, cwd=self.folder)

    def close(self) -> None:
        super().close()
        shutil.rmtree(self.folder, ignore_errors=True)


class LocalBackend:
    """Plain subprocesses."""

    name = "local"
    level = Level.NONE
    images: Mapping[str, str] = MappingProxyType({})  # nothing is laid out

    def start(self, slot: int, role: str, profile: str = PLAIN, size: Size = SMALL) -> LocalChannel:
        return LocalChannel(profile)

    def close(self) -> None:
        """Boxes end with their channels; there is nothing else."""

"""Boxes in Linux namespaces, by bubblewrap or, where it is absent, by `unshare` and enter_namespaces.py. Needs no root
and no daemon.

Own user, PID, mount, network, IPC and UTS namespaces; the root is the read-only tree of root_tree.py; /tmp and /dev/shm
are small tmpfs. When we are root the box is given an unprivileged user first: the kernel does not count processes of
root, and a file that only root may read would be readable inside. Not covered: the host's kernel is shared, memory is
bounded for each process and by polling the sum, not by a cgroup, and no cgroup bounds disk traffic.
"""

from __future__ import annotations

import os
import shutil

from sandbox.backends.box import SMALL, PipeChannel, Size
from sandbox.backends.supervisor_command import ENVIRONMENT, PYTHON_OPTIONS, supervisor_command
from sandbox.images.root_tree import PLAIN, tree
from sandbox.inside.contract import JUDGE_FOLDER, NOBODY, PYTHON
from sandbox.types import Level


class NamespaceBackend:
    """`tool` is bwrap or unshare; None takes the first that is installed. Raises ImageError when the tree cannot be
    made."""

    name = "namespaces"
    level = Level.NAMESPACES

    def __init__(self, tool: str | None = None) -> None:
        self.tool = tool or ("bwrap" if shutil.which("bwrap") else "unshare")
        self.roots: dict[str, str] = {}
        self.images: dict[str, str] = {}
        self._root(PLAIN)

    def start(self, slot: int, role: str, profile: str = PLAIN, size: Size = SMALL) -> PipeChannel:
        command, environment = (self._bwrap_command if self.tool == "bwrap" else self._unshare_command)(
            self._root(profile), str(size.folder_bytes)
        )
        command += [*supervisor_command(profile), "--count-processes"]
        return PipeChannel(command, environment=environment, user=NOBODY if os.getuid() == 0 else None)

    def _root(self, profile: str) -> str:
        if profile not in self.roots:
            root = tree(profile)
            self.roots[profile], self.images[profile] = str(root), f"sha256:{root.name}"
        return self.roots[profile]

    def close(self) -> None:
        """Boxes end with their channels; there is nothing else."""

    def _bwrap_command(self, root: str, room: str) -> tuple[list[str], dict[str, str]]:
        path = shutil.which("bwrap") or "bwrap"
        namespaces = [
            "--unshare-user",
            "--unshare-pid",
            "--unshare-net",
            "--unshare-ipc",
            "--unshare-uts",
            "--unshare-cgroup-try",
        ]
        identity = [
            "--disable-userns",
            "--uid",
            str(NOBODY),
            "--gid",
            str(NOBODY),
            "--hostname",
            "box",
            "--cap-drop",
            "ALL",
        ]
        process = ["--as-pid-1", "--new-session", "--die-with-parent"]
        files = ["--ro-bind", root, "/", "--proc", "/proc", "--dev", "/dev", "--size", room, "--tmpfs", "/tmp"]
        files += ["--dev-bind", "/dev/full", "/dev/zero"]  # as in enter_namespaces.py
        files += ["--size", room, "--tmpfs", "/dev/shm", "--remount-ro", "/dev", "--chdir", "/tmp"]
        return [path, *namespaces, *identity, *process, *files, "--"], dict(ENVIRONMENT)

    def _unshare_command(self, root: str, room: str) -> tuple[list[str], dict[str, str]]:
        path = shutil.which("unshare") or "unshare"
        flags = [
            "--user",
            "--map-root-user",
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "--net",
            "--ipc",
            "--uts",
            "--cgroup",
        ]
        folder = f"{root}{JUDGE_FOLDER}"
        code = f"import sys; sys.path.insert(0, {folder!r}); from sandbox.inside.enter_namespaces import main; main()"
        # The tree's interpreter with the tree's libraries: the one that runs us may lie where the unprivileged user
        # cannot look.
        inside = [f"{root}{PYTHON}", *PYTHON_OPTIONS, "-c", code, root, room]
        return [path, *flags, "--", *inside], {**ENVIRONMENT, "LD_LIBRARY_PATH": f"{root}/usr/lib"}

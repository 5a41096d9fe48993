"""A dockerd of one's own, to break: its folders and its socket are nobody else's, the machine's daemon is not
touched."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

_START_SECONDS = 60


class Daemon:
    """A dockerd below `folder`. Raises RuntimeError when it does not start."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = f"unix://{folder}/docker.sock"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        places = [
            "--data-root",
            f"{self.folder}/data",
            "--exec-root",
            f"{self.folder}/exec",
            "--pidfile",
            f"{self.folder}/pid",
        ]
        network = ["--bridge", "none", "--iptables=false", "--ip6tables=false"]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(["dockerd", "-H", self.socket, *places, *network], stdout=log, stderr=log)
        deadline = time.monotonic() + _START_SECONDS
        while (
            subprocess.run(["docker", "-H", self.socket, "version"], capture_output=True, check=False).returncode != 0
        ):
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise RuntimeError(f"the second daemon did not start: {(self.folder / 'log').read_text()[-2000:]}")
            time.sleep(0.2)

    def kill(self) -> None:
        """SIGKILL to the daemon and to all that it started: as after a crash of the host's service."""
        if self.process is None:
            return
        self.process.kill()
        self.process.wait()
        self.process = None
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                # Its containerd and shims name its folder; nobody else's do.
                if entry.name.isdecimal() and str(self.folder).encode() in (entry / "cmdline").read_bytes():
                    os.kill(int(entry.name), 9)
        for name in ("pid", "exec/containerd/containerd.pid"):  # of processes that may be zombies yet
            (self.folder / name).unlink(missing_ok=True)


def cannot() -> str | None:
    """Why there can be none here."""
    if os.getuid() != 0 or shutil.which("dockerd") is None:
        return "a second Docker daemon needs root and dockerd"
    return None


@contextlib.contextmanager
def second_daemon(disk: str | None = None) -> Iterator[Daemon]:
    """One that runs, and is gone with all it made at the end. `disk` is the size of a disk of its own. Example:
    second_daemon("700m")"""
    folder = Path(tempfile.mkdtemp(prefix="dockerd-"))
    made = Daemon(folder)
    try:
        if disk is not None:
            (folder / "data").mkdir()
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={disk}", "tmpfs", str(folder / "data")], check=True)
        made.start()
        yield made
    finally:
        made.kill()
        time.sleep(0.5)
        mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines() if str(folder) in line]
        for mount in reversed(mounts):
            subprocess.run(["umount", "-l", mount], check=False)
        shutil.rmtree(folder, ignore_errors=True)


def fill(ballast: Path) -> None:
    """Write until nothing more fits."""
    for piece in (1 << 20, 1 << 12):
        with contextlib.suppress(OSError), ballast.open("ab", buffering=0) as file:
            while file.write(bytes(piece)):
                pass

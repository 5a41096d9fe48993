"""Boxes in long-lived locked Docker containers.

No network, read-only root, no capability, no-new-privileges, a seccomp profile of our own, limits on processes and
memory (swap none), an unprivileged user, small tmpfs, no log. The supervisor is PID 1 and is spoken to over the
attached stdin and stdout: the daemon is asked to create and to remove, never in between. Images are the business of
docker_image.py.

A guardian, a process in a session of its own, is started before the first container and removes this run's containers
by label once its pipe to us ends, however we ended. A container also ends, and is removed by the daemon, when its stdin
ends.
"""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import docker
import docker.errors

from sandbox.backends import seccomp_profile
from sandbox.backends.box import SEND_SECONDS, SMALL, Size, wait_for
from sandbox.backends.supervisor_command import ENVIRONMENT, supervisor_command
from sandbox.errors import Fault, LevelError
from sandbox.images.docker_image import ERRORS, ensure_image
from sandbox.images.root_tree import PLAIN
from sandbox.inside.contract import MOST_FILES, NOBODY
from sandbox.types import Level

PIDS = 256
TMPFS = f"rw,nosuid,nodev,nr_inodes={MOST_FILES},mode=1777"
LIFETIME_SECONDS = 7 * 24 * 3600
_START_REMEDY = "start it (systemctl start docker), and let this user reach its socket (group docker)"


def connect() -> Any:
    """A client of the daemon that DOCKER_HOST names, or the local one. Raises LevelError when none answers."""
    try:
        client = docker.from_env(timeout=30)
        client.ping()
    except ERRORS as error:
        where = os.environ.get("DOCKER_HOST", "the local socket")
        raise LevelError(f"no Docker daemon answers: {error}", where=where, remedy=_START_REMEDY) from error
    return client


class AttachedChannel:
    """One container's stdin and stdout. Its stderr is kept for the message of a fault. Raises Fault, ImageNotFound."""

    def __init__(self, client: Any, options: dict[str, Any]) -> None:
        self.client = client
        self.last_words = ""
        self._raw = bytearray()
        self._gone = False
        self._id: str | None = None
        try:
            self._id = client.api.create_container(**options)["Id"]
            # Attached before the start: whatever the container says first cannot be missed.
            stream = client.api.attach_socket(self._id, params={"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1})
            self._stream, self._socket = stream, getattr(stream, "_sock", stream)
            self._socket.settimeout(SEND_SECONDS)  # of a send as a whole; reads wait by poll
            client.api.start(self._id)
        except docker.errors.ImageNotFound:
            raise
        except ERRORS as error:
            self.close()
            raise Fault(f"Docker did not start a container: {error}") from error

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def receive(self, timeout_seconds: float) -> bytes:
        deadline = time.monotonic() + timeout_seconds
        while True:
            data = self._stdout()
            if data:
                return data
            if not wait_for(self._socket.fileno(), select.POLLIN, deadline - time.monotonic()):
                raise TimeoutError(f"nothing in {timeout_seconds:.0f} s")
            chunk = self._socket.recv(1 << 18)
            if not chunk:
                return b""
            self._raw += chunk

    def _stdout(self) -> bytes:
        """Whole pieces of the multiplexed stream: a byte for the stream, three zero, four of length, then data."""
        taken = bytearray()
        while len(self._raw) >= 8:
            end = 8 + int.from_bytes(self._raw[4:8], "big")
            if len(self._raw) < end:
                break
            if self._raw[0] == 1:
                taken += self._raw[8:end]
            else:
                self.last_words = (self.last_words + self._raw[8:end].decode("utf-8", "replace"))[-600:]
            del self._raw[:end]
        return bytes(taken)

    def close(self) -> None:
        """Remove the container. A daemon that is gone takes it along, and the guardian tries again."""
        if self._gone:
            return
        self._gone = True
        if self._id is not None:
            with contextlib.suppress(*ERRORS):
                self.client.api.remove_container(self._id, force=True)
        for part in ("_stream", "_socket"):  # the descriptor closes with the last of the two
            with contextlib.suppress(AttributeError, OSError):
                getattr(self, part).close()


class DockerBackend:
    """Containers under `runtime` (runc, or runsc for level kernel). `image` an id or name to use instead of the one
    made here.

    Raises LevelError without a daemon or the runtime, ImageError when the image is not there or cannot be made.
    """

    name = "docker"

    def __init__(self, runtime: str = "runc", image: str | None = None) -> None:
        self.level = Level.KERNEL if runtime == "runsc" else Level.CONTAINER
        self.runtime = runtime
        self.client = connect()
        try:
            runtimes = self.client.info().get("Runtimes", {})
        except ERRORS as error:
            raise LevelError(f"the Docker daemon does not answer: {error}", remedy=_START_REMEDY) from error
        if runtime not in runtimes:
            raise LevelError(
                f"Docker has no runtime {runtime}, only {', '.join(sorted(runtimes))}",
                remedy=f"install and register {runtime}",
            )
        self.run_id = uuid.uuid4().hex
        self._given = image
        self.images: dict[str, str] = {PLAIN: ensure_image(self.client, image)}
        self._guardian = _start_guardian(self.run_id)

    def start(self, slot: int, role: str, profile: str = PLAIN, size: Size = SMALL) -> AttachedChannel:
        if profile not in self.images:
            self.images[profile] = ensure_image(self.client, self._given, profile)
        labels = {
            "posttrain.run": self.run_id,
            "posttrain.owner": owner_label(),
            "posttrain.deadline": str(int(time.time()) + LIFETIME_SECONDS),
        }
        host = self.client.api.create_host_config(
            network_mode="none",
            read_only=True,
            tmpfs={"/tmp": f"{TMPFS},size={size.folder_bytes}"},
            shm_size=size.folder_bytes,
            cap_drop=["ALL"],
            security_opt=["no-new-privileges:true", f"seccomp={seccomp_profile.profile()}"],
            pids_limit=PIDS,
            mem_limit=size.memory_bytes,
            memswap_limit=size.memory_bytes,
            ipc_mode="private",
            log_config={"type": "none", "config": {}},
            oom_score_adj=500,
            # The daemon removes the container once it ends, as it does with its stdin: also when owner and guardian
            # were both killed.
            auto_remove=True,
            runtime=self.runtime,
            ulimits=[
                docker.types.Ulimit(name="nofile", soft=256, hard=256),
                docker.types.Ulimit(name="core", soft=0, hard=0),
            ],
        )
        options = {
            "image": self.images[profile],
            "command": supervisor_command(profile),
            "name": f"posttrain-{self.run_id[:12]}-{slot}-{role}-{uuid.uuid4().hex[:6]}",
            "hostname": "box",
            "user": f"{NOBODY}:{NOBODY}",
            "environment": dict(ENVIRONMENT),
            "working_dir": "/tmp",
            "labels": labels,
            "stdin_open": True,  # with attach: closed for good when we go, which ends the supervisor
            "network_disabled": True,
            "host_config": host,
        }
        try:
            return AttachedChannel(self.client, options)
        except docker.errors.ImageNotFound:  # it was there before: removed, or the daemon came back without it
            options["image"] = self.images[profile] = ensure_image(self.client, self._given, profile)
        try:
            return AttachedChannel(self.client, options)
        except docker.errors.ImageNotFound as error:
            raise Fault(f"the image is gone again: {error}") from error

    def close(self) -> None:
        """Remove what is left of this run, by its guardian. Where the daemon is gone, the guardian goes on waiting for
        it by itself."""
        if self._guardian.stdin is not None:
            self._guardian.stdin.close()
        for patience in (3, 27):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._guardian.wait(patience)
                break
            if not self._answers():
                break
        self.client.close()

    def _answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except ERRORS:
            return False


# ---------------------------------------------------------------- orphans


def owner_label() -> str:
    """This process, so that another can tell whether it still lives: boot id, pid, start time in clock ticks."""
    return f"{_boot_id()}:{os.getpid()}:{_start_time(os.getpid())}"


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _start_time(pid: int) -> str | None:
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[19].decode()
    except OSError:
        return None


def remove_orphans(client: Any | None = None) -> list[str]:
    """Remove containers whose owner on this boot is dead, or whose deadline has passed. Returns their names. Others are
    not touched."""
    client = client or connect()
    removed = []
    for container in client.api.containers(all=True, filters={"label": "posttrain.run"}):
        boot, _, rest = container["Labels"].get("posttrain.owner", "").partition(":")
        pid, _, started = rest.partition(":")
        dead = boot == _boot_id() and pid.isdecimal() and _start_time(int(pid)) != started
        if dead or time.time() > float(container["Labels"].get("posttrain.deadline", "inf")):
            with contextlib.suppress(docker.errors.NotFound):
                client.api.remove_container(container["Id"], force=True)
            removed.append(container["Names"][0].lstrip("/"))
    return removed


def _start_guardian(run_id: str) -> subprocess.Popen[bytes]:
    root = str(Path(__file__).parents[2])
    code = f"import sys; sys.path.insert(0, {root!r}); from sandbox.backends.guardian import guard; guard({run_id!r})"
    return subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        close_fds=True,
    )


def remove_run(run_id: str) -> None:
    """Remove every container of one run, in any state, until none is listed twice in a row. For the guardian."""
    quiet = 0
    deadline = time.monotonic() + 50
    while quiet < 2 and time.monotonic() < deadline:
        try:
            client = docker.from_env(timeout=20)
            found = client.api.containers(all=True, filters={"label": f"posttrain.run={run_id}"})
            for container in found:
                with contextlib.suppress(docker.errors.APIError):
                    client.api.remove_container(container["Id"], force=True)
            quiet = 0 if found else quiet + 1
        except ERRORS:
            quiet = 0  # the daemon may come back within the deadline, with our containers
        if quiet < 2:
            time.sleep(0.2)

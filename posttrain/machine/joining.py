"""What surrounds `ray.init`: a process group of its own, and a knock at the address of a running Ray. Knows no ray."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from posttrain.errors import BackendError

_KNOCK_SECONDS = 10.0


@contextmanager
def group_of_its_own() -> Iterator[None]:
    """What is started in the block joins a process group of its own, so that a signal to the driver's group (`timeout`,
    Ctrl-C in a shell) does not end Ray under a run that is about to stop in order. A session leader cannot leave its
    group: there all is as it was."""
    if os.getsid(0) == os.getpid():
        yield
        return
    ours = os.getpgrp()
    # A group lives as long as any member: one process keeps ours to come back to (a shell that put us in the background
    # may be gone).
    keeper, founder = subprocess.Popen(["sleep", "600"]), subprocess.Popen(["sleep", "600"], process_group=0)
    os.setpgid(0, founder.pid)
    try:
        yield
    finally:
        os.setpgid(0, ours)
        for waiting in (keeper, founder):
            waiting.kill()
            waiting.wait()


def knock(address: str) -> None:
    """Ray itself waits for minutes where nobody listens: knock first. Addresses without a port ("auto") are Ray's to
    resolve."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not port.isdecimal():
        return
    try:
        socket.create_connection((host, int(port)), timeout=_KNOCK_SECONDS).close()
    except (OSError, UnicodeError) as error:  # the latter for a name that cannot be one, such as a..b
        raise BackendError(
            f"no Ray cluster answers at {address!r}: {error}",
            where="cluster.address",
            remedy="`ray status` there, or `cluster: {address: local}`",
        ) from error

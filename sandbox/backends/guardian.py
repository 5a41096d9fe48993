"""The guardian's side of a run: waits for the end of its stdin, which only its owner's death or wish brings, then
removes containers.

Started with a session of its own, so that neither a terminal's signal nor the owner's process group takes it along.
Imports the docker backend only when there is something to do: a waiting guardian stays small.
"""

from __future__ import annotations

import os
import signal


def guard(run_id: str) -> None:
    """Block until the owner is gone, then remove the containers labelled with `run_id`."""
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, signal.SIG_IGN)  # it ends by its work being done
    while os.read(0, 1024):
        pass
    from sandbox.backends.docker_backend import remove_run

    remove_run(run_id)

"""A base or teacher from the hub: a pinned snapshot, in the hub library's own cache. Offline mode and tokens are that
library's, too.

    fetch ── child: python -m posttrain.train.hub PATH REVISION ──> the snapshot's folder

The download runs in a child, as nothing ends the library's own: a stop, or the end of this process, ends the child
within a second, and the next try goes on from what its cache holds.
"""

from __future__ import annotations

import fnmatch
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from posttrain.errors import CheckpointError, StageError, Stopped
from posttrain.store.digests import walk_files
from posttrain.store.reference import folder_digest

WANTED = ("*.json", "*.safetensors", "*.jinja", "*.model", "*.txt", "README.md")  # the card states the licence
_POLL_SECONDS = 0.2


def fetch(path: str, revision: str, stop_file: Path, where: str) -> dict[str, Any]:
    """{"path": folder of the snapshot, "files": names of what was asked for, "digest": of those}.

    Raises CheckpointError where the hub refuses or offline mode finds nothing, StageError where it cannot be reached,
    Stopped.
    """
    command = [sys.executable, "-m", "posttrain.train.hub", path, revision]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True
    ) as child:  # its progress goes where this process's goes
        while child.poll() is None:
            if stop_file.exists():
                child.kill()
                raise Stopped(
                    f"stopped while '{path}' was fetched", remedy="the same command goes on with the download"
                )
            time.sleep(_POLL_SECONDS)
        said = child.stdout.read() if child.stdout is not None else ""
    ended = {"error": f"the download ended with {child.returncode}", "refused": False}
    answer = json.loads(said.splitlines()[-1]) if child.returncode == 0 and said else ended
    if "error" in answer:
        what = f"'{path}' at {revision[:12]} cannot be fetched: {answer['error']}"
        if answer["refused"]:
            raise CheckpointError(
                what, where=where, remedy="check path and revision, or download it and give its local folder"
            )
        raise StageError(
            what, where=where, remedy="once the hub can be reached the same command goes on; or give a local folder"
        )
    folder = Path(str(answer["folder"]))
    # Other tools share the snapshot's folder, and may add what nobody asked for here.
    files = [
        name
        for name, file in walk_files(folder)
        if file.is_file() and any(fnmatch.fnmatch(name, pattern) for pattern in WANTED)
    ]
    return {"path": str(folder), "files": files, "digest": folder_digest(folder, files)}


def main(path: str, revision: str) -> None:
    """What the child does: one line of JSON, {"folder"} or {"error", "refused"}."""
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    threading.Thread(target=_leave_with, args=(os.getppid(),), daemon=True).start()
    # Offline, huggingface_hub 1.33 still asks the network for the list of a revision's files where a cache of an older
    # version has none.
    offline = bool(constants.HF_HUB_OFFLINE)
    answer: dict[str, Any]
    try:
        answer = {
            "folder": str(
                snapshot_download(path, revision=revision, allow_patterns=list(WANTED), local_files_only=offline)
            )
        }
    except Exception as error:  # noqa: BLE001 - the library's, httpx's and the system's: the parent says it in our terms
        refused = isinstance(error, OfflineModeIsEnabled | ValueError) or (
            offline and isinstance(error, LocalEntryNotFoundError)
        )
        refused |= isinstance(error, HfHubHTTPError) and error.response is not None and error.response.status_code < 500
        answer = {"error": f"{type(error).__name__}: {error}", "refused": refused}
    print(json.dumps(answer))


def _leave_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_POLL_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])

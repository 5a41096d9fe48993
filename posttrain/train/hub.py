"""A base or teacher from the hub: a pinned snapshot, in the hub library's own cache. Offline mode and tokens are that library's, too.

    fetch ── child: python -m posttrain.train.hub PATH REVISION ──> the snapshot's folder

The download runs in a child, as nothing ends the library's own: a stop ends the child within a second, and the next try goes on from
what its cache holds.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

from posttrain.errors import CheckpointError, Stopped
from posttrain.reference import folder_digest

WANTED = ("*.json", "*.safetensors", "*.jinja", "*.model", "*.txt", "README.md")  # the card states the licence
_POLL_SECONDS = 0.2


def fetch(path: str, revision: str, stop_file: Path) -> dict[str, str]:
    """{"path": folder of the snapshot, "digest": of all its files}. Raises CheckpointError; Stopped where a stop was asked for."""
    command = [sys.executable, "-m", "posttrain.train.hub", path, revision]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:  # its progress goes where this process's goes
        while child.poll() is None:
            if stop_file.exists():
                child.kill()
                raise Stopped(f"stopped while '{path}' was fetched", remedy="the same command goes on with the download")
            time.sleep(_POLL_SECONDS)
        said = child.stdout.read() if child.stdout is not None else ""
    ended = {"error": f"the download ended with {child.returncode}"}
    answer = json.loads(said.splitlines()[-1]) if child.returncode == 0 and said else ended
    if "error" in answer:
        remedy = "check path and revision, or download it and give its local folder"
        raise CheckpointError(f"'{path}' at {revision[:12]} cannot be fetched: {answer['error']}", where="base", remedy=remedy)
    folder = Path(answer["folder"])
    return {"path": str(folder), "digest": folder_digest(folder)}


def main(path: str, revision: str) -> None:
    """What the child does: one line of JSON, {"folder"} or {"error"}."""
    from huggingface_hub import constants, snapshot_download

    # Offline, huggingface_hub 1.33 still asks the network for the list of a revision's files where a cache of an older version has none.
    offline = bool(constants.HF_HUB_OFFLINE)
    try:
        folder = snapshot_download(path, revision=revision, allow_patterns=list(WANTED), local_files_only=offline)
        answer = {"folder": str(folder)}
    except Exception as error:  # noqa: BLE001 - the library's, httpx's and the system's: the parent says it in our terms
        answer = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer))


if __name__ == "__main__":
    main(*sys.argv[1:])

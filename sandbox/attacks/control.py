"""Shows that an attack is worth anything: it must fool the naive control, or do its damage in a plain subprocess.

Everything runs in a folder that is thrown away, inside throw-away namespaces by bubblewrap: no network but its own
loopback, the machine's files read-only, own processes. Where bubblewrap is absent, rows that harm nothing run as plain
subprocesses under limits, and the others are not shown. Knows nothing of the judge.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from sandbox.attacks.attack import Attack
from sandbox.types import Level

FOOLED = "fooled"
_HERE = Path(__file__).parent
_SECONDS = 200


@functools.cache
def has_namespaces() -> bool:
    """Whether bubblewrap is installed and allowed to make namespaces here."""
    if shutil.which("bwrap") is None:
        return False
    return (
        subprocess.run([*_bwrap("/tmp"), sys.executable, "-S", "-c", ""], capture_output=True, check=False).returncode
        == 0
    )


def _bwrap(folder: str) -> list[str]:
    flags = [
        "--unshare-user",
        "--unshare-pid",
        "--unshare-net",
        "--unshare-ipc",
        "--unshare-uts",
        "--as-pid-1",
        "--die-with-parent",
    ]
    files = ["--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--tmpfs", "/var/tmp"]
    bound: list[str] = []
    # A folder before what lies in it, which is then there.
    for needed in sorted({sys.prefix, sys.base_prefix, str(_HERE.parents[1])}):
        if needed.startswith("/tmp/") and not any(needed.startswith(f"{outer}/") for outer in bound):
            bound.append(needed)
            files += ["--ro-bind", needed, needed]
    if folder != "/tmp":
        files += ["--bind", folder, folder]
    return ["bwrap", *flags, *files, "--"]


def control_word(attack: Attack) -> str:
    """FOOLED, or why this row counts for nothing here."""
    alone = has_namespaces()
    if not alone and (attack.harmful or attack.served or attack.stopped_from > Level.NONE):
        return "not shown: it needs throw-away namespaces (install bubblewrap)"
    folder = tempfile.mkdtemp(prefix="posttrain-control-")
    try:
        row = attack.row
        (Path(folder) / "tests.json").write_text(json.dumps(row))
        shutil.copy(_HERE / "naive_grader.py", Path(folder) / "grader.py")
        tests = json.dumps({"tests": row["tests"]})
        command = [sys.executable, "-S", "-P", str(_HERE / "throwaway.py"), folder, attack.fools]
        command = [*_bwrap(folder), *command, "alone", tests] if alone else command
        environment = {"PATH": os.environ.get("PATH", ""), "TESTS": tests, "LANG": "C.UTF-8"}
        done = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        return done.stdout.strip() or f"the control failed: {done.stderr.strip()[-200:]}"
    except subprocess.TimeoutExpired:
        return f"the control did not end in {_SECONDS} s"
    finally:
        subprocess.run(["chmod", "-R", "u+rwx", folder], check=False, capture_output=True)
        shutil.rmtree(folder, ignore_errors=True)

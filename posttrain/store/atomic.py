"""Files that are there whole or not at all: temporary name, fsync, rename, fsync of the folder, a failpoint around
each.

Knows nothing of what the bytes mean. A reader sees the old content or the new, also after a kill or a power cut.
"""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

from posttrain.store.failpoints import failpoint

FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def is_full_disk(error: BaseException | None) -> bool:
    """Whether an error, or one behind it, says that no space (or quota, or allowed file size) is left."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in FULL_DISK:
            return True
        if "No space left on device" in str(error):  # libraries written in Rust or C++ pass on only the text
            return True
        error = error.__cause__ or error.__context__
    return False


def fsync_path(path: Path) -> None:
    """Force a file's bytes or a folder's entries to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_bytes(path: Path, data: bytes, *, point: str | None, durable: bool = True, shared: bool = False) -> None:
    """Replace `path` by `data`. `point` names the failpoints `<point>.before_write`, `.before_rename`, `.after_rename`;
    None: none, for a hint that is written by the clock and read by nobody on resume.

    durable: fsync file and folder (not needed for a hint such as a progress file). shared: several processes may write
    the same path at once, so the temporary name carries the pid; otherwise it is fixed and a killed writer leaves at
    most one.
    """
    owner = f".{os.getpid()}" if shared else ""
    temporary = path.with_name(f".{path.name}{owner}.tmp")
    if point is not None:
        failpoint(f"{point}.before_write")
    try:
        with open(temporary, "wb") as stream:
            stream.write(data)
            stream.flush()
            if durable:
                os.fsync(stream.fileno())
    except OSError:
        temporary.unlink(missing_ok=True)  # a full disk must not keep half a file
        raise
    if point is not None:
        failpoint(f"{point}.before_rename")
    os.replace(temporary, path)
    if point is not None:
        failpoint(f"{point}.after_rename")
    if durable:
        fsync_path(path.parent)


def canonical_json(value: Any) -> bytes:
    """The one rendering of a JSON value: sorted keys, one space of indent, ASCII, a newline at the end."""
    return (json.dumps(value, sort_keys=True, indent=1, allow_nan=False) + "\n").encode("ascii")


def write_json(path: Path, value: Any, *, point: str | None, durable: bool = True, shared: bool = False) -> None:
    """`write_bytes` of `canonical_json`. NaN and infinity are refused with ValueError: they are not JSON."""
    write_bytes(path, canonical_json(value), point=point, durable=durable, shared=shared)


def replace_link(link: Path, target: Path, *, point: str) -> None:
    """Point the symbolic link `link` at `target`, relative to the link's folder so that both can move together.

    That is the folder as it lies on the disk: `..` of a link's target does not go back through a link on the way to it.
    """
    relative = os.path.relpath(target.parent.resolve() / target.name, link.parent.resolve())
    if link.is_symlink() and os.readlink(link) == relative:
        return
    temporary = link.with_name(f".{link.name}.tmp")
    temporary.unlink(missing_ok=True)
    failpoint(f"{point}.before_link")
    os.symlink(relative, temporary)
    failpoint(f"{point}.before_rename")
    os.replace(temporary, link)
    failpoint(f"{point}.after_rename")

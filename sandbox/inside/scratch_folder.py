"""The folders that tests may write to, emptied after each and given back as they were.

Knows nothing of processes: whoever empties a folder has ended them. Runs inside every box; standard library only.
"""

from __future__ import annotations

import os
import stat
import time
from dataclasses import dataclass

_CLOCK_STEP_NS = 50_000_000  # times of files go in steps of the kernel's tick, 10 ms at most
_FolderState = tuple[int, ...] | None


@dataclass(kw_only=True, slots=True)
class ScratchFolder:
    """A folder that tests may write to, as it was before the first of them. Example: ScratchFolder(path="/tmp",
    mode=0o1777, ours=False)

    `left` is what the kernel knows of it (inode, mode, times of change and access) as we left it last; `settled` the
    same once it was found empty so long after that every trace of a test would show in a time: while that stands, one
    look is enough.
    """

    path: str
    mode: int
    ours: bool
    left: _FolderState = None
    settled: _FolderState = None

    @classmethod
    def of(cls, path: str) -> ScratchFolder:
        found = os.stat(path)
        return cls(path=path, mode=stat.S_IMODE(found.st_mode), ours=found.st_uid == os.getuid())

    def used(self) -> tuple[int, int]:
        """Bytes and files on the file system that the folder is the root of, those of unlinked files with it."""
        found = os.statvfs(self.path)
        return (found.f_blocks - found.f_bfree) * found.f_frsize, found.f_files - found.f_ffree

    def restore(self) -> None:
        """Empty it and give it back its mode, a fixed time and no attributes: these too would outlive a test."""
        state = self._state()
        if state is not None and state == self.settled:
            return
        self.settled = None
        if state is None or state != self.left or os.listdir(self.path) or (self.ours and os.listxattr(self.path)):
            self._empty()
            self.left = self._state()
            return
        self.left = state = self._state()  # our own look may have set the time of access
        if state is not None and time.time_ns() - max(state[-3:]) > _CLOCK_STEP_NS:
            self.settled = state

    def _state(self) -> _FolderState:
        try:
            found = os.lstat(self.path)
        except FileNotFoundError:  # without isolation a test can remove it
            return None
        return found.st_ino, found.st_mode, found.st_ctime_ns, found.st_mtime_ns, found.st_atime_ns

    def _empty(self) -> None:
        if self.ours:
            if os.path.islink(self.path) or not os.path.isdir(self.path):  # without isolation a test can replace it
                if os.path.lexists(self.path):
                    os.unlink(self.path)
                os.mkdir(self.path)
            os.chmod(self.path, self.mode)
        wipe(self.path)
        if not self.ours:
            os.utime(self.path)
            return
        for name in os.listxattr(self.path):
            os.removexattr(self.path, name)
        os.utime(self.path, (0, 0))


def wipe(folder: str) -> None:
    """Remove everything below `folder`, however deep, whatever its modes, never following a link.

    Subfolders are moved up beside their parent before it is removed, so that no path grows long and nothing recurses.
    """
    serial = 0
    while True:
        with os.scandir(folder) as entries:
            found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
        if not found:
            return
        for name, is_folder in found:
            path = os.path.join(folder, name)
            if not is_folder:
                os.unlink(path)
                continue
            os.chmod(path, stat.S_IRWXU)
            with os.scandir(path) as inner:
                below = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in inner]
            for child, child_is_folder in below:
                if not child_is_folder:
                    os.unlink(os.path.join(path, child))
                    continue
                serial += 1
                # A folder moves only when its own ".." can be rewritten.
                os.chmod(os.path.join(path, child), stat.S_IRWXU)
                os.rename(os.path.join(path, child), os.path.join(folder, f".wipe-{serial}-{os.urandom(4).hex()}"))
            os.rmdir(path)

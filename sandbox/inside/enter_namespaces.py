"""Builds a box's view of the world where bubblewrap is absent: run by `unshare`, ends by becoming the supervisor.

    unshare (user, pid, mount, net, ipc, uts, cgroup; we are root of the namespace and its PID 1)
      -> mounts: the tree read-only as /, a /proc of our PID namespace, a few devices, tmpfs on /tmp and /dev/shm; the
      old root goes
      -> a second user namespace in which we are nobody, and further ones are forbidden
      -> exec: a non-root user keeps no capability

Standard library only, calls the kernel through ctypes. Knows nothing of what runs afterwards.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys

from sandbox.inside.contract import NOBODY
from sandbox.inside.kernel import CLONE_NEWUSER, PR_SET_NO_NEW_PRIVS

_RDONLY, _NOSUID, _NODEV, _NOEXEC, _REMOUNT, _BIND, _REC, _PRIVATE = 1, 2, 4, 8, 32, 4096, 16384, 1 << 18
_DETACH = 2
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
# Name and what it is: "full" reads as zeros too, but cannot be mapped as memory that many share and no limit counts.
_DEVICES = (("null", "null"), ("zero", "full"), ("full", "full"), ("random", "random"), ("urandom", "urandom"))

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _mount(source: str, target: str, kind: str | None, flags: int, options: str | None = None) -> None:
    encoded = [None if text is None else text.encode() for text in (source, target, kind)]
    data = None if options is None else options.encode()
    _check(_libc.mount(*encoded, ctypes.c_ulong(flags), data), f"mount {target}")


def _remount_read_only(target: str, flags: int) -> None:
    """Remount a bind mount. Flags it came with are locked in a user namespace and must be named again."""
    locked = os.statvfs(target).f_flag & (_RDONLY | _NOSUID | _NODEV | _NOEXEC)
    _mount("none", target, None, _BIND | _REMOUNT | _RDONLY | locked | flags)


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def build_root(root: str, tmp_bytes: int) -> None:
    """Make `root` our / with all that belongs in it."""
    _mount("none", "/", None, _REC | _PRIVATE)
    _mount(root, root, None, _BIND | _REC)
    _remount_read_only(root, _NOSUID | _NODEV)
    _mount("proc", f"{root}/proc", "proc", _NOSUID | _NODEV | _NOEXEC)
    _mount("tmpfs", f"{root}/dev", "tmpfs", _NOSUID | _NOEXEC, "mode=755,size=64k")
    for name, device in _DEVICES:
        _write(f"{root}/dev/{name}", "")
        _mount(f"/dev/{device}", f"{root}/dev/{name}", None, _BIND)
    for name, target in (("fd", ""), ("stdin", "/0"), ("stdout", "/1"), ("stderr", "/2")):
        os.symlink(f"/proc/self/fd{target}", f"{root}/dev/{name}")
    os.mkdir(f"{root}/dev/shm")
    _mount("none", f"{root}/dev", None, _REMOUNT | _RDONLY | _NOSUID | _NOEXEC)
    for path in ("tmp", "dev/shm"):
        _mount("tmpfs", f"{root}/{path}", "tmpfs", _NOSUID | _NODEV, f"mode=1777,size={tmp_bytes}")
    os.chdir(root)
    _check(_libc.syscall(_PIVOT_ROOT[platform.machine()], b".", b"."), "pivot_root")
    _check(_libc.umount2(b".", _DETACH), "umount of the old root")
    os.chdir("/tmp")


def become_nobody() -> None:
    """A second user namespace that maps us to nobody; the first allows exactly this one below it."""
    _write("/proc/sys/user/max_user_namespaces", "1")
    _check(_libc.unshare(CLONE_NEWUSER), "unshare")
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"{NOBODY} 0 1")
    _write("/proc/self/gid_map", f"{NOBODY} 0 1")
    _check(_libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")


def main() -> None:
    root, tmp_bytes, *command = sys.argv[1:]
    build_root(root, int(tmp_bytes))
    become_nobody()
    os.environ.pop("LD_LIBRARY_PATH", None)
    os.execv(command[0], command)


if __name__ == "__main__":
    main()

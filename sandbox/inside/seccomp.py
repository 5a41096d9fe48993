"""A filter on system calls that the supervisor takes on before its first fork, at every level, beside whatever the
backend adds.

Refused: what reaches into other processes, also by a limit or a priority (the supervisor has the same user); what makes
namespaces or mounts; what outlives a test (System V and POSIX queues, keys) or escapes its limits (files in memory);
what has a long record of kernel holes (io_uring, bpf, userfaultfd, perf); every socket but AF_UNIX; what keeps memory
that no process has mapped any more: pages in pipes, shared memory without a file beyond a page, of which a part can be
let go and all stays. A socket's buffer stays as it is, whatever is asked for. All else is allowed: this is a second
wall, not the first. Standard library only; knows x86-64 and 64-bit ARM, and does nothing elsewhere.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct

from sandbox.inside.kernel import (
    AF_UNIX,
    CLONE_NEW_NAMESPACES,
    PR_SET_SECCOMP,
    SO_SNDBUF,
    SO_SNDBUFFORCE,
    SOL_SOCKET,
)

_MODE_FILTER = 2
_LD, _AND, _JEQ, _JGE, _JSET, _RET = 0x20, 0x54, 0x15, 0x35, 0x45, 0x06
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
# Places in what the filter sees; of an argument the low half, which is all the kernel reads of most.
_NR, _ARCH, _ARG0, _ARG1, _ARG2, _ARG3 = 0, 4, 16, 24, 32, 40
_ARCHES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}

# Name: (number on x86-64, number on 64-bit ARM).
_REFUSED = {
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "pidfd_getfd": (438, 438),
    "kcmp": (312, 272),
    "process_madvise": (440, 440),
    "migrate_pages": (256, 238),
    "move_pages": (279, 239),
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "vmsplice": (278, 75),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "fanotify_init": (300, 262),
    "shmget": (29, 194),
    "shmctl": (31, 195),
    "shmat": (30, 196),
    "semget": (64, 190),
    "semctl": (66, 191),
    "semop": (65, 193),
    "semtimedop": (220, 192),
    "msgget": (68, 186),
    "msgctl": (71, 187),
    "msgrcv": (70, 188),
    "msgsnd": (69, 189),
    "mq_open": (240, 180),
    "kexec_load": (246, 104),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "quotactl": (179, 60),
    "acct": (163, 89),
    "swapon": (167, 224),
    "reboot": (169, 142),
}
# Calls that take a process, refused unless their arguments (offset, value) name the caller itself: a group or a user
# (PRIO_USER with 0 is "mine") would reach the supervisor as well.
_OWN_ONLY = {
    "prlimit64": (302, 261, ((_ARG0, 0),)),
    "sched_setscheduler": (144, 119, ((_ARG0, 0),)),
    "sched_setparam": (142, 118, ((_ARG0, 0),)),
    "sched_setattr": (314, 274, ((_ARG0, 0),)),
    "sched_setaffinity": (203, 122, ((_ARG0, 0),)),
    "setpriority": (141, 140, ((_ARG0, 0), (_ARG1, 0))),
    "ioprio_set": (251, 30, ((_ARG0, 1), (_ARG1, 0))),
}
_CLONE, _CLONE3, _SOCKET, _MMAP, _SETSOCKOPT = (56, 220), (435, 435), (41, 198), (9, 222), (54, 208)
_SHARED_ANONYMOUS = 0x01 | 0x20
_MOST_SHARED = 4096  # bytes without a file; a counter for several processes fits


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def program(machine: str) -> bytes:
    """The filter as the kernel's instructions of eight bytes each: code, jump if true, jump if false, constant."""
    column, arch = _ARCHES[machine]
    lines = [(_LD, 0, 0, _ARCH), (_JEQ, 1, 0, arch), (_RET, 0, 0, _KILL), (_LD, 0, 0, _NR)]
    lines += [(_JGE, 0, 1, 0x40000000), (_RET, 0, 0, _ERRNO | errno.EPERM)]  # the x32 numbers name the same calls again
    for numbers in _REFUSED.values():
        lines += [(_JEQ, 0, 1, numbers[column]), (_RET, 0, 0, _ERRNO | errno.EPERM)]
    for *numbers_of, wanted in _OWN_ONLY.values():
        lines.append((_JEQ, 0, 2 * len(wanted) + 2, numbers_of[column]))
        for left, (offset, value) in zip(reversed(range(len(wanted))), wanted, strict=True):
            lines += [(_LD, 0, 0, offset), (_JEQ, 0, 2 * left + 1, value)]
        lines += [(_RET, 0, 0, _ALLOW), (_RET, 0, 0, _ERRNO | errno.EPERM)]
    # Its flags lie in memory, where a filter cannot look; the C library falls back to clone when it is absent.
    lines += [(_JEQ, 0, 1, _CLONE3[column]), (_RET, 0, 0, _ERRNO | errno.ENOSYS)]
    allow = (_RET, 0, 0, _ALLOW)
    lines += [
        (_JEQ, 0, 4, _CLONE[column]),
        (_LD, 0, 0, _ARG0),
        (_JSET, 0, 1, CLONE_NEW_NAMESPACES),
        (_RET, 0, 0, _ERRNO | errno.EPERM),
        allow,
    ]
    lines += [
        (_JEQ, 0, 4, _SOCKET[column]),
        (_LD, 0, 0, _ARG0),
        (_JEQ, 1, 0, AF_UNIX),
        (_RET, 0, 0, _ERRNO | errno.EACCES),
        allow,
    ]
    lines += [
        (_JEQ, 0, 9, _MMAP[column]),
        (_LD, 0, 0, _ARG3),
        (_AND, 0, 0, _SHARED_ANONYMOUS),
        (_JEQ, 0, 4, _SHARED_ANONYMOUS),
    ]
    lines += [(_LD, 0, 0, _ARG1 + 4), (_JEQ, 0, 3, 0), (_LD, 0, 0, _ARG1), (_JGE, 1, 0, _MOST_SHARED + 1), allow]
    lines.append((_RET, 0, 0, _ERRNO | errno.ENOMEM))
    # To the program it looks as if it had been done.
    lines += [(_JEQ, 0, 6, _SETSOCKOPT[column]), (_LD, 0, 0, _ARG1), (_JEQ, 0, 4, SOL_SOCKET), (_LD, 0, 0, _ARG2)]
    lines += [(_JEQ, 1, 0, SO_SNDBUF), (_JEQ, 0, 1, SO_SNDBUFFORCE), (_RET, 0, 0, _ERRNO), allow]
    return b"".join(struct.pack("=HBBI", *line) for line in lines)


def apply(libc: ctypes.CDLL) -> bool:
    """Take the filter on for this process and all it forks; for good. False where the machine is not known.
    no_new_privs is set already."""
    machine = os.uname().machine
    if machine not in _ARCHES:
        return False
    code = program(machine)
    buffer = ctypes.create_string_buffer(code, len(code))
    packed = _Program(len(code) // 8, ctypes.addressof(buffer))
    if libc.prctl(PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(packed), 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "the filter on system calls was not accepted")
    return True

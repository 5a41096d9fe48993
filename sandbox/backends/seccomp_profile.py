"""The seccomp profile of our containers: every system call is refused but those named here. Takes the place of Docker's
own.

It is the outer of two filters (seccomp.py is the inner one, at every level). Beside what Docker's profile refuses, it
leaves out asynchronous and ring input and output, System V and POSIX queues, files in memory, keys, memory policies,
`personality`, `seccomp`, `ptrace`, the calls into other processes' memory, everything that mounts or makes namespaces,
sockets but AF_UNIX, and 32-bit calls. Calls that a kernel or libseccomp does not know are passed over by the runtime.
Knows nothing of the daemon.
"""

from __future__ import annotations

import errno
import json

from sandbox.inside.kernel import AF_UNIX, CLONE_NEW_NAMESPACES

_FILES = """
access chdir chmod chown close close_range copy_file_range creat dup dup2 dup3 faccessat faccessat2 fadvise64 fallocate
fchdir fchmod fchmodat fchmodat2 fchown fchownat fcntl fdatasync fgetxattr flistxattr flock fremovexattr fsetxattr fstat
fstatfs fsync ftruncate futimesat getcwd getdents getdents64 getxattr inotify_add_watch inotify_init inotify_init1
inotify_rm_watch ioctl lchown lgetxattr link linkat listxattr llistxattr lremovexattr lseek lsetxattr lstat mkdir
mkdirat mknod mknodat newfstatat open openat openat2 pipe pipe2 pread64 preadv preadv2 pwrite64 pwritev pwritev2 read
readahead readlink readlinkat readv removexattr rename renameat renameat2 rmdir sendfile setxattr splice stat statfs
statx symlink symlinkat sync sync_file_range syncfs tee truncate umask unlink unlinkat utime utimensat utimes write
writev
"""
_MEMORY = "brk madvise membarrier mincore mlock mlock2 mlockall mmap mprotect mremap msync munlock munlockall munmap"
_PROCESSES = """
capget execve execveat exit exit_group fork getegid geteuid getgid getgroups getpgid getpgrp getpid getppid getpriority
getresgid getresuid getrlimit getrusage getsid gettid getuid ioprio_get ioprio_set kill pause pidfd_open
pidfd_send_signal prctl prlimit64 restart_syscall rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn
rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo sched_get_priority_max sched_get_priority_min sched_getaffinity
sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval sched_setaffinity sched_setattr sched_setparam
sched_setscheduler sched_yield setpgid setpriority setrlimit setsid sigaltstack signalfd signalfd4 tgkill tkill vfork
wait4 waitid
"""
_THREADS = """
arch_prctl futex futex_requeue futex_wait futex_waitv futex_wake get_robust_list getcpu rseq set_robust_list
set_tid_address
"""
_WAITING = """
alarm clock_getres clock_gettime clock_nanosleep epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_pwait2
epoll_wait eventfd eventfd2 getitimer gettimeofday nanosleep poll ppoll pselect6 select setitimer time timer_create
timer_delete timer_getoverrun timer_gettime timer_settime timerfd_create timerfd_gettime timerfd_settime times
"""
_SOCKETS = """
accept accept4 bind connect getpeername getsockname getsockopt listen recvfrom recvmmsg recvmsg sendmmsg sendmsg sendto
setsockopt shutdown
"""
_MACHINE = "getrandom sysinfo uname"
ALLOWED = tuple(" ".join((_FILES, _MEMORY, _PROCESSES, _THREADS, _WAITING, _SOCKETS, _MACHINE)).split())


def profile() -> str:
    """The profile as Docker's API takes it: JSON for `seccomp=` in security_opt."""
    unix = [{"index": 0, "value": AF_UNIX, "op": "SCMP_CMP_EQ"}]
    same_namespaces = [{"index": 0, "value": CLONE_NEW_NAMESPACES, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}]
    return json.dumps(
        {
            "defaultAction": "SCMP_ACT_ERRNO",
            "archMap": [
                {"architecture": name, "subArchitectures": []} for name in ("SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64")
            ],
            "syscalls": [
                {"names": list(ALLOWED), "action": "SCMP_ACT_ALLOW"},
                {"names": ["socket", "socketpair"], "action": "SCMP_ACT_ALLOW", "args": unix},
                {"names": ["clone"], "action": "SCMP_ACT_ALLOW", "args": same_namespaces},
                # Its flags lie in memory, where a filter cannot look; the C library falls back to clone when it is
                # absent.
                {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": errno.ENOSYS},
            ],
        }
    )

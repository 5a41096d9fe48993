"""Numbers of the kernel's interface that more than one file needs, where the module that names them would bring along a
library that every fork carries.

Knows nothing of what they are used for. Runs on both sides; standard library only.
"""

PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 4, 22, 36, 38
AF_UNIX, SOCK_STREAM = 1, 1
SOL_SOCKET, SO_SNDBUF, SO_SNDBUFFORCE = 1, 7, 32
CLONE_NEWUSER = 0x10000000
CLONE_NEW_NAMESPACES = 0x7E020000  # every flag of clone and unshare that makes a namespace
FIONREAD = 0x541B  # asks how many bytes a pipe holds

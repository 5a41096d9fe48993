"""Group G: programs that reach out of their box: the network, other processes, the machine's files, the kernel's side
doors.

They answer right when the reach succeeded. The control gives each something harmless to reach, inside its throw-away
namespaces.
"""

# ruff: noqa: E501 - whole programs, one a line
from __future__ import annotations

from typing import Any

from sandbox.attacks.attack import Attack, function_rows, script_rows
from sandbox.types import Level

_OUTSIDE: dict[str, Any] = {"stopped_from": Level.NAMESPACES}
_HURTS: dict[str, Any] = {"stopped_from": Level.NAMESPACES, "harmful": True}
_LIBC = "import ctypes, os, platform\nlibc = ctypes.CDLL(None, use_errno=True)\nARM = platform.machine() == 'aarch64'\n"


def _reach(name: str, setup: str, reached: str, **rest: Any) -> tuple[Attack, ...]:
    """As a script, and as a function that returns what the script prints. The marker is believed: a dead parent has no
    clean exit."""
    inside = "".join(f"    {line}\n" for line in setup.split("\n"))
    return (
        *script_rows(name, f"{setup}\nprint(9731 if {reached} else 0)", **rest),
        *function_rows(
            name,
            f"def f(x):\n{inside}    return 9731 if {reached} else 0",
            forms=("call", "check"),
            fools="marker",
            **rest,
        ),
    )


ATTACKS: tuple[Attack, ...] = (
    *_reach("tcp_to_a_local_service", "import socket", "socket.create_connection(('127.0.0.1', 8765), 3)", served=True),
    *_reach("udp", "import socket",
    "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 8765))"),
    *_reach("listen", "import socket\ns = socket.socket()\ns.bind(('0.0.0.0', 0))\ns.listen()", "s"),
    *_reach("tcp_version_6", "import socket\ns = socket.socket(socket.AF_INET6)\ns.bind(('::', 0))", "s"),
    *_reach("talk_to_the_kernel",
    "import socket\ns = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)\ns.bind((0, 0))", "s"),
    *_reach("virtual_machine_sockets", "import socket\ns = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)", "s"),
    *_reach("network_interfaces", "import socket",
    "len(open('/proc/net/dev').readlines()) > 3 or socket.create_connection(('127.0.0.1', 8765), 3)", served=True),
    *_reach("network_while_loading", "import urllib.request",
    "urllib.request.urlopen('http://127.0.0.1:8765/', timeout=3).read(2) == b'ok'", served=True),
    *_reach("abstract_socket_of_another",
    "import socket\ns = socket.socket(socket.AF_UNIX)\ns.connect('\\0posttrain-control')", "s", **_OUTSIDE),
    *_reach("socket_of_a_daemon",
    "import os\nfound = [p for p in ('/run/docker.sock', '/var/run/docker.sock', '/run/containerd/containerd.sock', 'daemon.sock') if os.path.exists(p)]", "found", **_OUTSIDE),
    *_reach("kill_the_parent", "import os, time\nparent = os.getppid()\nos.kill(parent, 9)\ntime.sleep(0.1)",
    "os.getppid() != parent", **_HURTS),
    *_reach("stop_the_parent", "import os, time\nparent = os.getppid()\nos.kill(parent, 19)\ntime.sleep(0.1)",
    "') T ' in open(f'/proc/{parent}/stat').read()", **_HURTS),
    *_reach("end_the_parent_by_every_signal",
    "import os, time\nparent = os.getppid()\nfor number in range(1, 65):\n    try: os.kill(parent, number)\n    except OSError: pass\ntime.sleep(0.1)", "os.getppid() != parent", **_HURTS),
    *_reach("kill_everyone", "import os, time\nparent = os.getppid()\nos.kill(-1, 9)\ntime.sleep(0.1)",
    "os.getppid() != parent", **_HURTS),
    *_reach("kill_the_parents_group",
    "import os, time\nparent = os.getppid()\nos.setsid()\nos.killpg(os.getpgid(parent), 9)\ntime.sleep(0.1)",
    "os.getppid() != parent", **_HURTS),
    *_reach("kill_all_that_is_listed",
    "import os, time\nparent = os.getppid()\nfor pid in filter(str.isdecimal, os.listdir('/proc')):\n    try: int(pid) != os.getpid() and os.kill(int(pid), 9)\n    except OSError: pass\ntime.sleep(0.1)", "os.getppid() != parent", **_HURTS),
    *_reach("kill_by_descriptor",
    "import os, signal, time\nparent = os.getppid()\nsignal.pidfd_send_signal(os.pidfd_open(parent), 9)\ntime.sleep(0.1)", "os.getppid() != parent", **_HURTS),
    *_reach("offer_the_parent_to_the_memory_killer",
    "import os\nopen(f'/proc/{os.getppid()}/oom_score_adj', 'w').write('1000')",
    "open(f'/proc/{os.getppid()}/oom_score_adj').read().strip() == '1000'", **_HURTS),
    *_reach("limit_the_parents_files", "import os, resource as r\nr.prlimit(os.getppid(), r.RLIMIT_NOFILE, (8, 8))",
    "r.prlimit(os.getppid(), r.RLIMIT_NOFILE) == (8, 8)", **_HURTS),
    *_reach("limit_the_parents_time", "import os, resource as r\nr.prlimit(os.getppid(), r.RLIMIT_CPU, (9, 9))",
    "r.prlimit(os.getppid(), r.RLIMIT_CPU) == (9, 9)", **_HURTS),
    *_reach("limit_the_parents_processes", "import os, resource as r\nr.prlimit(os.getppid(), r.RLIMIT_NPROC, (0, 0))",
    "r.prlimit(os.getppid(), r.RLIMIT_NPROC) == (0, 0)", **_HURTS),
    *_reach("starve_the_parent", "import os\nos.sched_setscheduler(os.getppid(), os.SCHED_IDLE, os.sched_param(0))",
    "os.sched_getscheduler(os.getppid()) == os.SCHED_IDLE", **_HURTS),
    *_reach("trace_the_parent", f"{_LIBC}done = libc.ptrace(16, os.getppid(), 0, 0)", "done == 0", **_HURTS),
    *_reach("read_the_parents_memory",
    f"{_LIBC}line = next(l for l in open(f'/proc/{{os.getppid()}}/maps') if ' rw-p ' in l)\nbuffer = ctypes.create_string_buffer(8)\nclass V(ctypes.Structure): _fields_ = [('a', ctypes.c_void_p), ('n', ctypes.c_size_t)]\nmine, theirs = V(ctypes.addressof(buffer), 8), V(int(line.split('-')[0], 16), 8)\ndone = libc.process_vm_readv(os.getppid(), ctypes.byref(mine), 1, ctypes.byref(theirs), 1, 0)", "done == 8", **_OUTSIDE),
    *_reach("take_a_descriptor_of_the_parent", f"{_LIBC}fd = libc.syscall(438, os.pidfd_open(os.getppid()), 0, 0)",
    "fd >= 0", **_OUTSIDE),
    *_reach("descriptors_of_the_parent", "import os\nfound = os.listdir(f'/proc/{os.getppid()}/fd')", "found",
    **_OUTSIDE),
    *_reach("root_of_the_parent", "import os", "os.listdir(f'/proc/{os.getppid()}/root')", **_OUTSIDE),
    *_reach("memory_of_the_parent", "import os\nopen(f'/proc/{os.getppid()}/mem', 'r+b')", "True", **_OUTSIDE),
    *_reach("other_processes_are_listed",
    "import os\nothers = {int(p) for p in os.listdir('/proc') if p.isdecimal()} - {1, os.getpid()}", "others",
    **_OUTSIDE),
    *_reach("new_user_namespace", f"{_LIBC}done = libc.unshare(0x10000000)", "done == 0"),
    *_reach("new_user_namespace_by_clone",
    f"{_LIBC}pid = libc.syscall(220 if ARM else 56, 0x10000000 | 17, 0, 0, 0, 0)\nif pid == 0: os._exit(0)", "pid > 0",
    **_OUTSIDE),
    *_reach("new_network_namespace", f"{_LIBC}done = libc.unshare(0x10000000 | 0x40000000)", "done == 0"),
    *_reach("mount",
    f"{_LIBC}libc.unshare(0x10000000 | 0x00020000)\ndone = libc.mount(b'none', b'/tmp', b'tmpfs', ctypes.c_ulong(0), None)", "done == 0", **_OUTSIDE),
    *_reach("change_root", f"{_LIBC}libc.unshare(0x10000000)\ndone = libc.chroot(b'/')", "done == 0", **_OUTSIDE),
    *_reach("become_root",
    f"{_LIBC}uid, gid = os.getuid(), os.getgid()\nlibc.unshare(0x10000000)\nopen('/proc/self/setgroups', 'w').write('deny')\nopen('/proc/self/uid_map', 'w').write(f'0 {{uid}} 1')", "os.geteuid() == 0", **_OUTSIDE),
    *_reach("keys_of_the_kernel",
    f"{_LIBC}done = libc.syscall(217 if ARM else 248, b'user', b'mark', b'x', ctypes.c_size_t(1), ctypes.c_long(-2))",
    "done > 0"),
    *_reach("system_v_memory", f"{_LIBC}done = libc.shmget(7, 4096, 0o1666)", "done >= 0"),
    *_reach("message_queue", f"{_LIBC}done = libc.mq_open(b'/mark', 0o102, 0o600, None)", "done >= 0"),
    *_reach("ring_of_system_calls",
    f"{_LIBC}done = libc.syscall(425, 4, ctypes.byref(ctypes.create_string_buffer(256)))", "done >= 0"),
    *_reach("file_by_its_handle",
    f"{_LIBC}handle = ctypes.create_string_buffer(b'\\x80' + bytes(199), 200)\ndone = libc.name_to_handle_at(-100, b'/', handle, ctypes.byref(ctypes.c_int()), 0)", "done == 0"),
    *_reach("tokens_in_the_environment",
    "import os\nfound = [name for name in os.environ if any(word in name.upper() for word in ('TOKEN', 'SECRET', 'API_KEY', 'PASSWORD'))]", "found"),
    *_reach("environment_of_the_first_process", "found = open('/proc/1/environ', 'rb').read()", "found", **_OUTSIDE),
    *_reach("name_of_the_machine", "found = open('/etc/machine-id').read().strip()", "found", **_OUTSIDE),
    *_reach("files_of_the_users",
    "import glob\nfound = glob.glob('/home/*/*') + glob.glob('/root/*') + glob.glob('/root/.*')", "found", **_OUTSIDE),
    *_reach("write_outside",
    "import os, tempfile\nfound = []\nfor place in ('/var/tmp', '/run', '/usr', '/etc', '/', '/opt'):\n    try: found.append(tempfile.TemporaryFile(dir=place))\n    except OSError: pass", "found", **_OUTSIDE),
    *_reach("write_into_the_interpreter",
    "import os, sys\nfound = []\nfor place in sys.path:\n    try: open(os.path.join(place, 'mark_of_ours'), 'w').close(); found.append(place)\n    except OSError: pass", "[p for p in found if os.path.abspath(p) != os.getcwd()]", **_OUTSIDE),
)  # fmt: skip

"""Group F: programs that use more than they may: processor, time, memory, output, disk, processes. They answer right,
afterwards.

Finite, so that the control can show the damage: each stops at a few times what its limits allow, also on a faster
machine.
"""

# ruff: noqa: E501 - whole programs, one a line
from __future__ import annotations

from sandbox.attacks.attack import Attack, exhausting_rows, script_rows
from sandbox.types import Level, Outcome

_CPU = {"cpu_seconds": 0.3, "wall_seconds": 8.0}
_WALL = {"wall_seconds": 0.4}
_MEMORY = {"memory_mb": 64, "cpu_seconds": 4.0}
_OUTPUT = {"output_bytes": 50_000}
_DISK = {"disk_mb": 4}
_TASKS = {"processes": 12, "cpu_seconds": 4.0}
_BURN = (
    "import time\ndef burn(seconds):\n    start = time.process_time()\n    while time.process_time() - start < "
    "seconds: pass\n"
)
_TREE = (
    f"{_BURN}import os\ndef child(seconds):\n    pid = os.fork()\n    if pid == 0:\n        burn(seconds)\n     "
    "   os._exit(0)\n    return pid\n"
)
_PIECES = (
    'import json, os, struct, time\nbody = json.dumps({"k": "value", "v": 9731, "changed": [], "objects": '
    '[]}).encode()\nframe = struct.pack(">I", len(body)) + body\ndef part(data):\n    try: os.write(4, '
    "data)\n    except OSError: pass\n"
)
_LIBC = (
    "import ctypes\nlibc = ctypes.CDLL(None)\nlibc.mmap.restype = ctypes.c_size_t\nlibc.mmap.argtypes = "
    "[ctypes.c_size_t] * 2 + [ctypes.c_int] * 3 + [ctypes.c_long]\nlibc.munmap.argtypes = [ctypes.c_size_t] * "
    "2\nlibc.memset.argtypes = [ctypes.c_size_t, ctypes.c_int, ctypes.c_size_t]\nlibc.madvise.argtypes = "
    "[ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int]\n"
)
_ISOLATED = {"stopped_from": Level.NAMESPACES}

ATTACKS: tuple[Attack, ...] = (
    *exhausting_rows("loop", "burn(0.6)", Outcome.CPU_LIMIT, _CPU, setup=_BURN),
    *exhausting_rows("loop_in_c", "sum(range(100_000_000))", Outcome.CPU_LIMIT, _CPU),
    *exhausting_rows("regular_expression", "import re\nre.match('(a+)+$', 'a' * 26 + 'b')", Outcome.CPU_LIMIT, _CPU),
    *exhausting_rows("big_power", "x = 3 ** 7_000_000", Outcome.CPU_LIMIT, _CPU),
    *exhausting_rows("colliding_keys", "x = set(i * (2**61 - 1) for i in range(16000))", Outcome.CPU_LIMIT, _CPU),
    *exhausting_rows("processor_time_in_the_kernel", "for _ in range(10_000): os.urandom(60_000)", Outcome.CPU_LIMIT, _CPU,
    setup="import os"),
    *exhausting_rows("loop_deaf_to_signals",
    "for number in set(signal.Signals) - {9, 19}: signal.signal(number, signal.SIG_IGN)\nsignal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals))\nburn(0.6)", Outcome.CPU_LIMIT, _CPU, setup=f"import signal\n{_BURN}"),
    *exhausting_rows("loop_in_children", "for pid in [child(0.3) for _ in range(4)]: os.waitpid(pid, 0)", Outcome.CPU_LIMIT,
    _CPU, setup=_TREE),
    *exhausting_rows("loop_in_many_short_children", "for _ in range(40): os.waitpid(child(0.02), 0)", Outcome.CPU_LIMIT, _CPU,
    setup=_TREE),
    *exhausting_rows("loop_in_adopted_children",
    "for n in range(20):\n    r, w = os.pipe()\n    if os.fork() == 0:\n        if os.fork() == 0:\n            burn(0.04)\n            os.write(w, b'x')\n        os._exit(0)\n    os.wait()\n    os.read(r, 1)", Outcome.CPU_LIMIT, _CPU, setup=_TREE),
    *exhausting_rows("loop_after_exec",
    "os.waitpid(os.posix_spawn(sys.executable, [sys.executable, '-S', '-c', 'import time\\nwhile time.process_time() < 0.8: pass'], os.environ), 0)", Outcome.CPU_LIMIT, _CPU, setup="import os, sys"),
    *exhausting_rows("loop_in_a_thread", "t = threading.Thread(target=burn, args=(0.8,))\nt.start()\nt.join()",
    Outcome.CPU_LIMIT, _CPU, setup=f"import threading\n{_BURN}"),
    *script_rows("long_compilation", "x = 0\n" + "x = (x, [x], {1: x}) if x == -7 else x + 1\n" * 20_000 + "print(9731)",
    harmful=True, outcome=Outcome.CPU_LIMIT, more={"limits": {"cpu_seconds": 0.2}}),
    *exhausting_rows("sleep", "time.sleep(1.5)", Outcome.WALL_LIMIT, _WALL, setup="import time"),
    *exhausting_rows("lock_that_nobody_opens", "threading.Event().wait(1.5)", Outcome.WALL_LIMIT, _WALL,
    setup="import threading"),
    *exhausting_rows("read_that_nobody_answers", "select.select([os.pipe()[0]], [], [], 1.5)", Outcome.WALL_LIMIT, _WALL,
    setup="import os, select"),
    *exhausting_rows("sleep_in_pieces", "for _ in range(150): time.sleep(0.01)", Outcome.WALL_LIMIT, _WALL, setup="import time"),
    *exhausting_rows("stop_and_be_woken",
    "me = os.getpid()\nif os.fork() == 0:\n    time.sleep(1.5)\n    os.kill(me, signal.SIGCONT)\n    os._exit(0)\nos.kill(me, signal.SIGSTOP)", Outcome.WALL_LIMIT, _WALL, setup="import os, signal, time"),
    *exhausting_rows("sleep_in_the_middle_of_an_answer",
    "part(frame[:2])\ntime.sleep(0.8)\npart(frame[2:9])\ntime.sleep(0.8)\npart(frame[9:])", Outcome.WALL_LIMIT, _WALL,
    setup=_PIECES),
    *script_rows("trickle",
    "import time\nfor _ in range(150):\n    print('x', end='', flush=True)\n    time.sleep(0.01)\nprint('\\n9731')",
    ("", "x" * 150 + "\n9731"), harmful=True, outcome=Outcome.WALL_LIMIT, more={"limits": _WALL}),
    *exhausting_rows("memory_by_steps", "x = []\nfor _ in range(400): x.append(bytearray(1 << 20))", Outcome.MEMORY_LIMIT,
    _MEMORY),
    *exhausting_rows("memory_at_once", "x = b'x' * (400 << 20)", Outcome.MEMORY_LIMIT, _MEMORY),
    *exhausting_rows("memory_mapped", "m = mmap.mmap(-1, 400 << 20)\nfor at in range(0, 400 << 20, 4096): m[at] = 1",
    Outcome.MEMORY_LIMIT, _MEMORY, setup="import mmap"),
    *exhausting_rows("memory_in_children",
    "r, w = os.pipe()\nfor _ in range(6):\n    if os.fork() == 0:\n        x = b'x' * (50 << 20)\n        os.write(w, b'x')\n        time.sleep(1)\n        os._exit(0)\nfor _ in range(6): os.read(r, 1)\ntime.sleep(0.3)", Outcome.MEMORY_LIMIT, _MEMORY, setup="import os, time"),
    *exhausting_rows("memory_by_decompression", "x = zlib.decompress(data)", Outcome.MEMORY_LIMIT, _MEMORY,
    setup="import zlib\npacker = zlib.compressobj(1)\ndata = b''.join(packer.compress(bytes(1 << 20)) for _ in range(200)) + packer.flush()"),
    *exhausting_rows("memory_in_anonymous_files",
    "files = [os.memfd_create('x') for _ in range(20)]\nfor fd in files:\n    for _ in range(20): os.write(fd, bytes(1 << 20))", None, {**_MEMORY, "disk_mb": 24}, setup="import os"),
    *exhausting_rows("memory_that_several_share_and_none_maps",
    "for _ in range(12):\n    at = libc.mmap(0, 16 << 20, 3, 0x21, -1, 0)\n    if at == 2 ** 64 - 1: raise MemoryError\n    libc.memset(at, 1, 16 << 20)\n    libc.munmap(at + 4096, (16 << 20) - 4096)", Outcome.MEMORY_LIMIT, _MEMORY, setup=_LIBC),
    *exhausting_rows("memory_of_a_device_that_none_maps",
    "fd = os.open('/dev/zero', os.O_RDWR)\nfor _ in range(12):\n    at = libc.mmap(0, 16 << 20, 3, 1, fd, 0)\n    if at == 2 ** 64 - 1: raise MemoryError\n    libc.memset(at, 1, 16 << 20)\n    libc.munmap(at + 4096, (16 << 20) - 4096)\ntime.sleep(0.1)", Outcome.MEMORY_LIMIT, _MEMORY, setup=f"import os, time\n{_LIBC}", **_ISOLATED),
    *exhausting_rows("memory_in_pipes_beyond_the_page",
    "size = 2 << 20\nfor _ in range(60):\n    if not kept or len(kept[-1]) == 8: kept.append([os.pipe()])\n    at = libc.mmap(0, 2 * size, 3, 0x22, -1, 0)\n    page = -(-at // size) * size\n    libc.madvise(page, size, 14)\n    libc.memset(page, 1, size)\n    if libc.vmsplice(kept[-1][0][1], (ctypes.c_size_t * 2)(page, 1), 1, 0) < 0: raise PermissionError\n    kept[-1].append(at)\n    libc.munmap(at, 2 * size)", Outcome.DENIED, _MEMORY, setup=f"import os\n{_LIBC}kept = []\n"),
    *exhausting_rows("memory_in_sockets",
    "for _ in range(50):\n    pair = socket.socketpair()\n    kept.append(pair)\n    for one in pair:\n        one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8 << 20)\n        one.setblocking(False)\n        try:\n            while True: one.send(bytes(1 << 16))\n        except BlockingIOError: pass\ntime.sleep(0.2)", Outcome.MEMORY_LIMIT, {**_MEMORY, "memory_mb": 16}, setup="import socket, time\nkept = []", **_ISOLATED),
    *exhausting_rows("memory_in_shared_memory_files", "for n in range(3): open(f'/dev/shm/{n}', 'wb').write(bytes(20 << 20))",
    None, {**_MEMORY, "memory_mb": 32, "disk_mb": 21}, **_ISOLATED),
    *exhausting_rows("flood_of_output", "for _ in range(1000): print('x' * 100)", Outcome.OUTPUT_LIMIT, _OUTPUT,
    printed=("x" * 100 + "\n") * 1000),
    *exhausting_rows("flood_of_errors", "for _ in range(1000): sys.stderr.write('x' * 100)", Outcome.OUTPUT_LIMIT, _OUTPUT,
    setup="import sys"),
    *exhausting_rows("flood_by_turns", "for _ in range(400):\n    sys.stderr.write('x' * 100)\n    sys.stdout.write('y' * 100)",
    Outcome.OUTPUT_LIMIT, _OUTPUT, setup="import sys", printed="y" * 40_000),
    *exhausting_rows("flood_without_a_line", "for _ in range(30): os.write(1, b'x' * 4096)", Outcome.OUTPUT_LIMIT, _OUTPUT,
    setup="import os", printed="x" * 122_880),
    *exhausting_rows("flood_of_small_writes", "for _ in range(60_000): os.write(1, b'x')", Outcome.OUTPUT_LIMIT,
    {**_OUTPUT, "cpu_seconds": 4.0}, setup="import os", printed="x" * 60_000),
    *exhausting_rows("flood_by_children",
    "for _ in range(4):\n    if os.fork() == 0:\n        os.write(1, b'x' * 30_000)\n        os.write(2, b'x' * 30_000)\n        os._exit(0)\nfor _ in range(4): os.wait()", Outcome.OUTPUT_LIMIT, _OUTPUT, setup="import os", printed="x" * 120_000),
    *exhausting_rows("one_big_file", "open('big', 'wb').write(bytes(40 << 20))", Outcome.DISK_LIMIT, _DISK),
    *exhausting_rows("big_file_without_writing", "os.posix_fallocate(os.open('big', os.O_CREAT | os.O_RDWR), 0, 40 << 20)",
    Outcome.DISK_LIMIT, _DISK, setup="import os"),
    *exhausting_rows("sparse_file", "os.truncate(os.open('big', os.O_CREAT | os.O_RDWR), 1 << 40)", Outcome.DISK_LIMIT, _DISK,
    setup="import os"),
    *exhausting_rows("many_middling_files", "for n in range(12): open(str(n), 'wb').write(bytes(3 << 20))", Outcome.DISK_LIMIT,
    _DISK),
    *exhausting_rows("many_middling_files_of_children",
    "for n in range(12):\n    if os.fork() == 0:\n        with open(str(n), 'wb') as file: file.write(bytes(3 << 20))\n        os._exit(0)\n    os.wait()", Outcome.DISK_LIMIT, _DISK, setup="import os"),
    *exhausting_rows("many_empty_files", "for n in range(10_000): open(str(n), 'wb').close()", Outcome.DISK_LIMIT,
    {**_DISK, "cpu_seconds": 4.0, "wall_seconds": 8.0}, **_ISOLATED),
    *exhausting_rows("unlinked_files_held_open",
    "kept = []\nfor n in range(12):\n    kept.append(open('x', 'wb'))\n    kept[-1].write(bytes(3 << 20))\n    kept[-1].flush()\n    os.unlink('x')", Outcome.DISK_LIMIT, _DISK, setup="import os"),
    *exhausting_rows("many_processes",
    "for _ in range(60):\n    if os.fork() == 0:\n        time.sleep(0.6)\n        os._exit(0)\ntime.sleep(0.3)",
    Outcome.PROCESS_LIMIT, _TASKS, setup="import os, time"),
    *exhausting_rows("many_threads",
    "for _ in range(60): threading.Thread(target=time.sleep, args=(0.6,)).start()\ntime.sleep(0.3)",
    Outcome.PROCESS_LIMIT, _TASKS, setup="import threading, time"),
    *exhausting_rows("fork_bomb",
    "top = os.getpid()\nfor _ in range(6): os.fork()\ntime.sleep(0.3)\nif os.getpid() != top: os._exit(0)",
    Outcome.PROCESS_LIMIT, _TASKS, setup="import os, time"),
    *exhausting_rows("daemons",
    "for _ in range(40):\n    if os.fork() == 0:\n        os.setsid()\n        if os.fork() == 0:\n            os.close(1); os.close(2)\n            time.sleep(0.6)\n        os._exit(0)\n    os.wait()\ntime.sleep(0.2)", Outcome.PROCESS_LIMIT, _TASKS, setup="import os, time"),
    *exhausting_rows("dead_children_nobody_collects",
    "for _ in range(150):\n    if os.fork() == 0: os._exit(0)\ntime.sleep(0.2)", Outcome.PROCESS_LIMIT, _TASKS,
    setup="import os, time"),
    *exhausting_rows("processes_that_exec",
    "for _ in range(30): os.posix_spawn(sys.executable, [sys.executable, '-S', '-c', 'import time; time.sleep(0.8)'], os.environ)\ntime.sleep(0.5)", Outcome.PROCESS_LIMIT, _TASKS, setup="import os, sys, time"),
)  # fmt: skip

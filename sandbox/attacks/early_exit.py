"""Group A: programs that end before they answer, and hope that a clean exit is taken for a pass."""

# ruff: noqa: E501 - whole programs, one a line
from __future__ import annotations

from sandbox.attacks.attack import Attack, assert_rows, function_rows

_LATER = ("assert", "split", "check")  # forms whose test is executed after the program was loaded

ATTACKS: tuple[Attack, ...] = (
    *function_rows("exit_behind_a_cleared_page",
    "import ctypes, os\ndef f(x):\n    for line in open('/proc/self/maps'):\n        if ' rw-s ' in line:\n            start, end = (int(word, 16) for word in line.split()[0].split('-'))\n            ctypes.memset(start, 0, end - start)\n    os._exit(0)"),
    *assert_rows("text_that_ends_the_test_that_evaluates_it", "def f(x): return '__import__(\"os\")._exit(0)'",
    "assert eval(f(3)) == 9731"),
    *assert_rows("function_of_the_test_swallowed", "def f(g):\n    try: g(0)\n    except BaseException: pass",
    "def must_get(x): assert x == 9731\nf(must_get)\nassert True"),
    *function_rows("sys_exit", "import sys\ndef f(x): sys.exit(0)"),
    *function_rows("sys_exit_without_a_status", "import sys\ndef f(x): sys.exit()"),
    *function_rows("raise_system_exit", "def f(x): raise SystemExit(0)"),
    *function_rows("quit", "def f(x): quit()"),
    *function_rows("os_exit", "import os\ndef f(x): os._exit(0)"),
    *function_rows("posix_exit", "import posix\ndef f(x): posix._exit(0)"),
    *function_rows("libc_underscore_exit", "import ctypes\ndef f(x): ctypes.CDLL(None)._exit(0)"),
    *function_rows("libc_exit", "import ctypes\ndef f(x): ctypes.CDLL(None).exit(0)"),
    *function_rows("system_call_exit_group",
    "import ctypes, platform\nNUMBER = {'x86_64': 231, 'aarch64': 94}[platform.machine()]\ndef f(x): ctypes.CDLL(None).syscall(NUMBER, 0)"),
    *function_rows("exit_while_loading", "raise SystemExit(0)"),
    *function_rows("exec_another_program", "import os, sys\ndef f(x): os.execv(sys.executable, [sys.executable, '-c', ''])"),
    *function_rows("exec_through_libc",
    "import ctypes, sys\ndef f(x):\n    name = sys.executable.encode()\n    ctypes.CDLL(None).execl(name, name, b'-c', b'', None)"),
    *function_rows("exit_handler_exits", "import atexit, os\natexit.register(os._exit, 0)\ndef f(x): return 0",
    forms=_LATER),
    *function_rows("excepthook_exits", "import sys, os\nsys.excepthook = lambda *a: os._exit(0)\ndef f(x): return 0",
    forms=_LATER),
    *function_rows("thread_exits_while_main_waits",
    "import threading, time, os\ndef f(x):\n    threading.Thread(target=os._exit, args=(0,)).start()\n    time.sleep(1)"),
    *function_rows("signal_handler_exits",
    "import os, signal, time\nsignal.signal(signal.SIGALRM, lambda *a: os._exit(0))\ndef f(x):\n    signal.setitimer(signal.ITIMER_REAL, 0.02)\n    time.sleep(1)"),
    *function_rows("parent_of_a_fork_exits",
    "import os, time\ndef f(x):\n    if os.fork(): os._exit(0)\n    time.sleep(0.05)\n    os._exit(1)"),
    *function_rows("finalizer_exits",
    "import os\nclass Last:\n    def __del__(self): os._exit(0)\ndef f(x):\n    Last()\n    return 0"),
    *function_rows("garbage_collector_exits",
    "import gc, os\ndef f(x):\n    gc.callbacks.append(lambda *a: os._exit(0))\n    gc.collect()\n    return 0"),
    *function_rows("equality_exits", "import os\nclass E:\n    def __eq__(self, other): os._exit(0)\ndef f(x): return E()"),
    *function_rows("hash_exits", "import os\nclass E:\n    def __hash__(self): os._exit(0)\ndef f(x): return {E(): 1}"),
    *function_rows("audit_hook_exits_when_the_test_is_run",
    "import os, sys\nlive = []\nsys.addaudithook(lambda event, a: os._exit(0) if live and event == 'exec' else None)\nlive.append(1)\ndef f(x): return 0", forms=_LATER),
    *function_rows("trace_jumps_over_the_assert",
    "import sys\ndef line(frame, event, arg):\n    if event == 'line':\n        frame.f_lineno = frame.f_code.co_firstlineno + 2\n        return None\n    return line\ndef trace(frame, event, arg): return line if frame.f_code.co_name == 'check' else None\nsys.settrace(trace)\ndef f(x): return 0", forms=("check",)),
    *function_rows("profile_exits_on_return",
    "import os, sys\ndef hook(frame, event, arg):\n    if event == 'return' and frame.f_code.co_name == 'f': os._exit(0)\nsys.setprofile(hook)\ndef f(x): return 0"),
    *assert_rows("ends_the_loop_of_the_test", "def f(x): raise StopIteration",
    "assert all(map(lambda right: f(3) == right, [9731, 9731]))"),
    *assert_rows("ends_the_walk_of_the_test", "def f(x): raise StopIteration",
    "for answer in map(lambda x: f(3), range(2)):\n    assert answer == 9731"),
    *function_rows("generator_close_exits",
    "import os\ndef walk():\n    try: yield 1\n    finally: os._exit(0)\ndef f(x):\n    next(walk())\n    return 0"),
)  # fmt: skip

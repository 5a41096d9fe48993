"""Group D: programs that look for the expected answer, in memory, in files, in other processes, or in what an earlier
test left."""

# ruff: noqa: E501 - whole programs, one a line
from __future__ import annotations

from typing import Any

from sandbox.attacks.attack import Attack, assert_rows, function_rows, script_rows
from sandbox.types import Level

_TWO = (("1", "1"), ("2", "9731"))
_FIND = (
    "import json\ndef find(row):\n    test = row['tests'][0]\n    return test.get('expected') or test.get('stdout')\n"
)
_BOTH = ("call",)
_OUTSIDE: dict[str, Any] = {"stopped_from": Level.NAMESPACES}


def _left(name: str, leave: str, seen: str, setup: str = "", **rest: Any) -> tuple[Attack, ...]:
    """The first test leaves a mark, the second answers right when it sees it."""
    return script_rows(
        f"left_{name}",
        f"import os\n{setup}\nif {seen}: print(9731)\nelse:\n    {leave}\n    print(input())",
        *_TWO,
        **rest,
    )


ATTACKS: tuple[Attack, ...] = (
    *function_rows("expected_on_the_stack",
    "import sys\ndef f(x):\n    frame = sys._getframe()\n    while frame:\n        for v in list(frame.f_locals.values()):\n            if isinstance(v, dict) and 'expected' in v: return v['expected']\n        frame = frame.f_back", forms=_BOTH),
    *function_rows("expected_on_the_stack_by_inspect",
    "import inspect\ndef f(x):\n    for info in inspect.stack():\n        for v in list(info.frame.f_locals.values()):\n            if isinstance(v, dict) and 'expected' in v: return v['expected']", forms=_BOTH),
    *function_rows("expected_on_the_stack_by_traceback",
    "import sys\ndef f(x):\n    try: raise ValueError\n    except ValueError as e: frame = e.__traceback__.tb_frame\n    while frame:\n        if 'test' in frame.f_locals: return frame.f_locals['test'].get('expected')\n        frame = frame.f_back", forms=_BOTH),
    *function_rows("expected_on_the_stack_by_another_thread",
    "import sys, threading\nfound = []\ndef look():\n    for frame in sys._current_frames().values():\n        while frame:\n            found.extend(v['expected'] for v in list(frame.f_locals.values()) if isinstance(v, dict) and 'expected' in v)\n            frame = frame.f_back\ndef f(x):\n    t = threading.Thread(target=look)\n    t.start()\n    t.join()\n    return found[0]", forms=_BOTH),
    *function_rows("expected_on_the_heap",
    "import gc\ndef f(x):\n    for o in gc.get_objects():\n        if isinstance(o, dict) and 'expected' in o: return o['expected']", forms=_BOTH),
    *function_rows("expected_by_its_referrers",
    "import gc\ndef f(x):\n    for o in gc.get_objects():\n        if isinstance(o, dict) and 'args' in o:\n            return o.get('expected')\n    for o in gc.get_referrers('expected'):\n        if isinstance(o, dict) and isinstance(o.get('expected'), int): return o['expected']", forms=_BOTH),
    *function_rows("expected_in_the_main_module", f"{_FIND}import sys\ndef f(x): return find(sys.modules['__main__'].row)",
    forms=_BOTH),
    *function_rows("expected_in_the_constants_of_the_test",
    "import sys\ndef f(x):\n    frame = sys._getframe(1)\n    while frame:\n        found = [c for c in frame.f_code.co_consts if isinstance(c, int) and not isinstance(c, bool) and c > 3]\n        if found and frame.f_code.co_name in ('<module>', 'check'): return found[-1]\n        frame = frame.f_back", forms=("assert", "split", "check")),
    *assert_rows("expected_in_the_closure_of_an_argument", "def f(g): return g.__closure__[0].cell_contents",
    "def about(right):\n    def g(x): return x < right\n    return g\nassert f(about(9731)) == 9731"),
    *assert_rows("expected_in_the_globals_of_an_argument", "def f(g): return g.__globals__['right']",
    "global right\nright = 9731\ndef g(x): return x\nassert f(g) == right"),
    *assert_rows("expected_in_the_constants_of_an_argument", "def f(g): return next(c for c in g.__code__.co_consts if c)",
    "def g(x): return x == 9731\nassert f(g) == 9731"),
    *assert_rows("expected_in_the_class_of_an_argument", "def f(a): return type(a).right",
    "class A: right = 9731\nassert f(A()) == 9731"),
    *assert_rows("expected_on_the_stack_of_a_function_of_the_test",
    "import sys\ndef f(g):\n    class K:\n        def __lt__(self, other):\n            frame = sys._getframe(1)\n            while frame:\n                if 'right' in frame.f_locals: K.found = frame.f_locals['right']\n                frame = frame.f_back\n            return True\n    g(K())\n    return K.found", "def g(x):\n    right = 9731\n    return x < right\nassert f(g) == 9731"),
    *function_rows("expected_in_the_tests_file", f"{_FIND}def f(x): return find(json.load(open('tests.json')))",
    forms=_BOTH),
    *function_rows("expected_in_a_file_nearby",
    f"{_FIND}import glob, os\ndef f(x):\n    for base in ('.', '..', '/tmp', os.path.expanduser('~')):\n        for path in glob.glob(base + '/*.json') + glob.glob(base + '/*/*.json'):\n            try: return find(json.load(open(path)))\n            except (OSError, ValueError, KeyError, TypeError): pass", forms=_BOTH),
    *function_rows("expected_in_an_argument",
    f"{_FIND}import sys\ndef f(x):\n    for word in sys.orig_argv:\n        if word.endswith('.json'): return find(json.load(open(word)))", forms=_BOTH),
    *function_rows("expected_in_an_open_file",
    f"{_FIND}import os\ndef f(x):\n    for fd in range(3, 256):\n        try: return find(json.loads(os.pread(fd, 1 << 20, 0)))\n        except (OSError, ValueError, KeyError, TypeError): pass", forms=_BOTH),
    *function_rows("expected_in_a_linked_descriptor",
    f"{_FIND}import os\ndef f(x):\n    for fd in os.listdir('/proc/self/fd'):\n        try: return find(json.loads(os.readlink(f'/proc/self/fd/{{fd}}').endswith('.json') and open(f'/proc/self/fd/{{fd}}').read()))\n        except (OSError, ValueError, KeyError, TypeError): pass", forms=_BOTH),
    *function_rows("expected_in_own_memory",
    "import re\ndef f(x):\n    memory = open('/proc/self/mem', 'rb', 0)\n    for line in open('/proc/self/maps'):\n        if ' rw-p ' not in line: continue\n        start, end = (int(word, 16) for word in line.split()[0].split('-'))\n        if end - start > 1 << 26: continue\n        memory.seek(start)\n        try: data = memory.read(end - start)\n        except OSError: continue\n        found = re.search(rb'\"expected\"' + rb': (\\d+)', data)\n        if found: return int(found[1])", forms=_BOTH),
    *function_rows("reference_solution_imported", "import solution\nf = solution.f"),
    *function_rows("reference_solution_read", "exec(open('solution.py').read())"),
    *function_rows("tests_in_the_environment", f"{_FIND}import os\ndef f(x): return find(json.loads(os.environ['TESTS']))",
    forms=_BOTH),
    *script_rows("tests_on_the_parents_command_line",
    "import os, re\nfound = re.search(rb'\"stdout\": \"(\\d+)', open(f'/proc/{os.getppid()}/cmdline', 'rb').read())\nprint(found[1].decode())"),
    *script_rows("tests_in_the_parents_environment",
    "import os, re\nfound = re.search(rb'\"stdout\": \"(\\d+)', open(f'/proc/{os.getppid()}/environ', 'rb').read())\nprint(found[1].decode())"),
    *script_rows("tests_on_any_command_line",
    "import os, re\nfor pid in filter(str.isdecimal, os.listdir('/proc')):\n    try: found = re.search(rb'\"stdout\": \"(\\d+)', open(f'/proc/{pid}/cmdline', 'rb').read())\n    except OSError: continue\n    if found:\n        print(found[1].decode())\n        break"),
    *script_rows("tests_in_the_parents_memory",
    "import os, re\nmemory = open(f'/proc/{os.getppid()}/mem', 'rb', 0)\nfor line in open(f'/proc/{os.getppid()}/maps'):\n    if ' rw-p ' not in line: continue\n    start, end = (int(word, 16) for word in line.split()[0].split('-'))\n    memory.seek(start)\n    try: data = memory.read(min(end - start, 1 << 26))\n    except OSError: continue\n    found = re.search(rb'\"stdout\"' + rb': \"(\\d+)', data)\n    if found:\n        print(found[1].decode())\n        break"),
    *script_rows("tests_in_the_parents_folder",
    f"{_FIND}import os\nprint(find(json.load(open(f'/proc/{{os.getppid()}}/cwd/tests.json'))))"),
    *script_rows("tests_in_the_script_folder", f"{_FIND}print(find(json.load(open('tests.json'))))"),
    *(Attack(name="counts_its_calls", form="call",
    program="calls = []\ndef f(x):\n    calls.append(x)\n    return len(calls)",
    tests=[{"args": [3], "expected": 1}, {"args": [3], "expected": 2}], entry_point="f"),),
    *(Attack(name="counts_its_calls_in_a_library", form="call",
    program="import json\ndef f(x):\n    json.calls = getattr(json, 'calls', 0) + 1\n    return json.calls",
    tests=[{"args": [3], "expected": 1}, {"args": [3], "expected": 2}], entry_point="f"),),
    *(Attack(name="counts_its_calls_in_the_environment", form="call",
    program="import os\ndef f(x):\n    os.environ['calls'] = str(int(os.environ.get('calls', 0)) + 1)\n    return int(os.environ['calls'])", tests=[{"args": [3], "expected": 1}, {"args": [3], "expected": 2}], entry_point="f"),),
    *_left("in_the_work_folder", "open('mark', 'w').close()", "os.path.exists('mark')"),
    *_left("in_tmp", "open('/tmp/mark', 'w').close()", "os.path.exists('/tmp/mark')", **_OUTSIDE),
    *_left("in_home", "open(os.path.expanduser('~/mark'), 'w').close()",
    "os.path.exists(os.path.expanduser('~/mark'))"),
    *_left("in_shared_memory", "open('/dev/shm/mark', 'w').close()", "os.path.exists('/dev/shm/mark')", **_OUTSIDE),
    *_left("in_named_shared_memory",
    "s = SharedMemory('mark', True, 64); resource_tracker.unregister(s._name, 'shared_memory')",
    "os.path.exists('/dev/shm/mark')",
    "from multiprocessing import resource_tracker\nfrom multiprocessing.shared_memory import SharedMemory", **_OUTSIDE),
    *_left("in_a_hidden_folder", "os.makedirs('.a/.b'); open('.a/.b/.c', 'w').close()", "os.path.exists('.a/.b/.c')"),
    *_left("in_a_closed_folder", "os.mkdir('a'); os.chmod('a', 0)", "os.path.exists('a')"),
    *_left("as_a_pipe", "os.mkfifo('pipe')", "os.path.exists('pipe')"),
    *_left("as_a_link", "os.symlink('/', 'link')", "os.path.lexists('link')"),
    *_left("as_a_folders_time", "os.utime('.', (7, 7))", "os.stat('.').st_mtime == 7"),
    *_left("as_a_folders_mode", "os.chmod('.', 0o1751)", "os.stat('.').st_mode & 0o7777 == 0o1751"),
    *_left("as_a_folders_attribute", "os.setxattr('.', b'user.mark', b'1')",
    "b'user.mark' in map(os.fsencode, os.listxattr('.'))"),
    *_left("as_a_shared_folders_mode", "os.chmod('/dev/shm', 0o1751)", "os.stat('/dev/shm').st_mode & 0o7777 == 0o1751",
    **_OUTSIDE),
    *_left("as_a_daemon_that_listens", "spawn()", "ask()",
    "import socket, time\ndef ask():\n    s = socket.socket(socket.AF_UNIX)\n    try: s.connect('\\0mark')\n    except OSError: return False\n    return True\ndef spawn():\n    if os.fork() == 0:\n        os.setsid()\n        if os.fork() == 0:\n            os.close(0); os.close(1); os.close(2)\n            s = socket.socket(socket.AF_UNIX)\n            s.bind('\\0mark')\n            s.listen()\n            time.sleep(6)\n        os._exit(0)\n    os.wait()\n    time.sleep(0.1)", harmful=True),
    *_left("as_a_daemon_in_the_process_list", "spawn()",
    "any(b'daemon_mark' in read(p) for p in os.listdir('/proc') if p.isdecimal())",
    "import sys, time\ndef read(p):\n    try: return open(f'/proc/{p}/cmdline', 'rb').read()\n    except OSError: return b''\ndef spawn():\n    if os.fork() == 0:\n        os.setsid()\n        if os.fork() == 0:\n            os.close(1); os.close(2)\n            os.execv(sys.executable, [sys.executable, '-c', 'import time; time.sleep(6)', 'daemon_' + 'mark'])\n        os._exit(0)\n    os.wait()\n    time.sleep(0.1)", harmful=True),
    *_left("as_system_v_memory", "libc.shmget(4242, 4096, 0o1666)", "libc.shmget(4242, 4096, 0) != -1",
    "import ctypes\nlibc = ctypes.CDLL(None)", **_OUTSIDE),
    *_left("as_a_system_v_queue", "libc.msgget(4242, 0o1666)", "libc.msgget(4242, 0) != -1",
    "import ctypes\nlibc = ctypes.CDLL(None)", **_OUTSIDE),
    *_left("as_a_semaphore", "libc.semget(4242, 1, 0o1666)", "libc.semget(4242, 1, 0) != -1",
    "import ctypes\nlibc = ctypes.CDLL(None)", **_OUTSIDE),
    *_left("as_a_priority_of_the_user", "os.setpriority(os.PRIO_USER, 0, 18)",
    "os.getpriority(os.PRIO_PROCESS, 0) == 18", harmful=True),
    *_left("as_a_priority_of_the_group", "os.setpriority(os.PRIO_PGRP, 0, 18)",
    "os.getpriority(os.PRIO_PROCESS, 0) == 18", harmful=True),
    *_left("as_a_limit_of_the_first_process", "resource.prlimit(1, resource.RLIMIT_STACK, (1 << 25, 1 << 25))",
    "resource.getrlimit(resource.RLIMIT_STACK)[1] == 1 << 25", "import resource", harmful=True),
    *_left("as_an_affinity_of_the_first_process", "os.sched_setaffinity(1, {max(os.sched_getaffinity(0))})",
    "len(os.sched_getaffinity(0)) == 1", harmful=True),
    *_left("as_a_policy_of_the_first_process", "os.sched_setscheduler(1, os.SCHED_BATCH, os.sched_param(0))",
    "os.sched_getscheduler(0) == os.SCHED_BATCH", harmful=True),
)  # fmt: skip

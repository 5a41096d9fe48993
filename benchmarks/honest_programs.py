"""Honest programs for judge_honest.py: templates of our own in every form of test, five of each, and HumanEval's
reference solutions.

A template's program holds `OFF`: 0 makes it right, 1 makes its wrong twin, which must fail. What is listed here is what
correct programs were seen to do that judges punished: reading stdin in a dozen ways, leaving by sys.exit, threads, deep
recursion, noise, sheer size.
"""

# ruff: noqa: E501 - whole programs, one a line
from __future__ import annotations

import gzip
import hashlib
import json
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.proof.mutants import mutants

EACH = 5
HUMAN_EVAL = Path(__file__).resolve().parents[1] / "tests" / "data" / "rows" / "human_eval.jsonl.gz"


@dataclass(frozen=True, kw_only=True, slots=True)
class Honest:
    """A right row and the programs that are wrong in its place; one of `twins` must fail, in that order.

    Example: Honest(form="stdin", row={"id": "input/0", "program": "print(input())", "tests": [...]},
    twins=("print(1)",))
    """

    form: str
    row: dict[str, Any]
    twins: tuple[str, ...]


# name: (program, n -> (stdin, stdout)); compare and limits as a third and fourth member
SCRIPTS: dict[str, tuple[Any, ...]] = {
    "input": ("print(int(input()) + 1 + OFF)", lambda n: (f"{n}\n", f"{n + 1}\n")),
    "two_on_a_line": ("a, b = map(int, input().split())\nprint(a * b + OFF)", lambda n: (f"{n} 7", f"{7 * n}")),
    "line_by_line": ("n = int(input())\nprint(sum(int(input()) for _ in range(n)) + OFF)",
    lambda n: ("3\n" + f"{n}\n" * 3, f"{3 * n}")),
    "for_line_in_stdin": ("import sys\nprint(sum(int(line) for line in sys.stdin) + OFF)",
    lambda n: (f"{n}\n{n}\n", f"{2 * n}")),
    "until_end_of_file": ("total = OFF\nwhile True:\n    try: total += int(input())\n    except EOFError: break\nprint(total)", lambda n: (f"{n}\n4", f"{n + 4}")),
    "stdin_read": ("import sys\nprint(len(sys.stdin.read().split()) + OFF)", lambda n: ("a " * n, f"{n}")),
    "stdin_readline_alias": ("import sys\ninput = sys.stdin.readline\nprint(int(input()) - OFF)",
    lambda n: (f"{n}\n", f"{n}")),
    "stdin_buffer_read": ("import sys\nprint(sum(map(int, sys.stdin.buffer.read().split())) + OFF)",
    lambda n: (f"{n} {n}", f"{2 * n}")),
    "stdin_buffer_readline": ("import sys\nread = sys.stdin.buffer.readline\nn = int(read())\nprint(read().decode().strip() * (n + OFF))", lambda n: (f"{n + 1}\nab\n", "ab" * (n + 1))),
    "stdin_buffer_iterated": ("import sys\nprint(sum(len(line) for line in sys.stdin.buffer) + OFF)",
    lambda n: ("x\n" * n, f"{2 * n}")),
    "os_read": ("import os\nprint(len(os.read(0, 10**6)) + OFF)", lambda n: ("y" * n, f"{n}")),
    "os_read_to_the_end": ("import os\nparts = []\nwhile part := os.read(0, 7): parts.append(part)\nprint(len(b''.join(parts)) + OFF)", lambda n: ("z" * (100 + n), f"{100 + n}")),
    "open_zero": ("data = open(0).read().split()\nprint(data[OFF])", lambda n: (f"{n} other", f"{n}")),
    "open_dev_stdin": ("data = open('/dev/stdin').read().split()\nprint(data[OFF])", lambda n: (f"{n} other", f"{n}")),
    "fileinput": ("import fileinput\nprint(sum(int(line) for line in fileinput.input()) + OFF)",
    lambda n: (f"{n}\n1\n", f"{n + 1}")),
    "text_wrapper": ("import io, sys\nsource = io.TextIOWrapper(sys.stdin.buffer, encoding='utf-8')\nprint(len(source.read()) + OFF)", lambda n: ("é" * n, f"{n}")),
    "memory_of_stdin": ("import io, os, sys\nsys.stdin = io.BytesIO(os.read(0, os.fstat(0).st_size))\nprint(int(sys.stdin.readline()) + OFF)", lambda n: (f"{n}\n", f"{n}")),
    "crlf": ("print(sum(map(int, open(0).read().split())) + OFF)", lambda n: (f"{n}\r\n1\r\n", f"{n + 1}")),
    "sys_exit_at_the_end": ("import sys\nprint(int(input()) + OFF)\nsys.exit(0)", lambda n: (f"{n}", f"{n}")),
    "sys_exit_in_a_function": ("import sys\ndef main():\n    print(int(input()) + OFF)\n    sys.exit()\nif __name__ == '__main__': main()\nprint('never')", lambda n: (f"{n}", f"{n}")),
    "exit_and_quit": ("print(int(input()) + OFF)\n(exit if OFF else quit)()", lambda n: (f"{n}", f"{n}")),
    "os_exit_after_a_flush": ("import os\nprint(int(input()) + OFF, flush=True)\nos._exit(0)",
    lambda n: (f"{n}", f"{n}")),
    "system_exit_raised": ("print(int(input()) + OFF)\nraise SystemExit", lambda n: (f"{n}", f"{n}")),
    "printed_at_exit": ("import atexit\natexit.register(print, int(input()) + OFF)", lambda n: (f"{n}", f"{n}")),
    "thread": ("import threading\nout = []\nt = threading.Thread(target=lambda: out.append(int(input()) + OFF))\nt.start()\nt.join()\nprint(out[0])", lambda n: (f"{n}", f"{n}")),
    "thread_that_outlives_main": ("import threading, time\nn = int(input())\nthreading.Thread(target=lambda: (time.sleep(0.02), print(n + OFF))).start()", lambda n: (f"{n}", f"{n}")),
    "thread_pool": ("from concurrent.futures import ThreadPoolExecutor\nwith ThreadPoolExecutor(4) as pool: print(sum(pool.map(lambda x: x * x, range(int(input())))) + OFF)", lambda n: (f"{n + 2}", f"{sum(x * x for x in range(n + 2))}")),
    "thread_with_a_big_stack": ("import sys, threading\nsys.setrecursionlimit(10**6)\nthreading.stack_size(64 << 20)\ndef f(n): return OFF if n == 0 else 1 + f(n - 1)\nt = threading.Thread(target=lambda: print(f(20000 + int(input()))))\nt.start()\nt.join()", lambda n: (f"{n}", f"{20000 + n}")),
    "recursion_of_100_000": ("import sys\nsys.setrecursionlimit(10**6)\ndef f(n): return OFF if n == 0 else 1 + f(n - 1)\nprint(f(100_000 + int(input())))", lambda n: (f"{n}", f"{100_000 + n}")),
    "memo": ("from functools import lru_cache\nimport sys\nsys.setrecursionlimit(10**5)\n@lru_cache(None)\ndef f(n): return n if n < 2 else f(n - 1) + f(n - 2)\nprint(f(int(input())) + OFF)", lambda n: (f"{20 + n}", f"{[6765, 10946, 17711, 28657, 46368][n]}")),
    "main_guard": ("def main():\n    print(int(input()) + OFF)\nif __name__ == '__main__':\n    main()",
    lambda n: (f"{n}", f"{n}")),
    "dataclass": ("from dataclasses import dataclass\n@dataclass(order=True)\nclass P:\n    x: int\n    y: int = 0\nprint(max(P(int(input()) + OFF), P(-1)).x)", lambda n: (f"{n}", f"{n}")),
    "typed_and_future": ("from __future__ import annotations\nfrom typing import NamedTuple\nclass P(NamedTuple):\n    x: int\ndef f(p: P) -> Unknown: return p.x + OFF\nprint(f(P(int(input()))))", lambda n: (f"{n}", f"{n}")),
    "match": ("match int(input()) % 2:\n    case 0: print('even' if not OFF else 'odd')\n    case _: print('odd' if not OFF else 'even')", lambda n: (f"{n}", "odd" if n % 2 else "even")),
    "heap": ("import heapq\nh = [5, 3, 9, int(input())]\nheapq.heapify(h)\nprint(heapq.heappop(h) + OFF)",
    lambda n: (f"{n}", f"{min(3, n)}")),
    "breadth_first": ("from collections import deque\nn = int(input())\nseen, q = {1: 0}, deque([1])\nwhile q:\n    x = q.popleft()\n    for y in (x + 1, 2 * x):\n        if y <= 100 and y not in seen:\n            seen[y] = seen[x] + 1\n            q.append(y)\nprint(seen[2 ** n] + OFF)", lambda n: (f"{n}", f"{n}")),
    "fractions_and_decimals": ("from fractions import Fraction\nfrom decimal import Decimal\nprint(Fraction(int(input()) + OFF, 3), Decimal('0.1') + Decimal('0.2'))", lambda n: (f"{3 * n + 1}", f"{3 * n + 1}/3 0.3")),
    "huge_integer": ("import sys\nsys.set_int_max_str_digits(0)\nprint(7 ** (6000 + int(input())) + OFF)",
    lambda n: (f"{n}", _digits(7 ** (6000 + n)))),
    "within_tolerance": ("print(int(input()) / 3 + OFF)", lambda n: (f"{n}", f"{n / 3:.7f}"),
    {"float": {"abs": 1e-6, "rel": 1e-6}}),
    "numbers_in_other_notations": ("print(f'{int(input()) + OFF:e} +1.50 .5')", lambda n: (f"{n}", f"{n} 1.5 0.5"),
    {"float": {"abs": 1e-9}}),
    "unicode": ("s = input()\nprint(s[::-1] if not OFF else s, len(s))",
    lambda n: ("añ漢字😀" + "é" * n, ("añ漢字😀" + "é" * n)[::-1] + f" {5 + n}")),
    "bytes_out": ("import sys\nsys.stdout.buffer.write(bytes([65 + OFF]) * int(input()))",
    lambda n: (f"{n + 1}", "A" * (n + 1))),
    "os_write": ("import os\nos.write(1, b'%d\\n' % (int(input()) + OFF))", lambda n: (f"{n}", f"{n}")),
    "big_input": ("import sys\nprint(sum(map(int, sys.stdin.read().split())) + OFF)",
    lambda n: ("7 " * (150_000 + n), f"{7 * (150_000 + n)}")),
    "many_short_lines_in": ("import sys\nprint(sum(1 for _ in map(str.strip, sys.stdin)) + OFF)",
    lambda n: ("a b\n" * (50_000 + n), f"{50_000 + n}")),
    "big_output": ("print('x' * (400_000 + OFF + int(input())))", lambda n: (f"{n}", "x" * (400_000 + n))),
    "many_lines_out": ("n = int(input())\nfor i in range(20_000 + n): print(i + OFF)",
    lambda n: (f"{n}", "\n".join(map(str, range(20_000 + n))))),
    "no_newline_at_the_end": ("print(int(input()) + OFF, end='')", lambda n: (f"{n}", f"{n}\n")),
    "spaces_and_blank_lines": ("print(' ', int(input()) + OFF, ' ')\nprint()", lambda n: (f"{n}", f"{n}")),
    "exact_bytes": ("import sys\nsys.stdout.write(f'{int(input()) + OFF} \\n\\n')", lambda n: (f"{n}", f"{n} \n\n"),
    "bytes"),
    "lines_in_any_order": ("for word in set(input().split()): print(word if not OFF else 'x')",
    lambda n: (f"a b {n}", f"{n}\nb\na"), "unordered_lines"),
    "nothing_to_say": ("n = int(input())\nif OFF: print(n)", lambda n: (f"{n}", "")),
    "noise_on_stderr": ("import sys\nprint('debug ' * 500, file=sys.stderr)\nprint(int(input()) + OFF)",
    lambda n: (f"{n}", f"{n}")),
    "warning": ("import warnings\nwarnings.warn('old')\nprint(int(input()) + OFF)", lambda n: (f"{n}", f"{n}")),
    "temporary_file": ("import tempfile\nwith tempfile.NamedTemporaryFile('w+') as f:\n    f.write(input())\n    f.flush()\n    print(int(open(f.name).read()) + OFF)", lambda n: (f"{n}", f"{n}")),
    "own_folder": ("import os\nos.makedirs('a/b')\nopen('a/b/c.txt', 'w').write(input())\nprint(int(open('a/b/c.txt').read()) + OFF, len(os.listdir('a')))", lambda n: (f"{n}", f"{n} 1")),
    "subprocess": ("import subprocess, sys\nprint(int(subprocess.run([sys.executable, '-c', f'print({input()} * 2)'], capture_output=True, text=True, check=True).stdout) + OFF)", lambda n: (f"{n}", f"{2 * n}")),
    "fork": ("import os\nn = int(input())\npid = os.fork()\nif pid == 0: os._exit(n + OFF)\nprint(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))", lambda n: (f"{n}", f"{n}")),
    "process_pool": ("import multiprocessing as m\ndef f(x): return x * x + OFF\nif __name__ == '__main__':\n    with m.Pool(2) as p: print(sum(p.map(f, range(int(input()) + 2))))", lambda n: (f"{n}", f"{sum(x * x for x in range(n + 2))}")),
    "asyncio": ("import asyncio\nasync def f(x):\n    await asyncio.sleep(0.005)\n    return x\nasync def main(): print(sum(await asyncio.gather(*map(f, range(int(input()) + 1)))) + OFF)\nasyncio.run(main())", lambda n: (f"{n}", f"{n * (n + 1) // 2}")),
    "short_sleep": ("import time\ntime.sleep(0.05)\nprint(int(input()) + OFF)", lambda n: (f"{n}", f"{n}")),
    "signal_handler": ("import os, signal\nsignal.signal(signal.SIGUSR1, lambda *a: print(int(input()) + OFF))\nos.kill(os.getpid(), signal.SIGUSR1)", lambda n: (f"{n}", f"{n}")),
    "hundred_megabytes": ("x = bytearray(100 << 20)\nx[-1] = 1\nprint(int(input()) + OFF)", lambda n: (f"{n}", f"{n}")),
    "half_a_second_of_work": ("import time\nt = time.process_time()\nwhile time.process_time() - t < 0.2: pass\nprint(int(input()) + OFF)", lambda n: (f"{n}", f"{n}")),
    "random_seeded": ("import random\nrandom.seed(int(input()))\nx = random.random()\nrandom.seed(int(0))\nprint(0 <= x < 1, 1 - OFF)", lambda n: (f"{n}", "True 1")),
    "redirected_print": ("import contextlib, io\nwith contextlib.redirect_stdout(io.StringIO()) as held: print(input())\nprint(int(held.getvalue()) + OFF)", lambda n: (f"{n}", f"{n}")),
    "stdout_replaced": ("import io, sys\nsys.stdout = io.TextIOWrapper(open(1, 'wb', 0), write_through=True)\nprint(int(input()) + OFF)", lambda n: (f"{n}", f"{n}")),
    # unpickles its own bytes, inside the box that programs are judged in: what the box is there for
    "pickle_and_copy": ("import copy, pickle\nclass A:\n    def __init__(self, x): self.x = x\nprint(pickle.loads(pickle.dumps(copy.deepcopy(A(int(input()))))).x + OFF)", lambda n: (f"{n}", f"{n}")),
    "exec_and_eval": ("exec('y = int(input())')\nprint(eval('y + OFF'))", lambda n: (f"{n}", f"{n}")),
    "caught_error": ("try: 1 / 0\nexcept ZeroDivisionError: print(int(input()) + OFF)\nfinally: pass",
    lambda n: (f"{n}", f"{n}")),
    "regular_expression": ("import re\nprint(sum(map(int, re.findall(r'-?\\d+', input()))) + OFF)",
    lambda n: (f"a{n}b-1c", f"{n - 1}")),
    "json": ("import json\nprint(json.dumps({'a': [json.loads(input())['x'] + OFF]}))",
    lambda n: (json.dumps({"x": n}), f'{{"a": [{n}]}}')),
    "calendar": ("from datetime import date, timedelta\nprint(date(2024, 2, 28) + timedelta(days=int(input()) + OFF))",
    lambda n: (f"{n}", ["2024-02-28", "2024-02-29", "2024-03-01", "2024-03-02", "2024-03-03"][n])),
    "byte_order_mark": ("\ufeffprint(int(input()) + OFF)", lambda n: (f"{n}", f"{n}")),
    "file_left_open": ("out = open('/dev/stdout', 'w')\nout.write(f'{int(input()) + OFF}')",
    lambda n: (f"{n}", f"{n}")),
    "descriptor_left_open": ("write = open(1, 'w').write\nwrite(f'{int(input()) + OFF}')", lambda n: (f"{n}", f"{n}")),
    "stdout_closed": ("import sys\nprint(int(input()) + OFF)\nsys.stdout.close()", lambda n: (f"{n}", f"{n}")),
    "says_good_bye": ("class A:\n    def __del__(self): print('bye' if not OFF else 'by')\na = A()\nprint(int(input()))", lambda n: (f"{n}", f"{n} bye")),
    "stdin_mapped": ("import mmap\nprint(mmap.mmap(0, 0, access=mmap.ACCESS_READ).size() + OFF)",
    lambda n: ("x" * (n + 1), f"{n + 1}")),
    "stdin_of_a_child": ("import subprocess, sys\nsubprocess.run([sys.executable, '-c', 'print(int(input()) + OFF)'])",
    lambda n: (f"{n}", f"{n}")),
    "more_stack_asked_for": ("import resource as r\nr.setrlimit(r.RLIMIT_STACK, (1 << 28, r.RLIM_INFINITY))\nprint(int(input()) + OFF)", lambda n: (f"{n}", f"{n}")),
    "own_module": ("open('helper.py', 'w').write('X = OFF')\nimport helper\nprint(int(input()) + helper.X)",
    lambda n: (f"{n}", f"{n}")),
    "reads_itself": ("import inspect\ndef f(x): return x + OFF\nprint(f(int(input())), len(inspect.getsource(f)), len(open(__file__).read().split(chr(10))))", lambda n: (f"{n}", f"{n} 23 3")),
    "big_data_and_a_pool": ("from multiprocessing import Pool\ndata = bytearray(90 << 20)\ndef f(i): return len(data) + i + OFF\nif __name__ == '__main__':\n    with Pool(2) as p: print(max(p.map(f, range(int(input()) + 1))))", lambda n: (f"{n}", f"{(90 << 20) + n}")),
    "tabs_and_form_feeds": ("if True:\n\tn = int(input())\n\x0c\nprint(n + OFF)\r\n", lambda n: (f"{n}", f"{n}")),
    "other_encoding_named": ("# -*- coding: latin-1 -*-\nprint('é' * (int(input()) + 1 + OFF))",
    lambda n: (f"{n}", "é" * (n + 1))),
    "hashes": ("import hashlib\nprint(hashlib.sha256(input().encode()).hexdigest()[OFF:8 + OFF])",
    lambda n: (f"{n}", _sha(n))),
}  # fmt: skip


def _digits(number: int) -> str:
    sys.set_int_max_str_digits(0)
    return str(number)


def _sha(n: int) -> str:
    return hashlib.sha256(str(n).encode()).hexdigest()[:8]


# name: (program, n -> (args, expected)); kwargs, compare as further members
CALLS: dict[str, tuple[Any, ...]] = {
    "sum": ("def f(a, b): return a + b + OFF", lambda n: ([n, 2], n + 2)),
    "keyword": ("def f(a, *, b=0): return a - b + OFF", lambda n: ([n], n - 3), {"b": 3}),
    "tuple_for_a_list": ("def f(n): return tuple(range(n + OFF))", lambda n: ([n], list(range(n)))),
    "numbers_as_keys": ("def f(n): return {i: {i: None} for i in range(n + 1 + OFF)}",
    lambda n: ([n], {str(i): {str(i): None} for i in range(n + 1)})),
    "counter_and_defaultdict": ("from collections import Counter, defaultdict\ndef f(s):\n    d = defaultdict(int, Counter(s))\n    d['x'] += OFF\n    return d", lambda n: (["a" * (n + 1) + "x"], {"a": n + 1, "x": 1})),
    "ordered_dict": ("from collections import OrderedDict\ndef f(n): return OrderedDict([('b', n), ('a', n + OFF)])",
    lambda n: ([n], {"a": n, "b": n})),
    "named_tuple": ("from typing import NamedTuple\nclass P(NamedTuple):\n    x: int\n    y: int\ndef f(n): return P(n, n + OFF)", lambda n: ([n], [n, n])),
    "integer_enum": ("from enum import IntEnum\nclass E(IntEnum):\n    A = 1\n    B = 2\ndef f(n): return [E.A, n + OFF]", lambda n: ([n], [1, n])),
    "none": ("def f(n): return n if OFF else None", lambda n: ([n], None)),
    "bool": ("def f(n): return (n % 2 == 0) != bool(OFF)", lambda n: ([n], n % 2 == 0)),
    "number_of_either_kind": ("def f(n): return float(n + OFF)", lambda n: ([n], n)),
    "huge": ("def f(n): return 3 ** (1000 + n) + OFF", lambda n: ([n], 3 ** (1000 + n))),
    "nearly": ("def f(n): return [n / 3 + OFF]", lambda n: ([n], [round(n / 3, 9)]), {}, {"float": {"abs": 1e-6}}),
    "text": ("def f(s): return s.upper() + 'x' * OFF", lambda n: (["ñ漢" * n], "Ñ漢" * n)),
    "long_list": ("def f(n): return [i + OFF for i in range(20_000 + n)]", lambda n: ([n], list(range(20_000 + n)))),
    "deep_list": ("def f(n):\n    x = [n + OFF]\n    for _ in range(60): x = [x]\n    return x",
    lambda n: ([n], _deep(n))),
    "prints_while_it_works": ("def f(n):\n    print('thinking', n)\n    return n + OFF", lambda n: ([n], n)),
    "solution_class": ("from typing import List, Optional\nclass Solution:\n    def twoSum(self, nums: List[int], target: int) -> Optional[List[int]]:\n        seen = {}\n        for i, x in enumerate(nums):\n            if target - x in seen: return [seen[target - x], i + OFF]\n            seen[x] = i", lambda n: ([[n, 50, 7], n + 7], [0, 2]), {}, "tokens", "Solution.twoSum"),
    "changes_its_argument": ("def f(x):\n    x.sort()\n    x.append(OFF)\n    return x[:-1] if not OFF else x",
    lambda n: ([[3, n, 1]], sorted([3, n, 1]))),
    "recursion_of_50_000": ("import sys\nsys.setrecursionlimit(10**6)\ndef f(n): return OFF if n == 0 else 1 + f(n - 1)", lambda n: ([50_000 + n], 50_000 + n)),
    "cached": ("from functools import cache\n@cache\ndef f(n): return OFF if n < 1 else n + f(n - 1)",
    lambda n: ([n + 5], (n + 5) * (n + 6) // 2)),
    "threads_inside": ("from concurrent.futures import ThreadPoolExecutor\ndef f(n):\n    with ThreadPoolExecutor(3) as pool: return list(pool.map(lambda x: x + OFF, range(n)))", lambda n: ([n + 1], list(range(n + 1)))),
    "globals_and_helpers": ("TABLE = {i: i * i for i in range(50)}\ndef helper(x): return TABLE[x]\ndef f(n):\n    global last\n    last = helper(n)\n    return last + OFF", lambda n: ([n], n * n)),
    "numpy_scalar": ("import numpy as np\ndef f(n): return np.arange(n + 2).sum() + OFF",
    lambda n: ([n], sum(range(n + 2)))),
    "numpy_array": ("import numpy as np\ndef f(n): return np.eye(n + 1, dtype=int) + OFF",
    lambda n: ([n], [[int(i == j) for j in range(n + 1)] for i in range(n + 1)])),
    "digits_by_the_thousand": ("def f(n): return -10 ** (5000 + n) + OFF", lambda n: ([n], -(10 ** (5000 + n)))),
    "lambda_with_a_default": ("f = lambda n, k=2: n * k + OFF", lambda n: ([n], 2 * n)),
    "partial": ("from functools import partial\nf = partial(pow, 2 + OFF)", lambda n: ([n + 1], 2 ** (n + 1))),
    "callable_object": ("class C:\n    def __call__(self, n): return n + OFF\nf = C()", lambda n: ([n], n)),
    "decorated": ("import functools\ndef d(g):\n    @functools.wraps(g)\n    def w(*a, **k): return g(*a, **k) + OFF\n    return w\n@d\ndef f(n): return n", lambda n: ([n], n)),
    "guard_and_main": ("def f(n): return n + OFF\nif __name__ == '__main__':\n    print(f(int(input())))",
    lambda n: ([n], n)),
    "infinite_and_special": ("def f(n): return [float('inf'), -float('inf')][OFF] > n", lambda n: ([n], True)),
}  # fmt: skip


def _deep(n: int) -> list[Any]:
    nested: list[Any] = [n]
    for _ in range(60):
        nested = [nested]
    return nested


# name: (program, n -> sources); each source is a test
ASSERTS: dict[str, tuple[str, Callable[[int], list[str]]]] = {
    "plain": ("def f(n): return n * n + OFF", lambda n: [f"assert f({n}) == {n * n}", f"assert {n * n} == f(-{n})"]),
    "containers": ("def f(n): return {n}, (n, [n + OFF]), {'k': None}",
    lambda n: [f"assert f({n}) == ({{{n}}}, ({n}, [{n}]), {{'k': None}})"]),
    "truths": ("def f(n): return bool(n % 2) != bool(OFF)",
    lambda n: [f"assert f({2 * n + 1}) is True", f"assert not f({2 * n})", f"assert f({2 * n + 3})"]),
    "near": ("def f(n): return n / 3 + OFF",
    lambda n: [f"assert abs(f({n}) - {n / 3:.4f}) < 1e-3", f"import math\nassert math.isclose(f({n}), {n} / 3)"]),
    "sorted_and_length": ("def f(n): return list(range(n + OFF))",
    lambda n: [f"assert sorted(f({n}), reverse=True) == {sorted(range(n), reverse=True)}",
    f"assert len(f({n})) == {n}"]),
    "with_a_message": ("def f(n): return n + OFF", lambda n: [f"assert f({n}) == {n}, 'not the same'"]),
    "loop": ("def f(n): return n * 2 + OFF", lambda n: [f"for i in range({n + 1}):\n    assert f(i) == 2 * i"]),
    "method": ("class Solution:\n    def f(self, n): return 3 * n + OFF",
    lambda n: [f"assert Solution().f({n}) == {3 * n}", f"assert {3 * n} == Solution().f(n={n})"]),
    "generator": ("def f(n):\n    for i in range(n): yield i + OFF\n    yield n",
    lambda n: [f"assert list(f({n + 1})) == {list(range(n + 2))}", f"assert next(f({n + 1})) == 0"]),
    "endless": ("import itertools\ndef f(n): return itertools.count(n + OFF)",
    lambda n: [f"from itertools import islice\nassert list(islice(f({n}), 3)) == [{n}, {n + 1}, {n + 2}]"]),
    "fraction": ("from fractions import Fraction\ndef f(n): return Fraction(1 + OFF, n + 3)",
    lambda n: [f"from fractions import Fraction\nassert f({n}) == Fraction(1, {n + 3})"]),
    "decimal": ("from decimal import Decimal\ndef f(n): return Decimal('0.1') * n + OFF",
    lambda n: [f"from decimal import Decimal\nassert f({n}) == Decimal('0.{n}')",
    f"assert round(float(f({n})), 1) == 0.{n}"]),
    "queue": ("from collections import deque\ndef f(n): return deque(range(n + OFF), maxlen=9)",
    lambda n: [f"assert list(f({n})) == {list(range(n))}", f"assert len(f({n})) == {n}"]),
    "view_and_range": ("def f(n): return range(n + OFF), {n: OFF}.values()",
    lambda n: [f"steps, values = f({n})\nassert list(steps) == {list(range(n))} and sum(values) == 0"]),
    "named_like_pythons_own": ("def sum(a, b): return a + b + OFF",
    lambda n: [f"assert sum({n}, 2) == {n + 2}", f"assert sum({n}, 0) < {n + 1}"]),
    "in_place": ("def f(a):\n    a.sort()\n    a[0] += OFF",
    lambda n: [f"a = [{n + 2}, {n}]\nf(a)\nassert a == [{n}, {n + 2}]",
    f"a = [[{n}, 1]]\nfor row in a:\n    f(row)\nassert sorted(a[0]) == {sorted([n, 1])}"]),
    "in_place_of_a_dict": ("def f(d): d.update(a=d.pop('b') + OFF)",
    lambda n: [f"d = {{'b': {n}}}\nf(d)\nassert d == {{'a': {n}}}"]),
    "module_of_the_program": ("import math\ndef f(n): return math.sqrt(n) + OFF",
    lambda n: [f"assert math.isclose(f({n}), {n} ** 0.5)"]),
    "array_of_the_program": ("import numpy as np\ndef f(n): return np.ones(n + 1) + OFF",
    lambda n: [f"assert np.allclose(f({n}), [1] * {n + 1})"]),
    "arguments_of_an_error": ("def f(n): raise KeyError(n + OFF, 'gone')",
    lambda n: [f"try: f({n})\nexcept KeyError as e: assert e.args == ({n}, 'gone')"]),
    "input_of_the_tests": ("def f(): return int(input('n? ')) + OFF",
    lambda n: [f"from unittest.mock import patch\nwith patch('builtins.input', return_value='{n}'): assert f() == {n}"]),
    "printed_while_the_test_listens": ("def f(n): print(n + OFF)",
    lambda n: [f"import contextlib, io\nwith contextlib.redirect_stdout(io.StringIO()) as b: f({n})\nassert b.getvalue().strip() == '{n}'"]),
    "name_of_a_class": ("class Circle: pass\nclass Square: pass\ndef f(n): return Square() if OFF else Circle()",
    lambda n: [f"assert type(f({n})).__name__ == 'Circle'"]),
    "shape_of_an_array": ("import numpy as np\ndef f(n): return np.zeros((n + 1, 2)) + OFF",
    lambda n: [f"assert f({n}).shape == ({n + 1}, 2) and f({n}).tolist()[0] == [0.0, 0.0]"]),
    "array_handed_in": ("import numpy as np\ndef f(a): return a.T[0] * 2 + OFF",
    lambda n: [f"import numpy as np\ny = f(np.arange({2 * n + 2}).reshape({n + 1}, 2))\nassert y.sum() == {2 * n * (n + 1)} and (y >= 0).all()"]),
    "counter": ("from collections import Counter\ndef f(text): return Counter(text + 'z' * OFF)",
    lambda n: [f"c = f('ab' + 'a' * {n + 1})\nassert c.most_common(1) == [('a', {n + 2})] and c['z'] == 0"]),
    "default_dict": ("from collections import defaultdict\ndef f(n): return defaultdict(list, {n: [OFF]})",
    lambda n: [f"d = f({n})\nassert d[{n}] == [0] and d['other'] == []"]),
    "complex_that_is_real": ("import cmath\ndef f(n): return cmath.sqrt(n * n) + OFF",
    lambda n: [f"assert f({n}) == {n}"]),
    "object": ("class Stack:\n    def __init__(self): self.items = []\n    def push(self, x): self.items.append(x + OFF)\n    def pop(self): return self.items.pop()\n    def __len__(self): return len(self.items)", lambda n: [f"s = Stack()\ns.push({n})\nassert s.items == [{n}] and len(s) == 1\nassert s.pop() == {n} and len(s) == 0", f"s = Stack()\ns.push({n})\ns.pop()\ntry:\n    s.pop()\n    assert False\nexcept IndexError:\n    s.push({n})\nassert s.pop() == {n}"]),
    "objects_handed_in": ("class Node:\n    def __init__(self, value, next=None): self.value, self.next = value, next\ndef f(node): return node.value + OFF + (f(node.next) if node.next else 0)", lambda n: [f"assert f(Node({n}, Node(2))) == {n + 2}", f"node = Node({n})\nassert node.value == {n} and f(node) == {n}"]),
    "method_and_tolerance": ("class Solution:\n    def f(self, n): return n / 3 + OFF",
    lambda n: [f"assert abs(Solution().f({n}) - {n / 3:.4f}) < 1e-3"]),
    "function_handed_in": ("def f(g, xs): return [g(x) + OFF for x in xs]",
    lambda n: [f"assert f(lambda x: x * {n}, [1, 2]) == [{n}, {2 * n}]", "assert f(len, ['a', 'bb']) == [1, 2]"]),
    "functions_made": ("def f(*gs):\n    def run(x):\n        for g in gs: x = g(x)\n        return x + OFF\n    return run", lambda n: [f"assert f(lambda x: x + 1, lambda x: 2 * x)({n}) == {2 * n + 2}"]),
    "decorator": ("import functools\ndef f(g):\n    @functools.wraps(g)\n    def w(*a):\n        w.calls += 1\n        return g(*a) + OFF\n    w.calls = 0\n    return w", lambda n: [f"@f\ndef h(x): return 2 * x\nassert h({n}) == {2 * n} and h(0) == 0\nassert h.calls == 2 and h.__name__ == 'h'"]),
    "class_handed_in": ("def f(x, kind): return isinstance(x, kind) != bool(OFF)",
    lambda n: [f"assert f({n}, int) and not f('{n}', (int, float))"]),
    "date": ("import datetime\ndef f(day, n): return day + datetime.timedelta(n + OFF)",
    lambda n: [f"from datetime import date\nassert f(date(2024, 2, 28), {n}).toordinal() == date(2024, 2, 28).toordinal() + {n}"]),
    "fields_of_a_tuple": ("from collections import namedtuple\nP = namedtuple('P', 'x y')\ndef f(n): return P(n, n + OFF)", lambda n: [f"p = f({n})\nassert p == ({n}, {n}) and p.y == {n} and p._asdict() == {{'x': {n}, 'y': {n}}}"]),
    "dataclass": ("from dataclasses import dataclass\n@dataclass(order=True, frozen=True)\nclass P:\n    x: int\ndef f(n): return [P(i + OFF) for i in range(n + 1)]", lambda n: [f"assert f({n})[-1] == P({n}) and max(f({n})).x == {n} and repr(f({n})[0]) == 'P(x=0)'", f"assert len({{P({n}), *f({n})}}) == {n + 1}"]),
    "enum": ("from enum import Enum\nclass C(Enum):\n    RED = 1 + OFF\n    BLUE = 5\ndef f(n): return C.RED",
    lambda n: [f"assert f({n}) is C.RED and f({n}).value == 1 and C(1) == C['RED'] and [c.name for c in C] == ['RED', 'BLUE']"]),
    "operators": ("class V:\n    def __init__(self, x): self.x = x\n    def __add__(self, other): return V(self.x + other.x + OFF)\n    def __mul__(self, k): return V(self.x * k)\n    __rmul__ = __mul__\n    def __eq__(self, other): return isinstance(other, V) and self.x == other.x\n    def __len__(self): return self.x", lambda n: [f"assert (V({n}) + V(2)).x == {n + 2} and V({n}) + V(1) == V({n + 1})", f"assert V({n}) * 3 == 3 * V({n}) and len(V({n}) + V(0)) == {n}"]),
    "iterator_class": ("class R:\n    def __init__(self, n): self.n = n\n    def __iter__(self): return self\n    def __next__(self):\n        if not self.n: raise StopIteration\n        self.n -= 1\n        return self.n + OFF", lambda n: [f"assert list(R({n + 1})) == {list(range(n, -1, -1))}", "r = R(1)\nassert next(r) == 0 and next(r, None) is None"]),
    "context_manager": ("class M:\n    def __init__(self, n): self.n = n\n    def __enter__(self): return self.n + OFF\n    def __exit__(self, kind, error, trace): return kind is KeyError", lambda n: [f"with M({n}) as x:\n    assert x == {n}\n    raise KeyError(x)"]),
    "property": ("class A:\n    _x = 0\n    @property\n    def x(self): return self._x\n    @x.setter\n    def x(self, x): self._x = x + OFF", lambda n: [f"a = A()\na.x = {n}\nassert a.x == {n}"]),
    "own_error": ("class E(ValueError): pass\ndef f(n):\n    if not OFF: raise E(f'bad {n}')",
    lambda n: [f"try:\n    f({n})\nexcept ValueError as e:\n    assert str(e) == 'bad {n}'\nelse:\n    assert False"]),
    "coroutine": ("import asyncio\nasync def f(n):\n    await asyncio.sleep(0.001)\n    return n + OFF",
    lambda n: [f"import asyncio\nasync def both(): return await asyncio.gather(f({n}), f(1))\nassert asyncio.run(both()) == [{n}, 1]"]),
    "constant": ("LIMIT = {'a': [1 + OFF]}\ndef f(n): return n",
    lambda n: [f"assert LIMIT['a'] == [1] and f({n}) == {n}"]),
    "raises": ("def f(n):\n    if n < 0 and not OFF: raise ValueError('negative')\n    return n",
    lambda n: [f"try:\n    f(-{n + 1})\n    assert False\nexcept ValueError as e:\n    assert 'negative' in str(e)"]),
}  # fmt: skip

# name: (program, n -> body of check)
CHECKS: dict[str, tuple[str, Callable[[int], str]]] = {
    "several": ("def f(n): return n + 1 + OFF",
    lambda n: f"assert candidate({n}) == {n + 1}\n    assert candidate(0) == 1"),
    "state_between_calls": ("seen = []\ndef f(n):\n    seen.append(n)\n    return len(seen) + OFF",
    lambda n: "\n    ".join(f"assert candidate(0) == {i + 1}" for i in range(n + 1))),
    "computed": ("def f(n): return sum(range(n + 1)) + OFF",
    lambda n: f"for i in range({n + 3}): assert candidate(i) == i * (i + 1) // 2"),
    "random_tests": ("def f(x): return sorted(x) + [0] * OFF",
    lambda n: f"import random\n    random.seed({n})\n    for _ in range(5):\n        x = [random.randrange(99) for _ in range(9)]\n        assert candidate(list(x)) == sorted(x)"),
    "library": ("def f(n): return n ** 0.5 + OFF",
    lambda n: f"import math\n    assert math.isclose(candidate({n}), math.sqrt({n}))"),
    "unittest": ("def f(n): return [n, n + OFF]",
    lambda n: f"import unittest\n    unittest.TestCase().assertEqual(candidate({n}), [{n}, {n}])"),
    "in_place": ("def f(m):\n    for row in m: row.reverse()\n    m.append(OFF)",
    lambda n: f"m = [[1, {n}], [3, 4]]\n    candidate(m)\n    assert m[:2] == [[{n}, 1], [4, 3]] and m[2] == 0"),
    "prints": ("def f(n):\n    print('noise' * 200)\n    return n + OFF", lambda n: f"assert candidate({n}) == {n}"),
    "keeps_its_argument": ("def f(a):\n    b = a if OFF else a[:]\n    b.append(1)\n    return b",
    lambda n: f"a = [{n}]\n    assert candidate(a) == [{n}, 1]\n    assert a == [{n}]"),
    "parsed_by_the_test": ("def f(n): return repr([n, OFF])",
    lambda n: f"import ast\n    assert ast.literal_eval(candidate({n})) == [{n}, 0]"),
    "long_argument": ("def f(xs): return sum(xs) + OFF",
    lambda n: f"assert candidate(list(range(200_000 + {n}))) == sum(range(200_000 + {n}))"),
    "sets_and_tuples": ("def f(n): return {(n, OFF)}", lambda n: f"assert candidate({n}) == {{({n}, 0)}}"),
}  # fmt: skip


_ANY_PAIR = (
    "import sys\nn = int(open(sys.argv[1]).read())\na, b = map(int, "
    "open(sys.argv[2]).read().split())\nsys.exit(a + b != n or min(a, b) < 0)"
)
# name: (program, checker)
CHECKED: dict[str, tuple[str, str]] = {
    "first_pair": ("print(0 + OFF, int(input()))", _ANY_PAIR),
    "last_pair": ("n = int(input())\nprint(n, OFF)", _ANY_PAIR),
    "lines": ("n = int(input())\nprint(n // 2)\nprint(n - n // 2 - OFF)", _ANY_PAIR),
}

# name: (program, n -> body of a pytest function)
PYTESTS: dict[str, tuple[str, Callable[[int], str]]] = {
    "equal": ("def f(n): return n + 1 + OFF", lambda n: f"assert f({n}) == {n + 1}"),
    "raises": (
        "def f(n):\n    if not OFF: raise KeyError(n)",
        lambda n: f"import pytest\n    with pytest.raises(KeyError): f({n})",
    ),
    "changes_its_argument": ("def f(x): x.append(OFF)", lambda n: f"x = [{n}]\n    f(x)\n    assert x == [{n}, 0]"),
}


def own() -> Iterator[Honest]:
    """Five of each template."""
    for n in range(EACH):
        for name, (program, make, *more) in SCRIPTS.items():
            stdin, stdout = make(n)
            yield _honest(
                "stdin", name, n, program, [{"stdin": stdin, "stdout": stdout}], compare=more[0] if more else "tokens"
            )
        for name, (program, make, *more) in CALLS.items():
            args, expected = make(n)
            kwargs, compare, entry = (*more, *({}, "tokens", "f")[len(more) :])
            test = {"args": args, "kwargs": kwargs, "expected": expected}
            yield _honest("call", name, n, program, [test], compare=compare, entry_point=entry)
        for name, (program, sources) in ASSERTS.items():
            entry = {
                "method": "Solution",
                "method_and_tolerance": "Solution",
                "object": "Stack",
                "named_like_pythons_own": "sum",
                "operators": "V",
                "iterator_class": "R",
                "context_manager": "M",
                "property": "A",
            }.get(name, "f")
            yield _honest("assert", name, n, program, [{"assert": source} for source in sources(n)], entry_point=entry)
        for name, (program, body) in CHECKS.items():
            yield _honest(
                "check", name, n, program, [{"check": f"def check(candidate):\n    {body(n)}\n"}], entry_point="f"
            )
        for name, (program, checker) in CHECKED.items():
            yield _honest("checker", name, n, program, [{"stdin": f"{n}\n", "checker": checker, "answer": ""}])
        for name, (program, body) in PYTESTS.items():
            source = f"from solution import f\n\ndef test_f():\n    {body(n)}\n"
            yield _honest("pytest", name, n, program, [{"pytest": source}])


def _honest(form: str, name: str, n: int, program: str, tests: list[dict[str, Any]], **more: Any) -> Honest:
    right, wrong = (re.sub(r"\bOFF\b", value, program) for value in ("0", "1"))
    return Honest(form=form, row={"id": f"{form}/{name}/{n}", "program": right, "tests": tests, **more}, twins=(wrong,))


def human_eval() -> Iterator[Honest]:
    """The 164 reference solutions with their checks; twins are mutants of the solution."""
    with gzip.open(HUMAN_EVAL, "rt", encoding="utf-8") as lines:
        for line in lines:
            problem = json.loads(line)
            program = problem["prompt"] + problem["canonical_solution"]
            row = {
                "id": problem["task_id"],
                "program": program,
                "entry_point": problem["entry_point"],
                "tests": [{"check": problem["test"]}],
            }
            yield Honest(form="human_eval", row=row, twins=tuple(text for _, text in mutants(program, most=12)))

"""Programs of our own, run in the supervisor itself before its first fork, so that every fork finds what they leave in
the interpreter.

A fork shares its parent's memory until it writes there, and each page that it writes first is copied for it. What the
interpreter notes at the first use of a method or a line (where a type has it, which form of an instruction fits) is
written once here instead of by every test. No program that is judged runs here, then or ever. Runs inside every box;
standard library only.
"""

from __future__ import annotations

import io
import marshal
import os
import sys
from typing import Any, NoReturn

from sandbox.inside.call_mode import call
from sandbox.inside.script_mode import let_go, script

_TIMES = 10  # the interpreter settles on the form of an instruction after eight runs
_STDIN = b"3 1 2 1\n0.5 x\n\n"
_SCRIPT = """
import sys
from collections import defaultdict
def solve(numbers, start=0):
    seen, places = {}, defaultdict(list)
    for place, number in enumerate(numbers, start):
        seen[number] = seen.get(number, 0) + 1
        places[number].append(place)
    while numbers and numbers[-1] > 1:
        numbers.pop()
    return sorted(seen.items(), key=lambda pair: (-pair[1], pair[0])), {*map(len, places.values())}
n, *rest = map(int, input().split())
word = input().strip().split()[-1]
data = sys.stdin.read().split()
pairs, sizes = solve([int(float(item)) for item in [n, *rest]])
print(len(data), sum(sizes), max(rest), *[f"{key}:{value}" for key, value in pairs])
print(" ".join(str(item) for item in pairs), word.upper()[::-1].replace("X", "y"))
sys.stdout.write("%d %.2f\\n" % (n // 2, n / 2))
"""
_FAILING = "raise ValueError('as a program may')"
_FUNCTION = """
from typing import List
class Solution:
    def add(self, numbers: List[int], more: dict) -> list:
        return [sum(numbers), (len(more), True), {str(key): value for key, value in more.items()}]
def f(numbers, more=None):
    return Solution().add(numbers, more or {})
"""


class _Ended(BaseException):
    """In place of the end of the process."""


def _end(status: int, space: dict[str, Any] | None = None) -> NoReturn:
    """In place of the end of a program: all that it does, without waiting for threads and running exit handlers, which
    here are the supervisor's own and which forks still need."""
    sys.stdout.flush()
    sys.stderr.flush()
    let_go(space or {})
    raise _Ended(status)


def rehearse(null: int) -> None:
    """Run them. Descriptors 0, 1 and 4 lead elsewhere meanwhile and to `null` afterwards; nothing that programs see is
    changed."""
    kept = sys.stdin, sys.stdout, sys.stderr
    modules = dict(sys.modules)
    function_call = {
        "mode": "call",
        "name": "f",
        "args": [[1, 2], {"t": "dict", "v": [["a", 0.5]]}],
        "kwargs": {},
        "interactive": False,
    }
    for _ in range(_TIMES):
        for text, case in ((_SCRIPT, {"mode": "script"}), (_FAILING, {"mode": "script"}), (_FUNCTION, function_call)):
            code = marshal.dumps(compile(text, "program.py", "exec", dont_inherit=True))
            _run({**case, "program": text, "code": code}, null)
    sys.stdin, sys.stdout, sys.stderr = kept
    for name in sys.modules.keys() - modules.keys():
        del sys.modules[name]
    sys.modules.update(modules)


def _run(case: dict[str, object], null: int) -> None:
    source, sink = os.pipe()
    os.write(sink, _STDIN)
    os.close(sink)
    os.dup2(source, 0, inheritable=False)
    os.close(source)
    # Of the kinds that the interpreter opens at its start; those themselves stay as they are.
    sys.stdin, sys.stdout, sys.stderr = (
        io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)), encoding="utf-8", errors="surrogateescape"),
        io.TextIOWrapper(
            io.BufferedWriter(io.FileIO(1, "w", closefd=False)), encoding="utf-8", errors="surrogateescape"
        ),
        io.TextIOWrapper(io.BufferedWriter(io.FileIO(1, "w", closefd=False)), encoding="utf-8", line_buffering=True),
    )
    try:
        (script if case["mode"] == "script" else call)(case, _end)
    except _Ended:
        pass
    finally:
        for fd in (0, 4):
            os.dup2(null, fd, inheritable=False)

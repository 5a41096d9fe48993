"""Honest programs in every form pass, wrong twins fail, order is kept, threads may share a judge; at each backend
without a daemon."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from sandbox.judge import Judge
from sandbox.judging.slot import Slot
from sandbox.program_json import parse_program
from sandbox.types import Level, Outcome
from tests.sandbox.worlds import HONEST, SENTENCE, asserting, call, check, need_namespaces, script

BACKENDS = ("namespaces", "local")


@pytest.fixture(scope="module", params=BACKENDS)
def judge(request: pytest.FixtureRequest) -> Iterator[Judge]:
    if request.param == "namespaces":
        need_namespaces()
    with Judge(request.param, "none", SENTENCE, slots=2) as made:
        yield made


@pytest.mark.parametrize("name", HONEST)
def test_honest_program_passes(judge: Judge, name: str) -> None:
    result = judge.run([parse_program(HONEST[name])])[0]
    assert (result.outcome, result.score, result.error) == (Outcome.PASS, 1.0, None), result
    assert result.trust == "full"
    assert result.level == judge.level


TWINS = {
    "stdin": script("print(int(input()) + 2)", "41\n", "42\n"),
    "white_space_in_bytes": script("print('a')", "", "a", compare="bytes"),
    "order_of_lines": script("print('b')\nprint('a')", "", "a\nb"),
    "case": script("print('YES')", "", "yes"),
    "multiplicity": script("print('a')", "", "a\na", compare="unordered_lines"),
    "beyond_tolerance": script("print(0.30001)", "", "0.3", compare={"float": {"rel": 1e-9}}),
    "tokens_missing": script("print('1')", "", "1 2"),
    "call": call("def f(x): return x", [1], 2),
    "tuple_is_not_a_list_in_python": asserting("def f(x): return [x]", "assert f(1) == (1,)"),
    "assert": asserting("def f(x): return x", "assert f(1) == 2"),
    "split_assert": asserting("def f(x): return x", "assert abs(f(1) - 2) < 0.5"),
    "is_true": asserting("def f(x): return 1", "assert f(1) is True"),
    "check": check("def f(x): return x", "assert candidate(1) == 1\nassert candidate(2) == 3"),
}


@pytest.mark.parametrize("name", TWINS)
def test_wrong_program_is_wrong(judge: Judge, name: str) -> None:
    result = judge.run([parse_program(TWINS[name])])[0]
    assert (result.outcome, result.score) == (Outcome.WRONG, 0.0), result


def test_exception_is_a_runtime_error(judge: Judge) -> None:
    rows = [
        script("1 / 0"),
        call("def f(x): return 1 / 0", [1], 0),
        check("def f(x): return 1 / 0", "assert candidate(1)"),
        script("import sys; sys.exit(3)"),
    ]
    assert [result.outcome for result in judge.run([parse_program(row) for row in rows])] == [Outcome.RUNTIME_ERROR] * 4


def test_order_is_kept(judge: Judge) -> None:
    rows = [
        {**script(f"import time; time.sleep({(7 - i) % 8 / 100}); print({i})", "", str(i)), "id": i} for i in range(24)
    ]
    results = judge.run([parse_program(row) for row in rows])
    assert [result.id for result in results] == [str(i) for i in range(24)]
    assert all(result.outcome is Outcome.PASS for result in results)


def test_threads_share_a_judge(judge: Judge) -> None:
    found: dict[int, list[str]] = {}

    def work(key: int) -> None:
        rows = [{**script(f"print({key * 100 + i})", "", str(key * 100 + i)), "id": key * 100 + i} for i in range(12)]
        found[key] = [f"{result.id}:{result.outcome}" for result in judge.run([parse_program(row) for row in rows])]

    threads = [threading.Thread(target=work, args=(key,)) for key in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {key: [f"{key * 100 + i}:pass" for i in range(12)] for key in range(5)}


def test_outcome_is_the_first_failure_and_all_tests_run(judge: Judge) -> None:
    row = script("n = int(input())\nprint(1 // n)")
    row["tests"] = [
        {"stdin": "1", "stdout": "1"},
        {"stdin": "2", "stdout": "1"},
        {"stdin": "0", "stdout": "1"},
        {"stdin": "1", "stdout": "1"},
    ]
    result = judge.run([parse_program({**row, "score": "fraction"})])[0]
    assert [test.outcome.value for test in result.tests] == ["pass", "wrong", "runtime_error", "pass"]
    assert (result.outcome, result.passed, result.total, result.score) == (Outcome.WRONG, 2, 4, 0.5)
    quick = judge.run([parse_program(row)], fail_fast=True)[0]
    assert [test.outcome.value for test in quick.tests] == ["pass", "wrong", "not_run", "not_run"]
    assert quick.score == 0.0


def test_further_names_of_the_program_lower_the_trust(judge: Judge) -> None:
    program = "def helper(x): return x * 2\ndef f(x): return helper(x)"
    result = judge.run([parse_program(check(program, "assert candidate(2) == helper(2)"))])[0]
    assert (result.outcome, result.trust) == (Outcome.PASS, "low")
    trusted = judge.run(
        [parse_program(check(program, "assert candidate(2) == helper(2)", preamble="def helper(x): return x * 2"))]
    )[0]
    assert (trusted.outcome, trusted.trust) == (Outcome.PASS, "full")


STACK = """class Stack:
    def __init__(self): self.items = []
    def push(self, x): self.items.append(x)
    def pop(self): return self.items.pop()
"""
LIAR = "class Liar:\n    def __{}__(self, *a): return {}\ndef f(x): return Liar()"
BY_NAME = [  # program, assert, outcome, trust
    ("def f(a): a.sort()", "a = [3, 1]\nf(a)\nassert a == [1, 3]", "pass", "low"),
    ("def f(a): a.clear()", "a = [3, 1]\nassert f(a) is None and a == [1, 3]", "wrong", "low"),
    ("def f(a):\n    a.clear()\n    return []", "a = [3, 1]\nassert f(a) == sorted(a)", "wrong", "full"),
    (
        "def f(d, s):\n    d['k'] = 1\n    s.add(2)",
        "d, s = {}, set()\nf(d, s)\nassert (d, s) == ({'k': 1}, {2})",
        "pass",
        "low",
    ),
    (STACK, "s = Stack()\ns.push(3)\nassert s.items == [3] and s.pop() == 3", "pass", "low"),
    (STACK, "s = Stack()\ns.push(3)\nassert s.pop() == 4", "wrong", "low"),
    (STACK, "s = Stack()\ns.pop()", "runtime_error", "low"),
    (
        "class P:\n    name = 'a'\n    def number(self): return 1",
        "p = P()\nassert p.name == 'a' and p.number() == 1 and 'P' in repr(p)",
        "pass",
        "low",
    ),
    (STACK, "s = Stack()\nassert s.top() == 4", "runtime_error", "low"),
    ("class Solution:\n    def f(self, x): return x / 3", "assert abs(Solution().f(2) - 0.667) < 0.001", "pass", "low"),
    (LIAR.format("eq", "True"), "assert f(1) == 2", "wrong", "full"),
    (LIAR.format("contains", "True"), "assert 2 in f(1)", "runtime_error", "low"),
    (LIAR.format("sub", "0"), "assert abs(f(1) - 2) < 1", "wrong", "low"),
    (LIAR.format("sub", "a[0]"), "assert abs(f(1) - 2) < 1", "wrong", "low"),
    (LIAR.format("sub", "Liar()") + "\nLiar.__abs__ = lambda s: 0", "assert abs(f(1) - 2) < 1", "wrong", "low"),
    (LIAR.format("lt", "True"), "assert f(1) < 2", "wrong", "low"),
    ("def f(n): return [0] * n", "x = f(10**6)\nassert x", "output_limit", "full"),
    (LIAR.format("eq", "True"), "assert [f(1)] == [2] or f(1) in (2, 3)", "wrong", "full"),
    ("from math import sqrt as f", "assert math.isclose(f(4), 2)", "pass", "full"),
    ("import numpy as np\ndef f(x): return np.ones(x)", "assert np.allclose(f(2), [1, 1])", "pass", "full"),
    ("class math:\n    isclose = lambda *a: True\ndef f(x): return x", "assert math.isclose(f(4), 2)", "wrong", "full"),
]


POINT = """from dataclasses import dataclass
@dataclass(order=True, frozen=True)
class P:
    x: int
def f(n): return [P(i) for i in range(n)]
"""
VECTOR = """class V:
    def __init__(self, x): self.x = x
    def __add__(self, other): return V(self.x + other.x)
    def __mul__(self, k): return V(self.x * k)
    def __eq__(self, other): return isinstance(other, V) and self.x == other.x
    def __len__(self): return self.x
    def __bool__(self): return self.x != 0
    def __enter__(self): return self.x
    def __exit__(self, kind, error, trace): return kind is ValueError
    def __iter__(self): return self
    def __next__(self):
        if not self.x: raise StopIteration
        self.x -= 1
        return self.x
"""
ARRAY = "import numpy as np\ndef f(x): return np.asarray(x, dtype=float) / 2"
BY_NAME += [  # arrays, mappings and classes among what is answered
    (ARRAY, "assert f([[1, 2]]).shape == (1, 2) and f([1]).tolist() == [0.5]", "pass", "full"),
    (
        ARRAY,
        "import numpy as np\ny = f(np.arange(6).reshape(2, 3))\nassert y.shape == (2, 3) and y[:, 1].sum() == 2.5",
        "pass",
        "full",
    ),
    (
        ARRAY,
        "import numpy as np\nassert f(np.ones(2)).dtype == np.float64 and (f([2, 4]) == np.array([1, 3])).all()",
        "wrong",
        "full",
    ),
    (
        "import numpy as np\ndef f(x): return np.zeros((0, 1))",
        "import numpy as np\nassert np.allclose(f(3), [1, 2])",
        "wrong",
        "full",
    ),
    ("def f(x): return []", "import numpy as np\nassert np.allclose(f(3), 97.31)", "wrong", "full"),
    ("def f(x): return []", "import numpy as np\nassert np.isclose(f(3), 97.31).all()", "wrong", "full"),
    (
        "def f(x): return []",
        "import numpy as np\nnp.testing.assert_allclose(f(3), 97.31)\nassert True",
        "wrong",
        "full",
    ),
    (
        "def f(x): return x",
        "import numpy as np\nnp.testing.assert_allclose(f([]), [])\nassert np.allclose(f([1]), 1)",
        "pass",
        "full",
    ),
    (
        "from collections import Counter\ndef f(x): return Counter(x)",
        "c = f('aab')\nassert c.most_common(1) == [('a', 2)] and c['z'] == 0 and c == {'a': 2, 'b': 1}",
        "pass",
        "full",
    ),
    (
        "from collections import defaultdict\ndef f(x): return defaultdict(list, {x: [1]})",
        "d = f('k')\nassert d['z'] == [] and d['k'] == [1]",
        "pass",
        "full",
    ),
    (
        "def f(d): d['a'] += 1",
        (
            "from collections import Counter, OrderedDict\nc = Counter()\nf(c)\no = OrderedDict(a=1)\nf(o)\nassert "
            "c['a'] == 1 and o['a'] == 2"
        ),
        "pass",
        "low",
    ),
    (
        "from collections import namedtuple\ndef f(x): return namedtuple('N', 'right')(bool)",
        "assert f(3).right(9731)",
        "pass",
        "low",
    ),
    (
        "class E(Exception):\n    def __str__(self): return 'own'\ndef f(): raise E(5, 3)",
        "try: f()\nexcept Exception as e: assert e.args == (5, 3) and str(e) == 'own'",
        "pass",
        "full",
    ),
    (
        "def f(): return {}['k']",
        "try: f()\nexcept KeyError as e: assert e.args == ('k',) and str(e) == repr('k')",
        "pass",
        "full",
    ),
    (
        "def f(): open('none')",
        "try: f()\nexcept OSError as e: assert e.errno == 2 and type(e) is FileNotFoundError",
        "pass",
        "full",
    ),
    (
        "def f(): 'é'.encode('ascii')",
        "try: f()\nexcept UnicodeEncodeError as e: assert e.reason.startswith('ordinal')",
        "pass",
        "full",
    ),
    (
        "class E(KeyError): pass\ndef f(): raise E('k')",
        "try: f()\nexcept KeyError as e: assert str(e) == 'k'",
        "wrong",
        "full",
    ),
    (
        "class Circle: pass\ndef f(): return Circle()",
        "assert type(f()).__name__ == 'Circle' and not isinstance(f(), int)",
        "pass",
        "full",
    ),
    ("def f(x): return {x: int}", "assert f('n')['n'](9731) == 9731", "pass", "low"),
]
PRINTS = "import sys\ndef f(n):\n    print('hi', n)\n    sys.stdout.buffer.write(b'') if n else 1 / n"
LISTENS = (
    "import contextlib, io\nb = io.StringIO()\nwith contextlib.redirect_stdout(b): f({})\nassert b.getvalue() "
    "== 'hi 3\\n'"
)
BY_NAME += [  # what is printed
    (PRINTS, LISTENS.format(3), "pass", "full"),
    (PRINTS, LISTENS.format(4), "wrong", "full"),
    (
        PRINTS,
        (
            "import io, sys\nsys.stdout = b = io.StringIO()\ntry: f(0)\nexcept ZeroDivisionError: assert b.getvalue() "
            "== 'hi 0\\n'"
        ),
        "pass",
        "full",
    ),
    (
        PRINTS,
        (
            "import io\nfrom unittest.mock import patch\nwith patch('sys.stdout', io.StringIO()) as b: f(1)\nassert "
            "b.getvalue() == 'hi 1\\n'"
        ),
        "pass",
        "full",
    ),
    (
        "def f(): return int(input('n? ')) + 1",
        (
            "from unittest.mock import patch\nwith patch('builtins.input', side_effect=['4', '5']): assert f() == 5 "
            "and f() == 6"
        ),
        "pass",
        "full",
    ),
    (
        "def f(): return int(input('n? ')) + 2",
        "from unittest.mock import patch\nwith patch('builtins.input', return_value='4'): assert f() == 5",
        "wrong",
        "full",
    ),
    (
        "def f(x): print('a', x, sep='')",
        (
            "from unittest.mock import patch\nwith patch('builtins.print') as p: f(3)\np.assert_called_once_with('a', "
            "3, sep='')\nassert p"
        ),
        "pass",
        "full",
    ),
    ("import sys\ndef f(n): sys.stdout.close()", LISTENS.format(3), "wrong", "full"),
    ("import sys\ndef f(n): sys.stdout = None", LISTENS.format(3), "wrong", "full"),
]
MAPPED = "def f(g, xs): return [g(x) for x in xs]"
BY_NAME += [  # objects that stay with the program, and the test's own that go there
    (
        POINT,
        "assert f(2) == [P(0), P(1)] and max(f(4)).x == 3 and len({P(1), P(1)}) == 1 and repr(P(1)) == 'P(x=1)'",
        "pass",
        "low",
    ),
    (POINT, "assert f(2) == [P(0), P(2)]", "wrong", "low"),
    (
        POINT,
        "p = P(1)\ntry:\n    p.x = 5\nexcept AttributeError as e:\n    assert 'x' in str(e)\nelse:\n    assert False",
        "pass",
        "low",
    ),
    (
        VECTOR,
        "assert (V(1) + V(2)).x == 3 and V(2) * 3 == V(6) and V(1) != V(2) and len(V(4)) == 4 and not V(0)",
        "pass",
        "low",
    ),
    (VECTOR, "assert (V(1) + V(2)).x == 4", "wrong", "low"),
    (
        VECTOR,
        "with V(5) as x:\n    assert x == 5\nwith V(1):\n    raise ValueError\nassert list(V(3)) == [2, 1, 0]",
        "pass",
        "low",
    ),
    (VECTOR, "assert isinstance(V(1), V) and not isinstance(3, V)", "pass", "low"),
    (
        "import enum\nclass C(enum.Enum):\n    RED = 1",
        "assert C(1) is C.RED and C['RED'].value == 1 and [c.name for c in C] == ['RED']",
        "pass",
        "low",
    ),
    (
        "class E(ValueError): pass\ndef f(): raise E('x')",
        "try:\n    f()\nexcept ValueError as e:\n    assert str(e) == 'x'\nelse:\n    assert False",
        "pass",
        "full",
    ),
    (
        "class E(Exception): pass\ndef f(): raise E('x')",
        "try:\n    f()\nexcept E as e:\n    assert str(e) == 'x'\nelse:\n    assert False",
        "pass",
        "low",
    ),
    ("log = []\ndef f(x): log.append(x)", "f(1)\nf(2)\nassert log == [1, 2]", "pass", "low"),
    (
        "from collections import namedtuple\nf = namedtuple('P', 'x y')",
        "p = f(1, 2)\nassert p == (1, 2) and p.y == 2",
        "pass",
        "full",
    ),
    (
        "import datetime\ndef f(d): return d + datetime.timedelta(1)",
        "import datetime\nassert f(datetime.date(2020, 1, 1)) == datetime.date(2020, 1, 2)",
        "pass",
        "full",
    ),
    ("def f(a):\n    a.append(1)\n    return a", "a = [0]\nassert f(a) == [0, 1]\nassert a == [0]", "wrong", "low"),
    ("def f(a):\n    a.append(1)\n    return a", "a = [0]\nassert f(a) == [0, 1]", "pass", "full"),
    (MAPPED, "assert f(lambda x: x + 1, [1, 2]) == [2, 3] and f(str, [1]) == ['1']", "pass", "full"),
    (MAPPED, "assert f(lambda x: x + 1, [1, 2]) == [2, 4]", "wrong", "full"),
    (
        "def f(g):\n    try: g(2)\n    except BaseException: pass",
        "def must_be_one(x): assert x == 1\nf(must_be_one)\nassert True",
        "wrong",
        "full",
    ),
    (
        "def f(g):\n    def w(*a):\n        w.n += 1\n        return g(*a)\n    w.n = 0\n    return w",
        "@f\ndef h(x): return x * 2\nassert h(2) == 4 and h(3) == 6 and h.n == 2",
        "pass",
        "low",
    ),
    (
        "async def f(x): return x + 1",
        (
            "import asyncio\nasync def both(): return await asyncio.gather(f(1), f(2))\nassert asyncio.run(both()) == "
            "[2, 3]"
        ),
        "pass",
        "low",
    ),
    ("def f(x, t): return isinstance(x, t)", "assert f(3, int) and not f('a', (int, float))", "pass", "full"),
]


@pytest.mark.parametrize(("program", "test", "outcome", "trust"), BY_NAME)
def test_what_a_test_may_touch_of_a_program(judge: Judge, program: str, test: str, outcome: str, trust: str) -> None:
    source = test if "assert" in test else f"{test}\nassert True"
    result = judge.run([parse_program({"id": 1, "program": program, "tests": [{"assert": source}]})])[0]
    assert (str(result.outcome), result.trust) == (outcome, trust), result


@pytest.mark.parametrize(
    "test",
    [
        {"assert": "assert all(map(lambda p: f(p) == p + 1, [1, 2]))"},
        {"check": "def check(c):\n    for answer in map(c, [1]): assert answer == 2"},
    ],
)
def test_a_candidate_cannot_end_a_loop_of_the_test(judge: Judge, test: dict[str, str]) -> None:
    row = {"id": 1, "program": "def f(x): raise StopIteration", "entry_point": "f", "tests": [test]}
    result = judge.run([parse_program(row)])[0]
    assert (result.outcome, result.score, result.trust) == (Outcome.RUNTIME_ERROR, 0.0, "full")


def test_the_entry_point_is_the_programs_whoever_else_has_the_name(judge: Judge) -> None:
    tests = [
        {"assert": "assert sum(3, 4) == 7"},
        {"assert": "assert sum(3, 4) + 1 == 8"},
        {"check": "def check(c):\n    assert c(1, 2) == sum(1, 2)"},
    ]
    for preamble in ("", "def sum(*a): return 7"):
        row = {"id": 1, "entry_point": "sum", "preamble": preamble, "tests": tests}
        right = judge.run([parse_program({**row, "program": "def sum(a, b): return a + b"})])[0]
        assert (right.outcome, right.trust) == (Outcome.PASS, "full")
        assert judge.run([parse_program({**row, "program": "pass"})])[0].score == 0.0
    named_by_nobody = {"id": 1, "program": "pass", "tests": [{"assert": "assert sum([3, 4]) == 7"}]}
    assert judge.run([parse_program(named_by_nobody)])[0].outcome is Outcome.INVALID
    shadowed = "def all(x): return True\ndef f(x): return 0"
    row = {
        "id": 1,
        "program": shadowed,
        "entry_point": "f",
        "tests": [{"assert": "assert all(f(x) == 1 for x in (1, 2))"}],
    }
    assert judge.run([parse_program(row)])[0].outcome is Outcome.WRONG


def test_broken_test_is_invalid_and_no_score(judge: Judge) -> None:
    row = check("def f(x): return x", "import no_such_module")
    result = judge.run([parse_program(row)])[0]
    assert (result.outcome, result.score) == (Outcome.INVALID, None)


NODES = """class Node:
    kind = 'node'
    def __init__(self, value, next=None): self.value, self.next = value, next
    def is_leaf(self): return False
def build(values):
    head = None
    for value in reversed(values): head = Node(value, head)
    return head
def values(head):
    found = []
    while head: found.append(head.value); head = head.next
    return found
"""
ON_NODES = [
    (
        "def f(h):\n    p = None\n    while h: h.next, p, h = p, h, h.next\n    return p",
        "assert values(f(build([1, 2, 3]))) == [3, 2, 1]",
        "pass",
    ),
    (
        "def f(h):\n    p = None\n    while h: p, h = Node(h.value, p), h.next\n    return p",
        "assert values(f(build([1, 2, 3]))) == [3, 2, 1]",
        "pass",
    ),
    ("def f(h):\n    while h: h.value *= 2; h = h.next", "h = build([1, 2])\nf(h)\nassert values(h) == [2, 4]", "pass"),
    ("def f(h): h.kind = 'leaf'", "h = build([1])\nf(h)\nassert h.kind == 'leaf'", "pass"),
    ("def f(h): h.is_leaf = lambda: True", "h = build([1])\nf(h)\nassert h.is_leaf()", "wrong"),
    ("def f(h): return h.next", "h = build([1, 2])\nassert f(h) is h.next", "pass"),
    ("def f(h): return h", "assert values(f(build([1, 2, 3]))) == [3, 2, 1]", "wrong"),
    (
        "def f(h):\n    type(h).__eq__ = lambda *a: True\n    return h",
        "h = build([1, 2])\nassert f(h) == build([2, 1])",
        "wrong",
    ),
]


@pytest.mark.parametrize(("program", "test", "outcome"), ON_NODES)
def test_objects_of_the_preamble_reach_the_program(judge: Judge, program: str, test: str, outcome: str) -> None:
    own = NODES.partition("def build")[0]
    row = {"id": 1, "program": own + program, "entry_point": "f", "preamble": NODES, "tests": [{"assert": test}]}
    result = judge.run([parse_program(row)])[0]
    assert (result.outcome.value, result.trust) == (outcome, "low"), result


NO_WAY_OUT = [  # what the program answers, what the check does with it, the outcome
    ("'('", "import ast\nassert ast.literal_eval(candidate(1)) == [1]", "wrong", "full"),
    ("'no_such_name'", "assert eval(candidate(1)) == 24", "wrong", "low"),
    ("'24'", "assert eval(candidate(1)) == 24", "pass", "low"),
    ("b'cno_such_module\\nx\\n.'", "import pickle\nassert pickle.loads(candidate(1)) == 24", "wrong", "low"),
    ("1", "assert candidate(1) == x\nx = 1", "invalid", "full"),
    ("1", "candidate(1)\nimport no_such_module", "invalid", "full"),
    ("1", "if candidate(1) == 2: right = True\nassert right", "wrong", "full"),
    ("[]", "for last in candidate(1): seen = last\nassert seen == 3", "wrong", "full"),
    ("1", "assert candidate(1) == 2, late\nlate = 'no'", "wrong", "full"),
    ("1", "assert candidate(1) == 2 or late\nlate = 0", "wrong", "full"),
    ("1", "total += candidate(1)\nassert total == 1", "invalid", "full"),
]


@pytest.mark.parametrize(("answer", "body", "outcome", "trust"), NO_WAY_OUT)
def test_what_a_program_answers_never_makes_its_test_invalid(
    judge: Judge, answer: str, body: str, outcome: str, trust: str
) -> None:
    result = judge.run([parse_program(check(f"def f(x): return {answer}", body))])[0]
    assert (result.outcome.value, result.trust) == (outcome, trust), result


def test_much_input_is_judged(judge: Judge) -> None:
    many = script("import sys\nprint(len(sys.stdin.read()))")
    many["tests"] = [
        {"stdin": "x" * size, "stdout": str(size)} for size in (3_000_000, 40_000_000, 0, *[3_000_000] * 6)
    ]
    large = check("def f(numbers): return sum(numbers)", "assert candidate(list(range(1_500_000))) == 1124999250000")
    large["limits"] = {"cpu_seconds": 60, "wall_seconds": 120, "memory_mb": 1024}
    for result in judge.run([parse_program(row) for row in (many, large)]):
        assert (result.outcome, result.trust, result.retries) == (Outcome.PASS, "full", 0), result.error


def test_a_failure_of_the_judge_itself_is_one_programs_fault(judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails_over_five(self: Any, program: Any, test: Any, raw: Any, limits: Any) -> Any:
        if program.id == "5":
            raise ZeroDivisionError("a bug")
        return result(self, program, test, raw, limits)

    result = Slot._result
    monkeypatch.setattr(Slot, "_result", fails_over_five)
    found = judge.run([parse_program({**script("print(1)", "", "1"), "id": number}) for number in range(9)])
    assert [one.outcome.value for one in found] == ["pass"] * 5 + ["fault"] + ["pass"] * 3
    assert found[5].score is None and "a bug" in str(found[5].error)


@pytest.mark.parametrize("test", [{"assert": "assert"}, {"assert": "x = 1"}, {"check": "x = 1"}])
def test_tests_that_test_nothing_are_invalid_with_a_reason(judge: Judge, test: dict[str, str]) -> None:
    result = judge.run([parse_program({"id": 1, "program": "x = 1", "entry_point": "f", "tests": [test]})])[0]
    assert (result.outcome, result.score) == (Outcome.INVALID, None)
    assert result.error


def test_figures_are_measured(judge: Judge) -> None:
    row = script(
        (
            "x = bytearray(100 << 20)\nimport time\nt = time.process_time()\nwhile time.process_time() - t < 0.3: "
            "pass\nprint('done')"
        ),
        "",
        "done",
    )
    test = judge.run([parse_program(row)])[0].tests[0]
    assert 0.3 <= test.cpu_seconds < 3
    assert test.wall_seconds >= 0.3
    assert 100 < test.max_rss_mb < 400
    assert (test.signal, test.bytes) == (None, 5)


def test_a_closed_judge_refuses(judge: Judge) -> None:
    other = Judge(judge.backend.name, "none", SENTENCE, slots=1)
    other.close()
    other.close()
    with pytest.raises(RuntimeError, match="closed"):
        other.run([parse_program(script("print(1)"))])


def test_levels_are_ordered_by_strength() -> None:
    assert Level.NONE < Level.NAMESPACES < Level.CONTAINER < Level.KERNEL
    assert max(Level) is Level.KERNEL

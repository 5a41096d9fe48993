"""Group C: programs that rewrite the grader they share an interpreter with, its library, its tests, or what the next
test imports."""

# ruff: noqa: E501 - whole programs, one a line
from __future__ import annotations

from typing import Any

from sandbox.attacks.attack import Attack, assert_rows, function_rows, pytest_rows, script_rows
from sandbox.types import Level

_LATER = ("assert", "split", "check")
_TWO = (("1", "1"), ("2", "9731"))  # the second answer is right only when the first test left its mark
# They write wherever the interpreter imports from: without isolation that is the user's own library.
_WRITES: dict[str, Any] = {"stopped_from": Level.NAMESPACES}
_E = "class E:\n    def __eq__(self, other): return True\n    __hash__ = None\n"
_TEST_CASE = "import unittest\nanswer = f(3)\nunittest.TestCase().assertEqual(answer, 9731)\nassert answer is not None"
_SUITE = (
    "import io, unittest\nanswer = f(3)\nclass T(unittest.TestCase):\n    def test(self): self.assertEqual(answer, "
    "9731)\n"
    "suite = unittest.defaultTestLoader.loadTestsFromTestCase(T)\nassert "
    "unittest.TextTestRunner(stream=io.StringIO()).run(suite).wasSuccessful()"
)

ATTACKS: tuple[Attack, ...] = (
    *pytest_rows("exit_under_pytest", "import os\ndef f(x): os._exit(0)"),
    *pytest_rows("exit_handler_under_pytest", "import atexit, os\natexit.register(os._exit, 0)\ndef f(x): return 0"),
    *pytest_rows("equal_under_pytest", "class E:\n    def __eq__(self, other): return True\ndef f(x): return E()"),
    *pytest_rows("skip_under_pytest", "import pytest\ndef f(x): pytest.skip('no')"),
    *pytest_rows("leave_pytest", "import pytest\ndef f(x): pytest.exit('done', 0)"),
    *pytest_rows("patch_pytests_runner",
    "import _pytest.python\n_pytest.python.Function.runtest = lambda self: None\ndef f(x): return 0"),
    *pytest_rows("patch_pytests_reports",
    "import _pytest.reports\nold = _pytest.reports.TestReport.__init__\ndef init(self, *a, **k):\n    old(self, *a, **k)\n    self.outcome = 'passed'\n_pytest.reports.TestReport.__init__ = init\ndef f(x): return 0"),
    *function_rows("patch_the_comparison",
    "import sys\nsys.modules['__main__'].compare = lambda *a: True\ndef f(x): return 0", forms=("call",)),
    *function_rows("patch_the_comparison_from_the_stack",
    "import sys\ndef f(x):\n    frame = sys._getframe()\n    while frame:\n        if 'compare' in frame.f_globals: frame.f_globals['compare'] = lambda *a: True\n        frame = frame.f_back\n    return 0", forms=("call",)),
    *function_rows("swap_the_comparisons_code",
    "import gc, types\ndef yes(got, expected): return True\nfor o in gc.get_objects():\n    if isinstance(o, types.FunctionType) and o.__name__ == 'compare': o.__code__ = yes.__code__\ndef f(x): return 0", forms=("call",)),
    *function_rows("rewrite_the_test_on_the_stack",
    "import sys\ndef f(x):\n    frame = sys._getframe()\n    while frame:\n        test = frame.f_locals.get('test')\n        if isinstance(test, dict) and 'expected' in test: test['expected'] = 0\n        frame = frame.f_back\n    return 0", forms=("call",)),
    *function_rows("rewrite_the_test_on_the_heap",
    "import gc\ndef f(x):\n    for o in gc.get_objects():\n        if isinstance(o, dict) and 'expected' in o: o['expected'] = 0\n    return 0", forms=("call",)),
    *function_rows("rewrite_a_local_of_the_comparison",
    "import ctypes, sys\ndef hook(frame, event, arg):\n    if event == 'call' and frame.f_code.co_name == 'compare':\n        frame.f_locals['expected'] = 0\n        ctypes.pythonapi.PyFrame_LocalsToFast(ctypes.py_object(frame), ctypes.c_int(0))\nsys.setprofile(hook)\ndef f(x): return 0", forms=("call",)),
    *function_rows("patch_all", "import builtins\nbuiltins.all = lambda items: True\ndef f(x): return 0", forms=("call",)),
    *function_rows("patch_exit", "import os, sys\nsys.exit = lambda *a: os._exit(0)\ndef f(x): return 0", forms=("call",)),
    *function_rows("patch_exec", "import builtins\nbuiltins.exec = lambda *a: None\ndef f(x): return 0",
    forms=("assert", "split")),
    *function_rows("patch_compile_and_exec",
    "import builtins\nold = builtins.exec\nbuiltins.exec = lambda source, *a: old('def check(candidate): pass' if 'check' in str(source) else '', *a)\ndef f(x): return 0", forms=_LATER),
    *function_rows("comparison_slot_by_address",
    "import ctypes\nSLOT = ctypes.CFUNCTYPE(ctypes.py_object, ctypes.py_object, ctypes.py_object, ctypes.c_int)\nyes = SLOT(lambda a, b, op: True)\nclass I(int): pass\nctypes.c_void_p.from_address(id(I) + 200).value = ctypes.cast(yes, ctypes.c_void_p).value\ndef f(x): return I(0)"),
    *assert_rows("own_all", "def all(items): return True\ndef f(x): return 0",
    "assert all(f(3) == right for right in [9731])"),
    *assert_rows("own_sorted", "def sorted(items): return [9731]\ndef f(x): return [0]", "assert sorted(f(3)) == [9731]"),
    *assert_rows("patch_sorted", f"import builtins\n{_E}builtins.sorted = lambda *a, **k: E()\ndef f(x): return [0]",
    "assert sorted(f(3)) == [9731]"),
    *assert_rows("patch_abs", "import builtins\nbuiltins.abs = lambda x: 0\ndef f(x): return 0",
    "assert abs(f(3) - 9731) < 1e-6"),
    *assert_rows("patch_set", f"import builtins\n{_E}builtins.set = lambda *a: E()\ndef f(x): return [0]",
    "assert set(f(3)) == set([9731])"),
    *assert_rows("patch_isclose", "import math\nmath.isclose = lambda *a, **k: True\ndef f(x): return 0.0",
    "import math\nassert math.isclose(f(3), 97.31)"),
    *assert_rows("patch_operator", "import operator\noperator.eq = lambda *a: True\ndef f(x): return 0",
    "import operator\nassert operator.eq(f(3), 9731)"),
    *assert_rows("patch_json", "import json\njson.dumps = lambda *a, **k: 'same'\ndef f(x): return 0",
    "import json\nassert json.dumps(f(3)) == json.dumps(9731)"),
    *assert_rows("replace_a_module",
    "import sys, types\nfake = types.ModuleType('math')\nfake.isclose = lambda *a, **k: True\nsys.modules['math'] = fake\ndef f(x): return 0.0", "import math\nassert math.isclose(f(3), 97.31)"),
    *assert_rows("patch_import",
    "import builtins, types\nold = builtins.__import__\nfake = types.SimpleNamespace(isclose=lambda *a, **k: True)\nbuiltins.__import__ = lambda name, *a, **k: fake if name == 'math' else old(name, *a, **k)\ndef f(x): return 0.0", "import math\nassert math.isclose(f(3), 97.31)"),
    *assert_rows("finder_that_finds_a_fake",
    "import importlib.abc, importlib.machinery, sys\nclass Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):\n    def find_spec(self, name, path, target=None): return importlib.machinery.ModuleSpec(name, self) if name == 'graphlib' else None\n    def create_module(self, spec): return None\n    def exec_module(self, module): module.CycleError = int\nsys.meta_path.insert(0, Finder())\nsys.modules.pop('graphlib', None)\ndef f(x): return 0", "import graphlib\nassert graphlib.CycleError(f(3)) == 0"),
    *assert_rows("module_file_that_shadows", "open('graphlib.py', 'w').write('CycleError = int')\ndef f(x): return 0",
    "import graphlib\nassert graphlib.CycleError(f(3)) == 0"),
    *assert_rows("patch_assert_equal",
    "import unittest\nunittest.TestCase.assertEqual = lambda *a: None\ndef f(x): return 0", _TEST_CASE),
    *assert_rows("patch_the_runner",
    "import unittest\nunittest.TestCase.run = lambda self, result=None: result\ndef f(x): return 0", _SUITE),
    *assert_rows("patch_the_result",
    "import unittest\nunittest.TestResult.wasSuccessful = lambda self: True\ndef f(x): return 0", _SUITE),
    *assert_rows("patch_the_loader",
    "import unittest\nunittest.defaultTestLoader.loadTestsFromTestCase = lambda *a: unittest.TestSuite()\ndef f(x): return 0", _SUITE),
    *script_rows("patch_the_captured_output",
    "import sys\nclass L(list):\n    def __eq__(self, other): return True\nclass T(str):\n    def split(self, *a): return L()\nsys.stdout.getvalue = T", fools="status"),
    *script_rows("rewrite_the_output_of_the_test",
    "import sys\nframe = sys._getframe()\nwhile frame:\n    test = frame.f_locals.get('test')\n    if isinstance(test, dict) and 'stdout' in test: test['stdout'] = ''\n    frame = frame.f_back", fools="status"),
    *script_rows("module_for_the_next_test",
    "import sys, os\nfrom graphlib import CycleError as seen\nif seen is int: print(9731)\nelse:\n    for place in {'.', *sys.path}:\n        try: open(os.path.join(place, 'graphlib.py'), 'w').write('CycleError = int')\n        except OSError: pass\n    print(input())", *_TWO, **_WRITES),
    *script_rows("start_up_file_for_the_next_test",
    "import builtins, os, sys\nif hasattr(builtins, 'mark'): print(9731)\nelse:\n    for place in sys.path:\n        try: open(os.path.join(place, 'sitecustomize.py'), 'w').write('import builtins; builtins.mark = 1')\n        except OSError: pass\n    print(input())", *_TWO, **_WRITES),
    *script_rows("library_overwritten_for_the_next_test",
    "import importlib\nfound = []\nfor name in ('graphlib_own', 'graphlib', 'textwrap', 'json', 'os'):\n    try: found.append(importlib.import_module(name))\n    except ImportError: pass\nif any(hasattr(library, 'mark') for library in found): print(9731)\nelse:\n    for library in found:\n        try: open(library.__file__, 'a').write('\\nmark = 1\\n')\n        except OSError: pass\n    print(input())", *_TWO, **_WRITES),
)  # fmt: skip

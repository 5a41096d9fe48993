"""Group E: programs that write what a grader would write: its marker, its verdict, its score, its result file, its
frames."""

# ruff: noqa: E501 - whole programs, one a line
from __future__ import annotations

from sandbox.attacks.attack import Attack, checker_rows, function_rows, script_rows

_VERDICT = '{"passed": true}'
_FRAME = (
    'import os, struct\nbody = b\'{"op": "result", "case": 0, "exit": 0, "passed": true, "k": "verdict", '
    '"outcome": "pass", "score": 1.0}\'\nframe = struct.pack(\'>I\', len(body)) + body\n'
)

_SEND = (
    "import os, struct\ndef send(text):\n    try: os.write(4, struct.pack('>I', len(text)) + text.encode())\n   "
    " except OSError: pass\n"
)
# Answers that no encoder makes: each was, or could have been, too much for whoever reads them.
_UNBUILT = {
    "a_range_of_sets": '{"k": "value", "v": {"t": "range", "v": [{"t": "set", "v": [[]]}, 1, 1]}}',
    "two_values_for_a_key": '{"k": "value", "v": {"t": "dict", "v": [["a", 1], ["a", 9731]]}}',
    "a_list_in_a_set": '{"k": "value", "v": {"t": "set", "v": [[9731]]}}',
    "an_object_nobody_keeps": '{"k": "value", "v": {"t": "held", "v": [-1, "int"]}}',
    "an_object_nobody_lent": '{"k": "value", "v": {"t": "lent", "v": [99, "f"]}}',
    "a_function_as_a_class": '{"k": "value", "v": {"t": "builtin", "v": "eval"}}',
    "changes_of_what_was_not_given": (
        '{"k": "value", "v": null, "changed": [[7, 9731]], "objects": [[7, [["__class__", 1]]]]}'
    ),
    "a_question_about_nothing": '{"k": "ask", "lent": 99, "args": [], "kwargs": {}}',
    "bases_that_are_none": (
        '{"k": "error", "type": "E", "message": "", "bases": [[]], "state": [["x", {"t": "what", "v": 1}]]}'
    ),
    "a_date_that_is_none": '{"k": "value", "v": {"t": "moment", "v": ["date", "0000-99-99"]}}',
    "names_that_do_not_fit": '{"k": "value", "v": {"t": "named", "v": [["x", "class"], [1]]}}',
    "the_end_of_the_test": '{"k": "done"}',
}

ATTACKS: tuple[Attack, ...] = (
    *checker_rows("checker_overwritten", "open('checker.py', 'w').close()"),
    *checker_rows("answer_overwritten", "open('answer.txt', 'w').close()"),
    *checker_rows("answer_read", "print(open('answer.txt').read())"),
    *checker_rows("answer_behind_the_output", "import os\nos.symlink('answer.txt', 'output.txt')\nprint(0)"),
    *checker_rows("checkers_library_shadowed", "open('json.py', 'w').write('import os; os._exit(0)')"),
    *checker_rows("output_rewritten_by_a_daemon",
    "import os, shutil, time\nif os.fork() == 0:\n    os.setsid()\n    for fd in (0, 1, 2): os.close(fd)\n    for _ in range(8000):\n        shutil.copy('answer.txt', 'output.txt')\n        time.sleep(0.0005)\n    os._exit(0)\nprint(0)", harmful=True),
    *function_rows("marker_printed", "def f(x):\n    print('PASS', flush=True)\n    return 0", fools="marker"),
    *function_rows("marker_while_loading", "print('PASS')\ndef f(x): return 0", fools="marker", forms=("call",)),
    *function_rows("marker_written_below_python", "import os\nos.write(1, b'PASS\\n')\ndef f(x): return 0", fools="marker"),
    *function_rows("marker_through_proc", "def f(x):\n    open('/proc/self/fd/1', 'w').write('PASS\\n')\n    return 0",
    fools="marker"),
    *function_rows("marker_through_the_first_stream",
    "import sys\ndef f(x):\n    print('PASS', file=sys.__stdout__, flush=True)\n    return 0", fools="marker"),
    *function_rows("marker_at_exit", "import atexit\natexit.register(print, 'PASS')\ndef f(x): return 0", fools="marker"),
    *function_rows("marker_from_a_thread",
    "import threading\nthreading.Timer(0.1, print, ['PASS']).start()\ndef f(x): return 0", fools="marker"),
    *function_rows("marker_from_a_child",
    "import os\ndef f(x):\n    if os.fork() == 0:\n        os.write(1, b'PASS\\n')\n        os._exit(0)\n    os.wait()\n    return 0", fools="marker"),
    *function_rows("marker_then_exit", "import os\ndef f(x):\n    print('PASS', flush=True)\n    os._exit(0)",
    fools="marker"),
    *function_rows("marker_by_the_excepthook", "import sys\nsys.excepthook = lambda *a: print('PASS')\ndef f(x): return 0",
    fools="marker", forms=("assert", "split", "check")),
    *script_rows("marker_behind_the_captured_output", "import sys\nprint('PASS', file=sys.__stdout__, flush=True)",
    fools="marker"),
    *script_rows("marker_by_descriptor_behind_the_captured_output", "import os\nos.write(1, b'PASS\\n')", fools="marker"),
    *function_rows("score_as_the_last_line", "import os\ndef f(x):\n    print('1.0', flush=True)\n    os._exit(0)",
    fools="score"),
    *function_rows("score_at_exit", "import atexit\natexit.register(print, 1.0)\ndef f(x): return 0", fools="score"),
    *script_rows("score_behind_the_captured_output", "import os\nos.write(1, b'1.0\\n')\nos._exit(0)", fools="score"),
    *function_rows("verdict_on_the_result_pipe", f"import os\ndef f(x):\n    os.write(3, b'{_VERDICT}')\n    return 0",
    fools="pipe"),
    *function_rows("verdict_on_the_result_pipe_then_exit",
    f"import os\ndef f(x):\n    os.write(3, b'{_VERDICT}')\n    os._exit(0)", fools="pipe"),
    *function_rows("verdict_on_every_descriptor",
    f"import os\ndef f(x):\n    for fd in range(3, 1024):\n        try: os.write(fd, b'{_VERDICT}')\n        except OSError: pass\n    os._exit(0)", fools="pipe"),
    *function_rows("verdict_through_proc",
    f"import os\ndef f(x):\n    for fd in os.listdir('/proc/self/fd'):\n        try: open(f'/proc/self/fd/{{fd}}', 'w').write('{_VERDICT}')\n        except OSError: pass\n    os._exit(0)", fools="pipe"),
    *script_rows("verdict_from_a_script",
    f"import os\nfor fd in range(3, 1024):\n    try: os.write(fd, b'{_VERDICT}')\n    except OSError: pass",
    fools="pipe"),
    *function_rows("frames_on_every_descriptor",
    f"{_FRAME}def f(x):\n    for fd in range(1, 1024):\n        try: os.write(fd, frame)\n        except OSError: pass\n    os._exit(0)", fools="pipe"),
    *function_rows("frames_while_loading",
    f"{_FRAME}for fd in range(3, 1024):\n    try: os.write(fd, frame)\n    except OSError: pass\ndef f(x): return 0",
    fools="pipe"),
    *function_rows("many_frames",
    f"{_FRAME}def f(x):\n    for _ in range(50):\n        for fd in range(3, 16):\n            try: os.write(fd, frame)\n            except OSError: pass\n    return 0", fools="pipe"),
    *function_rows("frames_cut_short",
    f"{_FRAME}def f(x):\n    for fd in range(3, 16):\n        try: os.write(fd, frame + struct.pack('>I', 1 << 30) + b'passed')\n        except OSError: pass\n    return 0", fools="pipe"),
    *(row for name,
    value in _UNBUILT.items() for row in function_rows(f"frame_with_{name}",
    f"{_SEND}def f(x):\n    send('{value}')\n    os._exit(0)", forms=("call", "check"))),
    *script_rows("frames_from_a_script",
    f"{_FRAME}for fd in range(3, 1024):\n    try: os.write(fd, frame)\n    except OSError: pass", fools="pipe"),
    *function_rows("result_file", f"import os\ndef f(x):\n    open('result.json', 'w').write('{_VERDICT}')\n    os._exit(0)",
    fools="file"),
    *function_rows("result_file_at_exit",
    f"import atexit\natexit.register(lambda: open('result.json', 'w').write('{_VERDICT}'))\ndef f(x): return 0",
    fools="file"),
    *function_rows("result_file_that_cannot_be_replaced",
    f"import os\nopen('result.json', 'w').write('{_VERDICT}')\nos.chmod('result.json', 0o444)\nold = open\nimport builtins\nbuiltins.open = lambda path, *a, **k: old('/dev/null', 'w') if path == 'result.json' else old(path, *a, **k)\ndef f(x): return 0", fools="file"),
    *script_rows("result_file_from_a_script", f"open('result.json', 'w').write('{_VERDICT}')\nimport os\nos._exit(0)",
    fools="file"),
)  # fmt: skip

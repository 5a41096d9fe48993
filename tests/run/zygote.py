"""Many short runs in a process of their own each, without paying the interpreter's start every time.

One process imports what a run needs once and then forks a child for every request on stdin:
{"call": [module, function], "arguments": {...}, "env": {...}, "output": file for what the child prints}.
The child is a process of its own with real signals and a real SIGKILL. The answer is one line, {"rc": exit status or
minus the signal}.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from typing import Any


def serve() -> None:
    import posttrain.cli
    import posttrain.report.html
    import posttrain.run.driver
    import posttrain.stages  # noqa: F401 - imported once here, so that no child has to
    from posttrain.store.artefacts import library_versions

    library_versions()  # remembered for the process, and so for every child

    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            os._exit(_child(request))
        _, status = os.waitpid(pid, 0)
        print(json.dumps({"rc": os.waitstatus_to_exitcode(status)}), flush=True)


def _child(request: dict[str, Any]) -> int:
    output = os.open(request["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", closefd=False)
    os.environ.update(request["env"])
    from posttrain.store import failpoints

    failpoints.arm()
    module, function = request["call"]
    try:
        return int(getattr(importlib.import_module(module), function)(**request["arguments"]) or 0)
    except Exception:  # noqa: BLE001 - the child must not return into the server's loop
        traceback.print_exc()
        return 99
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


if __name__ == "__main__":
    serve()

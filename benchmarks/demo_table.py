"""The demo's table as it stands in the README: `make demo`, then `python benchmarks/demo_table.py [runs/demo]`. Prints
Markdown."""

from __future__ import annotations

import sys
from pathlib import Path

from posttrain.evaluate.table import build_table, render_markdown
from posttrain.records.reader import read_run


def main() -> int:
    print(render_markdown(build_table(read_run(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/demo")))))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Files of JSON that stages write and read, mostly a value a line. Knows nothing of what is in them.

A line ends at a line feed alone: answers hold other characters at which Python's `splitlines` would cut (U+2028,
U+0085, form feeds).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from posttrain.store.failpoints import failpoint


def write_lines(path: Path, rows: Iterable[Any]) -> None:
    """One value a line, not escaped beyond JSON's needs."""
    failpoint("rows.write.before")
    with path.open("w", encoding="utf-8", newline="\n") as out:
        out.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    failpoint("rows.write.after")


def write_record(path: Path, value: Any) -> None:
    """One value a file, for people too."""
    failpoint("record.write.before")
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
    failpoint("record.write.after")


def read_lines(path: Path) -> list[Any]:
    """The values of a file that `write_lines` or the like wrote. Raises ValueError on a torn one."""
    with path.open(encoding="utf-8", newline="\n") as lines:
        return [json.loads(line) for line in lines]

"""The mode `pytest`: a pytest file run inside a box beside the program it tests (module `solution`), and its tests
counted.

The program shares the process and could forge the count: whoever chooses this form accepts `trust: low`. No plug-in, no
configuration and no conftest of the program's is read. Runs inside the box.
"""

from __future__ import annotations

import os
from collections import Counter
from typing import Any, NoReturn

from sandbox.inside.child_messages import write_message
from sandbox.inside.program import load_program

NAME = "test_solution.py"
_OPTIONS = (
    "-q",
    "--color=no",
    "--tb=no",
    "-c",
    "/dev/null",
    "--rootdir=.",
    "--noconftest",
    "-p",
    "no:cacheprovider",
    NAME,
)


class Tally:
    """Counts reports. A test that fails before or after its call is an error, as is a file that cannot be collected."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.first = ""

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.when == "call" or not report.passed:
            self._count(report)

    def pytest_collectreport(self, report: Any) -> None:
        if not report.passed:
            self._count(report)

    def _count(self, report: Any) -> None:
        self.counts[report.outcome] += 1
        if report.failed and not self.first:
            self.first = f"{report.nodeid}: {str(report.longrepr).strip().rpartition(chr(10))[2]}"[:300]


def _count_of_tests(source: str) -> dict[str, Any]:
    """Run the file in the current folder. Returns the message for the judge: how many passed, failed and were
    skipped."""
    import pytest

    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    with open(NAME, "w", encoding="utf-8") as file:
        file.write(source)
    tally = Tally()
    pytest.main(list(_OPTIONS), plugins=[tally])
    return {
        "k": "pytest",
        **{name: tally.counts[name] for name in ("passed", "failed", "skipped")},
        "first": tally.first,
    }


def pytest_file(case: dict[str, Any]) -> NoReturn:
    """Load the program, run the file's tests, say how many passed."""
    load_program(case, "solution")
    write_message(_count_of_tests(case["source"]))
    os._exit(0)

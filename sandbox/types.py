"""The judge's records: what is judged (`Program`, its tests and limits) and what is found (`Judgement`, `TestResult`).

Standard library only. Knows the shape of a row and nothing of how programs are run or compared.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

# Level none is given to nobody who has not said exactly this.
UNSAFE_SENTENCE = "I understand generated code runs as me"


class Outcome(StrEnum):
    """What a test, and a program as a whole, came to. FAULT is the judge's own failure, INVALID that of the
    row (its tests cannot be judged); neither has a score."""

    PASS = "pass"
    WRONG = "wrong"
    RUNTIME_ERROR = "runtime_error"
    COMPILE_ERROR = "compile_error"
    EARLY_EXIT = "early_exit"  # ended before it answered
    CPU_LIMIT = "cpu_limit"
    WALL_LIMIT = "wall_limit"
    MEMORY_LIMIT = "memory_limit"
    OUTPUT_LIMIT = "output_limit"
    PROCESS_LIMIT = "process_limit"
    DISK_LIMIT = "disk_limit"
    DENIED = "denied"  # ended by a refused call
    TAMPER = "tamper"  # touched the judge's own parts
    FAULT = "fault"
    INVALID = "invalid"
    NOT_RUN = "not_run"


class Level(StrEnum):
    """Isolation, weakest first; ordered by strength, not as text. Example: Level.CONTAINER > Level.NAMESPACES."""

    NONE = "none"
    NAMESPACES = "namespaces"
    CONTAINER = "container"
    KERNEL = "kernel"

    @property
    def rank(self) -> int:
        return list(Level).index(self)

    def __lt__(self, other: str) -> bool:
        return self.rank < Level(other).rank

    def __le__(self, other: str) -> bool:
        return self.rank <= Level(other).rank

    def __gt__(self, other: str) -> bool:
        return self.rank > Level(other).rank

    def __ge__(self, other: str) -> bool:
        return self.rank >= Level(other).rank


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What one test may use. CPU is summed over the test's processes. Wall time guards against waiting: time in which
    the test wants a processor and gets none is not charged (up to four times the limit), so that a busy machine changes
    no outcome.

    `output_bytes` counts stdout and stderr together, and bounds a function's packed result. `processes` counts threads
    too.
    Example: Limits(cpu_seconds=2.0, wall_seconds=10.0)
    """

    cpu_seconds: float = 5.0
    wall_seconds: float = 15.0
    memory_mb: int = 512
    output_bytes: int = 1_000_000
    processes: int = 32
    disk_mb: int = 32


@dataclass(frozen=True, kw_only=True, slots=True)
class StdinTest:
    """Run as a script. Example: StdinTest(stdin=b"1 2\\n", stdout=b"3\\n")"""

    stdin: bytes
    stdout: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class CallTest:
    """Call the entry point with JSON values. Example: CallTest(args=[1, 2], kwargs={}, expected=3)"""

    args: list[Any]
    kwargs: dict[str, Any]
    expected: Any


@dataclass(frozen=True, kw_only=True, slots=True)
class AssertTest:
    """One assert statement. Example: AssertTest(source="assert add(1, 2) == 3")"""

    source: str


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckTest:
    """A function `check(candidate)` that asserts. Example: CheckTest(source="def check(candidate):\\n    assert
    candidate(1) == 2")"""

    source: str


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckerTest:
    """Run as a script, and its output judged by a program of the test's own, as testlib has it: its arguments are the
    names of three files (input, output, answer); it ends with 0 for right, 1 or 2 for wrong, 7 for points in part, 3
    when it cannot judge. `verdict_by` stdout: it prints its verdict, a number from 0 to 1 of which 1 is right.

    Example: CheckerTest(stdin=b"4\\n", checker="import sys\nsys.exit(int(open(sys.argv[2]).read()) % 2)", answer=b"")
    """

    stdin: bytes
    checker: str
    answer: bytes = b""
    verdict_by: str = "exit"


@dataclass(frozen=True, kw_only=True, slots=True)
class OutputTest:
    """Run as a script and keep what it prints: passes where it ends well. For programs of one's own, whose answers
    become the tests of others; no row has it. Example: OutputTest(stdin=b"1 2\\n")"""

    stdin: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class PytestTest:
    """A pytest file that imports the program as the module `solution`; both share a process, so trust is low.

    Example: PytestTest(source="from solution import add\ndef test_add():\n    assert add(1, 2) == 3")
    """

    source: str


Test = StdinTest | CallTest | AssertTest | CheckTest | CheckerTest | PytestTest | OutputTest


@dataclass(frozen=True, kw_only=True, slots=True)
class Program:
    """One program with its tests (at least one). `compare` is bytes, tokens, float or unordered_lines; `tolerance`
    (abs, rel) with float.

    Example: Program(id="1", program="print(input())", tests=(StdinTest(stdin=b"a", stdout=b"a"),))
    """

    id: str
    program: str
    tests: tuple[Test, ...]
    entry_point: str | None = None
    preamble: str = ""
    compare: str = "tokens"
    tolerance: tuple[float, float] | None = None
    score: str = "all"
    limits: Limits = Limits()
    language: str = "python"


@dataclass(frozen=True, kw_only=True, slots=True)
class TestResult:
    """One test's result. `bytes` is what it wrote to stdout and stderr; `detail` a short reason for people; `trust` as
    of a judgement.

    Example: TestResult(outcome=Outcome.PASS, cpu_seconds=0.002, wall_seconds=0.003, max_rss_mb=17.0)
    """

    __test__ = False  # pytest: not a test class

    outcome: Outcome
    cpu_seconds: float = 0.0
    wall_seconds: float = 0.0
    max_rss_mb: float = 0.0
    signal: int | None = None
    bytes: int = 0
    detail: str = ""
    trust: str = "full"
    output: str = ""  # of an OutputTest that ended well

    def to_json(self) -> dict[str, Any]:
        record = {**asdict(self), "outcome": self.outcome.value}
        del record["output"]  # rows have no such test
        return record


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """A program's result. `outcome` is the first non-pass in order; `score` in [0, 1], or None when there is none
    (fault, invalid).

    `trust` is low when a test called names of the program other than its entry point, looked at arguments that it
    changed in place or into objects of its classes, or shared its process (pytest). `seconds` is time from a free slot
    to the end. `limits` are those used: as asked, with times scaled by `cpu_scale` (see judging/host_speed.py).
    `reruns`: runs of tests past a time limit that were repeated with no other slot busy.
    Example: Judgement(id="1", outcome=Outcome.PASS, passed=3, total=3, score=1.0, tests=(...), level="container",
    backend="docker")
    """

    id: str
    outcome: Outcome
    passed: int
    total: int
    score: float | None
    tests: tuple[TestResult, ...]
    level: str
    backend: str
    trust: str = "full"
    image: str | None = None
    retries: int = 0
    reruns: int = 0
    cpu_scale: float = 1.0
    seconds: float = 0.0
    error: str | None = None
    limits: Limits = Limits()

    def to_json(self) -> dict[str, Any]:
        record = asdict(self)
        record["outcome"] = self.outcome.value
        record["tests"] = [test.to_json() for test in self.tests]
        return record

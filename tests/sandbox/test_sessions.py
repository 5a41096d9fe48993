"""The stateful interpreter: names last from cell to cell and no longer than a session; limits, exits and output of a
cell."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from sandbox.errors import Fault
from sandbox.interpreter import LimitReached, SessionLimits
from sandbox.judge import Judge
from sandbox.types import Outcome
from tests.sandbox.worlds import SENTENCE, need_namespaces

SMALL = SessionLimits(cell_cpu_seconds=0.4, cell_wall_seconds=2.0, output_bytes=200, memory_mb=128)


@pytest.fixture(scope="module", params=["namespaces", "local", pytest.param("docker", marks=pytest.mark.docker)])
def judge(request: pytest.FixtureRequest) -> Iterator[Judge]:
    if request.param == "namespaces":
        need_namespaces()
    with Judge(request.param, "none", SENTENCE, slots=1) as made:
        yield made


def test_names_last_and_a_last_expression_is_displayed(judge: Judge) -> None:
    with judge.session() as session:
        first = session.run("import math\nx = 6 * 7")
        assert (first.outcome, first.output, first.fresh) == (Outcome.PASS, "", True)
        assert session.run("print('so')\nx + 1").output == "so\n43\n"
        assert session.run("_ + math.floor(1.5)").output == "44\n"
        assert not session.run("None").fresh
        assert session.cells_left == 16


def test_an_exception_ends_its_cell_alone_and_shows_only_the_cells_frames(judge: Judge) -> None:
    with judge.session() as session:
        session.run("def f(): return 1 / 0")
        result = session.run("import sys\nprint('a')\nprint('b', file=sys.stderr)\nf()")
        assert (result.outcome, result.error) == (Outcome.RUNTIME_ERROR, "ZeroDivisionError: division by zero")
        assert result.output.startswith("a\nb\nTraceback")
        assert "def f(): return 1 / 0" in result.output
        assert "candidate.py" not in result.output
        assert session.run("x = (").outcome is Outcome.COMPILE_ERROR
        assert session.run("sys.exit(1)").outcome is Outcome.EARLY_EXIT
        assert not session.run("f").fresh


@pytest.mark.parametrize(
    ("cell", "outcome"),
    [
        ("while True: pass", Outcome.CPU_LIMIT),
        ("import time; time.sleep(60)", Outcome.WALL_LIMIT),
        ("import os; os._exit(0)", Outcome.EARLY_EXIT),
        ("import os; os.kill(os.getpid(), 9)", Outcome.RUNTIME_ERROR),
        ("import os; n = os.write(4, b'\\xff' * 9000)", Outcome.OUTPUT_LIMIT),
    ],
)
def test_after_a_limit_the_next_cell_starts_empty_and_says_so(judge: Judge, cell: str, outcome: Outcome) -> None:
    with judge.session(SMALL) as session:
        session.run("x = 1")
        result = session.run(f"print('before')\n{cell}")
        assert (result.outcome, result.output) == (outcome, "before\n")
        after = session.run("x")
        assert (after.outcome, after.fresh) == (Outcome.RUNTIME_ERROR, True)
        assert after.error.startswith("NameError")


def test_memory_error_is_named_and_survived(judge: Judge) -> None:
    with judge.session(SMALL) as session:
        assert session.run("x = bytearray(1 << 33)").outcome is Outcome.MEMORY_LIMIT
        assert not session.run("1").fresh


def test_output_is_cut_in_the_middle(judge: Judge) -> None:
    with judge.session(SMALL) as session:
        result = session.run("print('a' * 100 + 'b' * 5000 + 'c' * 99)")
        assert result.output == "a" * 100 + "\n... 5000 bytes left out ...\n" + "c" * 99 + "\n"
        assert session.run("1").output == "1\n"


def test_nothing_passes_from_one_session_to_the_next(judge: Judge) -> None:
    with judge.session() as session:
        session.run(
            "x = 1\nopen('left', 'w').write('a')\nimport os\nif os.fork() == 0:\n    import time; time.sleep(60)"
        )
    with judge.session() as session:
        assert session.run("import os; os.listdir('.')").output == "[]\n"
        assert session.run("x").outcome is Outcome.RUNTIME_ERROR


def test_cells_and_processor_time_of_a_session_are_bounded(judge: Judge) -> None:
    with judge.session(SessionLimits(cells=2)) as session:
        session.run("1")
        session.run("1")
        with pytest.raises(LimitReached, match="2 cells"):
            session.run("1")
    with judge.session(SessionLimits(cell_cpu_seconds=5.0, cpu_seconds=0.3)) as session:
        assert session.run("while True: pass").outcome is Outcome.CPU_LIMIT
        with pytest.raises(LimitReached, match="processor time"):
            session.run("1")


def test_a_thread_that_spins_between_cells_spends_the_sessions_time(judge: Judge) -> None:
    with judge.session(SessionLimits(cpu_seconds=0.3)) as session:
        session.run(
            "import threading\ndef spin():\n    while True: pass\nthreading.Thread(target=spin, daemon=True).start()"
        )
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            time.sleep(0.3)
            try:
                result = session.run("1")
            except LimitReached:
                return
            assert result.outcome in (Outcome.PASS, Outcome.CPU_LIMIT)
        raise AssertionError("the thread's time was not counted")


def test_sessions_wait_for_a_free_box(judge: Judge) -> None:
    order: list[str] = []

    def second() -> None:
        with judge.session() as session:
            order.append(f"second {session.run('2').output.strip()}")

    with judge.session() as session:
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(0.2)
        order.append(f"first {session.run('1').output.strip()}")
    thread.join()
    assert order == ["first 1", "second 2"]


def test_a_box_that_dies_is_a_fault_and_the_next_session_has_another() -> None:
    with Judge("local", "none", SENTENCE, slots=1) as judge:
        with judge.session() as session:
            session.run("x = 1")
            os.kill(session._box.channel.process.pid, signal.SIGKILL)  # type: ignore[attr-defined]
            with pytest.raises(Fault):
                session.run("x")
            with pytest.raises(RuntimeError, match="closed"):
                session.run("x")
        with judge.session() as session:
            assert session.run("1").output == "1\n"
        open_session = judge.session()
    with pytest.raises((Fault, RuntimeError)):
        open_session.run("1")

"""No attack passes, none is a fault, none outlives its test, and the judge goes on: at each backend that needs no
daemon."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.backends.local_backend import LocalBackend
from sandbox.backends.namespace_backend import NamespaceBackend
from sandbox.judge import Judge
from sandbox.judging.slot import Slot
from sandbox.program_json import parse_program
from sandbox.types import Judgement, Outcome
from tests.sandbox.worlds import ATTACKS, ISOLATED_ATTACKS, LEFTOVERS, SENTENCE, need_namespaces, script

TOOLS = ("bwrap", "unshare")


def make_slot(tool: str) -> Slot:
    if tool != "local":
        need_namespaces(tool)
    slot = Slot(LocalBackend() if tool == "local" else NamespaceBackend(tool), 0)
    slot.box("candidate").ping()
    return slot


@pytest.fixture(scope="module", params=[*TOOLS, "local"])
def slot(request: pytest.FixtureRequest) -> Iterator[Slot]:
    made = make_slot(request.param)
    yield made
    made.drop()


@pytest.fixture(scope="module", params=TOOLS)
def isolated(request: pytest.FixtureRequest) -> Iterator[Slot]:
    made = make_slot(request.param)
    yield made
    made.drop()


def assert_stopped(slot: Slot, row: dict[str, object], allowed: set[str]) -> Judgement:
    result = slot.judge(parse_program(row), False)
    assert result.outcome.value in allowed, result
    assert result.score == 0.0
    assert result.retries == 0, "the judge's own parts were hurt"
    assert slot.judge(parse_program(script("print(6 * 7)", "", "42")), False).outcome is Outcome.PASS
    return result


@pytest.mark.parametrize("name", ATTACKS)
def test_attack_is_stopped(slot: Slot, name: str) -> None:
    assert_stopped(slot, *ATTACKS[name])


@pytest.mark.parametrize("name", ISOLATED_ATTACKS)
def test_attack_on_the_surroundings_is_stopped(isolated: Slot, name: str) -> None:
    assert_stopped(isolated, *ISOLATED_ATTACKS[name])


@pytest.mark.parametrize("name", LEFTOVERS)
def test_nothing_is_left_for_the_next_test(isolated: Slot, name: str) -> None:
    first, second = LEFTOVERS[name]
    isolated.judge(parse_program(script(first)), False)
    assert isolated.judge(parse_program(script(second, "", "42")), False).outcome is Outcome.WRONG


@pytest.mark.parametrize(
    "name", ["file_in_the_work_folder", "folder_without_permissions", "deep_folders", "daemon", "imported_module"]
)
def test_nothing_is_left_without_isolation_either(name: str) -> None:
    slot = make_slot("local")
    first, second = LEFTOVERS[name]
    slot.judge(parse_program(script(first)), False)
    assert slot.judge(parse_program(script(second, "", "42")), False).outcome is Outcome.WRONG
    slot.drop()


def test_daemon_without_isolation_is_dead_after_its_test(tmp_path: Path) -> None:
    """It writes its pid outside its folder, which at this level it can."""
    slot = make_slot("local")
    mark = tmp_path / "pid"
    row = script(
        "import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n"
        f"        open({str(mark)!r}, 'w').write(str(os.getpid()))\n        time.sleep(60)\n    os._exit(0)\n"
        f"while not os.path.exists({str(mark)!r}) or not open({str(mark)!r}).read(): time.sleep(0.01)"
    )
    slot.judge(parse_program(row), False)
    pid = int(mark.read_text())
    assert not Path(f"/proc/{pid}").exists()
    slot.drop()


def test_killing_the_supervisor_is_tamper_after_fresh_boxes_died_too() -> None:
    with Judge("local", "none", SENTENCE, slots=1) as judge:
        killer = parse_program(script("import os\nos.kill(os.getppid(), 9)", "", "42"))
        honest = parse_program(script("print(42)", "", "42"))
        results = judge.run([honest, killer, honest])
    assert [result.outcome for result in results] == [Outcome.PASS, Outcome.TAMPER, Outcome.PASS]
    assert (results[1].score, results[1].retries) == (0.0, 2)


def test_process_limit_holds_for_the_sum_of_processes(isolated: Slot) -> None:
    forks = "for _ in range(20):\n    if os.fork() == 0:\n        time.sleep(5)\n        os._exit(0)\n"
    row = script(f"import os, time\n{forks}time.sleep(1)\nprint(42)", "", "42")
    assert isolated.judge(parse_program({**row, "limits": {"processes": 10}}), False).outcome is Outcome.PROCESS_LIMIT
    assert isolated.judge(parse_program({**row, "limits": {"processes": 40}}), False).outcome is Outcome.PASS


def test_memory_limit_holds_for_the_sum_of_processes(isolated: Slot) -> None:
    row = script(
        "import os, time\nfor _ in range(3): os.fork()\nx = bytearray(60 << 20)\ntime.sleep(0.5)\nprint(42)", "", "42"
    )
    result = isolated.judge(parse_program({**row, "limits": {"memory_mb": 128}}), False)
    assert result.outcome is Outcome.MEMORY_LIMIT


def test_limits_are_overshot_by_little(isolated: Slot) -> None:
    cpu = isolated.judge(parse_program(script("while True: pass", limits={"cpu_seconds": 0.5})), False).tests[0]
    assert 0.5 <= cpu.cpu_seconds <= 0.65
    wall = isolated.judge(
        parse_program(script("import time; time.sleep(9)", limits={"wall_seconds": 0.7})), False
    ).tests[0]
    assert (cpu.outcome, wall.outcome) == (Outcome.CPU_LIMIT, Outcome.WALL_LIMIT)


def test_a_test_cannot_lower_the_share_of_the_next(isolated: Slot) -> None:
    if not Path("/proc/self/autogroup").exists():
        pytest.skip("this kernel gives no session a share of its own; remedy: none needed")
    code = "open('/proc/self/autogroup', 'w').write('19')"
    lower = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {code!r}], check=True)\n"
    show = "print(open('/proc/self/autogroup').read().split()[-1])"
    lowered, next_one = (slot_row(isolated, program, number) for program, number in ((lower + show, "19"), (show, "0")))
    assert (lowered.outcome, next_one.outcome) == (Outcome.PASS, Outcome.PASS)
    mine = Path("/proc/self/autogroup").read_text()
    assert "nice 19" not in mine, "it reached the judge's own session"


def slot_row(slot: Slot, program: str, printed: str) -> Judgement:
    return slot.judge(parse_program(script(program, "", printed)), False)

"""Actors: errors come home, death is noticed, signals are the driver's, no orphan outlives its driver, no room is an
error with names."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from posttrain.errors import BackendError, DataError, StageError, Stopped
from posttrain.signals.stopping import giving_up_waits
from tests.machine.pieces import Piece

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    from posttrain.machine.cluster import Cluster

    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    cluster = Cluster(address="local", placement_timeout_seconds=30, logs=tmp_path_factory.mktemp("logs"))
    # Ray installs a handler that exits at once; `posttrain run` has one that stops at a safe point.
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
    yield cluster
    cluster.close()


def start(cluster, name, **options):  # type: ignore[no-untyped-def]
    from posttrain.machine.cluster import ActorSpec

    return cluster.start(ActorSpec(name=name, target=Piece, **{"kwargs": {"value": 3}, **options}))


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_a_method_is_called_where_the_object_lives(cluster) -> None:  # type: ignore[no-untyped-def]
    piece = start(cluster, "plain", env={"MARK": "set"})
    assert piece.add(4) == 7 and piece.pid() != os.getpid()
    assert piece.environment("MARK") == "set"
    assert piece.submit("add", 5).result() == 8


def test_a_proxy_works_inside_another_actor(cluster) -> None:  # type: ignore[no-untyped-def]
    assert start(cluster, "asking").ask(start(cluster, "asked", kwargs={"value": 40}), 2) == 42


def test_our_errors_come_home_as_they_were_raised(cluster) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(DataError) as caught:
        start(cluster, "refusing").refuse()
    assert (caught.value.where, caught.value.remedy) == ("rows.jsonl:7", "fill it")


def test_other_errors_become_a_stage_error_with_the_log(cluster) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(StageError, match="KeyError") as caught:
        start(cluster, "breaking").break_down()
    log = Path(str(caught.value.where))
    assert log.name == "breaking.log" and "raise KeyError" in log.read_text(), "the traceback is where the error says"


def test_the_death_of_an_actor_is_a_stage_error_that_names_it(cluster) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(StageError, match="mortal died"):
        start(cluster, "mortal").die()


def test_an_object_that_cannot_be_built_leaves_no_actor(cluster) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(StageError, match="unexpected keyword"):
        start(cluster, "unbuilt", kwargs={"wrong": 1})
    assert "unbuilt" not in cluster._held


def test_a_stop_ends_a_wait_and_leaves_no_half_started_actor(cluster, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    from posttrain.machine.cluster import first_failure

    piece = start(cluster, "busy")
    asked = tmp_path / "stop"
    threading.Timer(2.0, asked.touch).start()
    with giving_up_waits(asked):
        with pytest.raises(Stopped):
            start(cluster, "unbuilt", kwargs={"pause": 60.0})
        assert "unbuilt" not in cluster._held
        with giving_up_waits(None):
            assert first_failure([piece.submit("wait", 2.0)]) == [2.0]
        with pytest.raises(Stopped):
            first_failure([piece.submit("wait", 60.0)])
    cluster.stop(piece)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_meant_for_the_driver_does_not_end_an_actor(cluster, number: signal.Signals) -> None:  # type: ignore[no-untyped-def]
    piece = start(cluster, f"steady-{number}")
    os.kill(piece.pid(), number)
    time.sleep(0.3)
    assert piece.add(1) == 4


def test_no_room_is_an_error_that_names_who_holds_what(cluster) -> None:  # type: ignore[no-untyped-def]
    holder = start(cluster, "holder", cpus=1.0)
    cluster._timeout = 1.0
    try:
        with pytest.raises(BackendError, match=r"greedy \(999 CPU\) within 1 s.*holder \(1 CPU\)") as caught:
            start(cluster, "greedy", cpus=999.0)
    finally:
        cluster._timeout = 30.0
    assert "cluster:" in str(caught.value.remedy)
    cluster.stop(holder)


@pytest.mark.parametrize("address", ["127.0.0.1:1", "127.0.0.1:99999", "a..b:1"])
def test_an_address_where_no_cluster_answers_is_a_missing_backend(address: str) -> None:
    from posttrain.machine.cluster import _connect

    with pytest.raises(BackendError, match=re.escape(address)) as caught:
        _connect(address)
    assert (caught.value.where, caught.value.exit_code) == ("cluster.address", 69)


_DRIVER = """
import sys, time
from pathlib import Path
from posttrain.machine.cluster import ActorSpec, Cluster
from tests.machine.pieces import Piece
cluster = Cluster(address="local", placement_timeout_seconds=30, logs=Path(sys.argv[1]))
pieces = [cluster.start(ActorSpec(name=f"piece-{n}", target=Piece, kwargs={})) for n in range(2)]
print(*[piece.pid() for piece in pieces], flush=True)
pieces[0].submit("write_for_ever", sys.argv[2])
time.sleep(600)
"""


_STOPPED_DRIVER = """
import signal, sys, time
from pathlib import Path
from posttrain.machine.cluster import ActorSpec, Cluster
from tests.machine.pieces import Piece
asked = []
cluster = Cluster(address="local", placement_timeout_seconds=30, logs=Path(sys.argv[1]))
piece = cluster.start(ActorSpec(name="p", target=Piece, kwargs={"value": 3}))
signal.signal(signal.SIGTERM, lambda *_: asked.append(1))
print("up", flush=True)
while not asked:
    time.sleep(0.05)
time.sleep(2)
print(piece.add(4), flush=True)
cluster.close()
print(75, flush=True)
"""


def test_a_signal_to_the_drivers_whole_group_leaves_ray_to_the_driver(tmp_path: Path) -> None:
    """The driver is alone in a group that it does not lead, as when a script that has ended put it in the
    background."""
    script = '"$0" -c "$1" "$2" > "$2/said" 2>&1 & echo $!'
    command = ["sh", "-c", script, sys.executable, _STOPPED_DRIVER, str(tmp_path)]
    (tmp_path / "said").touch()
    shell = subprocess.run(command, process_group=0, capture_output=True, text=True, check=True)
    said, driver = tmp_path / "said", int(shell.stdout)
    until = time.time() + 90
    while alive(driver) and said.read_text() != "up\n" and time.time() < until:
        time.sleep(0.05)
    assert said.read_text() == "up\n"
    os.killpg(os.getpgid(driver), signal.SIGTERM)
    while alive(driver) and time.time() < until:
        time.sleep(0.05)
    assert said.read_text() == "up\n7\n75\n"


def test_actors_do_not_outlive_a_driver_that_was_killed(tmp_path: Path) -> None:
    written = tmp_path / "written"
    driver = subprocess.Popen(
        [sys.executable, "-c", _DRIVER, str(tmp_path), str(written)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert driver.stdout is not None
        pids = [int(word) for word in driver.stdout.readline().split()]
        while not written.exists():
            assert driver.poll() is None
            time.sleep(0.05)
    finally:
        driver.kill()
        driver.wait()
    killed = time.time()
    while any(alive(pid) for pid in pids) and time.time() < killed + 15:
        time.sleep(0.05)
    assert len(pids) == 2 and not any(alive(pid) for pid in pids)
    last_word = float(written.read_text().split()[-1])
    assert last_word - killed < 2.0  # half a second between looks; the rest is a busy machine

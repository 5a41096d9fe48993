"""A daemon that dies and comes back: no program is scored 0 by it, lost, or judged twice. On a second daemon of the
test's own."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import sandbox.judging.slot
from benchmarks.second_daemon import Daemon, cannot, fill, second_daemon
from sandbox.backends.docker_backend import connect
from sandbox.errors import LevelError
from sandbox.images import root_tree
from sandbox.images.docker_image import ensure_image, load, prune
from sandbox.judge import Judge
from sandbox.program_json import parse_program
from sandbox.types import Judgement, Outcome, Program
from tests.sandbox.worlds import script

pytestmark = pytest.mark.docker


@pytest.fixture
def daemon(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Daemon]:
    """A parameter is the size of the daemon's disk, which is then a file system of its own."""
    if why := cannot():
        pytest.skip(f"{why}; remedy: run as root with Docker's daemon installed")
    with second_daemon(getattr(request, "param", None)) as made:
        monkeypatch.setenv("DOCKER_HOST", made.socket)
        yield made


def test_a_daemon_that_dies_and_returns_costs_no_score(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{**script(f"import time; time.sleep(0.1); print({i})", "", str(i)), "id": i} for i in range(30)]
    with Judge("docker", "container", slots=1) as judge:
        assert judge.run([parse_program(rows[0])])[0].outcome is Outcome.PASS

        def crash() -> None:
            daemon.kill()
            daemon.start()

        timer = threading.Timer(1.0, crash)
        timer.start()
        results = judge.run([parse_program(row) for row in rows])
        timer.join()
        assert [result.id for result in results] == [str(i) for i in range(30)]
        assert {result.score for result in results} <= {1.0, None}
        assert all(result.score == 1.0 or result.outcome is Outcome.FAULT for result in results)
        assert {result.level for result in results} == {"container"}, "a judge never goes on at a lower level"
        assert judge.run([parse_program(rows[0])])[0].outcome is Outcome.PASS, "it goes on once the daemon is back"

        daemon.kill()
        monkeypatch.setattr(sandbox.judging.slot, "_PAUSES_SECONDS", (0.0, 0.1, 0.1))
        result = judge.run([parse_program(rows[1])])[0]
        assert (result.outcome, result.score) == (Outcome.FAULT, None)
        with pytest.raises(LevelError):
            Judge("auto", "container", slots=1)


def lose_boxes(judge: Judge) -> None:
    """Every container of this judge is removed, as by an operator: the next program needs new ones."""
    api = judge.backend.client.api  # type: ignore[attr-defined]
    for found in api.containers(all=True, filters={"label": f"posttrain.run={judge.backend.run_id}"}):  # type: ignore[attr-defined]
        api.remove_container(found["Id"], force=True)


def remove_image(judge: Judge) -> None:
    lose_boxes(judge)
    judge.backend.client.images.remove(judge.backend.images[root_tree.PLAIN], force=True)  # type: ignore[attr-defined]


def judged_once(results: list[Judgement], count: int) -> list[Outcome]:
    """None lost, none twice, none scored by our failure. Returns the outcomes."""
    assert [result.id for result in results] == [str(number) for number in range(count)]
    assert all(result.score == (1.0 if result.outcome is Outcome.PASS else None) for result in results)
    return [result.outcome for result in results]


def programs(count: int) -> list[Program]:
    return [parse_program({**script(f"print({number})", "", str(number)), "id": number}) for number in range(count)]


def test_an_image_that_is_removed_is_loaded_again(daemon: Daemon) -> None:
    with Judge("docker", "container", slots=2) as judge:
        assert set(judged_once(judge.run(programs(4)), 4)) == {Outcome.PASS}
        remove_image(judge)
        results = judge.run(programs(8))
        assert set(judged_once(results, 8)) == {Outcome.PASS}
        assert sum(result.retries for result in results) >= 1, "no box was lost"


def test_a_given_image_that_is_removed_is_a_fault_until_it_is_back(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sandbox.judging.slot, "_PAUSES_SECONDS", (0.0, 0.1, 0.1))
    client = connect()
    given = ensure_image(client)
    with Judge("docker", "container", slots=1, image=given) as judge:
        assert judged_once(judge.run(programs(1)), 1) == [Outcome.PASS]
        remove_image(judge)
        results = judge.run(programs(3))
        assert set(judged_once(results, 3)) == {Outcome.FAULT}
        assert all("no image" in str(result.error) for result in results)
        assert ensure_image(client) == given
        assert set(judged_once(judge.run(programs(3)), 3)) == {Outcome.PASS}
    client.close()


def test_images_that_no_tree_stands_for_are_pruned(daemon: Daemon, tmp_path: Path) -> None:
    client = connect()
    current = ensure_image(client)
    changed = tmp_path / "root"
    shutil.copytree(root_tree.tree(), changed, symlinks=True)
    (changed / "etc/older").touch()
    older = load(client, changed)
    assert prune(client) == [], "it was loaded just now"
    assert len(prune(client, unused_seconds=0)) == 1
    assert older not in {found["Id"] for found in client.api.images()} >= {current}
    client.close()


@pytest.mark.parametrize("daemon", ["700m"], indirect=True)
def test_a_full_disk_is_a_fault_until_there_is_room(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox.judging.slot, "_PAUSES_SECONDS", (0.0, 0.1, 0.1))
    with Judge("docker", "container", slots=2) as judge:
        assert set(judged_once(judge.run(programs(4)), 4)) == {Outcome.PASS}
        ballast = daemon.folder / "data" / "ballast"
        fill(ballast)
        assert set(judged_once(judge.run(programs(4)), 4)) == {Outcome.PASS}, (
            "boxes that run need nothing of the daemon's disk"
        )
        lose_boxes(judge)
        fill(ballast)  # what they held
        results = judge.run(programs(6))
        assert set(judged_once(results, 6)) == {Outcome.FAULT}
        assert any("space" in str(result.error) for result in results), results[0].error
        ballast.unlink()
        assert set(judged_once(judge.run(programs(6)), 6)) == {Outcome.PASS}


def test_no_program_waits_ten_seconds_for_a_daemon_that_is_back() -> None:
    assert max(sandbox.judging.slot._PAUSES_SECONDS) < 10

"""What broken infrastructure costs: programs scored by it, lost or judged twice, while a judge works and its world is
broken under it.

    python benchmarks/judge_faults.py [--rounds 3] [--slots 2]      (root, for a Docker daemon of its own; the machine's
                                                                    is not touched)

Every second program is right, so that a zero and a one that only the fault explains are both seen. Each fault strikes a
second after a round begins and is mended some seconds later; rounds go on until it is. Then the owner of a judge is
killed, and its containers are counted. Prints a row a fault; exit 1 when a program was scored by a fault, lost or
judged twice, or a container is left after 60 s.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.second_daemon import Daemon, cannot, fill, second_daemon
from sandbox.backends.docker_backend import connect
from sandbox.judge import Judge
from sandbox.types import Program, StdinTest

_BATCH, _LEAST = 8, 200  # programs judged at once; programs a round
_DOWN_SECONDS = 5.0
_ORPHAN_SECONDS = 60.0
_OWNER = """
from benchmarks.judge_faults import programs
from sandbox.judge import Judge
with Judge("docker", "container", slots=2) as judge:
    print(judge.backend.run_id, flush=True)
    while True:
        judge.run(programs(0))
"""


@dataclass(kw_only=True, slots=True)
class World:
    """A judge on a daemon that can be broken. `mended`: when the last fault was, by time.monotonic()."""

    daemon: Daemon
    judge: Judge
    mended: float = 0.0

    @property
    def api(self) -> Any:
        return self.judge.backend.client.api  # type: ignore[attr-defined]

    def containers(self) -> list[str]:
        return containers(self.api, self.judge.backend.run_id)  # type: ignore[attr-defined]


@dataclass(kw_only=True, slots=True)
class Tally:
    """What became of the programs of one fault. `again`: seconds from mending to the next batch without a fault, the
    longest."""

    programs: int = 0
    scores: Counter[str] = field(default_factory=Counter)
    again: float = 0.0

    @property
    def bad(self) -> int:
        return self.scores["scored by it"] + self.scores["lost"] + self.scores["twice"]


def containers(api: Any, run: str) -> list[str]:
    return [found["Id"] for found in api.containers(all=True, filters={"label": f"posttrain.run={run}"})]


def programs(start: int) -> list[Program]:
    """A batch: every second one is wrong."""
    test = StdinTest(stdin=b"", stdout=b"0")
    source = "import time; time.sleep(0.05); print({})"
    return [Program(id=str(n), program=source.format(n % 2), tests=(test,)) for n in range(start, start + _BATCH)]


def daemon_dies(world: World) -> None:
    world.daemon.kill()
    time.sleep(_DOWN_SECONDS)
    world.daemon.start()


def containers_are_removed(world: World) -> None:
    for identity in world.containers():
        world.api.remove_container(identity, force=True)


def supervisors_are_killed(world: World) -> None:
    for identity in world.containers():
        if pid := world.api.inspect_container(identity)["State"]["Pid"]:
            os.kill(pid, signal.SIGKILL)


def image_is_removed(world: World) -> None:
    containers_are_removed(world)
    for identity in world.judge.backend.images.values():
        world.judge.backend.client.images.remove(identity, force=True)  # type: ignore[attr-defined]


def disk_is_full(world: World) -> None:
    ballast = world.daemon.folder / "data" / "ballast"
    fill(ballast)
    containers_are_removed(world)
    fill(ballast)  # what they held
    time.sleep(_DOWN_SECONDS)
    ballast.unlink()


FAULTS: dict[str, Callable[[World], None]] = {
    "daemon killed, back after 5 s": daemon_dies,
    "containers removed": containers_are_removed,
    "supervisors killed": supervisors_are_killed,
    "image removed": image_is_removed,
    "disk full for 5 s": disk_is_full,
}


def strike(world: World, fault: Callable[[World], None]) -> None:
    time.sleep(1.0)
    fault(world)
    world.mended = time.monotonic()


def a_round(world: World, fault: Callable[[World], None], tally: Tally) -> None:
    """Judge batch after batch while the fault comes and goes, and until one has no fault in it."""
    striker = threading.Thread(target=strike, args=(world, fault))
    striker.start()
    judged, clean = 0, False
    while striker.is_alive() or judged < _LEAST or not clean:
        begun_after = not striker.is_alive()
        batch = programs(judged)
        results = world.judge.run(batch)
        answered = Counter(one.id for one in results)
        tally.scores["lost"] += sum(program.id not in answered for program in batch)
        tally.scores["twice"] += sum(times > 1 for times in answered.values())
        for one in results:
            kind = "fault" if one.score is None else "as it is" if one.score == 1 - int(one.id) % 2 else "scored by it"
            tally.scores[kind] += 1
        judged += len(batch)
        if not clean and not striker.is_alive() and all(one.score is not None for one in results):
            clean = begun_after
            tally.again = max(tally.again, time.monotonic() - world.mended)
    striker.join()
    tally.programs += judged


def orphans() -> tuple[int, float]:
    """Containers of a killed owner: (left after 60 s, seconds until none was left)."""
    environment = {**os.environ, "PYTHONPATH": sys.path[0]}
    owner = subprocess.Popen([sys.executable, "-c", _OWNER], stdout=subprocess.PIPE, text=True, env=environment)
    assert owner.stdout is not None
    run = owner.stdout.readline().strip()
    client = connect()
    while len(containers(client.api, run)) < 2:
        time.sleep(0.1)
    time.sleep(1.0)
    owner.kill()
    owner.wait()
    since = time.monotonic()
    while (left := len(containers(client.api, run))) and time.monotonic() - since < _ORPHAN_SECONDS:
        time.sleep(0.05)
    seconds = time.monotonic() - since
    client.close()
    return left, seconds


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--slots", type=int, default=2)
    options = parser.parse_args()
    if why := cannot():
        print(why, file=sys.stderr)
        return 69
    bad = 0
    print(
        f"{'fault':32} {'programs':>8} {'scored by it':>12} {'lost':>5} {'twice':>5} {'no score':>8} "
        f"{'again after s':>13}"
    )
    with second_daemon("1g") as daemon:
        os.environ["DOCKER_HOST"] = daemon.socket
        for name, fault in FAULTS.items():
            tally = Tally()
            with Judge("docker", "container", slots=options.slots) as judge:
                world = World(daemon=daemon, judge=judge)
                for _ in range(options.rounds):
                    a_round(world, fault, tally)
            bad += tally.bad
            scores = tally.scores
            print(
                f"{name:32} {tally.programs:8} {scores['scored by it']:12} {scores['lost']:5} {scores['twice']:5} "
                f"{scores['fault']:8}"
                f" {tally.again:13.1f}",
                flush=True,
            )
        left, seconds = orphans()
        print(
            f"owner killed (SIGKILL): {left} containers left after {_ORPHAN_SECONDS:.0f} s; the last was gone after "
            f"{seconds:.1f} s"
        )
    return 1 if bad or left else 0


if __name__ == "__main__":
    sys.exit(main())

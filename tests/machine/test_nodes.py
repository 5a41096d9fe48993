"""Several nodes, on one machine: Ray's own test cluster, whose second node is told of GPUs that are not there."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from posttrain.errors import BackendError, StageError
from tests.machine import seated
from tests.machine.pieces import Piece
from tests.machine.test_seats import folder, machine_of, where_they_sit

pytestmark = pytest.mark.ray
__all__ = ["folder"]


MISSED_SOON = {"health_check_initial_delay_ms": 500, "health_check_period_ms": 500, "health_check_failure_threshold": 3}


@pytest.fixture(scope="module")
def two_nodes() -> Iterator[Any]:
    import ray
    from ray.cluster_utils import Cluster

    assert not ray.is_initialized(), "a process has one Ray: that of another test was not closed"
    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "num_gpus": 1, "_system_config": MISSED_SOON})
    nodes.second = nodes.add_node(num_cpus=2, num_gpus=2)
    yield nodes
    ray.shutdown()
    nodes.shutdown()


def test_a_folder_that_a_node_does_not_see_is_refused_with_its_name(
    two_nodes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from posttrain.machine import cluster

    def blind(files: list[str]) -> list[str]:  # both nodes have this machine's disk
        return files[1:]

    running = cluster.Cluster(address=two_nodes.address, placement_timeout_seconds=60, logs=tmp_path / "logs")
    store = tmp_path / "store"
    store.mkdir()
    running.check_shared([tmp_path / "logs", store])
    monkeypatch.setattr(cluster, "unseen", blind)
    with pytest.raises(BackendError, match=r"node \S+ \(\w{8}\) does not see what this node writes") as caught:
        running.check_shared([tmp_path / "logs", store])
    assert caught.value.where == str(store) and re.search("same path", str(caught.value.remedy))
    assert not list(tmp_path.rglob(".seen-*")), "nothing is left"
    running.close()


def test_workers_sit_node_by_node_and_a_lost_node_is_named(two_nodes: Any, folder: Path) -> None:
    import ray

    with machine_of(folder, 3, address=two_nodes.address, trainers=3, engines=1, gpus_per_engine=2.0) as machine:
        machine.run(seated.where)
        seats = [remote.seat()[:2] for remote in machine._trainers]
        here = ray.get_runtime_context().get_node_id()
        there = {node for node, _ in seats} - {here}
        assert [gpus for _, gpus in seats] == ["0", "0", "1"] and seats[0][0] == here and len(there) == 1
        machine.begin_step()
        machine.engine("policy", folder, "base")
        assert where_they_sit(machine) == {"trainers": [], "policy": ["0,1"]}
        assert machine._engines["policy"].remotes[0].seat()[0] in there, "all of an engine's GPUs are of one node"

        from posttrain.machine.cluster import ActorSpec

        (node,) = there
        far = machine._ray().start(ActorSpec(name="far", target=Piece, kwargs={}, node=node))
        threading.Timer(1.0, lambda: two_nodes.remove_node(two_nodes.second, allow_graceful=False)).start()
        with pytest.raises(StageError, match=rf"far died .*: its node \S+ \({node[:8]}\) is lost"):
            far.wait(120.0)

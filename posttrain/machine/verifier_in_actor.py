"""The conformance kit's check that needs Ray: does a verifier judge in an actor as it judges here? Knows no
verifier."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from posttrain.errors import PosttrainError
from rewards.load import build_verifier
from rewards.plugins.kit.examine import Settled
from rewards.plugins.kit.finding import Finding
from rewards.plugins.kit.inside import difference, key
from rewards.services import Services
from rewards.types import Request

_PLACEMENT_SECONDS = 60.0


class Judging:
    """The verifier inside the actor, built anew from its spec."""

    def __init__(self, spec: Mapping[str, Any], think: tuple[str, str], path: list[str]) -> None:
        sys.path[:] = path
        self._built = build_verifier(spec, Services(think=think, workers=1))

    def keys(self, requests: list[Request]) -> list[Any]:
        return [[key(group[0])] for group in self._built.verify_many([[request] for request in requests])]


def ray_finding(spec: Mapping[str, Any], think: tuple[str, str], settled: Settled) -> Finding:
    """Start Ray on this machine, ask the verifier in an actor, stop Ray. Not run where Ray is missing."""
    try:
        from posttrain.machine.cluster import ActorSpec, Cluster
    except ImportError:
        return Finding(check="ray", ok=None, detail="Ray is not installed: pip install 'posttrain[cpu]'")
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        try:
            cluster = Cluster(address="local", placement_timeout_seconds=_PLACEMENT_SECONDS, logs=Path(folder))
            stack.callback(cluster.close)
        except Exception as error:  # noqa: BLE001  Ray raises plain Exceptions where it cannot start: no fault of the verifier's
            return Finding(check="ray", ok=None, detail=f"Ray did not start: {str(error)[:200]}")
        try:
            given = {"spec": dict(spec), "think": think, "path": list(sys.path)}
            remote = cluster.start(ActorSpec(name="verifier", target=Judging, kwargs=given))
            problem = difference(settled.keys, remote.keys(settled.requests))
        except PosttrainError as error:
            problem = error.what
    return Finding(check="ray", ok=not problem, detail=problem)

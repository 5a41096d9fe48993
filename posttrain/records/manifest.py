"""The manifest of a published step: what it was made from, with what, where, in how long, and what it came to.

The store adds the id and the digests of all files (store/artefacts.py) and checks them; the rest is this record, which
the driver writes and reports read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posttrain.errors import RecordError
from posttrain.records.codec import from_json
from posttrain.store.artefacts import MANIFEST, STORE_KEYS
from sandbox.types import Level

REMEDY = "it was made by another version of posttrain: remove the folder, and the next run builds it again"


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineFacts:
    """An engine that was alive. Example: EngineFacts(backend="vllm", device="cpu", dtype="float32")"""

    backend: str
    device: str
    dtype: str


@dataclass(frozen=True, kw_only=True, slots=True)
class JudgeFacts:
    """How code was judged. Example: JudgeFacts(level=Level.CONTAINER, images={"plain": "sha256:.."},
    image="tree:3f9a")"""

    level: Level
    images: Mapping[str, str]
    image: str


@dataclass(frozen=True, kw_only=True, slots=True)
class MachineFacts:
    """What the machine had when the step ended. `engines` by role; `judge` None until code was judged.

    Example: MachineFacts(versions={"torch": "2.9.0"}, cores=2, ray={"CPU": 2.0}, engine_backend="vllm",
    engines={"policy": EngineFacts(...)}, trainers=1, judge=None)
    """

    versions: Mapping[str, str]
    cores: int
    ray: Mapping[str, float] | None
    engine_backend: str
    engines: Mapping[str, EngineFacts]
    trainers: int
    judge: JudgeFacts | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """What the driver knows of a step that has published.

    Example: Manifest(step="stem", kind="grpo", version=3, params={...}, inputs={"checkpoint": "dpd-77ab"}, digests={},
    seed=81723, smoke=False, versions={...}, machine=MachineFacts(...), judge_level=Level.CONTAINER,
    command=("posttrain", "run"), host="box", started="2026-01-31T10:00:00+00:00", finished="...", seconds=61.5,
    attempts=1, metrics={"reward_last": 0.61})
    """

    step: str
    kind: str
    version: int
    params: Mapping[str, Any]
    inputs: Mapping[str, str]  # role -> id
    digests: Mapping[str, str]
    seed: int
    smoke: bool
    versions: Mapping[str, str]
    machine: MachineFacts | None  # None where the step asked nothing of it
    judge_level: Level | None  # isolation at which generated code was judged, told here alone; None: none was judged
    command: tuple[str, ...]
    host: str
    started: str
    finished: str
    seconds: float
    attempts: int
    metrics: Mapping[str, Any]


def manifest_of(content: Mapping[str, Any], where: str) -> Manifest:
    """The record in what the store holds as a manifest. Raises RecordError."""
    own = {key: value for key, value in content.items() if key not in STORE_KEYS}
    try:
        return from_json(Manifest, own, where)
    except RecordError as error:
        raise RecordError(error.what, where=where, remedy=REMEDY) from error


def read_manifest(published: Path) -> Manifest | None:
    """The manifest in a published folder, not checked against its files; None where there is no such folder. Raises
    RecordError."""
    path = published / MANIFEST
    try:
        content = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise RecordError(f"cannot be read: {error}", where=str(path), remedy=REMEDY) from error
    if not isinstance(content, dict):
        raise RecordError("holds no JSON object", where=str(path), remedy=REMEDY)
    return manifest_of(content, str(path))

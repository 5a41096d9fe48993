"""Ray: start or attach, place actors, call them, notice their death, shut down. The only file that imports ray.

    driver ── Cluster.start(ActorSpec(target=Class)) ──> actor(_Host) ── owns the object, which knows nothing of this
       └── Remote: a handle that can be called here, or pickled into another actor and called there

Actors outlive a Ctrl-C (the driver decides when to stop) and do not outlive their driver: each watches the driver's
process and leaves within a second of its death, so that no orphan goes on writing. Knows nothing of models, engines or
stages.
"""

from __future__ import annotations

import logging
import math
import os
import signal
import socket
import sys
import threading
import time
import traceback
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # an actor with 0 GPUs keeps its environment as it is
# Ray starts workers at 15: training would starve beside anything else that runs.
os.environ.setdefault("RAY_worker_niceness", "0")

import ray
import ray.exceptions
import ray.util
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy, PlacementGroupSchedulingStrategy

from posttrain.errors import BackendError, PosttrainError, StageError
from posttrain.machine.joining import group_of_its_own, knock
from posttrain.machine.processes import end_process, start_ticks, unseen
from posttrain.rollout.pulse import ADDRESS
from posttrain.signals.stopping import check_wait
from posttrain.telemetry import redact

_OBJECT_STORE_BYTES = 512 * 2**20
_WATCH_SECONDS = 0.5
_LOST_SECONDS = 40.0  # some times what Ray takes to miss a node
_PASSED_ON = ("POSTTRAIN_", "HF_", "TOKENIZERS_")  # environment of the driver that actors must see as it is now


@dataclass(frozen=True, kw_only=True, slots=True)
class _Driver:
    """The process whose death ends the actors. start_ticks tells a reused pid from the same process."""

    node_id: str
    pid: int
    start_ticks: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where an actor runs. node: Ray's id; port: a free one at the address; ticks: see start_ticks.

    Example: Place(node="4be1", address="10.0.0.7", port=41234, pid=977, ticks=8412)
    """

    node: str
    address: str
    port: int
    pid: int
    ticks: int | None


class _Host:
    """The body of every actor."""

    def __init__(self, driver: _Driver, env: Mapping[str, str], log: str) -> None:
        # Handlers instead of SIG_IGN: programs that this actor starts must not inherit an ignored signal.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: None)
        os.environ.update(env)
        os.environ[ADDRESS] = ray.util.get_node_ip_address()
        for stream in (1, 2):
            os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644), stream)
        if ray.get_runtime_context().get_node_id() == driver.node_id:
            threading.Thread(target=_leave_with, args=(driver,), daemon=True, name="driver-watch").start()
        self._target: Any = None

    def construct(self, target: Callable[..., Any], kwargs: Mapping[str, Any]) -> None:
        self._target = None  # what it held before goes first
        with _traceback_in_log():
            self._target = target(**kwargs)

    def place(self) -> Place:
        address = ray.util.get_node_ip_address()
        with socket.socket() as probe:
            probe.bind((address, 0))
            port = int(probe.getsockname()[1])
        node, pid = ray.get_runtime_context().get_node_id(), os.getpid()
        return Place(node=node, address=address, port=port, pid=pid, ticks=start_ticks(pid))

    def call(self, method: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        if self._target is None:  # Ray has given it another process since the last call
            raise _Empty("the object is gone with the process before")
        with _traceback_in_log():
            return getattr(self._target, method)(*args, **kwargs)


@contextmanager
def _traceback_in_log() -> Iterator[None]:
    """An actor's errors reach the caller as one line that names the actor's log: what it needs stands there."""
    try:
        yield
    except PosttrainError:
        raise
    except Exception:
        print(redact(traceback.format_exc()), file=sys.stderr, flush=True)
        raise


def _leave_with(driver: _Driver) -> None:
    while start_ticks(driver.pid) == driver.start_ticks:
        time.sleep(_WATCH_SECONDS)
    os._exit(1)  # no cleanup: whatever this actor was writing is of no use to anyone, and must stop now


class Died(StageError):
    """An actor that is no more, or cannot be reached."""


class _Empty(StageError):
    """Of an actor that restarts: its object has to be built again."""


class Late(StageError):
    """A call that was not answered in its time; its actor may be alive."""


class Pending:
    """A call under way."""

    def __init__(self, remote: Remote, ref: Any) -> None:
        self._remote = remote
        self.ref = ref

    def result(self, seconds: float = math.inf) -> Any:
        """Wait and return; Stopped where `stopping.giving_up_waits` says so. Errors of this package come through as
        raised; others, and the actor's death, as StageError; Late after so many seconds."""
        until = time.monotonic() + seconds
        while not ray.wait([self.ref], timeout=max(0.0, min(1.0, until - time.monotonic())))[0]:
            check_wait()  # and back in Python once a second, so that signal handlers of the driver run
            if time.monotonic() >= until:
                raise Late(f"{self._remote.name} has not answered in {seconds:.0f} s", where=self._remote.log)
        try:
            return ray.get(self.ref)
        except ray.exceptions.RayTaskError as error:
            cause = error.cause
            if isinstance(cause, _Empty):
                what = f"{self._remote.name} died between two calls"
                raise Died(what, where=self._remote.log, remedy="the same command resumes") from error
            if isinstance(cause, PosttrainError):
                raise cause from error
            raise StageError(
                f"{self._remote.name} failed: {type(cause).__name__}: {cause}",
                where=self._remote.log,
                remedy="see the log; the same command resumes",
            ) from error
        except ray.exceptions.RayError as error:
            raise Died(
                f"{self._remote.name} died ({type(error).__name__}){self._remote.lost_node(error)}",
                where=self._remote.log,
                remedy="killed, or out of memory? the same command resumes",
            ) from error

    @staticmethod
    def ready(calls: Sequence[Pending], seconds: float) -> list[Pending]:
        """Those of the calls that are answered, as soon as one is; none after so many seconds."""
        by_ref = {call.ref: call for call in calls}
        return [by_ref[ref] for ref in ray.wait(list(by_ref), timeout=seconds)[0]]

    @staticmethod
    def wait_any(calls: Sequence[Pending]) -> list[Pending]:
        """Those of the calls that are answered, one at least. Stopped as in `result`."""
        while not (done := Pending.ready(calls, 1.0)):
            check_wait()
        return done


class Remote:
    """A named object in an actor. `remote.method(...)` blocks; `submit` does not. Picklable into other actors."""

    def __init__(self, name: str, handle: Any, log: str, *, restarts: bool = False, at: Place | None = None) -> None:
        self.name = name
        self.handle = handle
        self.log = log
        self.restarts = restarts
        self.at = at  # where it was started, once it is

    def __reduce__(self) -> tuple[Any, ...]:
        return (_remote, (self.name, self.handle, self.log, self.restarts, self.at))

    def is_here(self) -> bool:
        """Whether it runs on the node of this process."""
        return self.at is not None and self.at.node == ray.get_runtime_context().get_node_id()

    def lost_node(self, error: Exception) -> str:
        """Words for an error of Ray: nothing where its node is there."""
        # Before Ray knows why; one that restarts is unavailable until it has.
        unanswered = isinstance(error, ray.exceptions.ActorUnavailableError) and not self.restarts
        until = time.monotonic() + (_LOST_SECONDS if unanswered else 0.0)
        while self.at is not None and self.at.node in _alive() and time.monotonic() < until:
            time.sleep(0.2)
        if self.at is None or self.at.node in _alive():
            return ""
        return f": its node {self.at.address} ({self.at.node[:8]}) is lost"

    def submit(self, method: str, *args: Any, **kwargs: Any) -> Pending:
        return Pending(self, self.handle.call.remote(method, args, kwargs))

    def call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        return self.submit(method, *args, **kwargs).result()

    def call_within(self, seconds: float, method: str, *args: Any) -> Any:
        """As `call`. Raises Late."""
        return self.submit(method, *args).result(seconds)

    def kill(self) -> None:
        """End the actor at once, also one that answers nothing."""
        ray.kill(self.handle)

    def restart(self, target: Callable[..., Any], kwargs: Mapping[str, Any], *, hangs: bool) -> None:
        """Of an actor that was started with `restarts`: another process in place of the one that died or hangs, and the
        object built anew. Raises Died where Ray finds no place for it."""
        if hangs:
            self.end()
        until = time.monotonic() + _LOST_SECONDS
        while True:
            try:
                self.at = self.place()
                break
            except Died:  # until the new process is there
                if time.monotonic() >= until:
                    raise
                check_wait()
                time.sleep(0.5)
        Pending(self, self.handle.construct.remote(target, kwargs)).result()

    def end(self) -> None:
        """End its process, also one that is stopped: asked by Ray to end, it would do nothing. Raises Died where its
        node does not answer either."""
        if self.at is None:
            return
        there = NodeAffinitySchedulingStrategy(self.at.node, soft=False)
        ending = ray.remote(end_process).options(num_cpus=0, scheduling_strategy=there)
        try:
            Pending(self, ending.remote(self.at.pid, self.at.ticks)).result(_LOST_SECONDS)
        except Late as error:
            what = f"{self.name} and its node {self.at.address} ({self.at.node[:8]}) do not answer"
            raise Died(what, where=self.log, remedy="the same command goes on without it") from error

    def place(self) -> Place:
        """Where the actor runs now, with another free port each time."""
        place: Place = Pending(self, self.handle.place.remote()).result()
        return place

    def __getattr__(self, method: str) -> Any:
        if method.startswith("_"):
            raise AttributeError(method)
        return lambda *args, **kwargs: self.call(method, *args, **kwargs)


def _remote(name: str, handle: Any, log: str, restarts: bool, at: Place | None) -> Remote:
    return Remote(name, handle, log, restarts=restarts, at=at)


def first_failure(calls: Sequence[Pending]) -> list[Any]:
    """Results of all calls, in order; the first that fails raises at once, without waiting for the others. Stopped as
    in `result`."""
    waiting = {call.ref: call for call in calls}
    while waiting:
        done, _ = ray.wait(list(waiting), timeout=1.0)
        if not done:
            check_wait()
        for ref in done:
            waiting.pop(ref).result()
    return [call.result() for call in calls]


@dataclass(frozen=True, kw_only=True, slots=True)
class ActorSpec:
    """What to start. target: a class, built with kwargs inside the actor, where its module is imported by name; env is
    set before that.

    node: an id of Cluster.nodes() that it must run on; None leaves the choice to Ray. restarts: whether Ray gives it
    another process when it dies (Remote.restart then builds the object).
    """

    name: str
    target: Callable[..., Any]
    kwargs: Mapping[str, Any]
    cpus: float = 0.0
    env: Mapping[str, str] | None = None
    node: str | None = None
    restarts: bool = False


class Cluster:
    """One Ray connection. address "local" starts Ray on this machine, without dashboard; else the address of a running
    one.

    A local Ray is advertised on loopback only, yet Ray 2.60's own servers listen on every interface; what guards them
    there is Ray's token (on by default), not us.
    """

    def __init__(self, *, address: str, placement_timeout_seconds: float, logs: Path) -> None:
        self._timeout = placement_timeout_seconds
        self._logs = logs
        self._held: dict[str, tuple[Remote, ActorSpec]] = {}
        self._seats: Any = None  # the placement group of `reserve`
        logs.mkdir(parents=True, exist_ok=True)
        self._owns_ray = not ray.is_initialized()
        if self._owns_ray:
            _connect(address)
        ticks = start_ticks(os.getpid())
        self._driver = _Driver(
            node_id=ray.get_runtime_context().get_node_id(),
            pid=os.getpid(),
            start_ticks=ticks if ticks is not None else -1,
        )

    def start(self, spec: ActorSpec) -> Remote:
        return self.start_group([spec])[0]

    def start_group(self, specs: Sequence[ActorSpec]) -> list[Remote]:
        """Place all, or none: BackendError naming who holds what when Ray does not grant them in time. Then build each
        object."""
        environment = {key: value for key, value in os.environ.items() if key.startswith(_PASSED_ON)}
        host = ray.remote(_Host)
        group: list[tuple[Remote, ActorSpec]] = []
        for spec in specs:
            log = str((self._logs / f"{spec.name}.log").resolve())
            where = NodeAffinitySchedulingStrategy(spec.node, soft=False) if spec.node else "DEFAULT"
            handle = host.options(
                num_cpus=spec.cpus, max_restarts=-1 if spec.restarts else 0, scheduling_strategy=where
            ).remote(self._driver, environment | dict(spec.env or {}), log)
            group.append((Remote(spec.name, handle, log, restarts=spec.restarts), spec))
        waiting = {remote.handle.place.remote(): spec for remote, spec in group}
        _, missing = ray.wait(list(waiting), num_returns=len(waiting), timeout=self._timeout)
        if missing:
            for remote, _ in group:
                ray.kill(remote.handle)
            raise BackendError(
                self._no_room([waiting[ref] for ref in missing]),
                remedy="ask for fewer or smaller workers under `cluster:`, or free what holds the resources",
            )
        for place, (remote, spec) in zip(ray.get(list(waiting)), group, strict=True):
            remote.at = place
            self._held[spec.name] = (remote, spec)
        try:
            first_failure(
                [Pending(remote, remote.handle.construct.remote(spec.target, spec.kwargs)) for remote, spec in group]
            )
        except BaseException:
            for remote, _ in group:
                self.stop(remote)
            raise
        return [remote for remote, _ in group]

    def reserve(self, gpus: int) -> list[tuple[str, str]]:
        """(node, number of the GPU there) of so many GPUs, node by node: a placement group with a bundle each, held
        until `close`. Actors are told theirs by CUDA_VISIBLE_DEVICES and ask Ray for none. Raises BackendError that
        says who holds what."""
        # Names are unique in a cluster; this one tells others who holds its GPUs.
        name = f"posttrain {self._logs.resolve().parent.name} {uuid.uuid4().hex[:6]}"
        group = ray.util.placement_group([{"GPU": 1.0}] * gpus, strategy="PACK", name=name)
        until = time.monotonic() + self._timeout
        while not group.wait(min(1.0, self._timeout)):
            if time.monotonic() >= until:
                ray.util.remove_placement_group(group)
                raise BackendError(
                    f"Ray did not give {gpus} GPUs within {self._timeout:g} s: {self._room()}{_other_groups()}",
                    remedy="ask for fewer or smaller workers under `cluster:`, or free what holds the GPUs",
                )
            check_wait()
        self._seats = group
        look = ray.remote(_own_gpu)
        found = ray.get(
            [
                look.options(
                    num_cpus=0,
                    num_gpus=1,
                    scheduling_strategy=PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=bundle),
                ).remote()
                for bundle in range(gpus)
            ]
        )
        here = self._driver.node_id
        return sorted(found, key=lambda seat: (seat[0] != here, seat[0], seat[1].zfill(4)))

    def _no_room(self, missing: Sequence[ActorSpec]) -> str:
        wanted = ", ".join(f"{spec.name} ({spec.cpus:g} CPU)" for spec in missing)
        return f"Ray did not place {wanted} within {self._timeout:g} s: {self._room()}"

    def _room(self) -> str:
        total, free = ray.cluster_resources(), ray.available_resources()
        held = (
            ", ".join(f"{spec.name} ({spec.cpus:g} CPU)" for _, spec in self._held.values()) or "no actor of this run"
        )
        return (
            f"the cluster has {_amount(total.get('CPU', 0), total.get('GPU', 0))}, "
            f"free {_amount(free.get('CPU', 0), free.get('GPU', 0))}; held by {held}"
        )

    def stop(self, remote: Remote) -> None:
        """End the actor at once. It has nothing to save: what is published was published by the driver."""
        self._held.pop(remote.name, None)
        ray.kill(remote.handle)

    def resources(self) -> dict[str, float]:
        """CPUs, GPUs and memory of the whole cluster."""
        return {key: float(value) for key, value in ray.cluster_resources().items() if key in ("CPU", "GPU", "memory")}

    def check_shared(self, folders: Sequence[Path]) -> None:
        """Workers write there, whatever their node. Raises BackendError that names a node which does not see one."""
        others = [node for node in ray.nodes() if node["Alive"] and node["NodeID"] != self._driver.node_id]
        if not others:
            return
        marks = [str(folder.resolve() / f".seen-{uuid.uuid4().hex}") for folder in folders]
        for mark in marks:
            Path(mark).touch()
        try:
            look = ray.remote(unseen)
            for node in others:
                there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
                hidden = ray.get(look.options(num_cpus=0, scheduling_strategy=there).remote(marks))
                if hidden:
                    raise BackendError(
                        f"node {node['NodeManagerAddress']} ({node['NodeID'][:8]}) does not see what this node writes",
                        where=str(Path(hidden[0]).parent),
                        remedy="put the run folder and the store (--store) on a file system that all nodes mount at "
                        "the same path",
                    )
        finally:
            for mark in marks:
                Path(mark).unlink()

    def nodes(self) -> list[str]:
        """Ids of the nodes that are alive and have a CPU to give, this process's first: the order does not hang on
        Ray's."""
        here = ray.get_runtime_context().get_node_id()
        found = [str(node["NodeID"]) for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0) > 0]
        return sorted(found, key=lambda node: (node != here, node))

    def close(self) -> None:
        for remote, _ in list(self._held.values()):
            self.stop(remote)
        if self._seats is not None and ray.is_initialized():
            ray.util.remove_placement_group(self._seats)
        self._seats = None
        if self._owns_ray and ray.is_initialized():
            ray.shutdown()


def _connect(address: str) -> None:
    options: dict[str, Any] = {"address": address, "log_to_driver": False, "logging_level": logging.ERROR}
    if address == "local":
        options |= {
            "include_dashboard": False,
            "object_store_memory": _OBJECT_STORE_BYTES,
            "_node_ip_address": "127.0.0.1",
        }
    else:
        knock(address)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with group_of_its_own():
            ray.init(**options)
    except (ConnectionError, RuntimeError, OSError, ValueError) as error:
        raise BackendError(
            f"Ray cannot be reached at {address!r}: {error}",
            where="cluster.address",
            remedy="`ray status` there, or `cluster: {address: local}`",
        ) from error
    finally:
        # ray.init puts a SIGTERM handler of its own in place, which exits at once; when to stop is the driver's to
        # decide.
        if threading.current_thread() is threading.main_thread():
            for number, handler in handlers.items():
                if handler is not None:
                    signal.signal(number, handler)


def _alive() -> set[str]:
    return {str(node["NodeID"]) for node in ray.nodes() if node["Alive"]}


def _own_gpu() -> tuple[str, str]:
    """Runs where a bundle is: its node, and the GPU that Ray gives it there."""
    context = ray.get_runtime_context()
    return context.get_node_id(), context.get_accelerator_ids()["GPU"][0]


def _other_groups() -> str:
    """The GPUs that placement groups hold, which count as given away though no actor may use them."""
    held = [
        (
            group["name"] or group["placement_group_id"][:8],
            sum(bundle.get("GPU", 0) for bundle in group["bundles"].values()),
        )
        for group in ray.util.placement_group_table().values()
        if group["state"] == "CREATED"
    ]
    said = ", ".join(f"{name} ({gpus:g} GPU)" for name, gpus in held if gpus)
    return f"; placement groups: {said}" if said else ""


def _amount(cpus: float, gpus: float) -> str:
    return f"{cpus:g} CPU, {gpus:g} GPU"

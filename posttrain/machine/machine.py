"""The machine a pipeline runs on, as its stages see it: engines, trainers and a scorer, each started on first use and
kept warm.

    stage ── machine.engine("policy", folder, version) ──> Engine      weights checked against transformers on the way
          ── machine.run(function, ...)                ──> the result of rank 0; the same code for 1 and N workers
          ── machine.run_aside(function, ...)          ──> the same on a worker that needs no GPU
          ── machine.scorer(...)                       ──> Scorer

Knows neither stages nor Ray's API (`cluster.py` does), and imports nothing heavy: torch and vLLM are imported in the
actors. Who gets which GPU is said in seats.py. Trainers and engines of a CPU take turns, so each is given all cores of
the machine; their number is fixed, as the order of a sum depends on it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from posttrain.errors import PosttrainError, StageError
from posttrain.machine.judges import Placement
from posttrain.machine.scorer import Scorer
from posttrain.machine.seats import TRAINERS, Seat, Seats
from posttrain.machine.trainer import TrainerWorker
from posttrain.recipe.engines import engine_roles, engines_of, on_gpus
from posttrain.recipe.schema import Recipe
from posttrain.records.manifest import EngineFacts, JudgeFacts, MachineFacts
from posttrain.rollout.dispatch import SLOTS
from posttrain.rollout.engine import Engine, EngineOptions
from posttrain.rollout.engine_group import EnginePool
from posttrain.rollout.serve import EngineServer, choose_backend
from posttrain.rollout.turns import TakingTurns
from posttrain.rollout.vllm_arguments import refuse_unknown_options
from posttrain.rollout.weights import shape_key
from posttrain.signals.stopping import giving_up_waits
from posttrain.store.artefacts import library_versions
from posttrain.telemetry import quiet_environment, silence_libraries
from sandbox.types import Level

if TYPE_CHECKING:
    from posttrain.machine.cluster import Cluster, Remote
    from posttrain.machine.engine_proxy import EngineProxy

P = ParamSpec("P")
R = TypeVar("R")

# engines and trainers take turns on one machine; asking Ray for whole CPUs would make one wait for the other forever
_LOCAL_CPUS = 0.01
# OpenMP threads wait awake for about half a millisecond: between products, but not while another actor works
_SPINS = "30000"
_ANSWER_SECONDS = 60.0  # within which an engine without work says how it is


@dataclass(kw_only=True, slots=True)
class _Served:
    """One role's engines. engine: its only proxy, or a pool of them; others: the engines with which it takes turns,
    shared with what was handed out."""

    shape: str
    engine: Any
    proxies: list[EngineProxy]
    remotes: list[Remote]
    others: list[Any]


class Machine:
    """All actors of one pipeline. Not picklable: it stays with the driver, which hands out proxies.

    seats: GPUs to hold; None: those of the trainers and of the engines of all roles. shared: folders that all nodes
    must see.
    """

    def __init__(self, recipe: Recipe, logs: Path, *, seats: int | None = None, shared: Sequence[Path] = ()) -> None:
        self._recipe = recipe
        self._logs = logs
        self._cluster: Cluster | None = None
        self._engines: dict[str, _Served] = {}
        self._trainers: list[Remote] = []
        self._aside: Remote | None = None
        self._scorer: Remote | None = None
        self._num_seats, self._shared = seats, (logs, *shared)
        self._seats: Seats | None = None
        self._turns = recipe.cluster.share == "time"
        self._on_gpus = on_gpus(recipe)

    # ------------------------------------------------------------ seats

    def begin_step(self) -> None:
        """What no one uses from here on may have to give up its GPUs."""
        if self._seats is not None:
            self._seats.begin_step()

    def _take_seats(self, role: str, workers: int, gpus: float) -> list[tuple[Seat, ...]]:
        """The seats of each worker; none of a role without GPUs. Idle roles are stopped, and those that work on the
        same seats sleep. Raises BackendError."""
        if (self._on_gpus and gpus == 0) or (not self._on_gpus and not self._turns):
            return [()] * workers
        if self._seats is None:
            self._seats = Seats(self._reserved(), turns=self._turns)
        # A CPU is one seat, for all workers of a role.
        taken = self._seats.take(role, *((workers, gpus) if self._on_gpus else (1, 1.0)))
        self._make_room(role, taken.stop)
        return list(taken.places) if self._on_gpus else [()] * workers

    def _reserved(self) -> list[Seat]:
        if not self._on_gpus:
            return [Seat(node="", gpu="")]
        count = self._num_seats
        if count is None:
            cluster = self._recipe.cluster
            engines = [engines_of(self._recipe, role) for role in engine_roles(self._recipe)]
            asked = [cluster.trainers * cluster.gpus_per_trainer, *(role.engines * role.gpus for role in engines)]
            count = math.ceil(max(asked) if self._turns else sum(asked))
        return [Seat(node=node, gpu=gpu) for node, gpu in self._ray().reserve(count)]

    def _use_seats(self, role: str) -> None:
        """As `_take_seats`, for a role that has them."""
        if self._seats is not None and self._seats.has(role):
            self._make_room(role, self._seats.use(role))

    def _make_room(self, role: str, stop: Sequence[str]) -> None:
        assert self._seats is not None, "only asked of who has seats"
        for name in stop:
            self._stop(name)
        for name in self._seats.rivals(role):
            if name in self._engines:  # trainers hold next to nothing between two calls
                self._engines[name].engine.sleep()

    def _stop(self, role: str) -> None:
        if role == TRAINERS:
            self._drop_trainers()
        else:
            self.release(role)

    def _note_others(self) -> None:
        for role, served in self._engines.items():
            rivals = self._seats.rivals(role) if self._seats is not None and self._seats.has(role) else ()
            served.others[:] = [self._engines[name].engine for name in rivals if name in self._engines]

    # ------------------------------------------------------------ engines

    def engine(self, role: str, model_dir: Path, version: str) -> Engine:
        """The engine of a role with these weights in it. The proxy may be handed to trainers and scorers.

        The same version is not loaded again; another version of the same shape is loaded and checked; another shape
        replaces the engine.
        """
        served, shape = self._engines.get(role), shape_key(model_dir)
        if served is not None and served.shape == shape and (held := _version(served.remotes)) is not None:
            for proxy in served.proxies:
                proxy.look_again()
            self._use_seats(role)
            if self._turns:
                served.engine.wake()
            if held != version:
                try:
                    served.engine.load_checked(str(model_dir), version)
                except PosttrainError:
                    self.release(role)  # what is in it now is unknown
                    raise
        else:
            self.release(role)
            remotes, kwargs = self._start_engines(role, model_dir, version)
            from posttrain.machine.engine_proxy import EngineProxy

            proxies = [EngineProxy(remote, kwargs) for remote in remotes]
            engine: Any = proxies[0] if len(proxies) == 1 else self._pool(role, proxies)
            served = self._engines[role] = _Served(
                shape=shape, engine=engine, proxies=proxies, remotes=remotes, others=[]
            )
        self._note_others()
        handed: Engine = TakingTurns(served.engine, served.others) if self._turns else served.engine  # type: ignore[assignment]
        return handed

    def _pool(self, role: str, members: Sequence[Any]) -> EnginePool:
        """On the CPU the same bytes come again; on GPUs, whose sums repeat in no order anyhow, no engine waits for
        another."""
        engines = engines_of(self._recipe, role)
        slots = int(engines.options.get("max_num_seqs") or SLOTS)
        return EnginePool(members, in_order=engines.gpus == 0, slots=slots)

    def _start_engines(self, role: str, model_dir: Path, version: str) -> tuple[list[Remote], dict[str, Any]]:
        """The actors, and what they were built with."""
        from posttrain.machine.cluster import ActorSpec

        spec, engines = self._recipe.engine, engines_of(self._recipe, role)
        count, gpus = engines.engines, engines.gpus
        refuse_unknown_options(engines.options, f"options of the {role} engines")
        options = EngineOptions(
            dtype=spec.dtype,
            context_tokens=spec.context_tokens,
            kv_cache_gb=spec.kv_cache_gb,
            gpu_memory_share=engines.gpu_memory_share,
            seed=self._recipe.seed,
            device="cuda" if gpus > 0 else "cpu",
            sleeps=self._turns,
            vllm=engines.options,
        )
        kwargs = {
            "backend": choose_backend(spec.backend),
            "model_dir": str(model_dir),
            "version": version,
            "tolerance": spec.parity_tolerance,
            "options": options,
        }
        names = [f"engine-{role}" if count == 1 else f"engine-{role}-{number}" for number in range(count)]
        specs = [
            ActorSpec(
                name=name,
                target=EngineServer,
                kwargs=kwargs,
                cpus=self._cpus(),
                restarts=True,
                **self._place(mine, count),
            )
            for name, mine in zip(names, self._take_seats(role, count, gpus), strict=True)
        ]
        try:
            return self._ray().start_group(specs), kwargs
        except BaseException:
            self.release(role)
            raise

    def _place(self, seats: Sequence[Seat], workers: int) -> dict[str, Any]:
        """Node and environment of a worker."""
        gpus = ",".join(seat.gpu for seat in seats)
        return {
            "node": seats[0].node if seats else None,
            "env": self._environment(workers, on_gpu=bool(seats)) | {"CUDA_VISIBLE_DEVICES": gpus},
        }

    def release(self, role: str) -> None:
        """Stop the engine of a role, if there is one, and free its memory and its seats."""
        served = self._engines.pop(role, None)
        if served is not None:
            for remote in served.remotes:
                self._ray().stop(remote)
        if self._seats is not None:
            self._seats.give_back(role)

    # ------------------------------------------------------------ trainers

    @property
    def trainers(self) -> list[Remote]:
        """The warm group, joined: rank i is element i."""
        if not self._trainers:
            from posttrain.machine.cluster import ActorSpec, first_failure

            count, gpus = self._recipe.cluster.trainers, self._recipe.cluster.gpus_per_trainer
            threads = max(1, _cores() // count)
            specs = [
                ActorSpec(
                    name=f"trainer-{rank}",
                    target=TrainerWorker,
                    kwargs={"rank": rank, "world": count, "threads": threads},
                    cpus=self._cpus(self._recipe.cluster.cpus_per_trainer),
                    **self._place(mine, count),
                )
                for rank, mine in enumerate(self._take_seats(TRAINERS, count, gpus))
            ]
            try:
                self._trainers = self._ray().start_group(specs)
                first = self._trainers[0].place()
                first_failure([remote.submit("join", first.address, first.port) for remote in self._trainers])
            except BaseException:
                self._drop_trainers()
                raise
        return self._trainers

    def run(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function in every trainer worker; returns rank 0's result. It must be importable under its name
        (no lambda): it is imported there, with whatever heavy it needs.

        Where one worker fails the whole group is replaced: the others may wait for it in a collective for ever. A stop
        is the function's to notice: it has a state to save.
        """
        from posttrain.machine.cluster import first_failure

        group = self.trainers
        self._use_seats(TRAINERS)
        self._note_others()
        try:
            with giving_up_waits(None):
                return first_failure([remote.submit("run", function, args, kwargs) for remote in group])[0]  # type: ignore[no-any-return]
        except BaseException:
            self._drop_trainers()
            raise

    def run_aside(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """As `run`, for what asks engines or reads rows and needs no GPU itself: trainers that have GPUs, or turns to
        take, are left alone."""
        if self._trainers_are_free():
            return self.run(function, *args, **kwargs)
        from posttrain.machine.cluster import ActorSpec

        if self._aside is None:
            self._aside = self._ray().start(
                ActorSpec(
                    name="aside",
                    target=TrainerWorker,
                    kwargs={"rank": 0, "world": 1, "threads": _cores()},
                    cpus=self._cpus(),
                    **self._place((), 1),
                )
            )
        try:
            with giving_up_waits(None):
                return self._aside.call("run", function, args, kwargs)  # type: ignore[no-any-return]
        except BaseException:
            self._ray().stop(self._aside)
            self._aside = None
            raise

    def _trainers_are_free(self) -> bool:
        return not self._turns and self._recipe.cluster.gpus_per_trainer == 0

    def _drop_trainers(self) -> None:
        for remote in self._trainers:
            self._ray().stop(remote)
        self._trainers = []
        if self._seats is not None:
            self._seats.give_back(TRAINERS)

    # ------------------------------------------------------------ scoring

    def scorer(self, models: Mapping[str, Any] | None = None) -> Remote:
        """The scorer, in an actor of its own. models: name in a verifier's `model: {stage: <name>}` -> (engine proxy,
        its model folder)."""
        if self._scorer is None:
            from posttrain.machine.cluster import ActorSpec

            recipe = self._recipe
            self._scorer = self._ray().start(
                ActorSpec(
                    name="scorer",
                    target=Scorer,
                    kwargs={
                        "verifiers": {name: spec.model_dump() for name, spec in recipe.verifiers.items()},
                        "sandbox": recipe.sandbox.model_dump(),
                        "think": recipe.chat.think,
                        "judges": Placement(
                            logs=str(self._logs.resolve()),
                            timeout_seconds=recipe.cluster.placement_timeout_seconds,
                            cpus=self._cpus(),
                        ),
                    },
                    cpus=self._cpus(),
                    env=quiet_environment() | {"OMP_NUM_THREADS": "1"},
                )
            )
        if models:
            self._scorer.call("use_models", dict(models))
        return self._scorer

    # ------------------------------------------------------------ the whole

    def facts(self) -> MachineFacts:
        """For manifests: what of this machine and its libraries shapes a result."""
        engines = {}
        for role, served in self._engines.items():
            health = served.engine.health()
            engines[role] = EngineFacts(backend=health.backend, device=health.device, dtype=health.dtype)
        return MachineFacts(
            versions=library_versions(),
            cores=_cores(),
            ray=self._cluster.resources() if self._cluster else None,
            engine_backend=choose_backend(self._recipe.engine.backend),
            engines=engines,
            trainers=len(self._trainers),
            judge=self._judge_facts(),
        )

    def _judge_facts(self) -> JudgeFacts | None:
        from sandbox.images import root_tree

        judge: dict[str, Any] | None = self._scorer.call("judge") if self._scorer else None
        if judge is None:
            return None
        image = root_tree.image_reference(self._recipe.sandbox.image)
        return JudgeFacts(level=Level(judge["level"]), images=judge["images"], image=image)

    def close(self) -> None:
        """Stop every actor, and Ray if this pipeline started it."""
        if self._cluster is not None:
            self._cluster.close()
        self._cluster, self._engines, self._trainers, self._scorer = None, {}, [], None
        self._aside, self._seats = None, None

    def __enter__(self) -> Machine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ray(self) -> Cluster:
        if self._cluster is None:
            silence_libraries()
            from posttrain.machine.cluster import Cluster

            spec = self._recipe.cluster
            self._cluster = Cluster(
                address=spec.address, placement_timeout_seconds=spec.placement_timeout_seconds, logs=self._logs
            )
            self._cluster.check_shared(self._shared)
        return self._cluster

    def _cpus(self, asked: float | None = None) -> float:
        if asked is not None:
            return asked
        return _LOCAL_CPUS if self._recipe.cluster.address == "local" else 1.0

    def _environment(self, workers: int, *, on_gpu: bool) -> dict[str, str]:
        environment = quiet_environment() | {"OMP_NUM_THREADS": str(max(1, _cores() // workers))}
        if "OMP_WAIT_POLICY" not in os.environ:  # the user's word counts
            environment["GOMP_SPINCOUNT"] = _SPINS
        return environment if on_gpu else environment | {"ACCELERATE_USE_CPU": "true"}


def _version(remotes: Sequence[Remote]) -> str | None:
    """The version of the weights that the engines of a role hold; None where one of them is dead or does not answer: it
    is started anew, in its turn."""
    try:
        versions = {str(remote.call_within(_ANSWER_SECONDS, "health").version) for remote in remotes}
    except StageError:
        return None
    return " and ".join(sorted(versions))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

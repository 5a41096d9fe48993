"""The machine a pipeline runs on, as its stages see it: engines, trainers and a scorer, each started on first use and
kept warm.

    stage ── machine.engine("policy", folder, version) ──> Engine      weights checked against transformers on the way
          ── machine.run(function, ...)                ──> the result of rank 0; the same code for 1 and N workers
          ── machine.scorer(...)                       ──> Scorer

Knows neither stages nor Ray's API (`cluster.py` does), and imports nothing heavy: torch and vLLM are imported in the
actors. Trainers and engines take turns, so each is given all cores of the machine; their number is fixed, as the order
of a sum depends on it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from posttrain.errors import OutOfMemory, PosttrainError, StageError
from posttrain.machine.judges import Placement
from posttrain.machine.scorer import Scorer
from posttrain.recipe.engines import engines_of
from posttrain.recipe.schema import Recipe
from posttrain.records.manifest import EngineFacts, JudgeFacts, MachineFacts
from posttrain.rollout.dispatch import SLOTS
from posttrain.rollout.engine import Engine, EngineOptions
from posttrain.rollout.engine_group import EnginePool
from posttrain.rollout.serve import EngineServer, choose_backend
from posttrain.rollout.vllm_arguments import refuse_unknown_options
from posttrain.rollout.weights import shape_key
from posttrain.signals.stopping import giving_up_waits
from posttrain.store.artefacts import library_versions
from posttrain.telemetry import quiet_environment, silence_libraries
from sandbox.types import Level

if TYPE_CHECKING:
    from posttrain.machine.cluster import Cluster, Remote

P = ParamSpec("P")
R = TypeVar("R")

# engines and trainers take turns on one machine; asking Ray for whole CPUs would make one wait for the other forever
_LOCAL_CPUS = 0.01
# OpenMP threads wait awake for about half a millisecond: between products, but not while another actor works
_SPINS = "30000"


@dataclass(kw_only=True, slots=True)
class _Served:
    """One role's engines. Mutable: `model_dir` follows the weights."""

    shape: str
    engine: Any
    remotes: list[Remote]


class TrainerWorker:
    """The object in a trainer actor: joins the group once, then runs the function it is given with its rank in the
    environment."""

    def __init__(self, rank: int, world: int, threads: int) -> None:
        import torch

        self._rank, self._world = rank, world
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(True, warn_only=True)
        # Deterministic mode would also fill every fresh tensor; that is for finding reads of unset memory, and took a
        # third of an SFT step.
        torch.utils.deterministic.fill_uninitialized_memory = False
        torch.set_float32_matmul_precision("highest")

    def join(self, address: str, port: int) -> None:
        """Rank and address for accelerate and torch; a process group only where there is someone to talk to."""
        if self._world == 1:
            return
        import torch
        import torch.distributed

        os.environ |= {
            "MASTER_ADDR": address,
            "MASTER_PORT": str(port),
            "RANK": str(self._rank),
            "WORLD_SIZE": str(self._world),
            "LOCAL_RANK": "0"
            if torch.cuda.is_available()
            else str(self._rank),  # Ray shows each actor its own GPU only
        }
        torch.distributed.init_process_group(
            "nccl" if torch.cuda.is_available() else "gloo", rank=self._rank, world_size=self._world
        )

    def run(self, function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """The function's result on the first rank, None on the others: it need not travel. Raises OutOfMemory."""
        from posttrain.machine.out_of_memory import in_short, is_out_of_memory

        try:
            result = function(*args, **kwargs)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            what = f"trainer {self._rank} of {self._world} ran out of memory ({in_short(error)})"
            raise OutOfMemory(what, remedy="lower micro_batch_size") from error
        return result if self._rank == 0 else None


class Machine:
    """All actors of one pipeline. Not picklable: it stays with the driver, which hands out proxies."""

    def __init__(self, recipe: Recipe, logs: Path) -> None:
        self._recipe = recipe
        self._logs = logs
        self._cluster: Cluster | None = None
        self._engines: dict[str, _Served] = {}
        self._trainers: list[Remote] = []
        self._scorer: Remote | None = None

    # ------------------------------------------------------------ engines

    def engine(self, role: str, model_dir: Path, version: str) -> Engine:
        """The engine of a role with these weights in it. The proxy may be handed to trainers and scorers.

        The same version is not loaded again; another version of the same shape is loaded and checked; another shape
        replaces the engine.
        """
        served, shape = self._engines.get(role), shape_key(model_dir)
        if served is not None and served.shape == shape and (held := _version(served.engine)) is not None:
            if held != version:
                try:
                    served.engine.load_checked(str(model_dir), version)
                except PosttrainError:
                    self.release(role)  # what is in it now is unknown
                    raise
            return served.engine  # type: ignore[no-any-return]
        self.release(role)
        remotes = self._start_engines(role, model_dir, version)
        engine: Any = remotes[0] if len(remotes) == 1 else self._pool(role, remotes)
        self._engines[role] = _Served(shape=shape, engine=engine, remotes=remotes)
        return engine  # type: ignore[no-any-return]

    def _pool(self, role: str, remotes: list[Remote]) -> EnginePool:
        """On the CPU the same bytes come again; on GPUs, whose sums repeat in no order anyhow, no engine waits for
        another."""
        engines = engines_of(self._recipe, role)
        slots = int(engines.options.get("max_num_seqs") or SLOTS)
        return EnginePool(remotes, in_order=engines.gpus == 0, slots=slots)

    def _start_engines(self, role: str, model_dir: Path, version: str) -> list[Remote]:
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
        return self._ray().start_group(
            [
                ActorSpec(
                    name=name,
                    target=EngineServer,
                    kwargs=kwargs,
                    cpus=self._cpus(),
                    gpus=gpus,
                    env=self._environment(gpus, count),
                )
                for name in names
            ]
        )

    def release(self, role: str) -> None:
        """Stop the engine of a role, if there is one, and free its memory."""
        served = self._engines.pop(role, None)
        if served is not None:
            for remote in served.remotes:
                self._ray().stop(remote)

    # ------------------------------------------------------------ trainers

    @property
    def trainers(self) -> list[Remote]:
        """The warm group, joined: rank i is element i."""
        if not self._trainers:
            from posttrain.machine.cluster import ActorSpec, first_failure

            count, gpus = self._recipe.cluster.trainers, self._recipe.cluster.gpus_per_trainer
            environment = self._environment(gpus, count)
            threads = int(environment["OMP_NUM_THREADS"])
            group = self._ray().start_group(
                [
                    ActorSpec(
                        name=f"trainer-{rank}",
                        target=TrainerWorker,
                        kwargs={"rank": rank, "world": count, "threads": threads},
                        cpus=self._cpus(self._recipe.cluster.cpus_per_trainer),
                        gpus=gpus,
                        env=environment,
                    )
                    for rank in range(count)
                ]
            )
            address, port, _ = group[0].place()
            try:
                first_failure([remote.submit("join", address, port) for remote in group])
            except BaseException:
                for remote in group:
                    self._ray().stop(remote)
                raise
            self._trainers = group
        return self._trainers

    def run(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function in every trainer worker; returns rank 0's result. It must be importable under its name
        (no lambda): it is imported there, with whatever heavy it needs.

        Where one worker fails the whole group is replaced: the others may wait for it in a collective for ever. A stop
        is the function's to notice: it has a state to save.
        """
        from posttrain.machine.cluster import first_failure

        group = self.trainers
        try:
            with giving_up_waits(None):
                return first_failure([remote.submit("run", function, args, kwargs) for remote in group])[0]  # type: ignore[no-any-return]
        except BaseException:
            self._drop_trainers()
            raise

    def _drop_trainers(self) -> None:
        for remote in self._trainers:
            self._ray().stop(remote)
        self._trainers = []

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
        return self._cluster

    def _cpus(self, asked: float | None = None) -> float:
        if asked is not None:
            return asked
        return _LOCAL_CPUS if self._recipe.cluster.address == "local" else 1.0

    def _environment(self, gpus: float, workers: int) -> dict[str, str]:
        environment = quiet_environment() | {"OMP_NUM_THREADS": str(max(1, _cores() // workers))}
        if "OMP_WAIT_POLICY" not in os.environ:  # the user's word counts
            environment["GOMP_SPINCOUNT"] = _SPINS
        return environment if gpus > 0 else environment | {"CUDA_VISIBLE_DEVICES": "", "ACCELERATE_USE_CPU": "true"}


def _version(engine: Any) -> str | None:
    """The version of the weights that the engine holds; None when it is dead."""
    try:
        return str(engine.health().version)
    except StageError:
        return None


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

"""Does a recipe fit the hardware that it names? GPUs held, memory of the fullest GPU, host memory, GPU-hours a step.

    seats      a step holds the GPUs of the roles that work in it; others give up theirs where they are needed
               (machine/seats.py, by which all is placed here, too)
    a GPU      holds one trainer or one engine, or several in turn (cluster.share: time); where the shares of both are
               at most one GPU together they may be on the same, and their memory is added

Knows no torch and asks no machine. Raises nothing: `Verdict.refuse` does, with the recipe's line.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from posttrain.machine.seats import TRAINERS
from posttrain.plan import compute
from posttrain.plan.estimate import Estimate, configs, other_sizes, rows_read
from posttrain.plan.memory import (
    GB,
    GpuMemory,
    engine_need,
    forward_of,
    teacher_memory,
    trained_parameters,
    training_memory,
    trial_memory,
)
from posttrain.plan.seating import engines_up, gpus_of, roles_of, unplaced, workers_of
from posttrain.plan.steps import Plan
from posttrain.recipe.distillation import follows_weights
from posttrain.recipe.engines import on_gpus
from posttrain.recipe.location import Source
from posttrain.recipe.resolve import BASE
from posttrain.recipe.schema import Dpd, Recipe, Training
from posttrain.recipe.sizes import Decoder, decoder
from posttrain.recipe.yaml_core import Key
from posttrain.records.step import Step

RESERVED_GB = 2.0  # of each GPU: CUDA's context, NCCL's buffers, gaps between allocations
TEACHER_SHARE = 0.1  # of a GPU above which a teacher is shared, as there
GPU_SHARE = (
    0.5  # above which sharding: auto shards (train/sharding.py, which this floor may not import: it loads torch)
)
WORKER_GB = 3.0  # host memory of a process that has imported torch, transformers and CUDA's libraries
OBJECT_STORE_GB = 0.5
ENCODERS_GB = 32 * 0.5  # of the processes that make tokens, at most (MOST_PROCESSES in train/tokens.py)
NO_MODEL = ("export", "tokens", "gate")  # kinds of steps that load none
LONGEST_MASK = 32768  # of sdpa on a GPU, as in train/attention.py, which loads torch


@dataclass(frozen=True, kw_only=True, slots=True)
class Needs:
    """What one step asks of the hardware; None where a thing does not apply or cannot be known yet.

    Example: Needs(gpus=8.0, gpu_memory_gb=GpuMemory(total=41.0), host_memory_gb=75.0, flops=1e18, gpu_hours=9.5,
    notes=("sharded over 4 trainers",))
    """

    gpus: float | None = None
    gpu_memory_gb: GpuMemory = field(default_factory=GpuMemory)
    host_memory_gb: float | None = None
    flops: float | None = None
    gpu_hours: float | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Misfit:
    """Why a recipe cannot run on its hardware. Example: Misfit(key=("hardware", "gpus"), what="distil.pairs asks for 24
    GPUs, hardware has 8", remedy="...")"""

    key: Key
    what: str
    remedy: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """fits: None where GPUs are asked and either the hardware or a model's sizes are not stated.

    Example: Verdict(fits=True, needs={"base": Needs(), ...}, misfits=())
    """

    fits: bool | None
    needs: Mapping[str, Needs]
    misfits: tuple[Misfit, ...]

    def refuse(self, source: Source) -> None:
        """Raises RecipeError for the first misfit; the others stand in its remedy."""
        if self.misfits:
            first, *others = self.misfits
            more = "".join(f". Also: {other.what}; {other.remedy}" for other in others[:3])
            source.fail(first.key, first.what, first.remedy + more)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Asked:
    """The plan with what is looked up for every step."""

    plan: Plan
    sizes: Mapping[str, Decoder | None]  # step -> the model that it makes, trains or asks
    estimates: Mapping[str, Estimate]

    @property
    def recipe(self) -> Recipe:
        return self.plan.recipe

    @property
    def on_gpus(self) -> bool:
        return on_gpus(self.recipe)

    @property
    def in_turns(self) -> bool:
        return self.recipe.cluster.share == "time"

    @property
    def memory_gb(self) -> float | None:
        return self.recipe.hardware.gpu_memory_gb if self.recipe.hardware else None

    def asks(self, step: Step) -> bool:
        """Whether it asks engines."""
        return bool(roles_of(self.recipe, step) - {TRAINERS})

    def training(self, step: Step) -> Training | None:
        stage = next((one for one in self.recipe.stages if one.name == step.stage), None)
        return stage if step.kind in ("sft", "dpd", "grpo", "reward_model") and isinstance(stage, Training) else None


def look(plan: Plan, estimates: Mapping[str, Estimate]) -> Verdict:
    """What every step needs, and whether the recipe's hardware has it."""
    asked = _Asked(plan=plan, sizes=_sizes(plan), estimates=estimates)
    needs = {step.name: _needs(asked, step, roles) for step, roles in engines_up(plan.recipe, plan.steps)}
    misfits = tuple(_misfits(asked, needs))
    unknown = asked.on_gpus and (
        asked.memory_gb is None
        or any(asked.sizes[step.name] is None for step in plan.steps if step.kind not in NO_MODEL)
    )
    return Verdict(fits=False if misfits else None if unknown else True, needs=needs, misfits=misfits)


def _sizes(plan: Plan) -> dict[str, Decoder | None]:
    sizes: dict[str, Decoder | None] = {name: decoder(config) for name, config in configs(plan).items()}
    for step in plan.steps:
        if step.name not in sizes:
            sizes[step.name] = sizes.get(step.inputs.get("checkpoint", BASE))
    return sizes


def _needs(asked: _Asked, step: Step, roles: frozenset[str]) -> Needs:
    cluster, stage, model = asked.recipe.cluster, asked.training(step), asked.sizes[step.name]
    if step.kind in ("base", "export"):
        return Needs(notes=tuple(other_sizes(asked.plan, step.name)) if step.kind == "base" else ())
    if step.kind in ("tokens", "gate"):
        host = _host(asked, step, roles, None) if step.kind == "tokens" else None
        return Needs(gpus=0.0 if asked.on_gpus else None, host_memory_gb=host if asked.on_gpus else None)
    working = roles_of(asked.recipe, step)
    gpus = gpus_of(asked.recipe, working)
    if not asked.on_gpus or model is None:
        return Needs(gpus=gpus if asked.on_gpus else None)
    memory, notes = GpuMemory(), list[str]()
    asks = stage is not None or step.kind == "teacher_logprobs"
    teacher = asked.sizes.get(step.inputs.get("teacher", "")) if asks else None
    if cluster.gpus_per_trainer > 0 and stage is not None and (teacher or "teacher" not in step.inputs):
        memory, notes = _trained(asked, stage, model, teacher)
    elif cluster.gpus_per_trainer > 0 and step.kind == "teacher_logprobs":
        memory, notes = _read_by_teacher(asked, step)
    elif cluster.gpus_per_trainer > 0 and step.kind == "fitness":
        memory = trial_memory(model, _tried(asked, model))
    engines = working - {TRAINERS} if asked.in_turns else roles
    if engines and cluster.gpus_per_engine > 0 and asked.memory_gb is not None:
        memory = _beside_engines(asked, step, memory, len(engines))
    flops, hours = _time(asked, step, stage, teacher)
    return Needs(
        gpus=gpus,
        gpu_memory_gb=memory,
        host_memory_gb=_host(asked, step, engines, teacher),
        flops=flops,
        gpu_hours=None if hours is None else hours * gpus,
        notes=tuple(notes),
    )


def _beside_engines(asked: _Asked, step: Step, memory: GpuMemory, roles: int) -> GpuMemory:
    """With what vLLM takes at its start and keeps. An engine on a GPU of its own counts where the step asks it."""
    cluster, share = asked.recipe.cluster, asked.recipe.engine.gpu_memory_share * (asked.memory_gb or 0.0)
    if asked.in_turns:
        return replace(memory, engine=share, total=max(memory.total or 0.0, share))
    if cluster.gpus_per_trainer and cluster.gpus_per_trainer + cluster.gpus_per_engine <= 1:
        return replace(memory, engine=share * roles, total=(memory.total or 0.0) + share * roles)
    if asked.asks(step):
        share *= min(roles * cluster.engines, int(1 / cluster.gpus_per_engine)) if cluster.gpus_per_engine < 1 else 1
        return replace(memory, engine=share, total=max(memory.total or 0.0, share))
    return memory


def _tried(asked: _Asked, model: Decoder) -> int:
    """Parameters that the largest of fitness's trials trains: one for each way in which the stages do."""
    stages = [stage for stage in asked.recipe.stages if isinstance(stage, Training) and stage.name in asked.plan.stages]
    return max((trained_parameters(stage, model) for stage in stages), default=0)


def _largest(asked: _Asked) -> Decoder:
    """Of the models that fitness tries."""
    known = [size for step in asked.plan.steps if step.kind == "base" and (size := asked.sizes[step.name])]
    return max(known, key=lambda size: size.parameters)


def _trained(asked: _Asked, stage: Training, model: Decoder, teacher: Decoder | None) -> tuple[GpuMemory, list[str]]:
    """Memory of a trainer: by cluster.sharding, of which auto shards what would fill a GPU by more than half."""
    cluster, context, room = asked.recipe.cluster, asked.recipe.engine.context_tokens, asked.memory_gb
    shared = teacher is not None and _shares_teacher(asked, teacher)
    whole, parts = (
        training_memory(
            model,
            stage,
            context_tokens=context,
            trainers=cluster.trainers,
            sharded=sharded,
            teacher=teacher,
            teacher_shared=shared,
        )
        for sharded in (False, True)
    )
    states = 4 * model.parameters + 12 * trained_parameters(stage, model)
    by_size = cluster.sharding == "auto" and room is not None and states / GB > GPU_SHARE * room
    sharded = cluster.trainers > 1 and (cluster.sharding == "fsdp" or by_size)
    notes = [f"sharded over {cluster.trainers} trainers (FSDP2)" if sharded else "not sharded"]
    passed = forward_of(stage, context)
    assumed = "sdpa" if stage.attention == "auto" else stage.attention
    notes.append(f"attention: {assumed}{' with a mask' if passed.masked else ''}")
    across = passed.all_tokens if passed.flattened else passed.tokens
    if passed.masked and across > LONGEST_MASK:
        notes.append(f"masked sdpa over {across} tokens is wrong on a GPU and refused: set attention: flash")
    if shared:
        notes.append(f"teacher shared among {cluster.trainers} trainers")
    return (parts if sharded else whole), notes


def _shares_teacher(asked: _Asked, teacher: Decoder) -> bool:
    """As train/sharding.py::wants_shared_teacher decides, by the teacher's half-precision weights."""
    cluster, room = asked.recipe.cluster, asked.memory_gb
    by_size = cluster.sharding == "auto" and room is not None and 2 * teacher.parameters / GB > TEACHER_SHARE * room
    return cluster.trainers > 1 and (cluster.sharding == "fsdp" or by_size)


def _read_by_teacher(asked: _Asked, step: Step) -> tuple[GpuMemory, list[str]]:
    """Memory of a trainer while the teacher reads the pairs; nothing where its sizes are not known."""
    teacher = asked.sizes.get(step.inputs["teacher"])
    stage = next(one for one in asked.recipe.stages if one.name == step.stage)
    if teacher is None or not isinstance(stage, Dpd):
        return GpuMemory(), []
    split = asked.recipe.cluster.trainers if _shares_teacher(asked, teacher) else 1
    memory = teacher_memory(teacher, stage, context_tokens=asked.recipe.engine.context_tokens, split=split)
    return memory, [f"teacher shared among {split} trainers" if split > 1 else "not sharded"]


def _host(asked: _Asked, step: Step, roles: frozenset[str], teacher: Decoder | None) -> float | None:
    """Main memory of the fullest node. A trainer loads its model there in float32 (a teacher's file is mapped, once
    for all trainers of a node), and later copies there what its checkpoint holds (12 bytes a trained parameter, over
    all trainers); an engine checks the weights of a folder against a float32 copy; a hand-over makes one copy in
    float32, one that the engines of the node read, and for those of other nodes a message each. The pairs of a reward
    model lie in every trainer as lists of 80 bytes a token, at 4 bytes of text a token, and rows of an sft on the
    disk."""
    model, cluster = asked.sizes[step.name], asked.recipe.cluster
    if model is None:
        return None
    nodes = asked.recipe.hardware.nodes if asked.recipe.hardware else 1
    trainers, engines = math.ceil(cluster.trainers / nodes), math.ceil(cluster.engines / nodes)
    copy = 4 * model.parameters / GB
    processes = (trainers + len(roles) * engines + 2) * WORKER_GB + OBJECT_STORE_GB
    if step.kind == "tokens":
        return processes + ENCODERS_GB
    if step.kind == "fitness":
        return processes + 8 * _largest(asked).parameters / GB
    stage = asked.training(step)
    checkpoint = 12 * trained_parameters(stage, model) * trainers / cluster.trainers / GB if stage else 0.0
    mapped = 2 * teacher.parameters / GB if teacher else 0.0
    if stage is not None and follows_weights(stage):
        # Who sleeps lies in main memory: the trainers' states, and the weights of each engine in half precision.
        asleep = checkpoint + len(roles) * engines * copy / 2 if asked.in_turns else 0.0
        messages = engines * copy / 2 if nodes > 1 else 0.0
        return processes + mapped + max(trainers * copy, engines * copy, 2 * copy + messages + checkpoint + asleep)
    if step.kind in ("dpd", "teacher_logprobs"):
        return processes + mapped + (max(trainers * copy, checkpoint) if step.kind == "dpd" else 0.0)
    if step.kind in ("sft", "reward_model"):
        text = asked.estimates[step.name].text_bytes or 0
        return processes + max(trainers * copy, checkpoint) + trainers * text / 4 * 80 / GB
    return processes + engines * copy


def _time(
    asked: _Asked, step: Step, stage: Training | None, teacher: Decoder | None
) -> tuple[float | None, float | None]:
    """(operations of training, hours) of a step; None where its tokens are not known."""
    model, tokens, recipe = asked.sizes[step.name], asked.estimates[step.name].tokens, asked.recipe
    if model is None or tokens is None or asked.estimates[step.name].asked is not None:
        return None, None  # whose models are others, and mostly servers
    hours, flops = 0.0, None
    if stage is not None:
        length = forward_of(stage, recipe.engine.context_tokens).tokens
        trained = tokens - asked.estimates[step.name].beside
        flops = compute.training_flops(model, trained, length, teacher=teacher)
        if isinstance(stage, Dpd) and teacher is None:
            flops *= 4 / 3  # the reference reads the answers, too
        hours += compute.training_hours(flops, recipe.cluster.trainers)
    if step.kind == "teacher_logprobs":
        its = asked.sizes.get(step.inputs["teacher"])
        length = int(step.params["context_tokens"])
        flops = None if its is None else compute.training_flops(its, tokens, length) / 3
        hours += 0.0 if flops is None else compute.training_hours(flops, recipe.cluster.trainers)
    elif (stage is None or follows_weights(stage)) and recipe.cluster.gpus_per_engine > 0:
        if isinstance(stage, Dpd):  # of what it reads, the fresh answers
            tokens = tokens * stage.fresh_samples // rows_read(stage)
        length = min(recipe.engine.context_tokens, int(step.params.get("max_tokens", recipe.engine.context_tokens)))
        room = recipe.engine.gpu_memory_share * (asked.memory_gb or 80.0) - 2 * model.parameters / GB
        hours += compute.generation_hours(
            model, tokens, length, cache_gb=max(1.0, room), engines=recipe.cluster.engines
        )
    return flops, hours


# ---------------------------------------------------------------- what does not fit


def _misfits(asked: _Asked, needs: Mapping[str, Needs]) -> Iterator[Misfit]:
    hardware, cluster = asked.recipe.hardware, asked.recipe.cluster
    if hardware is None:
        return
    if cluster.trainers > 1 and 0 < cluster.gpus_per_trainer < 1:
        yield Misfit(
            key=("cluster", "gpus_per_trainer"),
            what=f"{cluster.trainers} trainers of {cluster.gpus_per_trainer:g} GPU may share one, which NCCL refuses",
            remedy="set cluster.gpus_per_trainer: 1, or cluster.trainers: 1",
        )
    yield from _too_many_gpus(asked, needs)
    yield from _engine_too_small(asked)
    yield from _too_much_memory(asked, needs)
    step, host = max(((name, need.host_memory_gb or 0.0) for name, need in needs.items()), key=lambda found: found[1])
    if hardware.host_memory_gb is not None and host > hardware.host_memory_gb:
        yield Misfit(
            key=("hardware", "host_memory_gb"),
            what=f"{step} needs {host:.0f} GB of main memory a node, hardware has {hardware.host_memory_gb:g}",
            remedy="lower cluster.trainers or cluster.engines, or spread them over more nodes",
        )


def _too_many_gpus(asked: _Asked, needs: Mapping[str, Needs]) -> Iterator[Misfit]:
    hardware = asked.recipe.hardware
    assert hardware is not None, "only called with hardware"
    here = hardware.nodes * hardware.gpus
    step, most = max(((name, need.gpus or 0.0) for name, need in needs.items()), key=lambda found: found[1])
    if most <= here + 1e-9:
        yield from _unplaced(asked)
        return
    asking = sorted(roles_of(asked.recipe, asked.plan.step(step)))
    remedy = f"set hardware.gpus to what there is, at least {math.ceil(most / hardware.nodes)}"
    if not asked.in_turns and len(asking) > 1:
        largest = max(gpus_of(asked.recipe, [role]) for role in asking)
        remedy = f"set cluster.share: time{'' if largest <= here else ' and fewer of each'}, or {remedy}"
    else:
        remedy = f"lower cluster.trainers and cluster.engines, or {remedy}"
    held = ", ".join("{} {} of {:g} GPU".format(role, *workers_of(asked.recipe, role)) for role in asking)
    yield Misfit(
        key=("hardware", "gpus"), what=f"{step} holds {most:g} GPUs ({held}), hardware has {here}", remedy=remedy
    )


def _unplaced(asked: _Asked) -> Iterator[Misfit]:
    """Enough GPUs, and yet no room: those of one engine must be of one node."""
    hardware = asked.recipe.hardware
    assert hardware is not None, "only called with hardware"
    found = unplaced(asked.recipe, asked.plan.steps, [hardware.gpus] * hardware.nodes)
    if found is not None:
        step, error = found
        yield Misfit(key=("cluster",), what=f"{step.name}: {error.what}", remedy=error.remedy or "")


def _engine_too_small(asked: _Asked) -> Iterator[Misfit]:
    """vLLM refuses to start in a share that does not hold the weights and one context."""
    engine, room = asked.recipe.engine, asked.memory_gb
    if room is None or not asked.recipe.cluster.gpus_per_engine:
        return
    for step, roles in engines_up(asked.recipe, asked.plan.steps):
        model = asked.sizes[step.name]
        if model is None or not roles or not asked.asks(step):
            continue
        own = [name for role, name in step.inputs.items() if role.startswith("model.")]
        models = [asked.sizes.get(name) for name in own or [step.name, step.inputs.get("teacher", "")]]
        need = max((engine_need(one, engine.context_tokens) for one in models if one is not None), default=0.0)
        if need > engine.gpu_memory_share * room:
            yield Misfit(
                key=("engine", "gpu_memory_share"),
                what=(
                    f"an engine of {step.name} needs {need:.1f} GB for weights, one context and its work, and may take "
                    f"{engine.gpu_memory_share * room:.1f}"
                ),
                remedy=f"raise it to {math.ceil(100 * need / room) / 100:g}"
                if need <= 0.95 * room
                else "lower engine.context_tokens, or take GPUs with more memory",
            )
            return


def _too_much_memory(asked: _Asked, needs: Mapping[str, Needs]) -> Iterator[Misfit]:
    room = asked.memory_gb
    if room is None:
        return
    step, most = max(
        ((name, need.gpu_memory_gb.total or 0.0) for name, need in needs.items()), key=lambda found: found[1]
    )
    if most + RESERVED_GB <= room or (needs[step].gpu_memory_gb.engine == most):
        return
    memory = needs[step].gpu_memory_gb
    parts = ", ".join(
        f"{part} {value:.1f}"
        for part in ("weights", "gradients", "optimizer", "activations", "logits", "engine")
        if (value := getattr(memory, part))
    )
    yield Misfit(
        key=("hardware", "gpu_memory_gb"),
        what=(
            f"{step} needs {most + RESERVED_GB:.0f} GB on a GPU ({parts}; {RESERVED_GB:g} kept free), hardware has "
            f"{room:g}"
        ),
        remedy=_remedy(asked, step, memory),
    )


def _remedy(asked: _Asked, name: str, memory: GpuMemory) -> str:
    """The change that saves most, by the part that weighs most."""
    step = asked.plan.step(name)
    stage = asked.training(step)
    if step.kind == "fitness":
        return "set the stages' adapter to a LoRA such as {rank: 32, alpha: 64.0}, or give GPUs with more memory"
    if stage is None:
        return "give GPUs with more memory, or a smaller base"
    place, states = f"stages.{stage.name}", sum((memory.weights or 0, memory.gradients or 0, memory.optimizer or 0))
    if (memory.activations or 0) > states:
        if not stage.gradient_checkpointing:
            return f"set {place}.gradient_checkpointing: true"
        if stage.micro_batch_size > 1:
            return f"lower {place}.micro_batch_size"
        return f"lower {place}.max_tokens" + (f", or set {place}.attention: flash" if stage.attention == "auto" else "")
    if asked.recipe.cluster.gpus_per_trainer < 1:
        return "lower engine.gpu_memory_share, or give trainer and engine a GPU each"
    return f"raise cluster.trainers, or set {place}.adapter to a LoRA such as {{rank: 32, alpha: 64.0}}"

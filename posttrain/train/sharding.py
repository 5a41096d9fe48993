"""FSDP2 under the Trainer: when it is switched on, with which settings, and how a sharded model becomes whole again.

    settings(..., sharded=wants_sharding(job.sharding, model))   the Trainer's arguments
    prepare_sharding(trainer)                                    before train(): float32 sums, and a CPU's turn
    whole_model(trainer.model, make)                             all ranks; the first gets a plain model on its CPU
    shard_frozen(teacher, device)                                a model that is never trained

Every rank must run the same forwards and backwards, since each gathers the layers anew. Knows nothing of losses.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor

from posttrain.machine.ranks import is_first_rank, world_size

GPU_SHARE = 0.5
"""Of a GPU's memory that weights, gradients and optimiser may take unsharded; the rest is for activations."""
TEACHER_SHARE = 0.1
"""Of a GPU's memory that a whole teacher may take beside the student: to gather its layers costs little beside a
pass over long answers. As in plan/hardware.py."""
_WRAPPED = "_checkpoint_wrapped_module."  # what activation checkpointing puts into names


def wants_sharding(asked: str, model: Any) -> bool:
    """What `cluster.sharding` comes to here. auto: on GPUs where float32 weights, gradients and AdamW's two moments do
    not leave half of one free; on a CPU no."""
    if asked != "auto" or world_size() == 1 or not torch.cuda.is_available():
        return asked == "fsdp" and world_size() > 1
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    held = 4 * sum(parameter.numel() for parameter in model.parameters()) + 12 * trained
    return held > GPU_SHARE * torch.cuda.get_device_properties(0).total_memory


def wants_shared_teacher(asked: str, model: Any) -> bool:
    """What `cluster.sharding` comes to for a frozen model. auto: shared on GPUs of which it would take more than a
    tenth."""
    if asked != "auto" or world_size() == 1 or not torch.cuda.is_available():
        return asked == "fsdp" and world_size() > 1
    held = sum(parameter.nbytes for parameter in model.parameters())
    return held > TEACHER_SHARE * torch.cuda.get_device_properties(0).total_memory


def shard_frozen(model: Any, device: torch.device) -> None:
    """Share a model's layers out among the workers; each is whole while it is computed with. Embedding, last norm and
    output head stay whole after the first pass: the loss reads the head once the pass is over. One layer at a time
    goes through the device."""
    mesh = init_device_mesh(device.type, (world_size(),))
    layers = set(model._no_split_modules or ())
    for module in list(model.modules()):
        if type(module).__name__ in layers:
            fully_shard(module, mesh=mesh)
    fully_shard(model, mesh=mesh, reshard_after_forward=False)


def sharded_arguments(*, recompute: bool) -> dict[str, Any]:
    """Arguments of the Trainer beside those of an unsharded run. recompute: activations, by FSDP's own wrapper; the
    Trainer's gathers every layer once more."""
    return {
        "fsdp": True,
        "fsdp_config": {
            "version": 2,
            "reshard_after_forward": True,
            "state_dict_type": "SHARDED_STATE_DICT",
            "activation_checkpointing": recompute,
        },
        "gradient_checkpointing": False,
        # accelerate would else keep whole gradients over the passes of a step, which is what sharding is to avoid
        "accelerator_config": {"gradient_accumulation_kwargs": {"sync_each_batch": True}},
        "optim": "adamw_torch_fused" if torch.cuda.is_available() else "adamw_torch",
    }


def prepare_sharding(trainer: Any) -> None:
    """See to it that a trainer whose arguments say fsdp shards, and reduces in float32: accelerate's own policy for
    bf16 rounds gradients on their way and the losses that a model returns."""
    if not trainer.args.fsdp:
        return
    if not trainer.is_fsdp_enabled:
        _enable_on_cpu(trainer)
    if trainer.args.bf16:
        policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
        trainer.accelerator.state.fsdp_plugin.mixed_precision_policy = policy


def _enable_on_cpu(trainer: Any) -> None:
    """accelerate 1.15 passes over FSDP on CPUs without a word (its list of devices in state.py lacks MULTI_CPU) and
    trains data parallel. Not needed any more once tests/train/test_sharding.py passes without it."""
    from accelerate.state import PartialState
    from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin

    state = trainer.accelerator.state
    state.fsdp_plugin = FullyShardedDataParallelPlugin(**trainer.args.fsdp_plugin_args)
    state.distributed_type = DistributedType.FSDP
    PartialState._shared_state["distributed_type"] = DistributedType.FSDP
    trainer.is_fsdp_enabled = True


def is_sharded(model: Any) -> bool:
    """Whether FSDP holds its parameters."""
    return isinstance(model, FSDPModule)


def sum_over_ranks(model: Any) -> None:
    """Gradients are the sum over the ranks, not FSDP's mean: each rank's loss is its share of the whole."""
    for module in _units(model):
        module.set_force_sum_reduction_for_comms(True)  # gloo has no other
        module.set_gradient_divide_factor(1.0)


def whole_model(model: Any, make: Callable[[], Any]) -> Any:
    """On the first rank the model unsharded, on its CPU; on the others None. All ranks must call it. make: gives the
    model as it was before it was sharded, whose weights are then overwritten. A model that is not sharded is itself.

    One parameter at a time is whole, so a rank needs no more than its share and the largest parameter.
    """
    if not is_sharded(model):
        return model
    plain = make() if is_first_rank() else None
    copy_whole(model, plain)
    return plain


@torch.no_grad()
def copy_whole(model: Any, into: Any | None) -> None:
    """The sharded model's parameters into a plain one of the same names; `into` is None on ranks that only give. All
    ranks must call it."""
    for module in _units(model):
        module.reshard()  # after a forward without backward the rounded copies that it computed with are still there
    targets = dict(into.named_parameters()) if into is not None else {}
    missing = set(targets)
    for name, parameter in model.named_parameters():
        whole = parameter.full_tensor() if isinstance(parameter, DTensor) else parameter
        if into is not None:
            key = name.replace(_WRAPPED, "")
            targets[key].copy_(whole)
            missing.discard(key)
    assert not missing, f"parameters of the plain model that the sharded one lacks: {sorted(missing)[:3]}"


def names_of(model: Any) -> list[tuple[str, torch.Tensor]]:
    """The parameters by the names that they have in the bare model; of a sharded one this rank's shares."""
    for module in _units(model):
        module.reshard()
    return [(name.replace(_WRAPPED, ""), one) for name, one in model.named_parameters()]


def _units(model: Any) -> list[Any]:
    return [module for module in model.modules() if isinstance(module, FSDPModule)]

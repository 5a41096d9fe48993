"""LoRA on a model: made from the stage's seed, refused where it cannot be merged or matches nothing, and merged with
proof.

Knows nothing of losses, files or recipes beyond the `adapter` key.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Collection
from typing import Any

import torch

from posttrain.errors import CheckpointError, StageError
from posttrain.recipe.schema import Lora
from posttrain.rollout.parity import largest_gap, probe_of, trainer_logprobs

MERGE_TOLERANCE = 1e-3  # nats; float32 alone differs by 1e-6 to 1e-5
_WHERE = "adapter.targets"


def add_adapter(model: Any, adapter: Lora, seed: int) -> Any:
    """The model with a fresh LoRA on it, equal for equal seeds. Raises CheckpointError for targets that are not there,
    that share their weights with another module, or that peft cannot adapt."""
    from peft import LoraConfig, get_peft_model

    targets: Any = adapter.targets
    settings = LoraConfig(
        r=adapter.rank,
        lora_alpha=adapter.alpha,
        lora_dropout=adapter.dropout,
        target_modules=targets,
        task_type="CAUSAL_LM",
    )
    names = [name for name, _ in [*model.named_modules(), *model.named_parameters()]]
    offered = _leaves(model)
    _refuse_tied(model, adapter)
    try:
        with torch.random.fork_rng(), warnings.catch_warnings():
            # peft's own translation of fused experts names patterns that it then reports as unmatched.
            warnings.filterwarnings("ignore", message=".*_pattern keys did not match", category=RuntimeWarning)
            # What it says of Conv1D (gpt2), it also sets right.
            warnings.filterwarnings("ignore", message="fan_in_fan_out is set to False", category=UserWarning)
            torch.manual_seed(seed % 2**63)
            adapted = get_peft_model(model, settings)
    except (ValueError, RuntimeError, TypeError) as error:
        remedy = "change adapter.targets, or set adapter.dropout to 0 where experts are adapted"
        if "not found in the base model" in str(error):
            remedy = offered
        raise CheckpointError(f"LoRA cannot be put on this model: {error}", where=_WHERE, remedy=remedy) from error
    if isinstance(adapter.targets, list):
        _refuse_unmatched(adapted, adapter.targets, names, offered)
    return adapted


def is_adapted(model: Any) -> bool:
    """Whether a LoRA is on it."""
    return hasattr(model, "merge_adapter")


def merged(model: Any) -> Any:
    """A merged copy, so that training may go on."""
    return _bare(copy.deepcopy(model).merge_and_unload())


def merged_for_good(model: Any) -> Any:
    """The model itself with its LoRA merged into its weights, without a copy: it trains no more. Raises StageError as
    prove_merge does."""
    sequences, starts = probe_of(model.get_input_embeddings().weight.shape[0])
    adapted = trainer_logprobs(model, sequences, starts)
    plain = _bare(model.merge_and_unload())
    _refuse_gap(largest_gap(adapted, trainer_logprobs(plain, sequences, starts)))
    return plain


def _bare(plain: Any) -> Any:
    for module in plain.modules():
        # Trainers wrap `forward` of a model in functions that hold on to it: in a copy they would still run the
        # original, and nobody would see what was merged.
        module.__dict__.pop("forward", None)
    return plain


def prove_merge(adapted: Any, plain: Any) -> float:
    """The largest gap in log-probabilities (nats) of the merged model to the adapted one, over short sequences. Raises
    StageError above MERGE_TOLERANCE: what is published must be what was trained."""
    sequences, starts = probe_of(plain.get_input_embeddings().weight.shape[0])
    gap = largest_gap(
        trainer_logprobs(adapted, sequences, starts),
        trainer_logprobs(plain, sequences, starts),
    )
    _refuse_gap(gap)
    return gap


def _refuse_gap(gap: float) -> None:
    if gap > MERGE_TOLERANCE:
        raise StageError(
            f"the merged model's log-probabilities differ from the adapter's by {gap:.3g} nats",
            where="adapter",
            remedy="name fewer adapter.targets, or train with adapter: full",
        )


def _refuse_tied(model: Any, adapter: Lora) -> None:
    """An update of one side of tied embeddings, once merged, is an update of both: another model than was trained."""
    if not isinstance(adapter.targets, list) or not model.config.get_text_config().tie_word_embeddings:
        return
    ends = [model.get_input_embeddings(), model.get_output_embeddings()]
    names = [name for name, module in model.named_modules() if any(module is end for end in ends)]
    hit = sorted({target for target in adapter.targets for name in names if _ends(name, target)})
    if hit:
        raise CheckpointError(
            f"LoRA on {', '.join(hit)} cannot be merged: input and output embedding of this model are one tensor "
            "(tie_word_embeddings)",
            where=_WHERE,
            remedy=f"take {', '.join(hit)} out of adapter.targets, or train with adapter: full",
        )


def _refuse_unmatched(adapted: Any, targets: list[str], names: Collection[str], offered: str) -> None:
    """peft is content where one of several targets matches; the others would not be trained, and nobody would know."""
    # Where peft translates the names of experts from before they were fused, it takes them out of target_modules.
    left = adapted.active_peft_config.target_modules
    lost = [target for target in targets if target in left and not any(_ends(name, target) for name in names)]
    if lost:
        raise CheckpointError(f"adapter.targets {lost} match no module of the model", where=_WHERE, remedy=offered)


def _ends(name: str, target: str) -> bool:
    return name == target or name.endswith(f".{target}")


def _leaves(model: Any) -> str:
    """A remedy that lists the last parts of the names of modules with a matrix: "..., k_proj, lm_head, o_proj"."""
    names = {
        name.rpartition(".")[2]
        for name, module in model.named_modules()
        if any(parameter.dim() > 1 for parameter in module.parameters(recurse=False))
    }
    return f"targets are ends of module names; this model has {', '.join(sorted(names))}"

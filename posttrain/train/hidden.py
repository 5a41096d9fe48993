"""From a causal model to its hidden states and output head, so that losses need no [tokens, vocabulary] logits.

    open_head(model)                                    once, after loading and before the trainer takes it
    model(input_ids=..., over_hidden=function)          returns function(hidden states [B, T, H], Head)

The function runs inside the model's own forward: there autocast is on and a sharded head is whole. What stands between
hidden states and logits (scales, soft caps) is read from the config and proven on a few tokens against the model's own
logits; a model for which the two differ is refused. Knows nothing of losses but the Head they take.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import MethodType
from typing import Any

import torch
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor

from posttrain.errors import CheckpointError
from posttrain.train.losses.head import Head, States

PROOF_TOKENS = 4
REMEDY = "use a model of transformers whose logits are its last hidden state times its output head"


def open_head(model: Any) -> Any:
    """The model itself, whose forward now takes `over_hidden`. Works for a model under LoRA; does nothing twice. Raises
    CheckpointError where hidden states and head do not give the model's own logits."""
    plain = model.get_base_model() if hasattr(model, "get_base_model") else model
    if "over_hidden" in vars(plain):
        return model
    name = type(plain).__name__
    head = plain.get_output_embeddings()
    if hasattr(head, "base_layer") or hasattr(head, "modules_to_save"):
        raise CheckpointError(
            f"the output head of {name} is under LoRA, and its loss in tiles reads the plain weight",
            where="adapter.targets",
            remedy="leave the output head out of the targets",
        )
    if plain.base_model is plain or getattr(head, "weight", None) is None:
        raise CheckpointError(f"{name} gives no hidden states before its output head", remedy=REMEDY)
    plain.forward = MethodType(_with_over_hidden(type(plain).forward), plain)
    plain.over_hidden = True
    _prove(plain, name)
    return model


def _with_over_hidden(original: Any) -> Any:
    """The class's forward with one more argument. Holds no model, so that a deep copy calls its own."""

    @functools.wraps(original)
    def forward(self: Any, *args: Any, over_hidden: Callable[..., Any] | None = None, **kwargs: Any) -> Any:
        if over_hidden is None:
            return type(self).forward(self, *args, **kwargs)
        hidden = self.base_model(*args, use_cache=False, **kwargs).last_hidden_state
        return over_hidden(hidden, _head(self))

    return forward


def _head(plain: Any) -> Head:
    layer, config = plain.get_output_embeddings(), plain.config.get_text_config()
    if isinstance(layer, FSDPModule) and isinstance(layer.weight, DTensor):
        layer.unshard()  # in a group of its own (as under LoRA) only its own forward would gather it
    return Head(
        weight_VH=layer.weight,
        bias_V=getattr(layer, "bias", None),
        scale=_scale(config),
        softcap=getattr(config, "final_logit_softcapping", None),
    )


def _scale(config: Any) -> float:
    """What logits are multiplied by before a cap. Granite and MiniCPM3 divide by what HyperCLOVA X multiplies by."""
    for key in ("logit_scale", "output_multiplier", "lm_head_multiplier"):
        if getattr(config, key, None) is not None:
            return float(getattr(config, key))
    scaling = getattr(config, "logits_scaling", None)
    if scaling is None:
        return 1.0
    return float(scaling) if config.model_type == "hyperclovax" else 1.0 / float(scaling)


def _prove(plain: Any, name: str) -> None:
    """Compare with the model's own logits on a few tokens."""
    device = next(plain.parameters()).device
    count = min(PROOF_TOKENS, plain.get_output_embeddings().weight.shape[0])
    ids = torch.arange(count, device=device).unsqueeze(0)
    was_training = plain.training
    plain.eval()
    with torch.no_grad():
        wanted = plain(input_ids=ids, use_cache=False).logits[0].float()
        found = plain(input_ids=ids, over_hidden=lambda hidden, head: States(hidden_NH=hidden[0], head=head).logits())
    plain.train(was_training)
    gap = float((found.float() - wanted).abs().max()) if found.shape == wanted.shape else float("inf")
    rounding = torch.finfo(next(plain.parameters()).dtype).eps
    allowed = 64 * rounding * max(1.0, float(wanted.abs().max()))
    if not gap <= allowed:
        raise CheckpointError(
            f"{name} changes its logits after the output head in a way this version does not know (they differ by "
            f"{gap:.3g} from hidden state times head, {allowed:.1g} is rounding)",
            remedy=REMEDY,
        )

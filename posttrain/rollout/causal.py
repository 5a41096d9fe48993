"""A checkpoint as a causal model of transformers, loaded in one way for trainer, engine and reference: what the library
would make up, skip or change in silence is refused, or set as the model's authors have it.

    load_causal(folder)     the weights, in float32
    outline(folder)         the same questions without memory for weights: shapes and names only

Knows nothing of training. Imports torch and transformers where it loads.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posttrain.errors import CheckpointError
from posttrain.rollout.weights import read_config, weight_files

_SHOWN = 3
_REPORTED = re.compile(r"^(\S+)\s*\|\s*(?:\x1b\[[0-9;]*m)?\s*(MISSING|MISMATCH|CONVERSION)", re.MULTILINE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Loaded:
    """A model, and the names of tensors that its checkpoint holds and the model has no place for.

    Example: Loaded(model=Qwen3ForCausalLM(...), unexpected=("mtp.layers.0.mlp.up_proj.weight",))
    """

    model: Any
    unexpected: tuple[str, ...]


def load_causal(folder: str | Path, dtype: str = "float32") -> Any:
    """The model with the checkpoint's weights. Raises CheckpointError, by name, where tensors are missing or of another
    shape: transformers would fill those with random numbers."""
    return _load(folder, dtype, device_map=None).model


def outline(folder: str | Path) -> Loaded:
    """The model on torch's meta device: its modules and shapes, compared with the checkpoint's. Raises as load_causal
    does."""
    return _load(folder, "float32", device_map="meta")


def attention_of(config: Mapping[str, Any]) -> str | None:
    """The attention to ask of transformers; None for its own choice. Soft capping needs eager: SDPA leaves it out
    without a word (Gemma 2)."""
    inner = config.get("text_config")
    both = [config, inner if isinstance(inner, Mapping) else {}]
    return "eager" if any(part.get("attn_logit_softcapping") for part in both) else None


def refuse_unbatchable(config: Any, whose: str) -> str:
    """One line where transformers' cache for this configuration can drop rows of a batch, as the hf engine asks of it.
    Raises CheckpointError where it cannot (state-space layers)."""
    from transformers import DynamicCache

    layers = DynamicCache(config=config).layers
    odd = sorted({type(layer).__name__ for layer in layers if not hasattr(layer, "batch_select_indices")})
    if odd:
        raise CheckpointError(
            f"the hf engine cannot run {whose}: rows of a batch cannot leave its cache ({', '.join(odd)})",
            where="engine.backend",
            remedy="set engine.backend: vllm, or give a base with attention in every layer",
        )
    return "transformers' cache serves it"


def changed_by_vllm(folder: str | Path) -> bool:
    """Whether vLLM, in this process, has decorated the classes of transformers that make this model. It does so where
    it runs a model on transformers' code; a model made from them afterwards is no reference for what vLLM computes."""
    if "vllm" not in sys.modules:
        return False
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, AutoConfig

    kind = MODEL_FOR_CAUSAL_LM_MAPPING[type(AutoConfig.from_pretrained(str(folder), local_files_only=True))]
    classes = [value for value in vars(sys.modules[kind.__module__]).values() if isinstance(value, type)]
    return any(base.__module__.startswith("vllm.") for value in classes for base in value.__mro__)


def _load(folder: str | Path, dtype: str, *, device_map: str | None) -> Loaded:
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, GenerationConfig
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # workers write to log files
    config = read_config(folder)
    files = weight_files(folder)
    with _library_report() as report:
        try:
            model, info = AutoModelForCausalLM.from_pretrained(
                str(folder),
                dtype=getattr(torch, dtype),
                local_files_only=True,
                use_safetensors=True,
                attn_implementation=attention_of(config),
                device_map=device_map,
                # Sampling defaults of the checkpoint belong to its generation_config.json (train/published.py). On the
                # model they end every save where they are invalid, which is common.
                generation_config=GenerationConfig(),
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # so that they are named below, all of them
            )
        except (OSError, ValueError, KeyError, AttributeError, RuntimeError, ImportError, SafetensorError) as error:
            named = sorted({f"{name} ({kind.lower()})" for name, kind in _REPORTED.findall("\n".join(report))})
            what = f"the weights do not fit: {_some(named)}" if named else f"the model cannot be loaded: {error}"
            remedy = "check config.json and the safetensors; an architecture that transformers lacks cannot be trained"
            raise CheckpointError(what, where=str(folder), remedy=remedy) from error
    _refuse_made_up(info, folder, files)
    for part in {id(part): part for part in (model.config, model.config.get_text_config())}.values():
        if hasattr(part, "output_router_logits"):
            part.output_router_logits = False  # with it the library adds a loss that no recipe asks for
    return Loaded(model=model, unexpected=tuple(sorted(info["unexpected_keys"])))


def _refuse_made_up(info: Mapping[str, Any], folder: str | Path, files: Collection[Path]) -> None:
    where = str(folder)
    missing, mismatched = sorted(info["missing_keys"]), sorted(info["mismatched_keys"])
    if mismatched:
        shown = [f"{name} is {list(theirs)}, the config wants {list(ours)}" for name, theirs, ours in mismatched]
        raise CheckpointError(
            f"{len(mismatched)} tensors have another shape: {_some(shown)}",
            where=where,
            remedy="config.json and weights are of two models: save or download both again",
        )
    if missing:
        other = sorted(info["unexpected_keys"])
        names = f"; it has {_some(other)}, which the architecture does not know" if other else ""
        raise CheckpointError(
            f"{len(missing)} tensors of the architecture are not in the weights and would be random: "
            f"{_some(missing)}{names}",
            where=where,
            remedy=f"download or save all of the weights again ({len(files)} files here), or mend config.json",
        )


def _some(names: Collection[str]) -> str:
    rest = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(list(names)[:_SHOWN]) + rest


@contextmanager
def _library_report() -> Iterator[list[str]]:
    """What transformers logs meanwhile: its table of tensors that do not fit is nowhere else when a load fails."""
    kept: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: kept.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("transformers")
    logger.addHandler(handler)
    try:
        yield kept
    finally:
        logger.removeHandler(handler)

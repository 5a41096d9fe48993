"""Weights by their checkpoint names: from a trainer's model, from a folder, and the shapes for which in-place loading
is known to lie.

Knows nothing of engines. The names are those of the safetensors files, which for models with fused experts are not
those of `state_dict()`.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from posttrain.errors import CheckpointError

_EXPERT_KEYS = ("num_local_experts", "num_experts", "n_routed_experts")
_WEIGHT_SUFFIXES = (".safetensors", ".safetensors.index.json", ".bin", ".bin.index.json", ".pt", ".pth")
_UNSHAPED_KEYS = (
    "_name_or_path",
    "transformers_version",
    "dtype",
    "torch_dtype",
    "use_cache",
    "eos_token_id",
    "bos_token_id",
    "pad_token_id",
)


def read_config(model_dir: str | Path) -> dict[str, Any]:
    """config.json of a checkpoint. Raises CheckpointError where there is none."""
    path = Path(model_dir) / "config.json"
    try:
        config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"not a checkpoint: {error}", where=str(path), remedy="name a folder that save_pretrained wrote"
        ) from error
    return config


def shape_key(model_dir: str | Path) -> str:
    """Equal for two checkpoints whose weights fit the same engine."""
    config = {key: value for key, value in read_config(model_dir).items() if key not in _UNSHAPED_KEYS}
    return json.dumps(config, sort_keys=True)


def in_place_update_lies(config: Mapping[str, Any]) -> str | None:
    """Why vLLM 0.31 on the CPU would report a successful in-place update and sample from other weights, or None.

    Both were measured: a tied output head keeps its packed old copy, and re-packed experts come out wrong. Every other
    shape is still checked by parity after each hand-over; this list only saves the failed attempt.
    """
    if config.get("tie_word_embeddings", False):
        return "tied embeddings"
    if checkpoint_names_differ(config):
        return "experts"
    return None


def checkpoint_names_differ(config: Mapping[str, Any]) -> bool:
    """Whether transformers holds this shape under other names than its checkpoints (fused experts, renamed modules)."""
    if any(config.get(key) for key in _EXPERT_KEYS):
        return True
    from transformers.conversion_mapping import get_checkpoint_conversion_mapping

    names = [str(config.get("model_type")), *map(str, config.get("architectures") or [])]
    return any(get_checkpoint_conversion_mapping(name) for name in names)


def weight_files(model_dir: str | Path) -> list[Path]:
    """The safetensors that make up the model, as transformers would take them: model.safetensors, else what its index
    names. Other files beside them (a copy in another layout, `consolidated.safetensors`) are not read.

    Raises CheckpointError for shards without an index, and for an adapter, which is half a model.
    """
    folder = Path(model_dir)
    if (folder / "adapter_config.json").is_file():
        raise CheckpointError(
            "an adapter (adapter_config.json) stands in for a model",
            where=str(folder),
            remedy="merge it into its base (peft: merge_and_unload) and save that, or take adapter_config.json away",
        )
    if (folder / "model.safetensors").is_file():
        return [folder / "model.safetensors"]
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        try:
            names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CheckpointError(
                f"not an index of shards: {error!r}", where=str(index), remedy="download or save it again"
            ) from error
        absent = [name for name in names if not (folder / name).is_file()]
        if absent:
            raise CheckpointError(
                f"{absent[0]} is not there, and {len(absent) - 1} more that the index names",
                where=str(index),
                remedy="copy or download all of it",
            )
        return [folder / name for name in names]
    others = sorted(path.name for path in folder.glob("*.safetensors"))
    if others:
        raise CheckpointError(
            f"neither model.safetensors nor model.safetensors.index.json beside {others[0]} ({len(others)} "
            "safetensors in all): which tensors belong to the model is not stated",
            where=str(folder),
            remedy="copy or download the index, too; a single file is called model.safetensors",
        )
    pickled = sorted(path.name for path in folder.glob("*.bin"))
    raise CheckpointError(
        f"weights are pickled ({pickled[0]}), which can run code" if pickled else "no *.safetensors file",
        where=str(folder),
        remedy="save the model as safetensors: load it where you trust it, then model.save_pretrained",
    )


def iterate_weights(model_dir: str | Path) -> Iterator[tuple[str, Any]]:
    """(name, torch tensor) of every file of `weight_files`, in file and key order."""
    from safetensors import safe_open

    for file in weight_files(model_dir):
        with safe_open(file, framework="pt") as handle:
            for name in handle.keys():  # noqa: SIM118 - not a dict
                yield name, handle.get_tensor(name)


def checkpoint_weights(model: Any) -> dict[str, Any]:
    """(checkpoint name -> tensor, where the model has it) of a transformers model in training.

    Dense models: the state dict without the tied copy of the output head. Models whose library fuses experts: a round
    trip through `save_pretrained`, the only public place that knows the checkpoint's names.
    """
    config = model.config.to_dict()
    if checkpoint_names_differ(config):
        with tempfile.TemporaryDirectory(prefix="posttrain-weights-") as folder:
            model.save_pretrained(folder)
            return dict(iterate_weights(folder))
    tied = {"lm_head.weight"} if config.get("tie_word_embeddings", False) else set()
    return {name: tensor.detach() for name, tensor in model.state_dict().items() if name not in tied}


def read_companions(model_dir: str | Path) -> dict[str, bytes]:
    """Every file of a checkpoint that is not its weights, by name: config, tokenizer, template."""
    files = (file for file in Path(model_dir).iterdir() if file.is_file() and not file.name.endswith(_WEIGHT_SUFFIXES))
    return {file.name: file.read_bytes() for file in files}


def write_checkpoint(companions: Mapping[str, bytes], weights: Mapping[str, Any], folder: Path) -> Path:
    """A checkpoint in `folder`: these weights, and the other files of a checkpoint as `read_companions` gave them."""
    from safetensors.torch import save_file

    for name, content in companions.items():
        (folder / name).write_bytes(content)
    save_file(
        {name: tensor.contiguous() for name, tensor in weights.items()},
        folder / "model.safetensors",
        metadata={"format": "pt"},
    )
    return folder

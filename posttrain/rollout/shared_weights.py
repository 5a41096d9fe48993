"""A model's weights in memory that all processes of a node share: a trainer writes them once a step, in the engine's
dtype, and every engine of the node reads the same bytes.

    trainer   WeightMemory().filled(tensors, ...) ── .path ──> engine   WeightsAt(path)

The memory has the layout of a safetensors file, and no name: it is reached through the process that holds it, and is
gone with that process, however it ends. Knows no engines.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

_NAMES = {  # of torch, in a safetensors file
    **{"float32": "F32", "bfloat16": "BF16", "float16": "F16", "float64": "F64"},
    **{"int64": "I64", "int32": "I32", "int16": "I16", "int8": "I8", "uint8": "U8", "bool": "BOOL"},
}


class SharedWeights(Mapping[str, Any]):
    """Checkpoint name -> tensor in the memory. path: where other processes of this node and user read it as a
    safetensors file."""

    def __init__(self, tensors: Mapping[str, Any], dtypes: Mapping[str, Any]) -> None:
        """Room for tensors of these shapes. dtypes: name -> torch's dtype in the memory."""
        import mmap

        import torch

        header: dict[str, Any] = {}
        end = 0
        # The widest first: so each stands at a multiple of its own size.
        for name in sorted(tensors, key=lambda name: -dtypes[name].itemsize):
            start, end = end, end + dtypes[name].itemsize * tensors[name].numel()
            kind = _NAMES[str(dtypes[name]).removeprefix("torch.")]
            header[name] = {"dtype": kind, "shape": list(tensors[name].shape), "data_offsets": [start, end]}
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        self._file = os.memfd_create("posttrain-weights")
        os.truncate(self._file, 8 + len(text) + end)
        self._memory = mmap.mmap(self._file, 8 + len(text) + end)
        self._memory[: 8 + len(text)] = len(text).to_bytes(8, "little") + text
        whole = torch.frombuffer(self._memory, dtype=torch.uint8, offset=8 + len(text)) if end else torch.empty(0)
        self._tensors = {
            name: whole[slice(*of["data_offsets"])].view(dtypes[name]).view(of["shape"]) for name, of in header.items()
        }

    @property
    def path(self) -> str:
        return f"/proc/{os.getpid()}/fd/{self._file}"

    def __reduce__(self) -> tuple[Any, ...]:
        """In a message to where the memory is not: the tensors themselves."""
        return dict, ({name: tensor.clone() for name, tensor in self.items()},)

    def __getitem__(self, name: str) -> Any:
        return self._tensors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            os.close(self._file)


class WeightMemory:
    """One SharedWeights for all steps of a trainer: what a step writes, the next writes over."""

    def __init__(self) -> None:
        self._weights: SharedWeights | None = None

    def filled(self, tensors: Mapping[str, Any], kept: Callable[[], Mapping[str, str]], default: str) -> SharedWeights:
        """With the tensors, from any device. kept: asked once, name -> dtype in which the engine has it, where it can
        say; others get the `default`, and whole numbers stay what they are."""
        shapes = {name: tensor.shape for name, tensor in tensors.items()}
        if self._weights is None or {name: tensor.shape for name, tensor in self._weights.items()} != shapes:
            self._weights = SharedWeights(tensors, _dtypes(tensors, kept(), default))
        for name, tensor in tensors.items():
            self._weights[name].copy_(tensor.detach())
        return self._weights


def _dtypes(tensors: Mapping[str, Any], kept: Mapping[str, str], default: str) -> dict[str, Any]:
    import torch

    return {
        name: getattr(torch, kept.get(name, default)) if tensor.is_floating_point() else tensor.dtype
        for name, tensor in tensors.items()
    }


class WeightsAt(Mapping[str, Any]):
    """Checkpoint name -> tensor, read from a safetensors file one at a time."""

    def __init__(self, path: str) -> None:
        from safetensors import safe_open

        self.path = path
        self._opened = safe_open(path, framework="pt")

    def __getitem__(self, name: str) -> Any:
        return self._opened.get_tensor(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._opened.keys())

    def __len__(self) -> int:
        return len(self._opened.keys())

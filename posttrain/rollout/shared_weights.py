"""A model's weights in memory that all processes of a node share: a trainer writes them once a step, in the engine's
dtype, and every engine of the node reads the same bytes.

    trainer   WeightMemory().filled(tensors, dtype) ── .path ──> engine   WeightsAt(path)

The memory has the layout of a safetensors file, and no name: it is reached through the process that holds it, and is
gone with that process, however it ends. Knows no engines.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

_NAMES = {"float32": "F32", "bfloat16": "BF16", "float16": "F16", "float64": "F64"}


class SharedWeights(Mapping[str, Any]):
    """Checkpoint name -> tensor in the memory. path: where other processes of this node and user read it as a
    safetensors file."""

    def __init__(self, sizes: Mapping[str, tuple[int, ...]], dtype: str) -> None:
        import mmap

        import torch

        self.dtype = dtype
        kind = getattr(torch, dtype)
        header: dict[str, Any] = {}
        end = 0
        for name, size in sizes.items():
            start, end = end, end + kind.itemsize * torch.Size(size).numel()
            header[name] = {"dtype": _NAMES[dtype], "shape": list(size), "data_offsets": [start, end]}
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        self._file = os.memfd_create("posttrain-weights")
        os.truncate(self._file, 8 + len(text) + end)
        self._memory = mmap.mmap(self._file, 8 + len(text) + end)
        self._memory[: 8 + len(text)] = len(text).to_bytes(8, "little") + text
        whole = torch.frombuffer(self._memory, dtype=torch.uint8, offset=8 + len(text)) if end else torch.empty(0)
        self._tensors = {
            name: whole[slice(*of["data_offsets"])].view(kind).view(of["shape"]) for name, of in header.items()
        }

    def fits(self, tensors: Mapping[str, Any], dtype: str) -> bool:
        """Whether these would stand in the same memory."""
        sizes = {name: tensor.shape for name, tensor in tensors.items()}
        return dtype == self.dtype and {name: tensor.shape for name, tensor in self.items()} == sizes

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

    def filled(self, tensors: Mapping[str, Any], dtype: str) -> SharedWeights:
        """With the tensors, from any device."""
        if self._weights is None or not self._weights.fits(tensors, dtype):
            self._weights = SharedWeights({name: tuple(tensor.shape) for name, tensor in tensors.items()}, dtype)
        for name, tensor in tensors.items():
            self._weights[name].copy_(tensor.detach())
        return self._weights


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

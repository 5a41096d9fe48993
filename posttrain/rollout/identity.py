"""Are the weights in the engine those of the trainer, element for element? A checksum of every tensor on both sides,
also where the engine keeps its tensors under other names and shapes.

    held(model)              {checkpoint name: Held} of a vLLM model, through its stacking of projections
    differing(held, weights) names whose checksums differ; cast to the engine's dtype on the trainer's side

The checksum is a sum over elements, modulo 2^64, of an element's bits times an odd number of its row and one of its
column: a change of any single element always changes it, and other changes escape it by chance alone. What vLLM's CPU
kernels have packed is read through the kernel itself, which gives back a column of the weights for each unit vector, to
the last bit: what is compared is what the engine computes with, not a copy beside it. Knows no engine; imports torch
where it computes, and no vllm.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_ELEMENTS = 1 << 22  # hashed at once: 8 bytes each
_UNIT_VECTORS = 512
_READABLE = ("UnquantizedLinearMethod", "UnquantizedEmbeddingMethod")
HEAD = "lm_head.weight"


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """A tensor as an engine holds it: its dtype and its checksum, 64 bits.

    Example: Held(dtype="bfloat16", checksum=-5410236789123456789)
    """

    dtype: str
    checksum: int


def checksum(tensor: Any) -> int:
    """Of the bits of a float tensor of any shape, on its own device; -0.0 counts as 0.0."""
    import torch

    rows_RC = tensor.detach().reshape(-1, tensor.shape[-1] if tensor.dim() else 1)
    bits = {2: torch.int16, 4: torch.int32, 8: torch.int64}[tensor.element_size()]
    columns_C = _odd_numbers(rows_RC.shape[1], rows_RC.device, salt=1)
    factors_R = _odd_numbers(rows_RC.shape[0], rows_RC.device, salt=2)
    total = torch.zeros((), dtype=torch.int64, device=rows_RC.device)
    step = max(1, _ELEMENTS // max(1, rows_RC.shape[1]))
    for start in range(0, rows_RC.shape[0], step):
        part_RC = (rows_RC[start : start + step] + 0.0).contiguous().view(bits).to(torch.int64)
        total += ((part_RC * columns_C).sum(dim=1) * factors_R[start : start + step]).sum()
    return int(total)


def _odd_numbers(count: int, device: Any, *, salt: int) -> Any:
    """`count` odd 64-bit numbers that look random (the mixing of splitmix64), the same on every machine."""
    import torch

    mixed = torch.arange(1, count + 1, dtype=torch.int64, device=device) * -7046029254386353131 + salt
    for shift, factor in ((30, -4658895280553007687), (27, -7723592293110705685)):
        mixed = (mixed ^ ((mixed >> shift) & ((1 << (64 - shift)) - 1))) * factor
    return (mixed ^ ((mixed >> 31) & ((1 << 33) - 1))) | 1


def held(model: Any) -> dict[str, Held]:
    """Every tensor of a vLLM model (of one GPU or CPU) that can be read, by its checkpoint name. Quantised layers and
    fused experts are not among them: their bits are no longer the checkpoint's."""
    return {name: _held(tensor) for name, tensor in _tensors(model)}


def held_of(weights: Iterable[tuple[str, Any]]) -> dict[str, Held]:
    """The same of tensors that have their checkpoint names already."""
    return {name: _held(tensor) for name, tensor in weights}


def _held(tensor: Any) -> Held:
    return Held(dtype=str(tensor.dtype).removeprefix("torch."), checksum=checksum(tensor))


def differing(found: Mapping[str, Held], weights: Iterable[tuple[str, Any]]) -> tuple[list[str], list[str]]:
    """(names whose tensors differ, names that the engine cannot show). An output head that the weights lack is tied: it
    must equal one of their tensors."""
    import torch

    differ, unread, sums = [], [], set()
    head, seen_head = found.get(HEAD), False
    for name, tensor in weights:
        seen_head = seen_head or name == HEAD
        engines = found.get(name)
        if engines is None:
            unread.append(name)
            continue
        ours = checksum(tensor.to(getattr(torch, engines.dtype)))
        sums.add(ours)
        if ours != engines.checksum:
            differ.append(name)
    if head is not None and not seen_head and head.checksum not in sums:
        differ.append(HEAD)
    return differ, unread


def _tensors(model: Any) -> Iterator[tuple[str, Any]]:
    stacked = getattr(model, "packed_modules_mapping", None) or {}
    head = getattr(model, "lm_head", None)
    for prefix, module in model.named_modules():
        for own, parameter in module.named_parameters(recurse=False):
            if own == "weight" and hasattr(module, "quant_method"):
                if module is head and not _is_embedding_too(model, head):
                    continue  # below
                tensor = parameter if hasattr(module, "org_vocab_size") else _computed_with(module)
            elif hasattr(module, "quant_method") and own != "bias":
                continue  # of a quantised layer, or of fused experts
            else:
                tensor = parameter
            if tensor is not None:
                yield from _parts(prefix, own, _of_vocabulary(module, tensor), stacked, module)
    if head is not None and hasattr(head, "quant_method"):
        tensor = _computed_with(head)
        if tensor is not None:
            yield HEAD, _of_vocabulary(head, tensor)


def _is_embedding_too(model: Any, head: Any) -> bool:
    """Whether the output head is the embedding, under the embedding's name."""
    return any(module is head and name != "lm_head" for name, module in model.named_modules())


def _of_vocabulary(module: Any, tensor: Any) -> Any:
    """Without the rows that pad a vocabulary."""
    rows = getattr(module, "org_vocab_size", None)
    return tensor if rows is None else tensor[:rows]


def _parts(prefix: str, own: str, tensor: Any, stacked: Mapping[str, Any], module: Any) -> Iterator[tuple[str, Any]]:
    """One tensor under its checkpoint name, or those that are stacked in it (q, k and v in qkv_proj)."""
    parent, _, leaf = prefix.rpartition(".")
    names = stacked.get(leaf)
    sizes = getattr(module, "output_partition_sizes", None)
    if not names or len(names) == 1 or sizes is None or len(sizes) != len(names):
        yield f"{prefix}.{own}" if prefix else own, tensor
        return
    for name, part in zip(names, tensor.split(list(sizes), dim=0), strict=True):
        yield f"{parent}.{name}.{own}" if parent else f"{name}.{own}", part


def _computed_with(module: Any) -> Any:
    """The weights [out, in] that a linear layer multiplies with, or None where they are not the checkpoint's
    (quantised)."""
    import torch

    if type(module.quant_method).__name__ not in _READABLE:
        return None
    if module.weight.device.type != "cpu":
        return module.weight
    sizes = (getattr(module, name, None) for name in ("embedding_dim", "input_size_per_partition", "input_size"))
    width = next((size for size in sizes if size is not None), None)
    if width is None:
        return None
    columns = []
    with torch.no_grad():
        for start in range(0, width, _UNIT_VECTORS):
            count = min(_UNIT_VECTORS, width - start)
            units = torch.zeros(count, width, dtype=module.weight.dtype)
            units[torch.arange(count), torch.arange(start, start + count)] = 1.0
            columns.append(module.quant_method.apply(module, units, None).t())
    return torch.cat(columns, dim=1)

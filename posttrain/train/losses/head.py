"""From hidden states to logits and back, a tile of tokens at a time: no tensor of [tokens, vocabulary] exists.

A loss walks over `tiles`, turns each tile of logits in place into the gradient of the loss on them, and
hands it to `Projection.take_gradient`. The gradients of hidden states and head are complete when the forward pass ends;
`loss_with_gradients` gives them to autograd. That saves the second projection which a backward pass in tiles needs.

Shapes: N tokens, H hidden, V vocabulary, n tokens of a tile. Sums are float32 whatever the dtype of the model (float64
stays float64). Knows nothing of models or of a particular loss.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch

TILE_BYTES = {"cpu": 2**26, "cuda": 2**29}
"""Size of one tile of logits. More tokens a tile use the matrix units better; a GPU needs about a thousand."""
BLOCK_BYTES = {"cpu": 2**21, "cuda": 2**26}
"""Size of what is worked on between two projections: on a CPU it should stay in the cache."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """The output head of a model: logits = softcap * tanh(scale * (W h + b) / softcap), without softcap scale * (W h +
    b).

    Example: Head(weight_VH=model.lm_head.weight) for Llama; Gemma 2 adds softcap=30.0, Granite scale=1/8.
    """

    weight_VH: torch.Tensor
    bias_V: torch.Tensor | None = None
    scale: float = 1.0
    softcap: float | None = None

    def transform_(self, logits_nV: torch.Tensor) -> torch.Tensor:
        """From the bare projection to logits, in place."""
        if self.scale != 1.0:
            logits_nV.mul_(self.scale)
        if self.softcap is not None:
            logits_nV.div_(self.softcap).tanh_().mul_(self.softcap)
        return logits_nV


@dataclass(frozen=True, kw_only=True, slots=True)
class States:
    """What a model says about N positions before its head.

    Example: States(hidden_NH=hidden[:, :-1][trained], head=Head(weight_VH=model.lm_head.weight))
    """

    hidden_NH: torch.Tensor
    head: Head

    def logits(self) -> torch.Tensor:
        """All logits [N, V], float32, differentiable: for a handful of positions."""
        head = self.head
        dtype = _compute_dtype(self.hidden_NH)
        projected = torch.nn.functional.linear(
            self.hidden_NH.to(dtype), head.weight_VH.to(dtype), None if head.bias_V is None else head.bias_V.to(dtype)
        )
        logits = projected.to(_sum_dtype(dtype)) * head.scale
        return logits if head.softcap is None else head.softcap * torch.tanh(logits / head.softcap)


class Projection:
    """The tiles of one model's logits, and the gradients that come back through them.

    Without wanted gradients it holds one tile; with them also sums of the size of hidden states and weight.
    """

    def __init__(self, states: States, wanted: tuple[bool, bool, bool] = (False, False, False)) -> None:
        """wanted: whether hidden states, weight and bias need a gradient."""
        self.head = states.head
        self.compute_dtype = _compute_dtype(states.hidden_NH)
        self.sum_dtype = _sum_dtype(self.compute_dtype)
        self.hidden_NH = self._operand(states.hidden_NH)
        self.weight_VH = self._operand(states.head.weight_VH)
        self.num_tokens, self.vocabulary = self.hidden_NH.shape[0], self.weight_VH.shape[0]
        self._capped: torch.Tensor | None = None
        self._buffer: torch.Tensor | None = None
        inputs = (states.hidden_NH, states.head.weight_VH, states.head.bias_V)
        self._gradients = [
            torch.zeros(tensor.shape, dtype=self.sum_dtype, device=tensor.device)
            if want and tensor is not None
            else None
            for tensor, want in zip(inputs, wanted, strict=True)
        ]
        self._input_dtypes = [tensor.dtype if tensor is not None else None for tensor in inputs]

    @property
    def wants_gradient(self) -> bool:
        return any(gradient is not None for gradient in self._gradients)

    def logits(self, tokens: slice) -> torch.Tensor:
        """Logits [n, V] of these tokens, in a buffer that the next call overwrites."""
        if self._buffer is None:
            rows = min(self.num_tokens, tokens.stop - tokens.start)
            self._buffer = torch.empty((rows, self.vocabulary), dtype=self.sum_dtype, device=self.hidden_NH.device)
        tile = self._buffer[: tokens.stop - tokens.start]
        _matmul(self.hidden_NH[tokens], self.weight_VH.t(), out=tile)
        if self.head.bias_V is not None:
            tile.add_(self.head.bias_V)
        self.head.transform_(tile)
        # the gradient overwrites the tile, and the slope of the cap depends on what stood there
        self._capped = tile.clone() if self.head.softcap is not None and self.wants_gradient else None
        return tile

    def take_gradient(self, tokens: slice, gradient_nV: torch.Tensor) -> None:
        """Add the gradient on the logits of these tokens, which `logits` gave last; spoils it."""
        if self.head.softcap is not None:
            assert self._capped is not None, "logits() comes before each take_gradient()"
            gradient_nV.mul_(self._capped.div_(self.head.softcap).square_().neg_().add_(1.0))
        if self.head.scale != 1.0:
            gradient_nV.mul_(self.head.scale)
        of_hidden, of_weight, of_bias = self._gradients
        operand = self._operand(gradient_nV)
        if of_hidden is not None:
            _add_matmul(of_hidden[tokens], operand, self.weight_VH)
        if of_weight is not None:
            _add_matmul(of_weight, operand.t(), self.hidden_NH[tokens])
        if of_bias is not None:
            of_bias += gradient_nV.sum(dim=0)

    def gradients(self) -> list[torch.Tensor | None]:
        """Of hidden states, weight and bias, in their dtypes."""
        return [
            None if gradient is None else gradient.to(dtype)
            for gradient, dtype in zip(self._gradients, self._input_dtypes, strict=True)
        ]

    def _operand(self, tensor: torch.Tensor) -> torch.Tensor:
        """Rounded as the model computes. A CPU multiplies in float32: its half-precision kernels round the sums."""
        rounded = tensor.detach().to(self.compute_dtype)
        return rounded.to(self.sum_dtype) if tensor.device.type == "cpu" else rounded


def tiles(*projections: Projection) -> Iterator[slice]:
    """Slices of the tokens, small enough for the largest vocabulary among them."""
    first = projections[0]
    row_bytes = max(p.vocabulary * p.sum_dtype.itemsize for p in projections)
    yield from _slices(first.num_tokens, TILE_BYTES.get(first.hidden_NH.device.type, TILE_BYTES["cuda"]), row_bytes)


def blocks(logits_nV: torch.Tensor) -> Iterator[slice]:
    """Slices of a tile's rows, small enough for the cache."""
    size = BLOCK_BYTES.get(logits_nV.device.type, BLOCK_BYTES["cuda"])
    yield from _slices(logits_nV.shape[0], size, logits_nV.shape[1] * logits_nV.element_size())


def _slices(length: int, size: int, row_bytes: int) -> Iterator[slice]:
    rows = max(1, size // row_bytes)
    for start in range(0, length, rows):
        yield slice(start, min(length, start + rows))


def loss_with_gradients(states: States, work: Callable[[Projection], torch.Tensor]) -> torch.Tensor:
    """The scalar that `work` returns, differentiable. `work` walks over the tiles and gives their gradients to the
    projection, where it wants them. One backward pass only: the gradients are handed over, not kept."""
    head = states.head
    if not torch.is_grad_enabled():
        return _in_full_precision(work, Projection(states))
    loss: torch.Tensor = _GradientsInForward.apply(states.hidden_NH, head.weight_VH, head.bias_V, states, work)
    return loss


def _in_full_precision(work: Callable[[Projection], torch.Tensor], projection: Projection) -> torch.Tensor:
    """Autocast would round the sums; the projection has taken its dtype for the operands already."""
    with torch.autocast(projection.hidden_NH.device.type, enabled=False):
        return work(projection)


class _GradientsInForward(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Any, weight: Any, bias: Any, states: States, work: Any) -> Any:
        projection = Projection(states, tuple(ctx.needs_input_grad[:3]))
        loss = _in_full_precision(work, projection)
        ctx.gradients = projection.gradients()
        return loss

    @staticmethod
    def backward(ctx: Any, *upstream: Any) -> Any:
        gradients, ctx.gradients = ctx.gradients, None
        if gradients is None:
            raise RuntimeError("this loss can be differentiated once; make it anew for a second backward pass")
        return (*(None if gradient is None else gradient.mul_(upstream[0]) for gradient in gradients), None, None)


def _compute_dtype(tensor: torch.Tensor) -> torch.dtype:
    kind = tensor.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else tensor.dtype


def _sum_dtype(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype == torch.float64 else torch.float32


def _matmul(a: torch.Tensor, b: torch.Tensor, *, out: torch.Tensor) -> None:
    """a @ b with float32 sums that are not rounded to the operands' dtype."""
    if a.dtype == out.dtype:
        torch.mm(a, b, out=out)
    else:
        torch.mm(a, b, out_dtype=out.dtype, out=out)  # a GPU's way; a CPU's operands have the sums' dtype


def _add_matmul(total: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> None:
    """total += a @ b. Rounding each tile's product first would bias the sum over many tiles."""
    if a.dtype == total.dtype:
        total.addmm_(a, b)
    else:
        torch.addmm(total, a, b, out_dtype=total.dtype, out=total)

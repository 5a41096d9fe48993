"""What `posttrain plan` says a trainer's GPU holds, beside the live bytes of a real training step. Prints Markdown.

    python benchmarks/plan_memory.py [--case NAME ...]

transformers' own model, our loss in tiles, AdamW: forward, backward, update, over fake tensors, which have shapes and
no content, so that full sizes run here. Live bytes are those of all storages that operations returned and nobody has
dropped. A case "autocast" is one GPU with float32 weights; autocast's copies of them count as activations. A case
"sharded" computes in bfloat16 and drops each gradient once it is there, as FSDP2 does; of it activations and logits are
compared, since the shards are arithmetic. Fake tensors are on the CPU: a GPU's kernels may take work space of their
own. Ends with 1 where a part is off by more than stated.
"""

from __future__ import annotations

import argparse
import weakref
from dataclasses import dataclass, field
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM

from posttrain.plan.memory import GB, GpuMemory, training_memory
from posttrain.recipe.schema import Grpo
from posttrain.recipe.sizes import decoder
from posttrain.train.losses import head
from posttrain.train.losses.tiled import logprob_loss

TOLERANCE = {"weights": 0.001, "gradients": 0.001, "optimizer": 0.001, "activations": 0.15, "logits": 0.15}
TOLERANCE |= {"total": 0.15}
NANBEIGE = {
    "hidden_size": 2560, "num_hidden_layers": 32, "num_attention_heads": 20, "num_key_value_heads": 4, "head_dim": 128,
    "intermediate_size": 10496, "vocab_size": 166144,
}  # fmt: skip
QWEN2 = {
    "hidden_size": 2048, "num_hidden_layers": 36, "num_attention_heads": 16, "num_key_value_heads": 2,
    "intermediate_size": 11008, "vocab_size": 151936, "tie_word_embeddings": True,
}  # fmt: skip
QWEN3 = {
    "hidden_size": 1024, "num_hidden_layers": 28, "num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 128,
    "intermediate_size": 3072, "vocab_size": 151936, "tie_word_embeddings": True,
}  # fmt: skip
# name -> config class, model class, sizes, tokens, checkpointing, sharded
CASES: dict[str, tuple[Any, Any, dict[str, Any], int, bool, bool]] = {
    "nanbeige 32K sharded": (LlamaConfig, LlamaForCausalLM, NANBEIGE, 34816, True, True),
    "nanbeige 8K autocast": (LlamaConfig, LlamaForCausalLM, NANBEIGE, 8192, True, False),
    "qwen2.5 3B 16K sharded": (Qwen2Config, Qwen2ForCausalLM, QWEN2, 16384, True, True),
    "qwen3 0.6B 4K autocast, nothing recomputed": (Qwen3Config, Qwen3ForCausalLM, QWEN3, 4096, False, False),
}


@dataclass
class Live(TorchDispatchMode):
    """Bytes of storages that operations returned and that are still held. Example: with Live() as live: ...;
    live.peak"""

    now: int = 0
    peak: int = 0
    seen: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = function(*args, **(kwargs or {}))
        for tensor in torch.utils._pytree.tree_leaves(found):
            if isinstance(tensor, torch.Tensor):
                self._count(tensor.untyped_storage())
        return found

    def _count(self, storage: Any) -> None:
        key = storage._cdata
        if key in self.seen:
            return
        self.seen.add(key)
        size = storage.nbytes()
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._drop, key, size)

    def _drop(self, key: int, size: int) -> None:
        self.seen.discard(key)
        self.now -= size


def measure(case: str) -> tuple[GpuMemory, GpuMemory]:
    """(what `plan` says, what was live) of a case."""
    config_class, model_class, sizes, tokens, recompute, sharded = CASES[case]
    config = config_class(**sizes)
    shape = decoder(config.to_dict())
    assert shape is not None, "the cases are decoders that plan knows"
    raw = {"kind": "grpo", "name": "a", "prompts": "p", "verifier": "v", "max_tokens": tokens, "micro_batch_size": 1}
    stage = Grpo.model_validate(raw | {"gradient_checkpointing": recompute})
    said = training_memory(shape, stage, context_tokens=tokens, trainers=8 if sharded else 1, sharded=sharded)
    _as_on_a_gpu()
    torch.set_default_dtype(torch.bfloat16 if sharded else torch.float32)
    with FakeTensorMode(), Live() as live:
        model = model_class(config)
        model.train()
        weights = sum(parameter.nbytes for parameter in model.parameters())
        live.now = live.peak = weights
        live.seen |= {parameter.untyped_storage()._cdata for parameter in model.parameters()}
        optimiser = torch.optim.AdamW(model.parameters(), lr=1e-6, foreach=True)
        if recompute:
            model.gradient_checkpointing_enable({"use_reentrant": False})
        hooks = [one.register_post_accumulate_grad_hook(_drop_gradient) for one in model.parameters()]
        found = _step(model, live, tokens)
        peak = gradients = 0
        if not sharded:  # once more, with the gradients kept
            for hook in hooks:
                hook.remove()
            peak = _step(model, live, tokens)["peak"]
            gradients = live.now - weights
        before, live.peak = live.now, live.now
        if not sharded:
            optimiser.step()
        optimizer, moments = live.peak - before, live.now - before
        peak = max(peak + moments, before + optimizer)
    torch.set_default_dtype(torch.float32)
    real = GpuMemory(
        weights=weights / GB,
        gradients=gradients / GB,
        optimizer=optimizer / GB,
        activations=found["activations"] / GB,
        logits=found["logits"] / GB,
        total=peak / GB,
    )
    return said, real


def _step(model: Any, live: Live, tokens: int) -> dict[str, int]:
    """Forward, loss and backward; bytes that activations and logits added at most."""
    start = live.now
    ids = torch.zeros(1, tokens, dtype=torch.long)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=model.dtype == torch.float32):
        hidden = model.model(ids, use_cache=False).last_hidden_state[0]
        kept, live.peak = live.now, live.now
        states = head.States(hidden_NH=hidden, head=head.Head(weight_VH=model.lm_head.weight))
        loss = logprob_loss(states, ids[0], lambda logprobs_N: -logprobs_N.mean()).loss
        logits, highest = live.peak - kept, live.peak
    head_gradient = live.now - kept  # made in the forward pass, and counted with the logits
    live.peak = live.now
    loss.backward()
    return {"activations": live.peak - start - head_gradient, "logits": logits, "peak": max(highest, live.peak)}


def _drop_gradient(parameter: torch.Tensor) -> None:
    parameter.grad = None


def _as_on_a_gpu() -> None:
    """Tiles of a GPU's size, operands in the model's dtype."""
    head.TILE_BYTES["cpu"], head.BLOCK_BYTES["cpu"] = head.TILE_BYTES["cuda"], head.BLOCK_BYTES["cuda"]
    head.Projection._operand = lambda self, tensor: tensor.detach().to(self.compute_dtype)  # type: ignore[method-assign]
    head._matmul = lambda a, b, *, out: None  # into memory that is there
    head._add_matmul = lambda total, a, b: None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", nargs="+", default=list(CASES), choices=list(CASES))
    print("| case | part | plan, GB | live, GB | plan / live | allowed |")
    print("|---|---|---|---|---|---|")
    off = []
    for case in parser.parse_args().case:
        said, real = measure(case)
        for part, allowed in TOLERANCE.items():
            if CASES[case][5] and part not in ("activations", "logits"):
                continue
            ours, live = getattr(said, part), getattr(real, part)
            print(f"| {case} | {part} | {ours:.2f} | {live:.2f} | {ours / live:.3f} | {allowed:.1%} |", flush=True)
            off += [f"{case}: {part}"] if abs(ours / live - 1) > allowed else []
    if off:
        raise SystemExit(f"off by more than allowed: {', '.join(off)}")


if __name__ == "__main__":
    main()

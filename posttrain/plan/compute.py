"""How long GPUs are busy: floating-point operations of training, seconds of generation. Upper bounds, since tokens are.

Stated here and nowhere else: the GPU is an H100 SXM (its data sheet: 989 TFLOP/s in bfloat16 without sparsity, 3.35
TB/s); training reaches MFU of the former, generation MBU of the latter. MFU counts what the model needs (PaLM, appendix
B), not what checkpointing does twice. Not measured here.
"""

from __future__ import annotations

from posttrain.recipe.sizes import Decoder

PEAK_FLOPS, MFU = 989e12, 0.30
PEAK_BYTES, MBU = 3.35e12, 0.50
SEQUENCES = 256  # that vLLM decodes at once, at most (rollout/vllm_engine.py)


def training_flops(model: Decoder, tokens: int, length: int, *, teacher: Decoder | None = None) -> float:
    """6 operations a weight and token, and 6 * length * width a layer for causal attention. A teacher's forward pass,
    and the reference's, a third of that."""
    ours = tokens * (6 * model.active + 6 * length * model.heads * model.head * model.layers)
    if teacher is None:
        return float(ours)
    its = tokens * (2 * teacher.active + 2 * length * teacher.heads * teacher.head * teacher.layers)
    return float(ours + its + ours / 3)


def training_hours(flops: float, trainers: int) -> float:
    return flops / (PEAK_FLOPS * MFU * trainers) / 3600


def generation_hours(model: Decoder, tokens: int, length: int, *, cache_gb: float, engines: int) -> float:
    """Decoding reads the weights once a step and every cached token of the sequences in it; sequences are half grown
    on average, and as many as the cache holds."""
    half = max(1, length // 2)
    sequences = max(1, min(SEQUENCES, int(cache_gb * 1e9 / (half * model.kv_bytes))))
    step_seconds = (2 * model.parameters + sequences * half * model.kv_bytes) / (PEAK_BYTES * MBU)
    return tokens / (sequences / step_seconds * engines) / 3600
